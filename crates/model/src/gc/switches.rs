//! What tests may change about a batch: pause it at a named place, take a lock away.
//!
//! Without the feature `switches` this is empty, and every statement is sent as it is
//! written.

/// A lock of the collector that a test may take away, to see what it is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// Repositories, stage 1.
    Repositories,
    /// Tags and uploads, stage 2.
    Tags,
    /// Manifests, stage 3.
    Manifests,
    /// Pull statistics, stages 2 and 3.
    Statistics,
    /// Scan results, stage 3.
    Scans,
    /// Not a lock but the judgement after it: manifests are as untagged as the walk saw them.
    ManifestsAgain,
    /// Candidate blobs and labels before they are judged, stage 4.
    Candidates,
    /// Orphans before they are deleted, stage 5.
    Orphans,
    /// Not a lock but the judgement after it: orphans are judged once only.
    OrphansAgain,
    /// Not a lock but what comes of one: `quayhand_recheck` is not written.
    Recheck,
    /// Not a lock but how it is taken: size totals are waited for, stage 6.
    Totals,
    /// Stages 3 and 5 wait for a lock instead of passing it by.
    SkipLocked,
    /// The repository of a purge's batch: no two purges work on one.
    PurgedRepository,
    /// Not a lock but the judgement under it: a purge looks at the mark again.
    PurgedMark,
    /// The repository's row, before a purge deletes it.
    PurgedLast,
}

impl Lock {
    /// Every one of them, in the order of a batch and then of a purge.
    pub const ALL: [Self; 15] = [
        Self::Repositories,
        Self::Tags,
        Self::Manifests,
        Self::Statistics,
        Self::Scans,
        Self::ManifestsAgain,
        Self::Candidates,
        Self::Orphans,
        Self::OrphansAgain,
        Self::Recheck,
        Self::Totals,
        Self::SkipLocked,
        Self::PurgedRepository,
        Self::PurgedMark,
        Self::PurgedLast,
    ];
}

#[cfg(not(feature = "switches"))]
mod off {
    use std::borrow::Cow;

    use super::Lock;

    /// Lets tests pause a batch and take a lock away; this build has none.
    #[derive(Clone, Copy, Debug, Default)]
    pub struct Switches;

    impl Switches {
        #[expect(clippy::unused_self, reason = "the twin with switches needs it")]
        pub(crate) fn has(self, _lock: Lock) -> bool {
            true
        }

        #[expect(clippy::unused_self, reason = "the twin with switches needs it")]
        pub(crate) fn text(
            self,
            _lock: Lock,
            _clause: &str,
            text: impl Into<Cow<'static, str>>,
        ) -> Cow<'static, str> {
            text.into()
        }

        #[expect(clippy::unused_async, reason = "the twin with switches waits")]
        pub(crate) async fn pause(self, _place: &'static str) {}
    }
}

#[cfg(feature = "switches")]
mod on {
    use std::{borrow::Cow, fmt, sync::Arc};

    use futures::future::BoxFuture;

    use super::Lock;

    type Pause = Arc<dyn Fn(&'static str) -> BoxFuture<'static, ()> + Send + Sync>;

    /// Lets tests pause a batch and take a lock away.
    #[derive(Clone, Default)]
    pub struct Switches {
        without: Option<Lock>,
        pause: Option<Pause>,
    }

    impl fmt::Debug for Switches {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "Switches(without {:?})", self.without)
        }
    }

    impl Switches {
        /// Takes one lock away.
        #[must_use]
        pub fn without(mut self, lock: Lock) -> Self {
            self.without = Some(lock);
            self
        }

        /// Calls `pause` with the name of every place the batch passes, and waits for it.
        #[must_use]
        pub fn pausing(
            mut self,
            pause: impl Fn(&'static str) -> BoxFuture<'static, ()> + Send + Sync + 'static,
        ) -> Self {
            self.pause = Some(Arc::new(pause));
            self
        }

        pub(crate) fn has(&self, lock: Lock) -> bool {
            self.without != Some(lock)
        }

        /// Returns the text without `clause` when the lock was taken away.
        pub(crate) fn text(
            &self,
            lock: Lock,
            clause: &str,
            text: impl Into<Cow<'static, str>>,
        ) -> Cow<'static, str> {
            let text = text.into();
            debug_assert!(text.contains(clause), "`{clause}` is not in the statement");
            if !self.has(lock) {
                Cow::Owned(text.replace(clause, ""))
            } else if self.has(Lock::SkipLocked) || !matches!(lock, Lock::Manifests | Lock::Orphans)
            {
                text
            } else {
                Cow::Owned(text.replace("skip locked", ""))
            }
        }

        pub(crate) async fn pause(&self, place: &'static str) {
            if let Some(pause) = &self.pause {
                pause(place).await;
            }
        }
    }
}

#[cfg(not(feature = "switches"))]
pub use off::Switches;
#[cfg(feature = "switches")]
pub use on::Switches;
