//! What a pusher held when a batch came by: written down with the batch, looked at later.
//!
//! The pusher may still roll back, and then no tag leads to the manifest and no manifest
//! to the blob: only `quayhand_recheck` does.
use std::collections::{BTreeMap, BTreeSet};

use super::{Batch, Collected, Lock, Rules};
use crate::{
    Conn, DbError,
    db::{Param, Sql},
};

const MANIFEST: i64 = 1;
const BLOB: i64 = 2;
const LABEL: i64 = 3;

/// A row of `quayhand_recheck`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row {
    kind: i64,
    id: i64,
}

impl Row {
    pub(super) const fn manifest(id: i64) -> Self {
        Self { kind: MANIFEST, id }
    }

    pub(super) const fn blob(id: i64) -> Self {
        Self { kind: BLOB, id }
    }

    pub(super) const fn label(id: i64) -> Self {
        Self { kind: LABEL, id }
    }
}

const COUNT_DUE: Sql = Sql::postgres(
    "gc.count_due_rechecks",
    "
    select (select count(*) from quayhand_recheck where not_before <= clock_timestamp())
           + (select count(*) from quayhand_total_change)",
);

// Rows of a manifest whose repository is to be left alone stay where they are.
const TAKE: Sql = Sql::postgres(
    "gc.take_rechecks",
    r#"
    select kind, object_id
      from quayhand_recheck due
     where not_before <= clock_timestamp()
       and (kind <> 1 or exists (select 1
                                   from manifest m
                                   join repository r on r.id = m.repository_id
                                   join "user" ns on ns.id = r.namespace_user_id
                                  where m.id = due.object_id and r.state <> 3 and ns.enabled)
            or not exists (select 1 from manifest m where m.id = due.object_id))
     order by not_before
     limit $1
       for update of due skip locked"#,
);

const OWNERS: Sql = Sql::postgres(
    "gc.recheck_owners",
    "select id, repository_id from manifest where id = any($1)",
);

// What is held still keeps its row, and gets it a new time.
const SETTLE: Sql = Sql::postgres(
    "gc.settle_rechecks",
    "
    with settled as (
        delete from quayhand_recheck r
         using unnest($1::bigint[], $2::bigint[]) as done (kind, id)
         where r.kind = done.kind and r.object_id = done.id
    )
    update quayhand_recheck r
       set not_before = clock_timestamp() + $5 * interval '1 millisecond'
      from unnest($3::bigint[], $4::bigint[]) as held (kind, id)
     where r.kind = held.kind and r.object_id = held.id",
);

// A row that is there already may be locked by a transaction that settles it and waits for
// a blob of this batch. Doing nothing does not wait for it, and loses nothing: whoever
// comes second to the blob itself sees what the first one left.
const POSTPONE: Sql = Sql::postgres(
    "gc.write_rechecks",
    "
    insert into quayhand_recheck (kind, object_id, not_before)
    select kind, id, clock_timestamp() + $3 * interval '1 millisecond'
      from unnest($1::bigint[], $2::bigint[]) as held (kind, id)
     order by kind, id
        on conflict (kind, object_id) do nothing",
);

/// Counts the rows whose time has come. One statement.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn count_due(conn: &mut Conn) -> Result<u64, DbError> {
    let row = conn.query_one(&COUNT_DUE, &[]).await?;
    Ok(row.int(0)?.unsigned_abs())
}

