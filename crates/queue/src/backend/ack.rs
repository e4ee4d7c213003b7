//! Turns what a handler returns into a finish.
use std::{
    future::poll_fn,
    pin::pin,
    task::{Context, Poll},
};

use apalis_core::{error::BoxDynError, task::Task};
use futures::{FutureExt as _, future::BoxFuture};
use tower::{Layer, Service};

use super::{Seat, Taken};
use crate::{Outcome, Policy, outcome::chain};

/// Wraps the worker's service; apalis puts it around everything the user added.
#[derive(Clone, Copy, Debug)]
pub struct AckLayer;

impl<S> Layer<S> for AckLayer {
    type Service = Ack<S>;

    fn layer(&self, inner: S) -> Ack<S> {
        Ack { inner }
    }
}

/// Runs a job and reports its [`Outcome`]; none when the handler says that there is none to report,
/// since it went on with others and settled them all ([`Seat::go_on`]).
///
/// An error of the service (a handler returns none; a layer may) counts as a failed attempt
/// under [`Policy::DEFAULT`]. A future that is dropped gives its job back.
#[derive(Clone, Debug)]
pub struct Ack<S> {
    inner: S,
}

impl<S> Service<Task<Box<Taken>>> for Ack<S>
where
    S: Service<Task<Box<Taken>>, Response: Into<Option<Outcome>>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxDynError>,
{
    type Response = ();
    type Error = BoxDynError;
    type Future = BoxFuture<'static, Result<(), BoxDynError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxDynError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, task: Task<Box<Taken>>) -> Self::Future {
        let mut duty = Duty::of(&task.args);
        let running = duty.while_at_work(|| self.inner.call(task));
        async move {
            let mut running = pin!(running);
            let poll = |cx: &mut Context<'_>| duty.while_at_work(|| running.as_mut().poll(cx));
            match poll_fn(poll).await.map(Into::into) {
                Ok(Some(outcome)) => duty.seat.settle(|_| outcome),
                Ok(None) => {}
                Err(error) => duty.seat.settle(|attempt| failed(&error.into(), attempt)),
            }
            Ok(())
        }
        .boxed()
    }
}

/// The duty to settle the job that has a seat. Dropping it unfulfilled gives the job back.
struct Duty {
    seat: Seat,
    /// The handler's code runs in this very moment.
    is_at_work: bool,
}

impl Duty {
    fn of(taken: &Taken) -> Self {
        Self {
            seat: taken.seat.clone(),
            is_at_work: false,
        }
    }

    /// Does something for the job. When it panics, it is known that this job was the one: all others
    /// of the worker are dropped in the same moment.
    fn while_at_work<T>(&mut self, work: impl FnOnce() -> T) -> T {
        self.is_at_work = true;
        let result = work();
        self.is_at_work = false;
        result
    }
}

fn failed(error: &BoxDynError, attempt: u32) -> Outcome {
    Outcome::failed(&chain(error.as_ref()), &Policy::DEFAULT, attempt)
}

impl Drop for Duty {
    fn drop(&mut self) {
        if self.is_at_work && std::thread::panicking() {
            // The supervisor catches panics of jobs. One that came through is a defect around
            // the job; it counts, so that it cannot go on for ever. The jobs beside it are dropped
            // by the same panic and go back at once.
            self.seat.settle(|_| Outcome::Retry {
                delay: crate::REFUSED_PAUSE,
                error: "the worker panicked".to_owned(),
            });
        }
        drop(self.seat.leave());
    }
}
