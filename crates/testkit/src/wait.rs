//! Waiting for events without sleeping for luck, and names that tests do not share.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// How long [`wait_for`] rests between two looks.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Polls `check` every 10 ms until it returns `Some`, and returns what it found.
///
/// The deadline also ends a `check` that hangs. A zero deadline allows no waiting at all: it is for
/// conditions that must hold already.
///
/// # Panics
/// When the deadline passes first; the message names `what`.
pub async fn wait_for<T>(
    what: &str,
    deadline: Duration,
    mut check: impl AsyncFnMut() -> Option<T>,
) -> T {
    let polling = async {
        loop {
            if let Some(found) = check().await {
                return found;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    tokio::time::timeout(deadline, polling)
        .await
        .unwrap_or_else(|_elapsed| panic!("waited {deadline:?} in vain for {what}"))
}

/// Makes a name that no other test of this machine uses now: `prefix`, the process id, a number.
///
/// Only `prefix`, digits and `_` appear in it, so it serves as a database, queue, tenant or key
/// name. Cost: one atomic addition.
pub fn unique_name(prefix: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}_{}_{number}", std::process::id())
}
