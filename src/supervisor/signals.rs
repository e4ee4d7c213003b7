//! Owns the process's signals: what an operator or systemd asks for while the daemon runs.
use std::{
    io,
    pin::Pin,
    sync::{Arc, atomic::AtomicBool},
    task::{Context, Poll, ready},
};

use futures::Stream;
use signal_hook::{
    consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGUSR1},
    flag,
};

use crate::exit::Exit;

/// What a running daemon can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Stop: take no more jobs, wait for those that run, hand back what does not end in time.
    Drain,
    /// Take no more jobs; those that run go on.
    Quiet,
    /// Take jobs again.
    Resume,
    /// Read the configuration again.
    Reload,
    /// Write what is going on to the log.
    Dump,
}

impl Order {
    fn of(signal: i32) -> Option<Self> {
        match signal {
            SIGTERM | SIGINT => Some(Self::Drain),
            SIGTSTP => Some(Self::Quiet),
            SIGCONT => Some(Self::Resume),
            SIGHUP => Some(Self::Reload),
            SIGUSR1 => Some(Self::Dump),
            _ => None,
        }
    }
}

/// Yields an [`Order`] for each signal; never ends.
pub struct Signals(signal_hook_tokio::Signals);

impl Signals {
    /// Takes the signals over, for the rest of the process's life.
    ///
    /// From now on the first TERM or INT is an [`Order::Drain`]. The second ends the process at
    /// once, inside the signal's handler, so that it works even when nothing else does; jobs that
    /// run then are found by the end of their leases.
    ///
    /// # Errors
    ///
    /// When the system refuses a handler.
    pub fn install() -> io::Result<Self> {
        let second = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // In this order: the first signal finds the flag unset and sets it.
            let status = i32::from(Exit::Failed.code());
            flag::register_conditional_shutdown(signal, status, Arc::clone(&second))?;
            flag::register(signal, Arc::clone(&second))?;
        }
        let all = [SIGTERM, SIGINT, SIGTSTP, SIGCONT, SIGHUP, SIGUSR1];
        signal_hook_tokio::Signals::new(all).map(Self)
    }
}

impl Stream for Signals {
    type Item = Order;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Order>> {
        loop {
            let Some(signal) = ready!(Pin::new(&mut self.0).poll_next(cx)) else {
                return Poll::Ready(None);
            };
            if let Some(order) = Order::of(signal) {
                return Poll::Ready(Some(order));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;

    use super::*;

    #[tokio::test]
    async fn every_signal_becomes_its_order() {
        // TERM and INT are left out: a second one would end the test.
        let mut signals = Signals::install().unwrap();
        let expected = [
            (SIGTSTP, Order::Quiet),
            (SIGCONT, Order::Resume),
            (SIGHUP, Order::Reload),
            (SIGUSR1, Order::Dump),
        ];
        for (signal, order) in expected {
            signal_hook::low_level::raise(signal).unwrap();
            assert_eq!(signals.next().await, Some(order));
        }
    }
}
