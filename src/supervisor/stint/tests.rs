//! What goes wrong with a job that follows others in their task, and what the others see of it.
use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use quayhand_queue::{
    Client, Counts, Done, Envelope, Job, JobError, Keeper, MemoryStore, Notes, Placement, Policy,
    PoolConfig, Queue, Registry, Source,
};
use quayhand_testkit::wait_for;
use serde::{Deserialize, Serialize};
use tokio::task::Id;
use tokio_util::sync::CancellationToken;

use crate::supervisor::{JobContext, attempt::Attempts, pool::Pool};

const QUEUE: Queue = Queue::new("gc");
/// So many that the pool sees how short they are, and others wait when the odd one begins: not at the end of
/// a turn.
const BEFORE: u32 = 4_003;
const AFTER: u32 = 100;

/// Notes in which task what ran.
#[derive(Clone)]
struct Ctx {
    ledger: Arc<Mutex<Vec<(u32, Id)>>>,
    stop: CancellationToken,
}

impl JobContext for Ctx {
    fn for_attempt(&self, _: &Envelope, stop: &CancellationToken, _: &Notes) -> Self {
        let ledger = Arc::clone(&self.ledger);
        let stop = stop.clone();
        Self { ledger, stop }
    }
}

impl Ctx {
    fn note(&self, n: u32) {
        self.ledger.lock().unwrap().push((n, tokio::task::id()));
    }
}

/// A short job.
#[derive(Serialize, Deserialize)]
struct Step(u32);

impl Job<Ctx> for Step {
    const KIND: &'static str = "step";
    const ABOUT: &'static str = "Does nothing";
    const QUEUE: Queue = QUEUE;
    const SOURCE: Source = Source::Derivable;

    async fn run(&self, ctx: &Ctx) -> Result<Done, JobError> {
        ctx.note(self.0);
        Ok(Done::default())
    }
}

/// A job among them that does not just end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Odd {
    Fails,
    Panics,
    StopsWhenTold,
    Hangs,
    BlocksItsThread,
}

impl Job<Ctx> for Odd {
    const KIND: &'static str = "odd";
    const ABOUT: &'static str = "Does what it is told";
    const QUEUE: Queue = QUEUE;
    const SOURCE: Source = Source::Derivable;
    // The others' time is longer: the watch has to look sooner.
    const POLICY: Policy = Policy::DEFAULT
        .timeout(Duration::from_millis(200))
        .max_attempts(1);

    async fn run(&self, ctx: &Ctx) -> Result<Done, JobError> {
        ctx.note(BEFORE);
        match self {
            Self::Fails => return Err(JobError::Retry("on purpose".into())),
            Self::Panics => panic!("a job panics on purpose"),
            Self::StopsWhenTold => ctx.stop.cancelled().await,
            Self::Hangs => std::future::pending().await,
            Self::BlocksItsThread => std::thread::sleep(Duration::from_secs(8)),
        }
        Ok(Done::default())
    }
}

/// What a run came to.
struct Ran {
    counts: Counts,
    ledger: Vec<(u32, Id)>,
}

impl Ran {
    fn task_of(&self, n: u32) -> Id {
        let found = self.ledger.iter().find(|(m, _)| *m == n);
        found.expect("it ran").1
    }

    fn tasks(&self, ns: std::ops::Range<u32>) -> HashSet<Id> {
        ns.map(|n| self.task_of(n)).collect()
    }
}

/// Runs short jobs, an odd one, and short ones again, one at a time.
async fn run(odd: Odd, settled: impl Fn(Counts) -> bool) -> Ran {
    let registry = Arc::new(Registry::default().with::<Step>().with::<Odd>());
    let ctx = Ctx {
        ledger: Arc::default(),
        stop: CancellationToken::new(),
    };
    let client = Client::new(MemoryStore::default());
    let place = |n| (Step(n), Placement::default());
    let before: Vec<_> = (0..BEFORE).map(place).collect();
    let after: Vec<_> = (BEFORE + 1..=BEFORE + AFTER).map(place).collect();
    for jobs in before.chunks(1_000) {
        let jobs = jobs.iter().map(|(job, placement)| (job, placement.clone()));
        client.enqueue_all_placed(jobs).await.unwrap();
    }
    client.enqueue(&odd).await.unwrap();
    let jobs = after
        .iter()
        .map(|(job, placement)| (job, placement.clone()));
    client.enqueue_all_placed(jobs).await.unwrap();

    let stop = CancellationToken::new();
    let pool = Pool::start(
        PoolConfig::new(QUEUE, "host", 1, &registry),
        client.store().clone(),
        Keeper::start().unwrap(),
        Attempts::new(registry, ctx.clone()),
        stop.clone(),
    );
    let mut counts = Counts::default();
    wait_for("all to be settled", Duration::from_secs(30), async || {
        counts = client.store().counts(&QUEUE).await.unwrap();
        settled(counts).then_some(())
    })
    .await;
    pool.steering.set_quiet(true);
    stop.cancel();
    pool.ended().await;
    let ledger = ctx.ledger.lock().unwrap().clone();
    assert_eq!(ledger.len(), usize::try_from(BEFORE + 1 + AFTER).unwrap());
    Ran { counts, ledger }
}

/// All short jobs are done, and the odd one is dead of its only attempt.
fn is_dead_alone(counts: Counts) -> bool {
    (counts.done_total, counts.dead) == (u64::from(BEFORE + AFTER), 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_jobs_share_tasks() {
    let ran = run(Odd::Fails, is_dead_alone).await;
    assert!(ran.tasks(0..BEFORE).len() < 2_000, "most followed another");
    let odd = ran.task_of(BEFORE);
    assert_eq!(odd, ran.task_of(BEFORE - 1));
    assert_eq!(odd, ran.task_of(BEFORE + 1), "a failure ends no task");
    assert_eq!(ran.counts.leased, 0);
}

/// The odd one followed others, and nothing runs in its task after it.
async fn is_the_last_of_its_task(odd: Odd) {
    let ran = run(odd, is_dead_alone).await;
    let task = ran.task_of(BEFORE);
    assert_eq!(task, ran.task_of(BEFORE - 1));
    assert!(!ran.tasks(BEFORE + 1..BEFORE + AFTER).contains(&task));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_panics_takes_none_with_it() {
    is_the_last_of_its_task(Odd::Panics).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_whose_time_is_over_is_told() {
    is_the_last_of_its_task(Odd::StopsWhenTold).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_hangs_is_dropped() {
    is_the_last_of_its_task(Odd::Hangs).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_blocks_its_thread_is_given_up() {
    is_the_last_of_its_task(Odd::BlocksItsThread).await;
}
