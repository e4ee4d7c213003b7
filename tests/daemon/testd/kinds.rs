//! The kinds of the test daemon. Each effect is a row of the ledger: job, attempt, process.
use std::{thread, time::Duration};

use quayhand_queue::{Backoff, Done, Job, JobError, Policy, Queue, Registry, Schedule, Source};
use serde::{Deserialize, Serialize};

use super::TestCtx;

/// The queue of [`MarkA`] and of all kinds that misbehave.
pub(crate) const A: Queue = Queue::new("a");
/// The queue of [`MarkB`].
pub(crate) const B: Queue = Queue::new("b");
/// The queue of [`MarkC`].
pub(crate) const C: Queue = Queue::new("c");
/// The queue of [`Ticked`] and [`Sweep`].
pub(crate) const TICKS: Queue = Queue::new("ticks");
/// Every queue of jobs that are enqueued by tests.
pub(crate) const QUEUES: [Queue; 3] = [A, B, C];

pub(super) const IMPATIENT: Policy = Policy {
    backoff: Backoff {
        first: Duration::from_millis(100),
        longest: Duration::from_secs(1),
    },
    ..Policy::DEFAULT
};

/// Lists the kinds.
pub(crate) fn registry() -> Registry<TestCtx> {
    Registry::default()
        .with::<MarkA>()
        .with::<MarkB>()
        .with::<MarkC>()
        .with::<Hang>()
        .with::<Panics>()
        .with::<Stubborn>()
        .with::<Steps>()
        .with::<Blocks>()
        .with::<Ticked>()
        .with::<Once>()
        .with::<Sweep>()
        .with::<Hopeless>()
        .with::<Killer>()
        .with::<Talks>()
}

/// Writes the effect of an attempt.
pub(super) async fn mark(ctx: &TestCtx, id: i64) -> Result<(), tokio_postgres::Error> {
    let pid = i32::try_from(std::process::id()).unwrap();
    let row = "insert into ledger (id, attempt, pid) values ($1, $2, $3)";
    ctx.ledger.execute(row, &[&id, &ctx.attempt, &pid]).await?;
    Ok(())
}

/// Declares a kind that takes its time and marks; one that is told to stop does not mark.
macro_rules! mark {
    ($name:ident, $kind:literal, $queue:ident, $source:ident) => {
        #[doc = concat!("Waits, then marks. Kind `", $kind, "`.")]
        #[derive(Debug, Serialize, Deserialize)]
        pub(crate) struct $name {
            pub(crate) id: i64,
            pub(crate) ms: u64,
        }

        impl Job<TestCtx> for $name {
            const KIND: &'static str = $kind;
            const ABOUT: &'static str = "Waits, then marks";
            const QUEUE: Queue = $queue;
            const SOURCE: Source = Source::$source;
            const POLICY: Policy = IMPATIENT;

            async fn run(&self, ctx: &TestCtx) -> Result<Done, JobError> {
                if self.ms > 0 && !ctx.hurry {
                    tokio::select! {
                        () = tokio::time::sleep(Duration::from_millis(self.ms)) => {}
                        () = ctx.stop.cancelled() => return Ok(Done::default()),
                    }
                }
                mark(ctx, self.id).await?;
                Ok(Done::default().count("marks", 1))
            }
        }
    };
}

mark!(MarkA, "mark_a", A, Derivable);
mark!(MarkB, "mark_b", B, Derivable);
mark!(MarkC, "mark_c", C, Derivable);
mark!(Once, "once", A, Outbox);

/// Declares the constants that all further kinds share.
macro_rules! kind {
    ($kind:literal, $policy:expr) => {
        kind!($kind, $policy, A);
    };
    ($kind:literal, $policy:expr, $queue:expr) => {
        const KIND: &'static str = $kind;
        const ABOUT: &'static str = "Misbehaves";
        const QUEUE: Queue = $queue;
        const SOURCE: Source = Source::Derivable;
        const POLICY: Policy = $policy;
    };
}

/// Waits in its first attempt until told to stop, and marks in every later one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hang {
    pub(crate) id: i64,
}

impl Job<TestCtx> for Hang {
    kind!("hang", IMPATIENT);

    async fn run(&self, ctx: &TestCtx) -> Result<Done, JobError> {
        if ctx.attempt == 1 && !ctx.hurry {
            ctx.stop.cancelled().await;
            return Ok(Done::default());
        }
        mark(ctx, self.id).await?;
        Ok(Done::default())
    }
}

/// Marks, and panics in its first attempt.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Panics {
    pub(crate) id: i64,
}

impl Job<TestCtx> for Panics {
    kind!("panics", IMPATIENT);

    async fn run(&self, ctx: &TestCtx) -> Result<Done, JobError> {
        mark(ctx, self.id).await?;
        assert!(ctx.attempt > 1, "a panic on purpose");
        Ok(Done::default())
    }
}

