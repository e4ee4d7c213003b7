//! Stage 2: the tags past recovery and the uploads past their time.
use super::{Batch, Lock};
use crate::{
    DbError,
    db::{Param, Row, Sql},
};

// Without an order the index by (repository, end) serves the oldest first and stops at the
// limit; sorting by id would read all garbage of a large repository for every batch.
// A tag that another one is linked to stays until that one is gone: its row could not go,
// and whether the other goes in this batch is not known yet.
// A manifest of another repository is not what a tag leads to: Quay's run over one repository
// deletes manifests of that one only.
const LOCK: Sql = Sql::postgres(
    "gc.lock_tags",
    "
    with due as materialized (
        select * from unnest($1::bigint[], $2::bigint[]) as due (repository_id, cut_ms)
    )
    select t.id, t.repository_id, t.name,
           (select m.id
              from manifest m
             where m.id = t.manifest_id and m.repository_id = t.repository_id)
      from due
      join tag t on t.repository_id = due.repository_id and t.lifetime_end_ms <= due.cut_ms
     where not ($3 and t.immutable)
       and coalesce((select false
                       from tag other
                      where other.linked_tag_id = t.id and other.id <> t.id
                      limit 1), true)
     limit $4
       for update of t skip locked",
);

// Counters go by name, a living tag's too, as they do with Quay. Those that a flush holds
// stay: it holds many, in any order, and may want those that this statement has.
const DELETE: Sql = Sql::postgres(
    "gc.delete_tags",
    "
    with named as materialized (
        select distinct * from unnest($2::bigint[], $3::text[]) as named (repository_id, name)
    ),
    pulls as (
        delete from tagpullstatistics
         where id in (select s.id
                        from named
                        join tagpullstatistics s
                          on s.repository_id = named.repository_id and s.tag_name = named.name
                         for update of s skip locked)
    ),
    notified as (
        delete from tagnotificationsuccess where tag_id = any($1)
    )
    delete from tag where id = any($1) returning id",
);

const DELETE_UPLOADS: Sql = Sql::postgres(
    "gc.delete_uploads",
    "
    delete from uploadedblob
     where id in (select id
                    from uploadedblob
                   where repository_id = any($1)
                     and expires_at <= to_timestamp($2 / 1000.0) at time zone 'utc'
                   limit $3
                     for update skip locked)
    returning blob_id",
);

impl Batch<'_> {
    /// Deletes at most `at_most` tags past recovery; their manifests become candidates.
    pub(super) async fn drop_tags(&mut self, at_most: u32) -> Result<(), DbError> {
        let (ids, cuts): (Vec<_>, Vec<_>) = self
            .repositories
            .iter()
            .map(|(id, repository)| (*id, repository.cut_ms))
            .unzip();
        let clause = "for update of t skip locked";
        let text = self.rules.switches.text(Lock::Tags, clause, LOCK.postgres);
        let params = [
            Param::Ints(&ids),
            Param::Ints(&cuts),
            Param::Bool(self.rules.immutable_stays),
            Param::Int(i64::from(at_most)),
        ];
        let rows = self.conn.query_text(LOCK.name, &text, &params).await?;
        for row in &rows {
            self.manifests.extend(row.opt_int(3)?);
        }
        self.delete_tags(&rows, at_most).await
    }

    /// Deletes locked tags, each a row of its id, repository and name, with their counters
    /// and notes of notifications.
    pub(super) async fn delete_tags(&mut self, rows: &[Row], at_most: u32) -> Result<(), DbError> {
        let (mut tags, mut owners, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            tags.push(row.int(0)?);
            owners.push(row.int(1)?);
            names.push(row.text(2)?);
        }
        self.rules.switches.pause("tags locked").await;
        if tags.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let params = [
            Param::Ints(&tags),
            Param::Ints(&owners),
            Param::Texts(&names),
        ];
        let clause = "for update of s skip locked";
        let switches = &self.rules.switches;
        let text = switches.text(Lock::Statistics, clause, DELETE.postgres);
        let deleted = self.conn.query_text(DELETE.name, &text, &params).await?;
        self.collected.tags = deleted.len() as u64;
        self.collected.more = tags.len() >= at_most as usize;
        Ok(())
    }

    /// Deletes expired uploads, as many as the tags left room for; their blobs become
    /// candidates.
    pub(super) async fn drop_uploads(&mut self, at_most: u32) -> Result<(), DbError> {
        let room = i64::from(at_most).saturating_sub_unsigned(self.collected.tags);
        if room <= 0 {
            return Ok(());
        }
        let ids: Vec<_> = self.repositories.keys().copied().collect();
        let params = [Param::Ints(&ids), Param::Int(self.now_ms), Param::Int(room)];
        let rows = self.conn.query(&DELETE_UPLOADS, &params).await?;
        self.collected.uploads = rows.len() as u64;
        self.collected.more |= i64::try_from(rows.len()).is_ok_and(|n| n >= room);
        for row in rows {
            self.blobs.insert(row.int(0)?);
        }
        Ok(())
    }
}
