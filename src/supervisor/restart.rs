//! Starts again what must never end: a pool's worker, the scheduler, the watch over the schema.
use std::{
    fmt::Display,
    time::{Duration, Instant},
};

use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::patience::Patience;

/// What ran for this long was healthy: its next end is met without a long pause.
const HEALTHY_AFTER: Duration = Duration::from_mins(1);

/// Runs `make`'s future in a task of its own, and again whenever it ends or panics, after growing
/// pauses, until `stop`. `name` goes into the log; dropping the returned future drops the task.
pub(crate) async fn keep_running<F, E>(
    name: &str,
    stop: &CancellationToken,
    mut make: impl FnMut() -> F,
) where
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: Display + Send + 'static,
{
    let mut patience = Patience::new(Duration::from_millis(100), Duration::from_secs(30));
    loop {
        let started = Instant::now();
        let ended = AbortOnDropHandle::new(tokio::spawn(make())).await;
        if stop.is_cancelled() {
            return;
        }
        let reason = match ended {
            Ok(Ok(())) => "it returned".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        if started.elapsed() > HEALTHY_AFTER {
            patience.reset();
        }
        let pause = patience.pause();
        tracing::error!(
            reason,
            "the {name} ended and is started again in {pause:.1?}"
        );
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn what_returns_fails_or_panics_is_started_again() {
        let (starts, stop) = (AtomicU32::new(0), CancellationToken::new());
        let stopping = stop.clone();
        let make = || {
            let (nth, stop) = (starts.fetch_add(1, Ordering::Relaxed), stopping.clone());
            async move {
                match nth {
                    0 => Ok(()),
                    1 => Err("a failure"),
                    2 => panic!("a panic"),
                    _ => {
                        stop.cancel();
                        Ok(())
                    }
                }
            }
        };
        let started = Instant::now();
        keep_running("pool", &stop, make).await;
        assert_eq!(starts.load(Ordering::Relaxed), 4);
        let pauses = Duration::from_millis(50 + 100 + 200);
        assert!(started.elapsed() > pauses, "with growing pauses");
    }
}
