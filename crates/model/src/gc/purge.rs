//! Purging the content of a repository that is marked for deletion: the stages of a batch
//! without the question whether anything has expired.
//!
//! One batch is of one repository. Its tags go whatever their end and their immutability,
//! then its uploads, then its manifests, as many of each as the batch has room for. What
//! refers to a manifest from inside the repository does not keep it, since it goes as well:
//! lists, cycles and subjects cannot stop a purge. What refers to it from outside does. The
//! state is looked at again under the repository's lock in every batch.
use std::collections::{BTreeMap, BTreeSet};

use super::{Batch, Collected, Lock, Rules, repository::Locked};
use crate::{
    Conn, DbError,
    db::{Param, Sql},
};

// The same lock as a batch of expired tags takes: one that began before the repository was
// marked is passed by until it ends.
const LOCK: Sql = Sql::postgres(
    "gc.lock_marked_repository",
    "
    select coalesce(namespace_user_id, 0),
           coalesce($2, floor(extract(epoch from clock_timestamp()) * 1000)::bigint)
      from repository
     where id = $1
       and state = 3
       for no key update skip locked",
);

const LOCK_TAGS: Sql = Sql::postgres(
    "gc.lock_marked_tags",
    "
    select id, repository_id, name, manifest_id
      from tag
     where repository_id = $1
     limit $2
       for update skip locked",
);

const UNLINK_TAGS: Sql = Sql::postgres(
    "gc.unlink_marked_tags",
    "update tag set linked_tag_id = null where linked_tag_id = any($1)",
);

const DELETE_UPLOADS: Sql = Sql::postgres(
    "gc.delete_marked_uploads",
    "
    delete from uploadedblob
     where id in (select id
                    from uploadedblob
                   where repository_id = $1
                   limit $2
                     for update skip locked)
    returning blob_id",
);

// What is held from outside is not even looked at: many of them in front would leave no
// room in a batch for what can go.
const MANIFESTS: Sql = Sql::postgres(
    "gc.marked_manifests",
    "
    select m.id
      from manifest m
     where m.repository_id = $1
       and not exists (select 1 from tag t where t.manifest_id = m.id)
       and not exists (select 1
                         from manifestchild c
                         join manifest list on list.id = c.manifest_id
                        where c.child_manifest_id = m.id
                          and list.repository_id <> m.repository_id)
     order by m.id
     limit $2",
);

// A statement of its own, after the locks: it sees what committed while they were taken.
const HELD: Sql = Sql::postgres(
    "gc.marked_manifests_held",
    "
    select manifest_id from tag where manifest_id = any($1)
    union
    select c.child_manifest_id
      from manifestchild c
      join manifest list on list.id = c.manifest_id
     where c.child_manifest_id = any($1)
       and list.repository_id <> $2",
);

const UNLIST: Sql = Sql::postgres(
    "gc.unlist_marked_manifests",
    "delete from manifestchild where child_manifest_id = any($1)",
);

/// Purges one batch of the content of a repository inside the caller's transaction: at most
/// `at_most` tags, uploads and manifests together, and the labels and blobs that only they
/// held. Writes a tombstone for each object that lost its last row. At most 16 statements.
///
/// Returns `None`, and has changed nothing, when the repository is gone, is not marked for
/// deletion, or is held by another batch. [`Collected::more`] tells that the batch was full.
///
/// # Errors
///
/// As [`collect_batch`](super::collect_batch).
pub async fn purge_batch(
    conn: &mut Conn,
    repository_id: i64,
    at_most: u32,
    rules: &Rules,
) -> Result<Option<Collected>, DbError> {
    let before = conn.statements();
    let params = [Param::Int(repository_id), Param::OptInt(rules.as_of_ms)];
    let switches = &rules.switches;
    let clause = "for no key update skip locked";
    let text = switches.text(Lock::PurgedRepository, clause, LOCK.postgres);
    let text = switches.text(Lock::PurgedMark, "and state = 3", text);
    let rows = conn.query_text(LOCK.name, &text, &params).await?;
    let Some(row) = rows.into_iter().next() else {
        return Ok(None);
    };
    let now_ms = row.int(1)?;
    let locked = Locked {
        namespace_id: row.int(0)?,
        cut_ms: now_ms,
    };
    rules.switches.pause("repositories locked").await;
    let repositories = BTreeMap::from([(repository_id, locked)]);
    let mut batch = Batch::over(conn, rules, now_ms, repositories);
    batch.purge(repository_id, at_most).await?;
    let statements = batch.conn.statements() - before;
    Ok(Some(Collected {
        statements,
        ..batch.collected
    }))
}

