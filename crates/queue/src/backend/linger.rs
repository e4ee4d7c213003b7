//! Leaves short jobs to those that end.
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Sleep, sleep};

use super::{ahead::Ahead, slots::Slots};

/// With as many jobs running as a runtime has threads at most, short ones keep all of them busy.
const FEW: usize = 4;
/// For how long a job waits for another one to end, with a slot free for it; the timer may take as
/// long again.
const MOMENT: Duration = Duration::from_millis(1);

/// Holds the worker back for a moment while short jobs wait: those that end take the next ones
/// along ([`Seat::go_on`](super::Seat::go_on)), at less cost than a call of the worker for each.
/// Jobs that turn out to be long get their slots when the moment is over; so do those that follow no
/// other, and once none has followed there is no such moment until one does.
#[derive(Debug, Default)]
pub(super) struct Linger {
    over: Option<Pin<Box<Sleep>>>,
    /// How many had followed when the moment began.
    followed: u64,
    /// None followed in the last moment.
    is_vain: bool,
}

impl Linger {
    /// Waits, if jobs are short enough to be fetched ahead and some of them run.
    pub(super) fn poll(&mut self, ahead: &Ahead, slots: &Slots, cx: &mut Context<'_>) -> Poll<()> {
        self.is_vain &= slots.followed() == self.followed;
        let are_few = slots.used() < FEW || slots.held() <= slots.all();
        if are_few || self.is_vain || ahead.is_held_up() {
            self.begin_again();
            return Poll::Ready(());
        }
        // For when the moment is cut short: few run, or the first job may not follow.
        slots.register_worker(cx.waker());
        let over = self.over.get_or_insert_with(|| {
            self.followed = slots.followed();
            Box::pin(sleep(MOMENT))
        });
        ready!(over.as_mut().poll(cx));
        self.is_vain = slots.followed() == self.followed;
        Poll::Ready(())
    }

    /// Forgets the moment: all that could be handed out was.
    pub(super) fn begin_again(&mut self) {
        self.over = None;
    }
}
