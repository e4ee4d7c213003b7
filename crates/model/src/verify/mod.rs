//! Invariants of a registry, looked at without changing anything.
//!
//! Each [`Check`] goes through one table page by page, so that memory is bounded and no
//! statement runs for long. Pages are not one snapshot: on a registry in use something in
//! flight may be reported, and is gone when asked again.
mod extent;
mod leaks;
mod placement;
mod reference;
mod tombstone;
mod total;

use std::{fmt, time::Duration};

pub use extent::expected_rows;
pub use placement::{Placed, placed, still_placed};

use crate::{
    Conn, DbError,
    db::{Param, Sql},
};

/// What must hold, by the number that the documentation gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// No manifest refers to a blob row that is gone.
    BlobRows,
    /// Every blob that is referred to is in storage where its row says, at its size.
    Objects,
    /// No live tag, list or referrer names a manifest that is gone.
    Manifests,
    /// Nothing that a tag protects waits to be removed.
    Protected,
    /// Nothing is left that nothing leads to.
    Leaks,
    /// What was postponed is looked at again.
    Progress,
    /// Totals equal a recount.
    Totals,
}

impl Invariant {
    /// Returns its number, as `I4`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BlobRows => "I1",
            Self::Objects => "I2",
            Self::Manifests => "I4",
            Self::Protected => "I7",
            Self::Leaks => "I8",
            Self::Progress => "I10",
            Self::Totals => "I11",
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something that breaks an invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which invariant.
    pub invariant: Invariant,
    /// What breaks it, as `tag 17`.
    pub subject: String,
    /// In what way.
    pub problem: String,
}

/// What one step looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Rows looked at.
    pub rows: u64,
    /// Where the next step begins; `None` when the table is done.
    pub next: Option<i64>,
    /// What breaks an invariant.
    pub violations: Vec<Violation>,
}

/// One pass over a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Blob rows that manifests refer to.
    ManifestBlobs,
    /// Manifests that live tags point to.
    Tags,
    /// Manifests that lists contain.
    Children,
    /// Subjects of tagged referrers. A referrer may be pushed before its subject (OCI).
    Subjects,
    /// Blobs without a placement that a manifest refers to, outside of proxy caches.
    Placeholders,
    /// Objects that wait to be removed although a tag protects them.
    Tombstones,
    /// Manifests that nothing leads to.
    LeakedManifests,
    /// Blobs that nothing leads to.
    LeakedBlobs,
    /// Labels that nothing leads to.
    LeakedLabels,
    /// What was postponed a day ago and not looked at since.
    Rechecks,
    /// Totals of repositories.
    RepositoryTotals,
    /// Totals of namespaces.
    NamespaceTotals,
}

impl Check {
    /// Every check, in the order of the invariants.
    pub const ALL: [Self; 12] = [
        Self::ManifestBlobs,
        Self::Placeholders,
        Self::Tags,
        Self::Children,
        Self::Subjects,
        Self::Tombstones,
        Self::LeakedManifests,
        Self::LeakedBlobs,
        Self::LeakedLabels,
        Self::Rechecks,
        Self::RepositoryTotals,
        Self::NamespaceTotals,
    ];

    /// Looks at the next rows after `after` (0 begins; then [`Page::next`]). One or two
    /// statements.
    ///
    /// A tombstone whose digest is in use again is dropped by `blob_gc` when it is
    /// `tombstone_grace` old; it counts only an hour later.
    ///
    /// # Errors
    ///
    /// [`DbError::Statement`] if the database refuses.
    pub async fn page(
        self,
        conn: &mut Conn,
        after: i64,
        tombstone_grace: Duration,
    ) -> Result<Page, DbError> {
        match self {
            Self::ManifestBlobs => reference::manifest_blobs(conn, after).await,
            Self::Placeholders => reference::placeholders(conn, after).await,
            Self::Tags => reference::tags(conn, after).await,
            Self::Children => reference::children(conn, after).await,
            Self::Subjects => reference::subjects(conn, after).await,
            Self::Tombstones => tombstone::in_use(conn, after, tombstone_grace).await,
            Self::Rechecks => tombstone::rechecks(conn).await,
            Self::RepositoryTotals => total::repositories(conn, after).await,
            Self::NamespaceTotals => total::namespaces(conn, after).await,
            Self::LeakedManifests | Self::LeakedBlobs | Self::LeakedLabels => {
                leaks::page(conn, self, after).await
            }
        }
    }
}

/// Runs a statement whose first row is `(null, last id, rows, null)` and whose others are
/// violations: `(id, null, null, problem)`.
async fn run(
    conn: &mut Conn,
    sql: &Sql,
    params: &[Param<'_>],
    invariant: Invariant,
    what: &str,
) -> Result<Page, DbError> {
    let mut page = Page::default();
    for row in conn.query(sql, params).await? {
        let Some(id) = row.opt_int(0)? else {
            page.next = row.opt_int(1)?;
            page.rows = row.opt_int(2)?.unwrap_or_default().unsigned_abs();
            continue;
        };
        page.violations.push(Violation {
            invariant,
            subject: format!("{what} {id}"),
            problem: row.text(3)?,
        });
    }
    Ok(page)
}
