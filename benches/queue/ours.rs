//! Ours: the client, and a daemon of one kind.
use std::sync::Arc;

use futures::channel::mpsc::{self, UnboundedSender};
use quayhand::supervisor::{Order, Parts, Plan, StartError, Supervisor};
use quayhand_jobs::Gate;
use quayhand_model::{DbConfig, configure};
use quayhand_queue::{Client, Queue, Redis, RedisStore, Registry};
use tokio::task::JoinHandle;

use super::{
    ledger::Ledger,
    load::{Load, LoadCtx, Payload},
    stage::Stage,
};

/// Jobs that one call of the client is given: what it sends in one round trip.
const BULK: u32 = 1_000;

/// A daemon that runs in this process.
pub(crate) struct Daemon {
    orders: UnboundedSender<Order>,
    running: JoinHandle<Result<(), StartError>>,
}

/// Makes a client with a connection of its own, as any process has that enqueues.
pub(crate) fn client(stage: &Stage) -> Client {
    Client::new(RedisStore::new(Redis::open(&stage.redis_url()).unwrap()))
}

/// Enqueues one job.
pub(crate) async fn push<J: Load>(client: &Client, n: u32) {
    let job = J::new(Payload::new(n));
    let placement = job.placement();
    let receipt = client.enqueue_placed(&job, placement).await.unwrap();
    assert!(receipt.is_new);
}

/// Enqueues jobs in bulk.
pub(crate) async fn push_all<J: Load>(client: &Client, jobs: u32) {
    for first in (0..jobs).step_by(usize::try_from(BULK).unwrap()) {
        let numbers = first..jobs.min(first + BULK);
        let batch: Vec<_> = numbers.map(|n| J::new(Payload::new(n))).collect();
        let placed = batch.iter().map(|job| (job, job.placement()));
        let receipts = client.enqueue_all_placed(placed).await.unwrap();
        assert!(receipts.iter().all(|receipt| receipt.is_new));
    }
}

/// Tells whether so many jobs are done, and none is left.
pub(crate) async fn is_settled(client: &Client, queue: &Queue, jobs: u32) -> bool {
    let counts = client.store().counts(queue).await.unwrap();
    let left = counts.ready + counts.leased + counts.delayed + counts.blocked + counts.dead;
    left == 0 && counts.done_total == u64::from(jobs)
}

impl Daemon {
    /// Starts a daemon with one pool.
    pub(crate) fn start<J: Load>(stage: &Stage, concurrent: usize, ledger: Arc<Ledger>) -> Self {
        let parts = Parts {
            registry: Registry::default().with::<J>(),
            base: LoadCtx(ledger),
            client: client(stage),
            db: configure(DbConfig::new(&stage.database_url)).unwrap(),
            gate: Gate::shut("not checked yet"),
            plan: Plan {
                slots: [(J::QUEUE, concurrent)].into(),
                ..Plan::default()
            },
            telemetry: None,
            reload: Arc::new(|| Err("a benchmark has no configuration".into())),
        };
        let (orders, following) = mpsc::unbounded();
        let running = tokio::spawn(Supervisor::new(parts).run(following));
        Self { orders, running }
    }

    /// Drains it.
    pub(crate) async fn stop(self) {
        self.orders.unbounded_send(Order::Drain).unwrap();
        self.running.await.unwrap().unwrap();
    }
}