impl Batch<'_> {
    async fn purge(&mut self, repository_id: i64, at_most: u32) -> Result<(), DbError> {
        self.purge_tags(repository_id, at_most).await?;
        let room = at_most.saturating_sub(count(self.collected.tags));
        self.purge_uploads(repository_id, room).await?;
        let room = room.saturating_sub(count(self.collected.uploads));
        let touched = self.purge_manifests(repository_id, room).await?;
        self.collect_blobs_and_labels().await?;
        self.postpone().await?;
        self.settle_totals(&touched).await
    }

    async fn purge_tags(&mut self, repository_id: i64, at_most: u32) -> Result<(), DbError> {
        let params = [Param::Int(repository_id), Param::Int(i64::from(at_most))];
        let rows = self.conn.query(&LOCK_TAGS, &params).await?;
        let ids: Result<Vec<_>, _> = rows.iter().map(|row| row.int(0)).collect();
        let ids = ids?;
        if !ids.is_empty() {
            let params = [Param::Ints(&ids)];
            self.conn.execute(&UNLINK_TAGS, &params).await?;
        }
        self.delete_tags(&rows, at_most).await
    }

    async fn purge_uploads(&mut self, repository_id: i64, room: u32) -> Result<(), DbError> {
        if room == 0 {
            return Ok(());
        }
        let params = [Param::Int(repository_id), Param::Int(i64::from(room))];
        let rows = self.conn.query(&DELETE_UPLOADS, &params).await?;
        self.collected.uploads = rows.len() as u64;
        self.collected.more |= rows.len() >= room as usize;
        for row in rows {
            self.blobs.insert(row.int(0)?);
        }
        Ok(())
    }

    /// Deletes manifests that nothing outside of the repository refers to.
    async fn purge_manifests(
        &mut self,
        repository_id: i64,
        room: u32,
    ) -> Result<BTreeSet<i64>, DbError> {
        let params = [Param::Int(repository_id), Param::Int(i64::from(room))];
        if room == 0 {
            return Ok(BTreeSet::new());
        }
        let rows = self.conn.query(&MANIFESTS, &params).await?;
        self.collected.more |= rows.len() >= room as usize;
        let found: Result<Vec<_>, _> = rows.iter().map(|row| row.int(0)).collect();
        let found = found?;
        self.rules.switches.pause("manifests reached").await;
        if found.is_empty() {
            return Ok(BTreeSet::new());
        }
        let locked = self.lock_manifests(&found).await?;
        self.rules.switches.pause("manifests locked").await;
        let gone: Vec<_> = locked.keys().copied().collect();
        let held = self.held_from_outside(repository_id, &gone).await?;
        let gone: Vec<_> = gone.into_iter().filter(|id| !held.contains(id)).collect();
        if gone.is_empty() {
            return Ok(BTreeSet::new());
        }
        self.conn.execute(&UNLIST, &[Param::Ints(&gone)]).await?;
        self.delete_manifests(&gone, &locked).await?;
        Ok(BTreeSet::from([repository_id]))
    }

    async fn held_from_outside(
        &mut self,
        repository_id: i64,
        manifests: &[i64],
    ) -> Result<BTreeSet<i64>, DbError> {
        let params = [Param::Ints(manifests), Param::Int(repository_id)];
        let rows = self.conn.query(&HELD, &params).await?;
        rows.iter().map(|row| row.int(0)).collect()
    }
}

fn count(rows: u64) -> u32 {
    u32::try_from(rows).unwrap_or(u32::MAX)
}