/// Looks again at no more than `at_most` things that a pusher held, inside the caller's
/// transaction; a row goes in the transaction that settles it.
///
/// [`Collected::more`] tells that there may be further rows. What is held still, or whose
/// repository another batch holds, is postponed again.
///
/// # Errors
///
/// As [`collect_batch`](super::collect_batch).
pub async fn settle_rechecks(
    conn: &mut Conn,
    at_most: u32,
    rules: &Rules,
) -> Result<Collected, DbError> {
    let before = conn.statements();
    let rows = conn.query(&TAKE, &[Param::Int(i64::from(at_most))]).await?;
    let mut taken = BTreeSet::new();
    for row in rows {
        taken.insert(Row {
            kind: row.int(0)?,
            id: row.int(1)?,
        });
    }
    if taken.is_empty() {
        return Ok(Collected::default());
    }
    let owners = owners(conn, &taken).await?;
    let repositories: BTreeSet<_> = owners.values().copied().collect();
    let repositories: Vec<_> = repositories.into_iter().collect();
    let mut batch = Batch::begin(conn, &repositories, rules).await?;
    let more = taken.len() >= at_most as usize;
    batch.adopt(taken, &owners);
    batch.collect_below().await?;
    let statements = batch.conn.statements() - before;
    Ok(Collected {
        statements,
        more,
        ..batch.collected
    })
}

/// Returns the repository of each taken manifest that is there still.
async fn owners(conn: &mut Conn, taken: &BTreeSet<Row>) -> Result<BTreeMap<i64, i64>, DbError> {
    let manifests: Vec<_> = taken
        .iter()
        .filter(|row| row.kind == MANIFEST)
        .map(|row| row.id)
        .collect();
    if manifests.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = conn.query(&OWNERS, &[Param::Ints(&manifests)]).await?;
    rows.iter()
        .map(|row| Ok((row.int(0)?, row.int(1)?)))
        .collect()
}

impl Batch<'_> {
    /// Makes the taken rows candidates; a manifest whose repository could not be locked is
    /// postponed again.
    fn adopt(&mut self, taken: BTreeSet<Row>, owners: &BTreeMap<i64, i64>) {
        for row in &taken {
            match (row.kind, owners.get(&row.id)) {
                (MANIFEST, Some(owner)) if self.repositories.contains_key(owner) => {
                    self.manifests.insert(row.id);
                }
                (MANIFEST, Some(_)) => self.postponed.push(*row),
                (BLOB, _) => drop(self.blobs.insert(row.id)),
                (LABEL, _) => drop(self.labels.insert(row.id)),
                _ => {}
            }
        }
        self.taken = taken;
    }

    /// Writes down what a pusher held, in the transaction that passed it by, and takes out
    /// what is settled.
    ///
    /// After the candidates are locked: a row that is deleted here makes others wait, who
    /// may hold what this batch would still have to wait for.
    pub(super) async fn postpone(&mut self) -> Result<(), DbError> {
        let mut held: BTreeSet<_> = std::mem::take(&mut self.postponed).into_iter().collect();
        if !self.rules.switches.has(Lock::Recheck) {
            held.clear();
        }
        let taken = std::mem::take(&mut self.taken);
        self.collected.postponed = held.len() as u64;
        let wait_ms = i64::try_from(self.rules.recheck_after.as_millis()).unwrap_or(i64::MAX);
        let wait_ms = Param::Int(wait_ms);
        if !taken.is_empty() {
            let (done_kinds, done_ids) = columns(taken.difference(&held));
            let (held_kinds, held_ids) = columns(taken.intersection(&held));
            let [done_kinds, done_ids] = [Param::Ints(&done_kinds), Param::Ints(&done_ids)];
            let [held_kinds, held_ids] = [Param::Ints(&held_kinds), Param::Ints(&held_ids)];
            let params = [done_kinds, done_ids, held_kinds, held_ids, wait_ms];
            self.conn.execute(&SETTLE, &params).await?;
        }
        let (kinds, ids) = columns(held.difference(&taken));
        if !kinds.is_empty() {
            let params = [Param::Ints(&kinds), Param::Ints(&ids), wait_ms];
            self.conn.execute(&POSTPONE, &params).await?;
        }
        Ok(())
    }
}

/// Returns rows as a list of kinds and one of ids.
fn columns<'a>(rows: impl Iterator<Item = &'a Row>) -> (Vec<i64>, Vec<i64>) {
    rows.map(|row| (row.kind, row.id)).unzip()
}
