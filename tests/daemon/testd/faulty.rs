//! Kinds that hosts of two releases know, that fence their effect, that end their process.
use std::time::Duration;

use quayhand_queue::{Done, Envelope, Job, JobError, Policy, Queue, Registry, Source};
use rustix::process::{Signal, getpid, kill_process};
use serde::{Deserialize, Serialize};

use super::{
    TestCtx,
    kinds::{A, B, IMPATIENT, mark},
};

/// The tenant whose jobs end, in their first attempt, the worker that takes them.
pub(crate) const POISON: &str = "poison";

/// Panics where no job can: in the worker's own task.
pub(super) fn end_the_worker_where_asked(envelope: &Envelope) {
    let is_asked = envelope.tenant == POISON && envelope.attempt == 1;
    assert!(!is_asked, "a worker dies on purpose");
}

/// Adds the kinds of this file, as an old or a newer release knows them.
pub(super) fn add_to(registry: Registry<TestCtx>, is_newer: bool) -> Registry<TestCtx> {
    let registry = registry.with::<Fenced>().with::<OutOfMemory>();
    if is_newer {
        registry.with::<Versioned<2>>()
    } else {
        registry.with::<Versioned<1>>()
    }
}

/// Marks; each release has its own version of it and understands the older ones.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Versioned<const VERSION: u32> {
    pub(crate) id: i64,
}

impl<const VERSION: u32> Job<TestCtx> for Versioned<VERSION> {
    const KIND: &'static str = "versioned";
    const ABOUT: &'static str = "Marks";
    const QUEUE: Queue = B;
    const SOURCE: Source = Source::Derivable;
    const POLICY: Policy = Policy {
        version: VERSION,
        ..IMPATIENT
    };

    async fn run(&self, ctx: &TestCtx) -> Result<Done, JobError> {
        mark(ctx, self.id).await?;
        Ok(Done::default())
    }
}

/// Waits, whatever it is told, and takes a row of `work` away; marks if it was there, in the same
/// statement.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Fenced {
    pub(crate) id: i64,
    pub(crate) ms: u64,
}

impl Job<TestCtx> for Fenced {
    const KIND: &'static str = "fenced";
    const ABOUT: &'static str = "Waits, then marks what is not marked yet";
    const QUEUE: Queue = A;
    const SOURCE: Source = Source::Derivable;
    const POLICY: Policy = IMPATIENT;

    async fn run(&self, ctx: &TestCtx) -> Result<Done, JobError> {
        if !ctx.hurry {
            tokio::time::sleep(Duration::from_millis(self.ms)).await;
        }
        let row = "with taken as (delete from work where id = $1 returning id)
                   insert into ledger (id, attempt, pid) select id, $2, $3 from taken";
        let pid = i32::try_from(std::process::id()).unwrap();
        let marks = ctx
            .ledger
            .execute(row, &[&self.id, &ctx.attempt, &pid])
            .await?;
        Ok(Done::default().count("marks", marks))
    }
}

/// Marks, and has its process killed, as the kernel does when memory is out.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OutOfMemory {
    pub(crate) id: i64,
}

impl Job<TestCtx> for OutOfMemory {
    const KIND: &'static str = "out_of_memory";
    const ABOUT: &'static str = "Has its process killed";
    const QUEUE: Queue = A;
    const SOURCE: Source = Source::Derivable;
    const POLICY: Policy = IMPATIENT;

    async fn run(&self, ctx: &TestCtx) -> Result<Done, JobError> {
        mark(ctx, self.id).await?;
        kill_process(getpid(), Signal::KILL).unwrap();
        std::future::pending().await
    }
}
