//! How equal jobs are kept apart.
use std::time::Duration;

/// Says what happens to a job while an equal one is in the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UniqueMode {
    /// It is left out while the other waits or runs. The usual way for jobs that read the state
    /// again: what changed meanwhile is found by a sweep or by the next enqueue.
    #[default]
    WhileQueuedOrRunning,
    /// It is left out while the other waits; once that runs, the new one waits behind it.
    WhileQueued,
    /// As [`Self::WhileQueued`], and the one that waits gets the new payload.
    Replace,
    /// As [`Self::WhileQueued`], and one that is delayed is put off by the new delay, never
    /// beyond the end of its mark: many causes in a row make one job, soon after the last.
    Debounce,
}

impl UniqueMode {
    /// Returns how the script `enqueue` spells it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::WhileQueuedOrRunning => "running",
            Self::WhileQueued => "queued",
            Self::Replace => "replace",
            Self::Debounce => "debounce",
        }
    }
}

/// Says which jobs are equal, what happens to the later one, and for how long at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unique {
    /// What happens to the later one.
    pub mode: UniqueMode,
    /// Longest life of the mark that keeps others out; it goes with the job before that.
    pub at_most: Duration,
    /// Jobs with the same text are equal, whatever their kind; `None`: those of one kind with
    /// the same payload.
    pub key: Option<String>,
}

impl Unique {
    /// Makes a mark of a mode.
    pub fn new(mode: UniqueMode, at_most: Duration) -> Self {
        Self {
            mode,
            at_most,
            key: None,
        }
    }

    /// Returns the mark under a text of its own.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }
}
