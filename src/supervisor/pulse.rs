//! Watches that the daemon's loops advance, so that systemd restarts one that is stuck.
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Collects the heartbeats of all loops. Cheap to clone; clones share one state.
#[derive(Clone)]
pub(crate) struct Pulse {
    started: Instant,
    loops: Arc<Mutex<Vec<Watched>>>,
}

struct Watched {
    name: String,
    longest_pause: Duration,
    silence: Silence,
}

/// Tells for how long a loop has been silent; `None` when it has ended.
type Silence = Box<dyn Fn() -> Option<Duration> + Send>;

/// The heartbeat of one loop; when it is dropped the loop has ended and is watched no more.
pub(crate) struct Heartbeat {
    started: Instant,
    last_ms: Arc<AtomicU64>,
}

impl Pulse {
    /// Starts with no loops.
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            loops: Arc::default(),
        }
    }

    /// Watches one more loop, which promises to beat at least every `longest_pause`; creating the
    /// heartbeat is its first beat.
    pub(crate) fn watch(&self, name: &str, longest_pause: Duration) -> Heartbeat {
        let last_ms = Arc::new(AtomicU64::new(0));
        let heartbeat = Heartbeat {
            started: self.started,
            last_ms: Arc::clone(&last_ms),
        };
        heartbeat.beat();
        let (started, last_ms) = (self.started, Arc::downgrade(&last_ms));
        self.watch_by(name, longest_pause, move || {
            let last = Duration::from_millis(last_ms.upgrade()?.load(Ordering::Relaxed));
            Some(started.elapsed().saturating_sub(last))
        });
        heartbeat
    }

    /// Watches one more loop, which tells by `silence` for how long it has not advanced; `None`:
    /// it does not run now.
    pub(crate) fn watch_by(
        &self,
        name: &str,
        longest_pause: Duration,
        silence: impl Fn() -> Option<Duration> + Send + 'static,
    ) {
        let silence = Box::new(silence);
        self.lock().push(Watched {
            name: name.to_owned(),
            longest_pause,
            silence,
        });
    }

    /// Names the loops that have not kept their promise, with the time since their last beat.
    /// Empty: all is well.
    pub(crate) fn stuck(&self) -> Vec<(String, Duration)> {
        let loops = self.lock();
        let late = loops.iter().filter_map(|watched| {
            let silent = (watched.silence)()?;
            (silent > watched.longest_pause).then(|| (watched.name.clone(), silent))
        });
        late.collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Watched>> {
        // Nothing that can panic runs under this lock.
        self.loops.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heartbeat {
    /// Says that the loop advances.
    pub(crate) fn beat(&self) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(now, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_loop_is_named_until_it_beats_or_ends() {
        let pulse = Pulse::new();
        let alive = pulse.watch("alive", Duration::from_hours(1));
        let stuck = pulse.watch("stuck", Duration::ZERO);
        while pulse.started.elapsed() < Duration::from_millis(2) {
            std::hint::spin_loop();
        }
        let late: Vec<_> = pulse.stuck().into_iter().map(|(name, _)| name).collect();
        assert_eq!(late, ["stuck"]);
        drop(stuck);
        assert!(pulse.stuck().is_empty(), "an ended loop is not stuck");
        alive.beat();
        assert!(pulse.stuck().is_empty());
    }
}
