//! The collector: one batch is one transaction, from the tag down to the blob row.
//!
//! A batch spans repositories. Its stages are separate statements, and ids come back in
//! between, because one large statement over array parameters is planned for ten rows.
//! The locks are taken in one order, each for a reason that a test shows:
//!
//! 1. repositories, `for no key update skip locked`: no repository is in two batches;
//! 2. tags and expired uploads, `for update skip locked`: what a writer holds waits;
//! 3. manifests, `for update skip locked`, judged by a later statement: a row lock does
//!    not refresh what a statement saw of other tables;
//! 4. all candidate blobs and labels, `for no key update`, before any is judged: two
//!    collectors that each drop one of the last two references must see each other;
//! 5. what looks orphaned, `for update skip locked`, judged again, then deleted: a pusher
//!    is neither waited for nor ended. What it held is written to `quayhand_recheck`;
//! 6. quota rows, `for update skip locked` and last: a pusher holds one while it wants a
//!    manifest. A change that had to wait is written to `quayhand_total_change`.
//!
//! A crash at any point leaves either the whole batch or nothing of it.
mod blob;
mod candidates;
mod graph;
mod leak;
mod manifest;
mod preview;
mod purge;
mod quota;
mod recheck;
mod repository;
mod switches;
mod tag;
mod tombstone;
mod total;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

pub use candidates::{Candidate, candidates};
pub use leak::{LeakKind, LeakPage, collect_leaks, find_leaks};
pub use preview::{Doomed, DoomedObject, preview, preview_content, preview_leaks};
pub use purge::purge_batch;
pub use quota::Quota;
pub use recheck::{count_due as count_due_rechecks, settle_rechecks};
pub use switches::{Lock, Switches};
pub use total::settle_totals;

use crate::{Conn, DbError};

/// Says what a batch may collect, and by which clock.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Tags marked immutable stay: Quay `FEATURE_IMMUTABLE_TAGS` without
    /// `FEATURE_IMMUTABLE_TAGS_CAN_EXPIRE`.
    pub immutable_stays: bool,
    /// What becomes of the size totals of repositories and namespaces that lose a manifest.
    pub quota: Quota,
    /// Pause after which something a pusher held is looked at again.
    pub recheck_after: Duration,
    /// Milliseconds since the Unix epoch; `None` reads the database's clock once a batch.
    pub as_of_ms: Option<i64>,
    /// Lets tests pause a batch and take a lock away; does nothing in a release.
    pub switches: Switches,
}

/// Counts the rows a batch deleted, and says what it left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Rows deleted from `tag`.
    pub tags: u64,
    /// Rows deleted from `uploadedblob`.
    pub uploads: u64,
    /// Rows deleted from `manifest`.
    pub manifests: u64,
    /// Rows deleted from `label`.
    pub labels: u64,
    /// Rows deleted from `imagestorage`.
    pub blobs: u64,
    /// Objects that `blob_gc` may remove later.
    pub tombstones: u64,
    /// Manifests, blobs and labels that a pusher held: looked at again later.
    pub postponed: u64,
    /// Size totals that somebody held: changed later, by [`settle_totals`].
    pub totals_postponed: u64,
    /// Statements sent, `begin` and `commit` not counted.
    pub statements: u64,
    /// The batch was full: the same repositories may hold more.
    pub more: bool,
    /// Untagged manifests that something still refers to. Given to the next batch of the
    /// same repositories, the result does not depend on where batches are cut.
    pub carried: Vec<i64>,
}

impl Collected {
    /// Tells whether the batch changed anything that it was asked to collect.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tags + self.uploads + self.manifests + self.labels + self.blobs == 0
    }
}

/// Names the repositories of one batch and how much of them it may take.
#[derive(Clone, Copy, Debug)]
pub struct Work<'a> {
    /// Repositories to look at. Those that are marked for deletion, whose owner is
    /// disabled, or that another batch holds are left alone.
    pub repositories: &'a [i64],
    /// [`Collected::carried`] of the batch before, of the same repositories.
    pub carried: &'a [i64],
    /// Tags and expired uploads at most. Zero collects nothing.
    pub at_most: u32,
}

/// Collects one batch inside the caller's transaction.
///
/// Deletes tags past their namespace's window (Quay `removed_tag_expiration_s`, inclusive)
/// and expired uploads (`uploadedblob.expires_at`, inclusive), then the manifests, labels
/// and blobs that nothing else holds, and writes a tombstone for each object that lost its
/// last row. At most 16 statements, whatever the size; a total that cannot be changed costs
/// more of them.
///
/// # Errors
///
/// Any [`DbError`]; the caller must roll back. [`DbError::is_contention`] tells when the
/// same batch, smaller, may succeed.
pub async fn collect_batch(
    conn: &mut Conn,
    work: Work<'_>,
    rules: &Rules,
) -> Result<Collected, DbError> {
    let before = conn.statements();
    let mut batch = Batch::begin(conn, work.repositories, rules).await?;
    if !batch.repositories.is_empty() && work.at_most > 0 {
        batch.drop_tags(work.at_most).await?;
        batch.drop_uploads(work.at_most).await?;
        batch.manifests.extend(work.carried);
        batch.collect_below().await?;
    }
    let statements = batch.conn.statements() - before;
    Ok(Collected {
        statements,
        ..batch.collected
    })
}

/// What one batch knows while it runs.
struct Batch<'a> {
    conn: &'a mut Conn,
    rules: &'a Rules,
    /// The one clock of this batch.
    now_ms: i64,
    /// Locked repositories, with their namespace and cut-off.
    repositories: BTreeMap<i64, repository::Locked>,
    /// Candidate manifests.
    manifests: BTreeSet<i64>,
    /// Candidate blobs.
    blobs: BTreeSet<i64>,
    /// Candidate labels.
    labels: BTreeSet<i64>,
    /// Repository and blob of every reference that went; kept while sizes are subtracted.
    dropped: BTreeSet<(i64, i64)>,
    /// What those references add up to, as far as nothing else holds it.
    freed: Vec<total::Freed>,
    /// What a pusher held.
    postponed: Vec<recheck::Row>,
    /// Rows of `quayhand_recheck` that this transaction has locked to settle them.
    taken: BTreeSet<recheck::Row>,
    collected: Collected,
}

impl Batch<'_> {
    /// Follows the candidates down to the blobs and deletes what nothing holds.
    async fn collect_below(&mut self) -> Result<(), DbError> {
        let touched = self.collect_manifests().await?;
        self.collect_blobs_and_labels().await?;
        self.postpone().await?;
        self.settle_totals(&touched).await
    }
}
