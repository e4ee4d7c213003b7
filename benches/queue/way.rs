//! The ways of having jobs run.
use std::{fmt, sync::Arc, time::Duration};

use quayhand_queue::{Client, Job};
use redis::aio::MultiplexedConnection;
use tokio::time::sleep;

use super::{
    hand::{self, Loop, Promise},
    ledger::Ledger,
    load::{AllOn, LoadCtx, Unused},
    ours::{self, Daemon},
    peer::{self, Peer, Storage, Tuning},
    stage::Stage,
};

/// One way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Ours, jobs that ask for nothing.
    Unused,
    /// Ours, jobs that ask for everything.
    AllOn,
    /// A loop written by hand: the limit.
    Hand,
    /// The same loop with leases.
    Leased,
    /// The storage of apalis-redis.
    Peer,
}

impl Way {
    /// Every way, the limit in the middle.
    pub(crate) const ALL: [Self; 5] = [
        Self::Unused,
        Self::Hand,
        Self::AllOn,
        Self::Leased,
        Self::Peer,
    ];
    /// Tells whether a selection has this way; an empty one has all.
    pub(crate) fn is_chosen(self, words: &[String]) -> bool {
        let name = self.to_string();
        words.is_empty() || words.iter().any(|word| name.contains(word.as_str()))
    }

    /// Ours.
    pub(crate) const OURS: [Self; 2] = [Self::Unused, Self::AllOn];
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Unused => "ours, features unused",
            Self::AllOn => "ours, all features on",
            Self::Hand => "by hand",
            Self::Leased => "by hand, with leases",
            Self::Peer => "apalis-redis",
        })
    }
}

/// Puts jobs in, as one process that enqueues.
pub(crate) struct Sender {
    way: Way,
    client: Client,
    redis: MultiplexedConnection,
    storage: Storage,
}

impl Sender {
    pub(crate) async fn new(stage: &Stage, way: Way) -> Self {
        let redis = stage.connect().await;
        let sender = Self {
            way,
            client: ours::client(stage),
            storage: peer::storage(redis.clone()),
            redis,
        };
        // Opens the connection.
        sender.client.store().counts(&Unused::QUEUE).await.unwrap();
        sender
    }

    /// Enqueues one job.
    pub(crate) async fn push(&mut self, n: u32) {
        match self.way {
            Way::Unused => ours::push::<Unused>(&self.client, n).await,
            Way::AllOn => ours::push::<AllOn>(&self.client, n).await,
            Way::Hand => hand::push(&mut self.redis, Promise::Nothing, n).await,
            Way::Leased => hand::push(&mut self.redis, Promise::Lease, n).await,
            Way::Peer => peer::push(&mut self.storage, n).await,
        }
    }

    /// Enqueues jobs in bulk.
    pub(crate) async fn push_all(&mut self, jobs: u32) {
        match self.way {
            Way::Unused => ours::push_all::<Unused>(&self.client, jobs).await,
            Way::AllOn => ours::push_all::<AllOn>(&self.client, jobs).await,
            Way::Hand => hand::push_all(&mut self.redis, Promise::Nothing, jobs).await,
            Way::Leased => hand::push_all(&mut self.redis, Promise::Lease, jobs).await,
            Way::Peer => peer::push_all(&mut self.storage, jobs).await,
        }
    }

    /// Puts jobs in line for a worker that starts later.
    pub(crate) async fn fill(&mut self, jobs: u32) {
        match self.way {
            Way::Peer => peer::fill(&mut self.storage, jobs).await,
            _ => self.push_all(jobs).await,
        }
    }

    /// Waits until so many jobs are not only run but noted as done, and nothing is left.
    pub(crate) async fn settled(&mut self, jobs: u32) {
        while !self.is_settled(jobs).await {
            sleep(Duration::from_millis(1)).await;
        }
    }

    async fn is_settled(&mut self, jobs: u32) -> bool {
        match self.way {
            Way::Unused => ours::is_settled(&self.client, &queue::<Unused>(), jobs).await,
            Way::AllOn => ours::is_settled(&self.client, &queue::<AllOn>(), jobs).await,
            Way::Hand | Way::Leased => hand::is_settled(&mut self.redis).await,
            Way::Peer => peer::is_settled(&mut self.redis, jobs).await,
        }
    }
}

fn queue<J: Job<LoadCtx>>() -> quayhand_queue::Queue {
    J::QUEUE
}

/// Takes jobs out and runs them.
pub(crate) enum Worker {
    Ours(Daemon),
    Hand(Loop),
    Peer(Peer),
}

impl Worker {
    /// Starts to run so many jobs at a time.
    pub(crate) async fn start(
        stage: &Stage,
        way: Way,
        concurrent: usize,
        tuning: Tuning,
        ledger: &Arc<Ledger>,
    ) -> Self {
        let ledger = ledger.clone();
        let by_hand =
            async |promise, ledger| Loop::start(stage.connect().await, promise, concurrent, ledger);
        match way {
            Way::Unused => Self::Ours(Daemon::start::<Unused>(stage, concurrent, ledger)),
            Way::AllOn => Self::Ours(Daemon::start::<AllOn>(stage, concurrent, ledger)),
            Way::Hand => Self::Hand(by_hand(Promise::Nothing, ledger).await),
            Way::Leased => Self::Hand(by_hand(Promise::Lease, ledger).await),
            Way::Peer => {
                let redis = stage.connect().await;
                Self::Peer(Peer::start(&redis, concurrent, tuning, &ledger))
            }
        }
    }

    pub(crate) async fn stop(self) {
        match self {
            Self::Ours(daemon) => daemon.stop().await,
            Self::Hand(looping) => looping.stop().await,
            Self::Peer(peer) => peer.stop(),
        }
    }
}
