//! What a running attempt says of itself: how far it is, and its last log lines.
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio_util::sync::CancellationToken;

use crate::{MOST_LINES, settle::cut, store::LONGEST_LINE_BYTES};

/// Takes down what an attempt says; cheap to clone, all clones share it.
///
/// Progress reaches the store within a second; lines stay here until the attempt ends, and are
/// kept with its record where the kind's policy keeps one.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    said: Mutex<Said>,
    has_ended: AtomicBool,
}

#[derive(Debug, Default)]
struct Said {
    progress: Option<String>,
    lines: VecDeque<String>,
    /// Somebody cancelled the job.
    is_stopped: bool,
    /// The job is to run no more: somebody cancelled it, or its lease is lost.
    is_called_off: bool,
    /// What is cancelled with that; there while the job runs.
    cancelled: Option<Arc<CancellationToken>>,
}

impl Notes {
    /// Says how far the attempt is; the last word counts. At most 256 bytes are kept.
    pub fn progress(&self, text: &str) {
        self.lock().progress = Some(cut(text, LONGEST_LINE_BYTES).to_owned());
    }

    /// Adds a line to the attempt's log; the last 20 are kept, 256 bytes of each.
    pub fn line(&self, line: &str) {
        let mut said = self.lock();
        if said.lines.len() >= MOST_LINES {
            said.lines.pop_front();
        }
        let line = cut(line, LONGEST_LINE_BYTES).to_owned();
        said.lines.push_back(line);
    }

    /// Says whether somebody cancelled the job while it ran; else, when
    /// [`Taken::cancelled`](super::Taken::cancelled) fires, its lease was lost.
    pub fn is_cancelled(&self) -> bool {
        self.lock().is_stopped
    }

    /// Calls the attempt off because somebody cancelled the job.
    pub(super) fn stop(&self) {
        self.lock().is_stopped = true;
        self.call_off();
    }

    /// Notes that the attempt begins, which stops with `cancelled`; `false`: it must not, the job was
    /// called off while it waited.
    pub(super) fn begin(&self, cancelled: &Arc<CancellationToken>) -> bool {
        let mut said = self.lock();
        if !said.is_called_off {
            said.cancelled = Some(Arc::clone(cancelled));
        }
        !said.is_called_off
    }

    /// Stops the attempt, now or before it begins; one that has ended goes unharmed.
    pub(super) fn call_off(&self) {
        let mut said = self.lock();
        said.is_called_off = true;
        // Under the lock: once the attempt has ended, another may go by what it was cancelled by.
        if let Some(cancelled) = said.cancelled.take() {
            cancelled.cancel();
        }
    }

    /// Notes that the attempt ended: its outcome is on the way to the store.
    pub(super) fn end(&self) {
        self.lock().cancelled = None;
        self.shared.has_ended.store(true, Ordering::Release);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.shared.has_ended.load(Ordering::Acquire)
    }

    /// Takes the progress that nobody has taken yet.
    pub(super) fn news(&self) -> Option<String> {
        self.lock().progress.take()
    }

    /// Takes the lines.
    pub(super) fn lines(&self) -> Vec<String> {
        self.lock().lines.drain(..).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Said> {
        // Nothing that can panic runs under this lock.
        self.shared
            .said
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_and_the_last_progress_are_kept() {
        let notes = Notes::default();
        for n in 0..=MOST_LINES {
            notes.line(&n.to_string());
            notes.progress(&n.to_string());
        }
        assert_eq!(notes.news().unwrap(), MOST_LINES.to_string());
        assert!(notes.news().is_none(), "no news since");
        let lines = notes.lines();
        assert_eq!((lines.len(), lines[0].as_str()), (MOST_LINES, "1"));
    }
}
