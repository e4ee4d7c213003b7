//! A run of `blob_gc` that halts where it is told.
use std::{sync::Arc, time::Duration};

use futures::FutureExt;
use quayhand_jobs::{
    Ctx,
    blob_gc::{BlobGc, Guard, Switches},
};
use quayhand_queue::{Done, Job, JobError};
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinHandle,
    time::timeout,
};

/// No event of a schedule takes longer.
pub(super) const DEADLINE: Duration = Duration::from_mins(1);

/// A run beside the test.
pub(super) struct Run {
    task: JoinHandle<Result<Done, JobError>>,
    arrivals: mpsc::UnboundedReceiver<()>,
    go: mpsc::UnboundedSender<()>,
}

impl Run {
    /// Starts a run without one guard or with all, and returns when it has come to `place`.
    pub(super) async fn until(ctx: &Ctx, without: Option<Guard>, place: &'static str) -> Self {
        let mut run = Self::start(ctx, without, Some(place));
        let arrival = timeout(DEADLINE, run.arrivals.recv()).await;
        arrival.unwrap_or_else(|_| panic!("no run came to `{place}`"));
        run
    }

    /// Runs to the end; says what it did.
    pub(super) async fn whole(ctx: &Ctx, without: Option<Guard>) -> String {
        Self::start(ctx, without, None).ends().await
    }

    fn start(ctx: &Ctx, without: Option<Guard>, halt: Option<&'static str>) -> Self {
        let (arrived, arrivals) = mpsc::unbounded_channel();
        let (go, goes) = mpsc::unbounded_channel::<()>();
        let goes = Arc::new(Mutex::new(goes));
        let pause = move |place| {
            let (arrived, goes) = (arrived.clone(), Arc::clone(&goes));
            async move {
                if halt == Some(place) {
                    arrived.send(()).ok();
                    goes.lock().await.recv().await;
                }
            }
            .boxed()
        };
        let mut ctx = ctx.clone();
        ctx.options.switches = Switches::default().without(without).pausing(pause);
        Self {
            task: tokio::spawn(async move { BlobGc {}.run(&ctx).await }),
            arrivals,
            go,
        }
    }

    /// Lets the run go on to its end; says what it did.
    pub(super) async fn ends(self) -> String {
        drop(self.go);
        let ended = timeout(DEADLINE, self.task).await;
        match ended.unwrap().unwrap() {
            Ok(done) | Err(JobError::Partial { done, .. }) => said(&done),
            Err(JobError::Unavailable { .. }) => "gave up".to_owned(),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Says what a run did, in the words of its counts.
fn said(done: &Done) -> String {
    let counts = ["objects", "in use again", "locked elsewhere", "missing"];
    let counts = counts.map(|count| (count, done.of(count)));
    let counts = counts.iter().filter(|(_, n)| *n > 0);
    let said: Vec<_> = counts.map(|(count, n)| format!("{n} {count}")).collect();
    if said.is_empty() {
        return "did nothing".to_owned();
    }
    format!("noted {}", said.join(" and "))
}
