//! What the tests share: a queue of their own, jobs, a worker.
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use apalis_core::worker::{builder::WorkerBuilder, context::WorkerContext};
use quayhand_queue::{
    Backend, Ending, Fetch, Fetched, Finish, Keeper, Kept, Lease, MemoryStore, NewJob, Outcome,
    Policy, PoolConfig, PoolHandle, Queue, Record, Redis, RedisStore, Rule, Store, Taken, TakenJob,
    UniqueMode, WorkerId,
};
use quayhand_testkit::{RedisCluster, RedisServer, unique_name, wait_for};
use tokio::{sync::OnceCell, task::JoinHandle};

/// Longest that anything in these tests may take.
pub(crate) const SOON: Duration = Duration::from_secs(20);
/// A lease that no test outlives.
pub(crate) const LONG_LEASE: Duration = Duration::from_mins(1);

/// One queue of a store, used by nobody else.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) store: Store,
    pub(crate) queue: Queue,
    pub(crate) worker: WorkerId,
    pub(crate) rules: Vec<Rule>,
}

pub(crate) async fn redis() -> Redis {
    let server = RedisServer::shared().await.unwrap();
    Redis::connect(&server.url()).await.unwrap()
}

impl Desk {
    pub(crate) fn at(store: impl Into<Store>) -> Self {
        Self {
            store: store.into(),
            queue: unique_name("q").parse().unwrap(),
            worker: WorkerId::new("desk"),
            rules: Vec::new(),
        }
    }

    pub(crate) async fn in_redis() -> Self {
        Self::at(RedisStore::new(redis().await))
    }

    /// A queue in the cluster that all tests of this process share.
    pub(crate) async fn in_cluster() -> Self {
        static SHARED: OnceCell<RedisCluster> = OnceCell::const_new();
        let cluster = SHARED.get_or_init(async || RedisCluster::start().await.unwrap());
        let redis = Redis::connect(&cluster.await.url()).await.unwrap();
        Self::at(RedisStore::new(redis))
    }

    #[expect(clippy::unused_async, reason = "called like its twin")]
    pub(crate) async fn in_memory() -> Self {
        Self::at(MemoryStore::default())
    }

    /// Enqueues jobs of kind `test` with these ids; returns which were new.
    pub(crate) async fn put(&self, ids: impl IntoIterator<Item = impl ToString>) -> Vec<bool> {
        let jobs: Vec<_> = ids.into_iter().map(|id| job(&id.to_string())).collect();
        self.put_jobs(&jobs).await
    }

    pub(crate) async fn put_jobs(&self, jobs: &[NewJob]) -> Vec<bool> {
        let receipts = self.store.enqueue(&self.queue, jobs).await.unwrap();
        receipts.into_iter().map(|receipt| receipt.is_new).collect()
    }

    pub(crate) async fn fetch(&self, most: usize, lease: Duration) -> Fetched {
        self.fetch_with(most, lease, most).await
    }

    /// Fetches jobs, of which so many may be suspect.
    pub(crate) async fn fetch_with(
        &self,
        most: usize,
        lease: Duration,
        suspects: usize,
    ) -> Fetched {
        static FETCHES: AtomicU64 = AtomicU64::new(0);
        let number = FETCHES.fetch_add(1, Ordering::Relaxed);
        let fetch = Fetch {
            worker: &self.worker,
            number,
            most,
            lease,
            rules: &self.rules,
            suspects,
        };
        self.store.fetch(&self.queue, &fetch).await.unwrap()
    }

    /// Takes jobs and returns them, without caring for anything else.
    pub(crate) async fn take(&self, most: usize) -> Vec<TakenJob> {
        self.fetch(most, LONG_LEASE).await.jobs
    }

    pub(crate) async fn take_ids(&self, most: usize) -> Vec<String> {
        let jobs = self.take(most).await;
        jobs.into_iter()
            .map(|job| job.lease.id.to_string())
            .collect()
    }

    /// Settles jobs one way; returns which were.
    pub(crate) async fn finish(&self, leases: &[Lease], outcome: Outcome) -> Vec<bool> {
        let batch: Vec<_> = leases
            .iter()
            .map(|lease| Finish {
                lease: lease.clone(),
                outcome: outcome.clone(),
                kept: None,
            })
            .collect();
        self.store.finish(&self.queue, &batch).await.unwrap()
    }

    /// Fetches until a job comes.
    pub(crate) async fn next(&self, lease: Duration) -> TakenJob {
        wait_for("a job", SOON, async || {
            self.fetch(1, lease).await.jobs.pop()
        })
        .await
    }

    /// Ready, delayed, leased, dead.
    pub(crate) async fn counts(&self) -> [u64; 4] {
        let counts = self.store.counts(&self.queue).await.unwrap();
        [counts.ready, counts.delayed, counts.leased, counts.dead]
    }

    pub(crate) async fn wait_for_counts(&self, expected: [u64; 4]) {
        let what = format!("counts {expected:?}");
        wait_for(&what, SOON, async || {
            (self.counts().await == expected).then_some(())
        })
        .await;
    }

