//! Turns what a handler returns into a finish.
use std::{
    future::poll_fn,
    pin::pin,
    task::{Context, Poll},
};

use apalis_core::{error::BoxDynError, task::Task};
use futures::{FutureExt as _, future::BoxFuture};
use tower::{Layer, Service};

use super::{Taken, taken::Ticket};
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

/// Takes the duty to finish a job off it, runs it, and reports its [`Outcome`].
///
/// An error of the service (a handler returns none; a layer may) counts as a failed attempt
/// under [`Policy::DEFAULT`]. A future that is dropped gives its job back.
#[derive(Clone, Debug)]
pub struct Ack<S> {
    inner: S,
}

impl<S> Service<Task<Box<Taken>>> for Ack<S>
where
    S: Service<Task<Box<Taken>>, Response = Outcome>,
    S::Future: Send + 'static,
    S::Error: Into<BoxDynError>,
{
    type Response = ();
    type Error = BoxDynError;
    type Future = BoxFuture<'static, Result<(), BoxDynError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxDynError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut task: Task<Box<Taken>>) -> Self::Future {
        let mut ticket = task.args.ticket.take();
        let attempt = task.args.envelope.attempt;
        let running = while_at_work(&mut ticket, || self.inner.call(task));
        async move {
            let mut running = pin!(running);
            let poll =
                |cx: &mut Context<'_>| while_at_work(&mut ticket, || running.as_mut().poll(cx));
            let outcome = poll_fn(poll).await.unwrap_or_else(|error| {
                let error: BoxDynError = error.into();
                Outcome::failed(&chain(error.as_ref()), &Policy::DEFAULT, attempt)
            });
            if let Some(ticket) = ticket {
                ticket.settle(outcome);
            }
            Ok(())
        }
        .boxed()
    }
}

/// Does something for a job. When it panics, the ticket says that this job was the one: all others
/// of the worker are dropped in the same moment.
fn while_at_work<T>(ticket: &mut Option<Ticket>, work: impl FnOnce() -> T) -> T {
    let note = |ticket: &mut Option<Ticket>, is_at_work| {
        if let Some(ticket) = ticket {
            ticket.is_at_work = is_at_work;
        }
    };
    note(ticket, true);
    let result = work();
    note(ticket, false);
    result
}
