//! Tells systemd how the daemon is: ready, reloading, stopping, and alive.
//!
//! Without systemd (no `NOTIFY_SOCKET`) every call does nothing.
use std::{env, time::Duration};

use sd_notify::NotifyState;

use super::pulse::Pulse;

/// Says that start-up is finished, with a first status line.
pub(crate) fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Says that the configuration is being read again; [`ready`] must follow.
pub(crate) fn reloading() {
    // Without the time systemd 253 and later takes the reload for failed.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the monotonic clock cannot be read"),
    }
}

/// Says that the daemon is stopping, and why it may take a while.
pub(crate) fn stopping(status: &str) {
    notify(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

/// Shows one line to `systemctl status`.
pub(crate) fn status(line: &str) {
    notify(&[NotifyState::Status(line)]);
}

/// Returns how long systemd waits for a sign of life; `None` when it does not ask for any.
pub(crate) fn watchdog() -> Option<Duration> {
    let for_us = env::var("WATCHDOG_PID").ok();
    let for_us = for_us.is_none_or(|pid| pid.parse() == Ok(std::process::id()));
    let usec = env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
    (for_us && usec > 0).then(|| Duration::from_micros(usec))
}

/// Gives systemd a sign of life as long as all loops advance; returns never. A loop that is stuck
/// withholds it, and systemd restarts the daemon.
pub(crate) async fn keep_alive(pulse: Pulse, watchdog: Duration) {
    let mut timer = tokio::time::interval(watchdog / 2);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        let stuck = pulse.stuck();
        if stuck.is_empty() {
            notify(&[NotifyState::Watchdog]);
        }
        for (name, silent) in stuck {
            tracing::error!(
                "the {name} has not advanced for {silent:?}: withholding systemd's watchdog"
            );
        }
    }
}

fn notify(state: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd did not take a notification");
    }
}
