//! The storage of an apalis worker: our queues behind apalis's `Backend`.
//!
//! Four parts share one [`Pool`]: the fetcher asks for as many jobs as there are free slots, for
//! more where they are short, and waits when there are none; the acknowledging layer turns what a
//! handler returns into a finish, and a handler may let the next job have its [`Seat`]; the finisher
//! commits finishes in groups; the [`Keeper`], on a thread of its own, renews what is leased. None of
//! them ever reports an error to apalis, which would end the worker and drop its running jobs: they
//! try again, and [`PoolHandle::status`] tells the supervisor.
mod ack;
mod ahead;
mod asking;
mod fetcher;
mod finisher;
mod inbox;
mod keeper;
mod linger;
mod notes;
mod pool;
mod running;
mod seat;
mod slots;
mod taken;
mod waiting;

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll, ready},
};

use apalis_core::{
    backend::{BackendConfig, finalize::Ephemeral},
    task::{Task, builder::TaskBuilder, task_id::TaskId},
    worker::context::WorkerContext,
};
use futures::{FutureExt as _, future::BoxFuture};
use tokio::task::JoinHandle;
use tokio_util::sync::DropGuard;

pub use ack::{Ack, AckLayer};
pub use keeper::Keeper;
pub use notes::Notes;
pub use pool::{KnownKinds, PoolConfig, PoolHandle, PoolStatus};
pub use seat::{Follower, Seat};
pub use taken::Taken;

use self::{ahead::Ahead, finisher::Finisher, linger::Linger, pool::Pool};
use crate::Store;

/// Feeds one apalis worker from one queue.
///
/// It hands out at most as many jobs as the pool has slots, so a worker needs no concurrency
/// limit of its own. Of short jobs it leases more, up to 1,000 that run within some 10 ms. Closing it
/// (apalis does, after the last running job) gives back what was not started and commits every
/// finish; dropping it without closing does the same in the background.
pub struct Backend {
    config: PoolConfig,
    pool: Arc<Pool>,
    finisher: Finisher,
    started: Option<Started>,
    linger: Linger,
    closing: Option<BoxFuture<'static, ()>>,
    _stops: DropGuard,
}

/// What runs once the worker polls.
struct Started {
    ahead: Arc<Ahead>,
    fetcher: JoinHandle<()>,
    committing: JoinHandle<()>,
}

impl Backend {
    /// Makes the backend of a pool, and a handle to steer it. Nothing happens until a worker
    /// polls it, on a tokio runtime.
    pub fn new(store: impl Into<Store>, config: PoolConfig, keeper: &Keeper) -> (Self, PoolHandle) {
        let (pool, finisher) = Pool::new(store.into(), &config, keeper.suspects());
        keeper.watch(&pool);
        let handle = PoolHandle::new(&pool);
        let backend = Self {
            config,
            _stops: pool.stop.clone().drop_guard(),
            pool,
            finisher,
            started: None,
            linger: Linger::default(),
            closing: None,
        };
        (backend, handle)
    }

    fn start(&mut self) -> &mut Started {
        self.started.get_or_insert_with(|| {
            let ahead = Ahead::new(Arc::clone(&self.pool));
            let fetching = fetcher::run(self.pool.clone(), self.finisher.clone(), ahead.clone());
            Started {
                ahead,
                fetcher: tokio::spawn(fetching),
                committing: self.finisher.start(self.pool.clone()),
            }
        })
    }
}

impl apalis_core::backend::Backend for Backend {
    type Task = Task<Box<Taken>>;
    type Error = Infallible;

    fn poll_ready(
        &mut self,
        _: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Result<(), Infallible>> {
        self.start();
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Option<Result<Self::Task, Infallible>>> {
        let ahead = Arc::clone(&self.start().ahead);
        ready!(self.linger.poll(&ahead, &self.pool.slots, cx));
        let job = ahead.poll_next(cx);
        if job.is_pending() {
            self.linger.begin_again();
        }
        job.map(|job| job.map(|taken| Ok(task(taken))))
    }

    fn poll_close(
        &mut self,
        cx: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Result<(), Infallible>> {
        self.pool.stop.cancel();
        if let Some(started) = self.started.take() {
            self.closing = Some(close(started, self.finisher.clone()).boxed());
        }
        let Some(closing) = &mut self.closing else {
            return Poll::Ready(Ok(()));
        };
        ready!(closing.poll_unpin(cx));
        self.closing = None;
        Poll::Ready(Ok(()))
    }
}

impl BackendConfig for Backend {
    // Boxed: it is moved through every layer of the worker.
    type Args = Box<Taken>;
    type Id = String;
    type Kind = Ephemeral;
    type Config = PoolConfig;
    type Layer = AckLayer;

    fn config(&self) -> &PoolConfig {
        &self.config
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> AckLayer {
        AckLayer
    }
}

/// Waits for a fetch that is under way; it gives its jobs back. Commits every finish.
async fn close(started: Started, finisher: Finisher) {
    // It ended with a panic at worst; its jobs come back when their leases end.
    let _ended = started.fetcher.await;
    finisher.flush().await;
    started.committing.abort();
}

/// Wraps a job for apalis, under an id that no other attempt of the job has.
fn task(taken: Box<Taken>) -> Task<Box<Taken>> {
    let id = TaskId::from_string(taken.token());
    let attempt = taken.envelope.attempt.saturating_sub(1);
    TaskBuilder::new(taken)
        .task_id(id)
        .attempt(usize::try_from(attempt).unwrap_or(usize::MAX))
        .build()
}