/// Never stops, whatever it is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Stubborn {}

impl Job<TestCtx> for Stubborn {
    kind!(
        "stubborn",
        IMPATIENT
            .timeout(Duration::from_millis(100))
            .max_attempts(1)
    );

    async fn run(&self, _: &TestCtx) -> Result<Done, JobError> {
        std::future::pending().await
    }
}

/// Marks ten times with pauses; knows from the ledger how far it is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Steps {
    pub(crate) id: i64,
}

impl Steps {
    /// Marks that are needed.
    pub(crate) const ALL: i64 = 10;
}

impl Job<TestCtx> for Steps {
    kind!(
        "steps",
        IMPATIENT
            .timeout(Duration::from_millis(250))
            .max_attempts(1)
    );

    async fn run(&self, ctx: &TestCtx) -> Result<Done, JobError> {
        let count = "select count(*) from ledger where id = $1";
        let mut done = Done::default();
        while !ctx.stop.is_cancelled() {
            let marks: i64 = ctx.ledger.query_one(count, &[&self.id]).await?.get(0);
            if marks >= Self::ALL {
                break;
            }
            mark(ctx, self.id).await?;
            done.add("marks", 1);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(done)
    }
}

/// Blocks its thread, as no job should.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Blocks {
    pub(crate) id: i64,
    pub(crate) ms: u64,
}

impl Job<TestCtx> for Blocks {
    kind!("blocks", IMPATIENT);

    async fn run(&self, ctx: &TestCtx) -> Result<Done, JobError> {
        thread::sleep(Duration::from_millis(self.ms));
        mark(ctx, self.id).await?;
        Ok(Done::default())
    }
}

/// Is enqueued by the scheduler; its effect is a row of its own table.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ticked {}

impl Job<TestCtx> for Ticked {
    kind!("ticked", IMPATIENT, TICKS);
    const SCHEDULE: Option<Schedule> = Some(Schedule::Every(Duration::from_hours(1)));

    async fn run(&self, ctx: &TestCtx) -> Result<Done, JobError> {
        let pid = i32::try_from(std::process::id()).unwrap();
        let row = "insert into ticks (job, pid, attempt) values ($1, $2, $3)";
        ctx.ledger
            .execute(row, &[&ctx.id, &pid, &ctx.attempt])
            .await?;
        Ok(Done::default())
    }

    fn scheduled() -> Option<Self> {
        Some(Self {})
    }
}

/// Finds the work that has no mark yet and enqueues it, as sweeps of the registry do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sweep {}

impl Job<TestCtx> for Sweep {
    kind!("sweep", IMPATIENT, TICKS);
    const SCHEDULE: Option<Schedule> = Some(Schedule::Every(Duration::from_hours(1)));

    async fn run(&self, ctx: &TestCtx) -> Result<Done, JobError> {
        let left =
            "select id from work where not exists (select from ledger l where l.id = work.id)";
        let rows = ctx.ledger.query(left, &[]).await?;
        let found: Vec<_> = rows
            .iter()
            .map(|row| MarkB {
                id: row.get(0),
                ms: 0,
            })
            .collect();
        ctx.client.enqueue_all(&found).await?;
        Ok(Done::default().count("jobs", found.len() as u64))
    }

    fn scheduled() -> Option<Self> {
        Some(Self {})
    }
}

/// Marks, and is dead.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hopeless {
    pub(crate) id: i64,
}

impl Job<TestCtx> for Hopeless {
    kind!("hopeless", IMPATIENT);

    async fn run(&self, ctx: &TestCtx) -> Result<Done, JobError> {
        mark(ctx, self.id).await?;
        let reason = "it has \0 hope".to_owned();
        Err(JobError::Dead { reason })
    }
}

/// Marks, and takes its process down.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Killer {
    pub(crate) id: i64,
}

impl Job<TestCtx> for Killer {
    kind!("killer", IMPATIENT);

    async fn run(&self, ctx: &TestCtx) -> Result<Done, JobError> {
        mark(ctx, self.id).await?;
        std::process::abort()
    }
}

/// Says how far it is and what it meets, and waits until it is told to stop.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Talks {}

impl Job<TestCtx> for Talks {
    kind!("talks", IMPATIENT.keep_for(Duration::from_hours(1)));

    async fn run(&self, ctx: &TestCtx) -> Result<Done, JobError> {
        ctx.notes.progress("half");
        // As a job of ours would: this crate has another name.
        tracing::debug!(target: "quayhand_jobs", "nobody is to hear this");
        tracing::warn!(target: "quayhand_jobs", object = 17, "an object is missing");
        if !ctx.hurry {
            ctx.stop.cancelled().await;
        }
        Ok(Done::default().count("words", 2))
    }
}
