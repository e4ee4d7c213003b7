//! How the registry answers when a step of a push does not go through.

use tokio_postgres::{Error, error::SqlState};

/// Why a push or a restore ended early.
#[derive(Debug)]
pub(super) enum Answer {
    /// Quay answers so too; the client pushes again.
    Documented(&'static str),
    /// Nobody may ever see this.
    Failed(String),
}

/// A blob's row went while a reference to it was written: Quay's foreign keys say so.
pub(super) const BLOB_WENT: &str = "push: blob row went while it was referenced (Quay R3)";
/// A manifest went while a tag or a list was written.
pub(super) const MANIFEST_WENT: &str = "push: manifest went while it was tagged (Quay R2)";
/// `HEAD` said that a blob was there, which protects nothing, and then it went.
pub(super) const HEADED_WENT: &str = "push: blob went after HEAD had found it (Quay R6)";
/// The object went between the uploader's test and its row: Quay tests outside the lock.
pub(super) const OBJECT_WENT: &str =
    "push: object went between Quay's unlocked test and the row (Quay R5); put back";
/// The same for an object that the pusher itself moved into place, outside the lock.
pub(super) const OWN_OBJECT_WENT: &str =
    "push: own object went between Quay's unlocked move and the row (Quay R5); put back";
/// Quay waits five seconds for the lock of a digest and then goes on without it.
pub(super) const WITHOUT_LOCK: &str = "push: went on without the digest's lock (Quay R4)";
/// Two pushers wrote the same row at once; the second finds the first one's.
pub(super) const TWO_PUSHERS: &str = "push: two pushers wrote the same row at once";
/// A tag's manifest went before it could be restored.
pub(super) const TOO_LATE: &str = "restore: came too late";

/// Sorts an error of the database: `reference` is the answer when the row that a new one refers
/// to is gone.
pub(super) fn of(error: &Error, what: &str, reference: &'static str) -> Answer {
    match error.code() {
        Some(code) if *code == SqlState::FOREIGN_KEY_VIOLATION => Answer::Documented(reference),
        Some(code) if *code == SqlState::UNIQUE_VIOLATION => Answer::Documented(TWO_PUSHERS),
        _ => Answer::Failed(format!("{what}: {error:?}")),
    }
}
