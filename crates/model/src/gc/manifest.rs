//! Stage 3: manifests that lost their last tag, and what hangs below them.
use std::collections::{BTreeMap, BTreeSet};

use super::{Batch, Lock, graph, graph::Reference, recheck};
use crate::{
    DbError,
    db::{Param, Sql},
};

// Any row of `tag` protects, dead ones inside their window too. A subject is not walked to:
// Quay keeps it when its last referrer goes. Neither is a child in another repository: what is
// left must not depend on which repositories are in one batch.
// Nobody can tell beforehand how many a recursion reaches, and the planner fears a hundred
// times as many as there are: without `lateral` it reads all manifests of the repositories.
const WALK: Sql = Sql::postgres(
    "gc.walk_manifests",
    "
    with recursive reached (id, repository_id) as (
        select origin.id, m.repository_id
          from unnest($1::bigint[]) as origin (id)
         cross join lateral (select m.repository_id
                               from manifest m
                              where m.id = origin.id
                             offset 0) m
         where m.repository_id = any($2)
        union
        select child.id, reached.repository_id
          from reached
         cross join lateral (select c.child_manifest_id as id
                               from manifestchild c
                              where c.manifest_id = reached.id
                             offset 0) child
         cross join lateral (select m.repository_id
                               from manifest m
                              where m.id = child.id
                             offset 0) m
         where m.repository_id = reached.repository_id
    )
    select reached.id
      from reached
     where coalesce((select false from tag t where t.manifest_id = reached.id limit 1), true)
     order by reached.id",
);

// Quay's scanner replaces its result in one transaction: it holds the old row first and
// the manifest later. A batch that took them the other way round would deadlock with it.
const LOCK: Sql = Sql::postgres(
    "gc.lock_manifests",
    "
    with scans as materialized (
        select s.manifest_id
          from manifestsecuritystatus s
         where s.manifest_id = any($1)
         order by s.manifest_id
           for update of s skip locked
    )
    select m.id, m.repository_id, m.digest
      from manifest m
     where m.id = any($1)
       and m.id not in (select s.manifest_id
                          from manifestsecuritystatus s
                         where s.manifest_id = any($1)
                        except
                        select manifest_id from scans)
     order by m.id
       for update of m skip locked",
);

// A statement of its own, after the locks: it sees what committed while they were taken.
const REFERENCES: Sql = Sql::postgres(
    "gc.manifest_references",
    "
    select distinct manifest_id, null::bigint from tag where manifest_id = any($1)
    union all
    select child_manifest_id, manifest_id from manifestchild where child_manifest_id = any($1)
    union all
    select s.id, r.id
      from manifest s
      join manifest r on r.repository_id = s.repository_id and r.subject = s.digest
     where s.id = any($1)",
);

// Counters that a flush holds stay: it holds many, in any order, and may want those that
// this statement has.
const DELETE: Sql = Sql::postgres(
    "gc.delete_manifests",
    "
    with labels as (
        delete from manifestlabel where manifest_id = any($1) returning label_id
    ),
    children as (
        delete from manifestchild where manifest_id = any($1)
    ),
    blobs as (
        delete from manifestblob where manifest_id = any($1) returning blob_id, repository_id
    ),
    scans as (
        delete from manifestsecuritystatus where manifest_id = any($1)
    ),
    pulls as (
        delete from manifestpullstatistics
         where id in (select s.id
                        from unnest($2::bigint[], $3::text[]) as gone (repository_id, digest)
                        join manifestpullstatistics s
                          on s.repository_id = gone.repository_id
                         and s.manifest_digest = gone.digest
                         for update of s skip locked)
    ),
    manifests as (
        delete from manifest where id = any($1) returning id
    )
    select 0, label_id, 0 from labels
    union
    select 1, blob_id, repository_id from blobs
    union
    select 2, count(*), 0 from manifests",
);

/// A manifest this batch has locked.
pub(super) struct Locked {
    repository_id: i64,
    digest: String,
}

