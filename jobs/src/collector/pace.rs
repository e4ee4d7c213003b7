//! Slows a collector down while others suffer from it: the database itself, a replica, or a
//! pusher that waits for a lock of a batch.
//!
//! After a batch that hurt somebody comes a pause, after the next one a longer one, up to a
//! limit; then the next batch runs in any case, so that no run ever stands still. All batches
//! of a process share one pace.
mod reason;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use quayhand_model::{Db, pressure, pressure::Lag};
use quayhand_queue::chain;
use tokio_util::sync::CancellationToken;

pub(crate) use reason::Observed;
pub use reason::PaceLimits;
use reason::Reason;

/// The first pause; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Doublings at most; the limit cuts them shorter.
const MOST_DOUBLINGS: u32 = 12;
/// Batches between two looks for sessions that wait, while none was seen.
const BLOCKED_EVERY: u32 = 8;
/// Time between two looks at the replicas, while none lags.
const LAG_EVERY: Duration = Duration::from_secs(1);
/// Time between two lines in the log about one reason.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// The pace of a process. Cheap to clone; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Pace(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Pauses in a row, each longer than the one before.
    pauses: u32,
    /// Batches since the last look for sessions that wait.
    unasked: u32,
    looked_at: Option<Instant>,
    said: Option<(std::mem::Discriminant<Reason>, Instant)>,
    /// It was said that replicas cannot be seen.
    said_blind: bool,
}

impl Pace {
    /// Tells whether the batch that begins now should look for sessions that wait for it.
    pub(crate) fn looks_for_blocked(&self, limits: &PaceLimits) -> bool {
        let mut state = self.state();
        state.unasked += 1;
        let now = limits.enabled && (state.pauses > 0 || state.unasked >= BLOCKED_EVERY);
        if now {
            state.unasked = 0;
        }
        now
    }

    /// Pauses if the batch hurt somebody, until `stop` at most; returns for how long.
    pub(crate) async fn after(
        &self,
        batch: &Observed,
        limits: &PaceLimits,
        db: &Db,
        stop: &CancellationToken,
    ) -> Duration {
        if !limits.enabled || stop.is_cancelled() {
            return Duration::ZERO;
        }
        let lag = self.look_at_replicas(limits, db).await;
        let Some((reason, pause)) = self.judge(limits, batch, lag) else {
            return Duration::ZERO;
        };
        self.say(reason, pause);
        let started = Instant::now();
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
        started.elapsed()
    }

    /// Returns why and for how long to pause after a batch, and remembers it for the next one.
    fn judge(
        &self,
        limits: &PaceLimits,
        batch: &Observed,
        lag: Option<Lag>,
    ) -> Option<(Reason, Duration)> {
        let reason = Reason::of(limits, batch, lag);
        let mut state = self.state();
        let Some(reason) = reason else {
            state.pauses = state.pauses.saturating_sub(1);
            return None;
        };
        let pause = FIRST_PAUSE * 2_u32.pow(state.pauses.min(MOST_DOUBLINGS));
        state.pauses = state.pauses.saturating_add(1).min(MOST_DOUBLINGS);
        Some((reason, pause.min(limits.longest_pause)))
    }

    /// Reads the lag, when it is time; `None` when it is not, or nobody can see it.
    async fn look_at_replicas(&self, limits: &PaceLimits, db: &Db) -> Option<Lag> {
        let wanted = limits.replica_lag.is_some() || limits.replica_lag_mib > 0;
        if !wanted || !self.is_time_to_look() {
            return None;
        }
        match db.scope(pressure::replica_lag).await {
            Ok(lag) => {
                if lag.hidden > 0 {
                    self.say_blind("the database role lacks `pg_monitor`");
                }
                Some(lag)
            }
            // An outage meets the next batch as well, which says so.
            Err(error) if error.is_connect() => None,
            Err(error) => {
                self.say_blind(&chain(&error));
                None
            }
        }
    }

    fn is_time_to_look(&self) -> bool {
        let mut state = self.state();
        let late = |at: Instant| at.elapsed() >= LAG_EVERY;
        let now = state.pauses > 0 || state.looked_at.is_none_or(late);
        if now {
            state.looked_at = Some(Instant::now());
        }
        now
    }

    /// Says why batches come slower, not for every batch.
    fn say(&self, reason: Reason, pause: Duration) {
        let kind = std::mem::discriminant(&reason);
        let mut state = self.state();
        let said = |(what, at): (_, Instant)| what == kind && at.elapsed() < SAY_EVERY;
        if state.said.is_some_and(said) {
            return;
        }
        state.said = Some((kind, Instant::now()));
        drop(state);
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(pace.pause_ms = pause_ms, "paced: {reason}");
    }

    fn say_blind(&self, why: &str) {
        let mut state = self.state();
        if !std::mem::replace(&mut state.said_blind, true) {
            drop(state);
            tracing::info!(
                "cannot see how far replicas are behind, so they slow nothing down ({why}); \
                 `gc.pace_replica_lag` is about them"
            );
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_limit_and_shrink_again() {
        let (pace, limits) = (Pace::default(), PaceLimits::default());
        let bad = Observed {
            blocked: 1,
            ..Observed::default()
        };
        let pauses_ms: Vec<_> = (0..7)
            .filter_map(|_| pace.judge(&limits, &bad, None))
            .map(|(_, pause)| pause.as_millis())
            .collect();
        assert_eq!(pauses_ms, [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]);
        for _ in 0..6 {
            assert_eq!(pace.judge(&limits, &Observed::default(), None), None);
        }
        let (_, pause) = pace.judge(&limits, &bad, None).unwrap();
        assert_eq!(pause.as_millis(), 500, "calm batches take pauses back");
        for _ in 0..100 {
            let (_, pause) = pace.judge(&limits, &bad, None).unwrap();
            assert!(pause <= limits.longest_pause);
        }
    }

    #[test]
    fn looks_for_blocked_sessions_now_and_then_and_closely_while_there_are_some() {
        let (pace, limits) = (Pace::default(), PaceLimits::default());
        let asked = (0..16).filter(|_| pace.looks_for_blocked(&limits)).count();
        assert_eq!(asked, 2);
        let bad = Observed {
            blocked: 1,
            ..Observed::default()
        };
        pace.judge(&limits, &bad, None);
        assert!((0..5).all(|_| pace.looks_for_blocked(&limits)));
        let off = PaceLimits {
            enabled: false,
            ..limits
        };
        assert!(!pace.looks_for_blocked(&off));
    }
}
