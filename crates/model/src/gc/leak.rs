//! What nothing leads to any more: rows that a crash, or Quay, left behind for ever.
//!
//! The collector walks from tags that end. What has no tag (a manifest whose tag went in an
//! earlier transaction, the subject of a referrer that is gone, the blobs and labels of a
//! crashed run) it never meets. Finding is separate from collecting: whoever calls decides
//! how often, and how long apart, something must have been found before it goes.
use std::collections::BTreeSet;

use super::{
    Batch, Collected, Rules,
    graph::{self, Reference},
};
use crate::{
    Conn, DbError,
    db::{Param, Row, Sql},
};

/// The kinds of rows that leak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeakKind {
    /// A manifest that no tag, list or referrer holds.
    Manifest,
    /// A blob with a placement that no manifest and no upload holds.
    Blob,
    /// A label that no manifest holds.
    Label,
}

impl LeakKind {
    /// Every kind, in the order in which one frees the next.
    pub const ALL: [Self; 3] = [Self::Manifest, Self::Blob, Self::Label];

    /// Returns the table that the ids are of.
    #[must_use]
    pub const fn table(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Blob => "imagestorage",
            Self::Label => "label",
        }
    }
}

/// Leaks found in one step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeakPage {
    /// Ids of the leaked rows, in order.
    pub ids: Vec<i64>,
    /// Where the next step begins; `None` when everything was looked at.
    pub next: Option<i64>,
}

/// Repositories whose manifests are looked at together: a chain of referrers and subjects
/// lies in one repository.
const REPOSITORIES: i64 = 50;
/// Blobs or labels that are looked at together.
const ROWS: i64 = 20_000;

// Whether a chain of referrers ends at something alive is decided afterwards: here a referrer
// without tag and list is taken for none.
const MANIFESTS: Sql = Sql::postgres(
    "gc.find_leaked_manifests",
    r#"
    with page as materialized (
        select r.id, r.state <> 3 and coalesce(ns.enabled, false) as is_ours
          from repository r
          left join "user" ns on ns.id = r.namespace_user_id
         where r.id > $1
         order by r.id
         limit $2
    )
    select 0, max(id) from page
    union all
    select 1, m.id
      from page p
      join manifest m on m.repository_id = p.id
     where p.is_ours
       and not exists (select 1 from tag t where t.manifest_id = m.id)
       and not exists (select 1 from manifestchild c where c.child_manifest_id = m.id)
       and not exists (select 1
                         from manifest f
                        where f.repository_id = m.repository_id
                          and f.subject = m.digest
                          and (exists (select 1 from tag t where t.manifest_id = f.id)
                               or exists (select 1
                                            from manifestchild c
                                           where c.child_manifest_id = f.id)))"#,
);

const REFERRERS: Sql = Sql::postgres(
    "gc.find_referrers",
    "
    select s.id, f.id
      from manifest s
      join manifest f on f.repository_id = s.repository_id and f.subject = s.digest
     where s.id = any($1)",
);

// A blob without a placement is a placeholder of the proxy cache.
const BLOBS: Sql = Sql::postgres(
    "gc.find_leaked_blobs",
    "
    with page as materialized (
        select id from imagestorage where id > $1 order by id limit $2
    )
    select 0, max(id) from page
    union all
    select 1, p.id
      from page p
     where not exists (select 1 from manifestblob mb where mb.blob_id = p.id)
       and not exists (select 1 from uploadedblob ub where ub.blob_id = p.id)
       and exists (select 1 from imagestorageplacement pl where pl.storage_id = p.id)",
);

const LABELS: Sql = Sql::postgres(
    "gc.find_leaked_labels",
    "
    with page as materialized (
        select id from label where id > $1 order by id limit $2
    )
    select 0, max(id) from page
    union all
    select 1, p.id
      from page p
     where not exists (select 1 from manifestlabel ml where ml.label_id = p.id)",
);

const OWNERS: Sql = Sql::postgres(
    "gc.leak_owners",
    "select distinct repository_id from manifest where id = any($1)",
);

/// Finds leaks among the next rows after `after` (0 begins; then [`LeakPage::next`]).
///
/// Of manifests only those that nothing at all holds, directly or through referrers; what
/// hangs below them goes with them. Repositories that are marked for deletion or whose owner
/// is disabled are not looked at. One or two statements, no locks; memory and time are
/// bounded by 20,000 rows or 50 repositories.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn find_leaks(conn: &mut Conn, kind: LeakKind, after: i64) -> Result<LeakPage, DbError> {
    let (sql, rows) = match kind {
        LeakKind::Manifest => (&MANIFESTS, REPOSITORIES),
        LeakKind::Blob => (&BLOBS, ROWS),
        LeakKind::Label => (&LABELS, ROWS),
    };
    let found = conn
        .query(sql, &[Param::Int(after), Param::Int(rows)])
        .await?;
    let mut page = LeakPage::default();
    let mut ids = BTreeSet::new();
    for row in found {
        match (row.int(0)?, row.opt_int(1)?) {
            (0, last) => page.next = last,
            (_, id) => ids.extend(id),
        }
    }
    page.ids = match kind {
        LeakKind::Manifest => without_live_referrer(conn, &ids).await?,
        LeakKind::Blob | LeakKind::Label => ids.into_iter().collect(),
    };
    Ok(page)
}

/// Keeps of untagged manifests those that no referrer holds but such as are leaked too.
async fn without_live_referrer(conn: &mut Conn, ids: &BTreeSet<i64>) -> Result<Vec<i64>, DbError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let list: Vec<_> = ids.iter().copied().collect();
    let rows = conn.query(&REFERRERS, &[Param::Ints(&list)]).await?;
    let read = |row: &Row| {
        Ok(Reference {
            manifest: row.int(0)?,
            by: Some(row.int(1)?),
        })
    };
    let references = rows.iter().map(read).collect::<Result<Vec<_>, DbError>>()?;
    let mut leaked = graph::unreferenced(ids, &references);
    leaked.sort_unstable();
    Ok(leaked)
}

/// Collects rows that were found leaked, inside the caller's transaction: with all locks and
/// judgements of a batch, so what is held again stays. A few hundred ids make a good batch.
///
/// A manifest whose repository another batch holds stays and is not written down anywhere:
/// the next search finds it.
///
/// # Errors
///
/// As [`collect_batch`](super::collect_batch).
pub async fn collect_leaks(
    conn: &mut Conn,
    kind: LeakKind,
    ids: &[i64],
    rules: &Rules,
) -> Result<Collected, DbError> {
    let before = conn.statements();
    let repositories = match kind {
        LeakKind::Manifest => owners(conn, ids).await?,
        LeakKind::Blob | LeakKind::Label => Vec::new(),
    };
    let mut batch = Batch::begin(conn, &repositories, rules).await?;
    match kind {
        LeakKind::Manifest => batch.manifests.extend(ids),
        LeakKind::Blob => batch.blobs.extend(ids),
        LeakKind::Label => batch.labels.extend(ids),
    }
    batch.collect_below().await?;
    let statements = batch.conn.statements() - before;
    Ok(Collected {
        statements,
        ..batch.collected
    })
}

async fn owners(conn: &mut Conn, ids: &[i64]) -> Result<Vec<i64>, DbError> {
    let rows = conn.query(&OWNERS, &[Param::Ints(ids)]).await?;
    rows.iter().map(|row| row.int(0)).collect()
}