impl Batch<'_> {
    /// Deletes the candidates that nothing refers to; their labels and blobs become
    /// candidates. Returns the repositories that lost a manifest.
    pub(super) async fn collect_manifests(&mut self) -> Result<BTreeSet<i64>, DbError> {
        let reached = self.walk().await?;
        self.rules.switches.pause("manifests reached").await;
        if reached.is_empty() {
            return Ok(BTreeSet::new());
        }
        let locked = self.lock_manifests(&reached).await?;
        self.rules.switches.pause("manifests locked").await;
        let mut references = self.references(&reached).await?;
        if !self.rules.switches.has(Lock::ManifestsAgain) {
            references.retain(|reference| reference.by.is_some());
        }
        self.postpone_held(&reached, &locked, &references);
        let candidates = locked.keys().copied().collect();
        let gone = graph::unreferenced(&candidates, &references);
        self.carry(&candidates, &gone, &references);
        self.delete_manifests(&gone, &locked).await?;
        Ok(gone.iter().map(|id| locked[id].repository_id).collect())
    }

    async fn walk(&mut self) -> Result<Vec<i64>, DbError> {
        if self.manifests.is_empty() {
            return Ok(Vec::new());
        }
        let from: Vec<_> = self.manifests.iter().copied().collect();
        let mine: Vec<_> = self.repositories.keys().copied().collect();
        let params = [Param::Ints(&from), Param::Ints(&mine)];
        let rows = self.conn.query(&WALK, &params).await?;
        rows.iter().map(|row| row.int(0)).collect()
    }

    /// Locks those of the manifests that nobody holds, in the order of their ids.
    pub(super) async fn lock_manifests(
        &mut self,
        ids: &[i64],
    ) -> Result<BTreeMap<i64, Locked>, DbError> {
        let switches = &self.rules.switches;
        let text = switches.text(Lock::Scans, "for update of s skip locked", LOCK.postgres);
        let text = switches.text(Lock::Manifests, "for update of m skip locked", text);
        let rows = self
            .conn
            .query_text(LOCK.name, &text, &[Param::Ints(ids)])
            .await?;
        let mut locked = BTreeMap::new();
        for row in rows {
            let manifest = Locked {
                repository_id: row.int(1)?,
                digest: row.text(2)?,
            };
            locked.insert(row.int(0)?, manifest);
        }
        Ok(locked)
    }

    async fn references(&mut self, ids: &[i64]) -> Result<Vec<Reference>, DbError> {
        let rows = self.conn.query(&REFERENCES, &[Param::Ints(ids)]).await?;
        let read = |row: &crate::db::Row| {
            Ok(Reference {
                manifest: row.int(0)?,
                by: row.opt_int(1)?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Notes the manifests that a writer holds: it may still roll back, and then nothing
    /// else would ever look at them again.
    fn postpone_held(
        &mut self,
        reached: &[i64],
        locked: &BTreeMap<i64, Locked>,
        references: &[Reference],
    ) {
        let tagged: BTreeSet<_> = references
            .iter()
            .filter(|reference| reference.by.is_none())
            .map(|reference| reference.manifest)
            .collect();
        for id in reached {
            if !locked.contains_key(id) && !tagged.contains(id) {
                self.postponed.push(recheck::Row::manifest(*id));
            }
        }
    }

    /// Hands the untagged manifests that stay to the next batch of these repositories,
    /// whose tags may hold the last reference to them.
    fn carry(&mut self, candidates: &BTreeSet<i64>, gone: &[i64], references: &[Reference]) {
        if !self.collected.more {
            return;
        }
        let mut left = candidates.clone();
        for id in gone {
            left.remove(id);
        }
        for reference in references {
            if reference.by.is_none() {
                left.remove(&reference.manifest);
            }
        }
        self.collected.carried = left.into_iter().collect();
    }

    /// Deletes locked manifests with all that hangs on them; their labels and blobs become
    /// candidates.
    pub(super) async fn delete_manifests(
        &mut self,
        gone: &[i64],
        locked: &BTreeMap<i64, Locked>,
    ) -> Result<(), DbError> {
        if gone.is_empty() {
            return Ok(());
        }
        let owners: Vec<_> = gone.iter().map(|id| locked[id].repository_id).collect();
        let digests: Vec<_> = gone.iter().map(|id| locked[id].digest.as_str()).collect();
        let params = [
            Param::Ints(gone),
            Param::Ints(&owners),
            Param::Texts(&digests),
        ];
        let clause = "for update of s skip locked";
        let switches = &self.rules.switches;
        let text = switches.text(Lock::Statistics, clause, DELETE.postgres);
        for row in self.conn.query_text(DELETE.name, &text, &params).await? {
            let value = row.int(1)?;
            match row.int(0)? {
                0 => drop(self.labels.insert(value)),
                1 => {
                    self.blobs.insert(value);
                    self.note_dropped(row.int(2)?, value);
                }
                _ => self.collected.manifests = value.unsigned_abs(),
            }
        }
        self.rules.switches.pause("manifests deleted").await;
        Ok(())
    }
}
