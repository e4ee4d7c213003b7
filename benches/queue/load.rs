//! The jobs: what they carry and what they ask for.
use std::{sync::Arc, time::Duration};

use quayhand::supervisor::JobContext;
use quayhand_queue::{
    Done, Envelope, Job, JobError, KeyBy, Notes, Placement, Policy, Queue, Source,
};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::ledger::Ledger;

/// Tenants that take turns, where jobs have one.
const TENANTS: u32 = 100;
/// Keys by which a limit counts.
const GROUPS: u32 = 50;

/// What a job of every way carries.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Payload {
    pub(crate) n: u32,
    pub(crate) group: u32,
}

impl Payload {
    pub(crate) fn new(n: u32) -> Self {
        let group = n % GROUPS;
        Self { n, group }
    }
}

/// A job that asks for nothing.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Unused(pub(crate) Payload);

/// A job that asks for everything there is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct AllOn(pub(crate) Payload);

/// What both are given.
#[derive(Clone)]
pub(crate) struct LoadCtx(pub(crate) Arc<Ledger>);

impl JobContext for LoadCtx {
    fn for_attempt(&self, _: &Envelope, _: &CancellationToken, _: &Notes) -> Self {
        self.clone()
    }
}

/// What ours need to know of both.
pub(crate) trait Load: Job<LoadCtx> {
    fn new(payload: Payload) -> Self;

    fn placement(&self) -> Placement {
        Placement::default()
    }
}

impl Load for Unused {
    fn new(payload: Payload) -> Self {
        Self(payload)
    }
}

impl Load for AllOn {
    fn new(payload: Payload) -> Self {
        Self(payload)
    }

    fn placement(&self) -> Placement {
        let priority = i8::try_from(self.0.n % 3).unwrap();
        Placement::default()
            .tenant((self.0.n % TENANTS).to_string())
            .priority(priority)
    }
}

impl Job<LoadCtx> for Unused {
    const KIND: &'static str = "unused";
    const ABOUT: &'static str = "Does nothing and asks for nothing";
    const QUEUE: Queue = Queue::new("unused");
    const SOURCE: Source = Source::Derivable;

    async fn run(&self, ctx: &LoadCtx) -> Result<Done, JobError> {
        ctx.0.note(self.0);
        Ok(Done::default())
    }
}

impl Job<LoadCtx> for AllOn {
    const KIND: &'static str = "all_on";
    const ABOUT: &'static str = "Does nothing and asks for everything";
    const QUEUE: Queue = Queue::new("all_on");
    const SOURCE: Source = Source::Derivable;
    // All are counted and none holds back: what they cost is measured, not what they do.
    const POLICY: Policy = Policy::DEFAULT
        .unique_for(Duration::from_hours(1))
        .limit(1_000, KeyBy::Argument("group"))
        .rate(1_000_000, Duration::from_secs(1), KeyBy::Tenant)
        .keep_for(Duration::from_hours(1));

    async fn run(&self, ctx: &LoadCtx) -> Result<Done, JobError> {
        ctx.0.note(self.0);
        Ok(Done::default())
    }
}
