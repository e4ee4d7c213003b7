//! What is on its way to the task that commits. A channel that says whether it woke its reader.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use crate::Finish;

/// Makes the two ends.
pub(super) fn inbox() -> (Sender, Receiver) {
    let shared = Arc::new(Shared::default());
    let sender = Sender {
        shared: Arc::clone(&shared),
    };
    (sender, Receiver { shared })
}

/// What lies there.
#[derive(Debug, Default)]
pub(super) struct Pile {
    /// What nobody has committed yet.
    pub(super) finishes: Vec<Finish>,
    /// Told when these finishes are committed or given up.
    pub(super) flushes: Vec<oneshot::Sender<()>>,
}

impl Pile {
    fn is_empty(&self) -> bool {
        self.finishes.is_empty() && self.flushes.is_empty()
    }
}

/// Puts things in; when it is dropped nothing more comes.
#[derive(Debug)]
pub(super) struct Sender {
    shared: Arc<Shared>,
}

/// Takes them out; what comes when it is dropped goes with it.
#[derive(Debug)]
pub(super) struct Receiver {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    came: Notify,
}

#[derive(Debug, Default)]
struct State {
    pile: Pile,
    /// The receiver waits or is about to, and nobody woke it yet.
    is_awaited: bool,
    /// One of the ends is gone.
    is_closed: bool,
}

/// What the receiver found.
enum Tried {
    Taken,
    Empty,
    Ended,
}

impl Sender {
    /// Adds a finish; says whether that woke the receiver.
    pub(super) fn put(&self, finish: Finish) -> bool {
        self.shared.add(|pile| pile.finishes.push(finish))
    }

    /// Has somebody told when everything that was put in before is committed or given up.
    pub(super) fn put_flush(&self, done: oneshot::Sender<()>) {
        self.shared.add(|pile| pile.flushes.push(done));
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.came.notify_one();
    }
}

impl Receiver {
    /// Fills an empty pile with what lies there, waiting until there is something. `false`: nothing
    /// more comes.
    pub(super) async fn take(&mut self, pile: &mut Pile) -> bool {
        loop {
            match self.shared.try_take(pile) {
                Tried::Taken => return true,
                Tried::Ended => return false,
                Tried::Empty => self.shared.came.notified().await,
            }
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_closed = true;
        let pile = std::mem::take(&mut state.pile);
        drop(state);
        drop(pile);
    }
}

impl Shared {
    /// Adds to the pile and wakes the receiver if it waits for that; says whether it did. Without a
    /// receiver the runtime is going down: nothing is added, the leases end by themselves.
    fn add(&self, add: impl FnOnce(&mut Pile)) -> bool {
        let wakes = {
            let mut state = self.lock();
            if state.is_closed {
                return false;
            }
            add(&mut state.pile);
            std::mem::take(&mut state.is_awaited)
        };
        if wakes {
            self.came.notify_one();
        }
        wakes
    }

    /// Exchanges the piles if something lies there; else whoever adds wakes the receiver.
    fn try_take(&self, pile: &mut Pile) -> Tried {
        debug_assert!(pile.is_empty(), "what is in it would come again");
        let mut state = self.lock();
        if !state.pile.is_empty() {
            std::mem::swap(&mut state.pile, pile);
            return Tried::Taken;
        }
        state.is_awaited = true;
        if state.is_closed {
            Tried::Ended
        } else {
            Tried::Empty
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt as _;

    use super::*;
    use crate::{Lease, Outcome};

    fn finish() -> Finish {
        Finish {
            lease: Lease {
                id: "1".into(),
                token: "a".into(),
            },
            outcome: Outcome::GiveBack,
            kept: None,
        }
    }

    #[tokio::test]
    async fn who_puts_something_in_learns_whether_that_woke_the_receiver() {
        let (sender, mut receiver) = inbox();
        let mut pile = Pile::default();
        assert!(!sender.put(finish()), "nobody waits");
        assert!(receiver.take(&mut pile).await && pile.finishes.len() == 1);
        pile.finishes.clear();
        let mut taking = Box::pin(receiver.take(&mut pile));
        assert!(taking.as_mut().now_or_never().is_none());
        assert!(sender.put(finish()), "it waits");
        assert!(!sender.put(finish()), "it is awake");
        let taken = tokio::time::timeout(Duration::from_secs(9), taking);
        assert!(taken.await.unwrap() && pile.finishes.len() == 2);
    }

    #[tokio::test]
    async fn what_was_put_in_is_taken_out_before_nothing_more_comes() {
        let (sender, mut receiver) = inbox();
        sender.put(finish());
        let (done, _flushed) = oneshot::channel();
        sender.put_flush(done);
        drop(sender);
        let mut pile = Pile::default();
        assert!(receiver.take(&mut pile).await);
        assert_eq!((pile.finishes.len(), pile.flushes.len()), (1, 1));
        assert!(!receiver.take(&mut Pile::default()).await);
    }

    #[tokio::test]
    async fn a_receiver_that_waits_is_told_that_nothing_more_comes() {
        let (sender, mut receiver) = inbox();
        let mut pile = Pile::default();
        let mut taking = Box::pin(receiver.take(&mut pile));
        assert!(taking.as_mut().now_or_never().is_none());
        drop(sender);
        let taken = tokio::time::timeout(Duration::from_secs(9), taking);
        assert!(!taken.await.unwrap());
    }

    #[tokio::test]
    async fn nobody_waits_for_a_receiver_that_is_gone() {
        let (sender, receiver) = inbox();
        let (done, before) = oneshot::channel();
        sender.put_flush(done);
        drop(receiver);
        assert!(before.await.is_err());
        let (done, after) = oneshot::channel();
        sender.put_flush(done);
        assert!(after.await.is_err() && !sender.put(finish()));
    }
}
