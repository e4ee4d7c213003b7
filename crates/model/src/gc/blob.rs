//! Stages 4 and 5: the blobs and labels that lost a reference.
use std::collections::{BTreeMap, BTreeSet};

use super::{Batch, Lock, recheck, tombstone};
use crate::{
    DbError,
    db::{Param, Sql},
};

// No key update conflicts with another collector, not with a pusher's foreign-key check.
const LOCK_CANDIDATES: Sql = Sql::postgres(
    "gc.lock_candidates",
    "
    with labels as materialized (
        select id from label where id = any($1) order by id for no key update
    ),
    blobs as materialized (
        select id from imagestorage where id = any($2) order by id for no key update
    )
    select (select count(*) from labels), (select count(*) from blobs)",
);

// An expired upload protects its blob until its row is gone; a blob without a placement is
// a placeholder of the proxy cache, whose download may be running.
const LOCK_ORPHANS: Sql = Sql::postgres(
    "gc.lock_orphans",
    "
    with labels as materialized (
        select l.id
          from label l
         where l.id = any($1)
           and not exists (select 1 from manifestlabel ml where ml.label_id = l.id)
         order by l.id
           for update of l skip locked
    ),
    blobs as materialized (
        select s.id
          from imagestorage s
         where s.id = any($2)
           and not exists (select 1 from manifestblob mb where mb.blob_id = s.id)
           and not exists (select 1 from uploadedblob ub where ub.blob_id = s.id)
           and exists (select 1 from imagestorageplacement p where p.storage_id = s.id)
         order by s.id
           for update of s skip locked
    )
    select 0, id from labels
    union all
    select 1, id from blobs",
);

// The same question once more, without locks and after them: what is an orphan still and
// was not locked is held by a pusher.
const ORPHANS: Sql = Sql::postgres(
    "gc.orphans",
    "
    select 0, l.id, null, false, null
      from label l
     where l.id = any($1)
       and not exists (select 1 from manifestlabel ml where ml.label_id = l.id)
    union all
    select 1, s.id, s.uuid, s.cas_path, s.content_checksum
      from imagestorage s
     where s.id = any($2)
       and not exists (select 1 from manifestblob mb where mb.blob_id = s.id)
       and not exists (select 1 from uploadedblob ub where ub.blob_id = s.id)
       and exists (select 1 from imagestorageplacement p where p.storage_id = s.id)",
);

const DELETE: Sql = Sql::postgres(
    "gc.delete_orphans",
    "
    with labels as (
        delete from label where id = any($1) returning id
    ),
    placements as (
        delete from imagestorageplacement
         where storage_id = any($2)
        returning storage_id, location_id
    ),
    signatures as (
        delete from imagestoragesignature where storage_id = any($2)
    ),
    blobs as (
        delete from imagestorage where id = any($2) returning id
    )
    select 0, count(*), 0 from labels
    union all
    select 1, count(*), 0 from blobs
    union all
    select 2, storage_id, location_id from placements",
);

/// What the orphan test found.
#[derive(Default)]
pub(super) struct Orphans {
    labels: BTreeSet<i64>,
    blobs: BTreeMap<i64, Option<tombstone::Object>>,
}

impl Batch<'_> {
    /// Deletes the candidate labels and blobs that nothing refers to any more, and writes
    /// a tombstone for each object that lost its row.
    pub(super) async fn collect_blobs_and_labels(&mut self) -> Result<(), DbError> {
        if self.blobs.is_empty() && self.labels.is_empty() {
            return Ok(());
        }
        let labels: Vec<_> = std::mem::take(&mut self.labels).into_iter().collect();
        let blobs: Vec<_> = std::mem::take(&mut self.blobs).into_iter().collect();
        let candidates = [Param::Ints(&labels), Param::Ints(&blobs)];
        if self.rules.switches.has(Lock::Candidates) {
            self.conn.query(&LOCK_CANDIDATES, &candidates).await?;
        }
        self.rules.switches.pause("candidates locked").await;
        self.measure_freed().await?;
        let mut doomed = self.lock_orphans(&candidates).await?;
        self.rules.switches.pause("orphans locked").await;
        let orphans = self.orphans(&candidates).await?;
        self.settle(&mut doomed, orphans);
        self.delete_orphans(&doomed).await
    }

    async fn lock_orphans(&mut self, candidates: &[Param<'_>]) -> Result<Orphans, DbError> {
        let text = self.orphan_lock_text();
        let rows = self
            .conn
            .query_text(LOCK_ORPHANS.name, &text, candidates)
            .await?;
        let mut locked = Orphans::default();
        for row in rows {
            let id = row.int(1)?;
            if row.int(0)? == 0 {
                locked.labels.insert(id);
            } else {
                locked.blobs.insert(id, None);
            }
        }
        Ok(locked)
    }

    fn orphan_lock_text(&self) -> std::borrow::Cow<'static, str> {
        let clause = "for update of s skip locked";
        self.rules
            .switches
            .text(Lock::Orphans, clause, LOCK_ORPHANS.postgres)
    }

    async fn orphans(&mut self, candidates: &[Param<'_>]) -> Result<Orphans, DbError> {
        let mut orphans = Orphans::default();
        for row in self.conn.query(&ORPHANS, candidates).await? {
            let id = row.int(1)?;
            if row.int(0)? == 0 {
                orphans.labels.insert(id);
                continue;
            }
            let object = tombstone::Object {
                uuid: row.opt_text(2)?.unwrap_or_default(),
                content_addressed: row.bool(3)?,
                checksum: row.opt_text(4)?,
            };
            orphans.blobs.insert(id, Some(object));
        }
        Ok(orphans)
    }

    /// Keeps of the locked orphans those that are orphans still; an orphan that is not
    /// locked is held by a pusher, which may still roll back, and is postponed.
    fn settle(&mut self, doomed: &mut Orphans, mut found: Orphans) {
        if self.rules.switches.has(Lock::OrphansAgain) {
            doomed.labels.retain(|id| found.labels.contains(id));
            doomed.blobs.retain(|id, _| found.blobs.contains_key(id));
        }
        for id in found.labels.difference(&doomed.labels) {
            self.postponed.push(recheck::Row::label(*id));
        }
        for id in found.blobs.keys() {
            if !doomed.blobs.contains_key(id) {
                self.postponed.push(recheck::Row::blob(*id));
            }
        }
        for (id, object) in &mut doomed.blobs {
            *object = found.blobs.remove(id).flatten();
        }
    }

    async fn delete_orphans(&mut self, doomed: &Orphans) -> Result<(), DbError> {
        if doomed.labels.is_empty() && doomed.blobs.is_empty() {
            return Ok(());
        }
        let labels: Vec<_> = doomed.labels.iter().copied().collect();
        let blobs: Vec<_> = doomed.blobs.keys().copied().collect();
        let params = [Param::Ints(&labels), Param::Ints(&blobs)];
        let mut tombstones = Vec::new();
        for row in self.conn.query(&DELETE, &params).await? {
            let value = row.int(1)?;
            match row.int(0)? {
                0 => self.collected.labels = value.unsigned_abs(),
                1 => self.collected.blobs = value.unsigned_abs(),
                _ => {
                    if let Some(Some(object)) = doomed.blobs.get(&value) {
                        tombstones.extend(object.tombstone(row.int(2)?));
                    }
                }
            }
        }
        self.rules.switches.pause("orphans deleted").await;
        self.collected.tombstones = tombstone::write(self.conn, &tombstones).await?;
        Ok(())
    }
}
