//! Turns what a handler returns into a finish.
use std::task::{Context, Poll};

use apalis_core::{error::BoxDynError, task::Task};
use futures::{FutureExt as _, future::BoxFuture};
use tower::{Layer, Service};

use super::Taken;
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

impl<S> Service<Task<Taken>> for Ack<S>
where
    S: Service<Task<Taken>, Response = Outcome>,
    S::Future: Send + 'static,
    S::Error: Into<BoxDynError>,
{
    type Response = ();
    type Error = BoxDynError;
    type Future = BoxFuture<'static, Result<(), BoxDynError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxDynError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut task: Task<Taken>) -> Self::Future {
        let ticket = task.args.ticket.take();
        let attempt = task.args.envelope.attempt;
        let running = self.inner.call(task);
        async move {
            let outcome = running.await.unwrap_or_else(|error| {
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