    /// Starts a worker on the queue that runs kind `test`, version 1, three attempts.
    pub(crate) fn work<F, Fut>(&self, slots: usize, lease: Duration, run: F) -> Worker
    where
        F: Fn(Box<Taken>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        self.work_by(Policy::DEFAULT.max_attempts(3), slots, lease, run)
    }

    /// Starts a worker on the queue that runs kind `test` by a policy.
    pub(crate) fn work_by<F, Fut>(
        &self,
        policy: Policy,
        slots: usize,
        lease: Duration,
        run: F,
    ) -> Worker
    where
        F: Fn(Box<Taken>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        let config = PoolConfig {
            queue: self.queue.clone(),
            host: "test".to_owned(),
            slots,
            lease,
            kinds: Arc::new([("test".to_owned(), policy)].into()),
        };
        let keeper = Keeper::start().unwrap();
        let (backend, pool) = Backend::new(self.store.clone(), config, &keeper);
        let context = WorkerContext::new("test");
        let worker = WorkerBuilder::new(&context).backend(backend).build(run);
        let task = tokio::spawn(async move { worker.run().await.unwrap() });
        Worker {
            pool,
            context,
            task,
        }
    }
}

/// A running apalis worker.
pub(crate) struct Worker {
    pub(crate) pool: PoolHandle,
    pub(crate) context: WorkerContext,
    pub(crate) task: JoinHandle<()>,
}

impl Worker {
    /// Stops it as a supervisor does, and waits until everything is committed.
    pub(crate) async fn stop(self) {
        self.context.stop().unwrap();
        tokio::time::timeout(SOON, self.task)
            .await
            .unwrap()
            .unwrap();
        tokio::time::timeout(SOON, self.pool.ended()).await.unwrap();
    }
}

/// What ran, in order: id and attempt.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Vec<(String, u32)>>>);

impl Ledger {
    pub(crate) fn note(&self, taken: &Taken) {
        let entry = (taken.envelope.id.clone(), taken.envelope.attempt);
        self.0.lock().unwrap().push(entry);
    }

    pub(crate) fn entries(&self) -> Vec<(String, u32)> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) async fn wait_for_len(&self, len: usize) -> Vec<(String, u32)> {
        self.wait_for_len_within(len, SOON).await
    }

    pub(crate) async fn wait_for_len_within(
        &self,
        len: usize,
        patience: Duration,
    ) -> Vec<(String, u32)> {
        wait_for(&format!("{len} runs"), patience, async || {
            let entries = self.entries();
            (entries.len() >= len).then_some(entries)
        })
        .await
    }
}

pub(crate) fn done() -> Outcome {
    Outcome::Done(quayhand_queue::Done::default())
}

pub(crate) fn retry(delay: Duration) -> Outcome {
    Outcome::Retry {
        delay,
        error: "no luck".to_owned(),
    }
}

/// A job of kind `test`.
pub(crate) fn job(id: &str) -> NewJob {
    NewJob {
        id: id.to_owned(),
        envelope: format!(r#"{{"id":"{id}","kind":"test","payload":{{"n":1}}}}"#),
        delay: Duration::ZERO,
        unique: String::new(),
        unique_for: Duration::ZERO,
        unique_mode: UniqueMode::default(),
        priority: 0,
        tenant: String::new(),
    }
}

/// A job of kind `test` for a tenant, of a priority.
pub(crate) fn job_for(id: &str, tenant: &str, priority: i8) -> NewJob {
    NewJob {
        envelope: format!(
            r#"{{"id":"{id}","kind":"test","tenant":"{tenant}","payload":{{"n":1}}}}"#
        ),
        tenant: tenant.to_owned(),
        priority,
        ..job(id)
    }
}

pub(crate) fn leases(jobs: &[TakenJob]) -> Vec<Lease> {
    jobs.iter().map(|job| job.lease.clone()).collect()
}

/// A finish that leaves a record.
pub(crate) fn kept(lease: Lease, outcome: Outcome, keep_for: Duration) -> Finish {
    let record = Record {
        at_ms: 0,
        outcome: Ending::Done,
        attempt: 1,
        worker: "w".to_owned(),
        text: String::new(),
        lines: vec!["x".to_owned()],
    };
    let took = Duration::ZERO;
    let kept = Some(Box::new(Kept {
        record,
        took,
        keep_for,
    }));
    Finish {
        lease,
        outcome,
        kept,
    }
}

/// The tests' Redis and the twin run on this host's clock.
pub(crate) fn now_ms() -> u64 {
    let since_epoch = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    u64::try_from(since_epoch.as_millis()).unwrap()
}

/// Makes a test of each function for every store.
#[macro_export]
macro_rules! on_every_store {
    ($($name:ident),* $(,)?) => {
        mod redis {
            $(#[tokio::test] async fn $name() { super::$name($crate::support::Desk::in_redis().await).await })*
        }
        mod cluster {
            $(#[tokio::test] async fn $name() { super::$name($crate::support::Desk::in_cluster().await).await })*
        }
        mod memory {
            $(#[tokio::test] async fn $name() { super::$name($crate::support::Desk::in_memory().await).await })*
        }

        /// Runs every test of the suite, each at a desk of its own.
        pub(crate) async fn every(desk: impl AsyncFn() -> $crate::support::Desk) {
            $($name(desk().await).await;)*
        }
    };
}
