//! The peer: apalis-redis 1.0.0's own storage, at its best.
//!
//! Its best is looked for before every comparison: jobs a fetch, workers side by side, jobs in the
//! worker's task or in tasks of their own. What it can do without is off: locking (meant for jobs
//! that outlive a heartbeat) and events (one `PUBLISH` a job). Keeping results stays on: without
//! it, no job would ever be acknowledged.
//!
//! What is known to break it is kept away. Every job goes through the set of delayed ones, and
//! the next fetch takes all that are due in one `unpack`, which fails from 8,000 on and stops the
//! queue for ever: so they are moved on while the queue is filled, some thousands at a time. A
//! worker is dropped when all is done, because its graceful stop may hang. Redis is emptied after
//! each run, because it keeps what is done.
use std::{ops::Range, sync::Arc, time::Duration};

use apalis::layers::WorkerBuilderExt as _;
use apalis_core::{
    backend::{TaskSink as _, ext::BackendExt as _},
    worker::builder::WorkerBuilder,
};
use apalis_redis::{Config, RedisStorage};
use quayhand_testkit::unique_name;
use redis::{Script, aio::MultiplexedConnection};
use tokio_util::task::AbortOnDropHandle;

use super::{ledger::Ledger, load::Payload};

const QUEUE: &str = "peer";
/// Jobs a call of a bulk push: as many as ours sends.
const BULK: u32 = 1_000;
/// Jobs that are due at most, when it fetches.
const MOST_DUE: u32 = 7_000;
/// Moves what is due to those that wait, as its own fetch does.
const MOVE_ON: &str = "
    local due = redis.call('ZRANGE', KEYS[1], 0, -1)
    if #due == 0 then return end
    redis.call('RPUSH', KEYS[2], unpack(due))
    redis.call('DEL', KEYS[1])";
/// How often an idle worker looks: its acknowledgements wait for that as well.
const INTERVAL: Duration = Duration::from_millis(5);

/// The storage, on a connection of the same kind as the loop's.
pub(crate) type Storage = RedisStorage<Payload, MultiplexedConnection>;

/// Settings that may be its best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tuning {
    /// Jobs a fetch.
    pub(crate) batch: usize,
    /// Workers that share the jobs that run at a time.
    pub(crate) workers: usize,
    /// Each job in a task of its own.
    pub(crate) spawned: bool,
}

impl Tuning {
    /// What it does unless told otherwise.
    pub(crate) const DEFAULT: Self = Self {
        batch: 10,
        workers: 1,
        spawned: false,
    };

    /// Lists what is tried for so many jobs at a time.
    pub(crate) fn candidates(concurrent: usize) -> Vec<Self> {
        let mut all = Vec::new();
        for batch in [10, 100, 500, 1_000] {
            for workers in [1, 4] {
                for spawned in [false, true] {
                    all.push(Self {
                        batch,
                        workers,
                        spawned,
                    });
                }
            }
        }
        all.retain(|tuning| tuning.workers <= concurrent);
        all
    }
}

/// Workers that run.
pub(crate) struct Peer {
    workers: Vec<AbortOnDropHandle<()>>,
}

fn config(batch: usize) -> Config {
    Config::default()
        .queue(QUEUE)
        .batch_size(batch)
        .lock_tasks(false)
        .emit_events(false)
}

/// Makes the storage that jobs are put into.
pub(crate) fn storage(redis: MultiplexedConnection) -> Storage {
    RedisStorage::new(redis).with_config(config(Tuning::DEFAULT.batch))
}

/// Enqueues one job.
pub(crate) async fn push(storage: &mut Storage, n: u32) {
    storage.push(Payload::new(n)).await.unwrap();
}

/// Enqueues jobs in bulk.
pub(crate) async fn push_all(storage: &mut Storage, jobs: u32) {
    push_numbers(storage, 0..jobs).await;
}

/// Puts jobs in line so that a fetch survives it.
pub(crate) async fn fill(storage: &mut Storage, jobs: u32) {
    let script = Script::new(MOVE_ON);
    let config = config(1);
    for first in (0..jobs).step_by(usize::try_from(MOST_DUE).unwrap()) {
        push_numbers(storage, first..jobs.min(first + MOST_DUE)).await;
        let mut call = script.key(config.scheduled_jobs_set());
        call.key(config.active_jobs_list());
        let () = call.invoke_async(storage.get_connection()).await.unwrap();
    }
}

async fn push_numbers(storage: &mut Storage, numbers: Range<u32>) {
    for first in numbers.clone().step_by(usize::try_from(BULK).unwrap()) {
        let batch = first..numbers.end.min(first + BULK);
        let batch = batch.map(Payload::new).collect();
        storage.push_bulk(batch).await.unwrap();
    }
}

/// Tells whether so many jobs are done.
pub(crate) async fn is_settled(redis: &mut MultiplexedConnection, jobs: u32) -> bool {
    let mut count = redis::cmd("SCARD");
    count.arg(config(1).done_jobs_set());
    count.query_async::<u32>(redis).await.unwrap() == jobs
}

impl Peer {
    /// Starts workers that run so many jobs at a time, together.
    pub(crate) fn start(
        redis: &MultiplexedConnection,
        concurrent: usize,
        tuning: Tuning,
        ledger: &Arc<Ledger>,
    ) -> Self {
        let share = concurrent.div_ceil(tuning.workers);
        let workers = (0..tuning.workers)
            .map(|_| start(redis.clone(), share, tuning, ledger.clone()))
            .collect();
        Self { workers }
    }

    /// Ends them; they hold no job.
    pub(crate) fn stop(self) {
        drop(self.workers);
    }
}

fn start(
    redis: MultiplexedConnection,
    concurrent: usize,
    tuning: Tuning,
    ledger: Arc<Ledger>,
) -> AbortOnDropHandle<()> {
    let storage = RedisStorage::<Payload, _>::new(redis).with_config(config(tuning.batch));
    let worker = WorkerBuilder::new(unique_name("peer"))
        .backend(storage.poll_with_interval(INTERVAL))
        .concurrency(concurrent);
    let job = move |payload: Payload| {
        let ledger = ledger.clone();
        async move {
            if tuning.spawned {
                let spawned = tokio::spawn(async move { ledger.note(payload) });
                spawned.await.unwrap();
            } else {
                ledger.note(payload);
            }
        }
    };
    let worker = worker.build(job);
    let task = tokio::spawn(async move { worker.run().await.unwrap() });
    AbortOnDropHandle::new(task)
}
