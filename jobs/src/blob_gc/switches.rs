//! What tests may change about a run of `blob_gc`: pause it at a named place, take a guard away.
//!
//! Without the feature `switches` this is empty, and every guard is in place.

/// A guard of the removal of objects that a test may take away, to see what it is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// A tombstone is not taken before it has reached an age.
    Grace,
    /// Each digest is locked in Redis, as Quay's writers lock it.
    DigestLock,
    /// Each digest is locked in the database, where there is no Redis.
    Fence,
    /// The primary is asked, under the locks, which digests have a row again.
    RowsAgain,
    /// Redis is asked, right before the removal, which locks are still ours.
    LocksAgain,
    /// Nothing is sent, or waited for, after the end of the hold.
    HoldEnd,
    /// Only what storage confirmed loses its tombstone.
    Confirmed,
}

impl Guard {
    /// Every one of them, in the order of a run.
    pub const ALL: [Self; 7] = [
        Self::Grace,
        Self::DigestLock,
        Self::Fence,
        Self::RowsAgain,
        Self::LocksAgain,
        Self::HoldEnd,
        Self::Confirmed,
    ];
}

#[cfg(not(feature = "switches"))]
mod off {
    use super::Guard;

    /// Lets tests pause a run and take a guard away; this build has none.
    #[derive(Clone, Copy, Debug, Default)]
    pub struct Switches;

    impl Switches {
        #[expect(clippy::unused_self, reason = "the twin with switches needs it")]
        pub(crate) const fn has(self, _guard: Guard) -> bool {
            true
        }

        #[expect(clippy::unused_async, reason = "the twin with switches waits")]
        pub(crate) async fn pause(self, _place: &'static str) {}
    }
}

#[cfg(feature = "switches")]
mod on {
    use std::{fmt, sync::Arc};

    use futures::future::BoxFuture;

    use super::Guard;

    type Pause = Arc<dyn Fn(&'static str) -> BoxFuture<'static, ()> + Send + Sync>;

    /// Lets tests pause a run and take a guard away.
    #[derive(Clone, Default)]
    pub struct Switches {
        without: Option<Guard>,
        pause: Option<Pause>,
    }

    impl fmt::Debug for Switches {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "Switches(without {:?})", self.without)
        }
    }

    impl Switches {
        /// Takes one guard away, or none.
        #[must_use]
        pub fn without(mut self, guard: Option<Guard>) -> Self {
            self.without = guard;
            self
        }

        /// Calls `pause` with the name of every place the run passes, and waits for it.
        #[must_use]
        pub fn pausing(
            mut self,
            pause: impl Fn(&'static str) -> BoxFuture<'static, ()> + Send + Sync + 'static,
        ) -> Self {
            self.pause = Some(Arc::new(pause));
            self
        }

        pub(crate) fn has(&self, guard: Guard) -> bool {
            self.without != Some(guard)
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
