//! Stage 6: sizes that no longer hold. Last, because every batch of a namespace wants the
//! same row; and without waiting for it ([`total`]).
use std::collections::{BTreeMap, BTreeSet};

use super::{Batch, total};
use crate::{
    DbError,
    db::{Param, Sql},
};

/// Says what becomes of the size totals of repositories and namespaces that lose a manifest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quota {
    /// They stay as they are: quota management is off, and so is `QUOTA_INVALIDATE_TOTALS`.
    #[default]
    Keep,
    /// They are reset, so that the backfill counts them again: quota management is off.
    Reset,
    /// They shrink by what nothing there holds any more: quota management is on.
    Subtract {
        /// A total that cannot be changed does not stop the batch (Quay
        /// `FEATURE_QUOTA_SUPPRESS_FAILURES`).
        suppress_failures: bool,
    },
}

/// Bytes that repositories and namespaces no longer hold.
#[derive(Default)]
pub(super) struct Freed {
    repositories: BTreeMap<i64, i64>,
    namespaces: BTreeMap<i64, i64>,
}

// Asked once the candidates are locked: of two batches that each drop one of the last two
// references in a namespace, the second sees that the first one is gone.
const MEASURE: Sql = Sql::postgres(
    "gc.measure_freed",
    r#"
    with owned as materialized (
        select dropped.repository_id, dropped.blob_id, r.namespace_user_id,
               coalesce(s.image_size, 0) as bytes
          from unnest($1::bigint[], $2::bigint[]) as dropped (repository_id, blob_id)
          join repository r on r.id = dropped.repository_id
          join "user" ns on ns.id = r.namespace_user_id
          join imagestorage s on s.id = dropped.blob_id
         where ns.enabled and not ns.robot
    )
    select 0, o.repository_id, sum(o.bytes)::bigint
      from owned o
     where not exists (select 1
                         from manifestblob mb
                        where mb.repository_id = o.repository_id and mb.blob_id = o.blob_id)
     group by o.repository_id
    union all
    select 1, o.namespace_user_id, sum(o.bytes)::bigint
      from (select distinct namespace_user_id, blob_id, bytes from owned) o
     where not exists (select 1
                         from manifestblob mb
                         join repository r on r.id = mb.repository_id
                        where mb.blob_id = o.blob_id
                          and r.namespace_user_id = o.namespace_user_id)
     group by o.namespace_user_id"#,
);

impl Batch<'_> {
    /// Notes that a repository lost a reference to a blob, while sizes are subtracted.
    pub(super) fn note_dropped(&mut self, repository_id: i64, blob_id: i64) {
        if matches!(self.rules.quota, Quota::Subtract { .. }) {
            self.dropped.insert((repository_id, blob_id));
        }
    }

    /// Adds up what repositories and namespaces no longer hold, while the blobs' rows are
    /// there still.
    pub(super) async fn measure_freed(&mut self) -> Result<(), DbError> {
        if self.dropped.is_empty() {
            return Ok(());
        }
        let dropped = std::mem::take(&mut self.dropped);
        let (repositories, blobs): (Vec<_>, Vec<_>) = dropped.into_iter().unzip();
        let params = [Param::Ints(&repositories), Param::Ints(&blobs)];
        for row in self.conn.query(&MEASURE, &params).await? {
            let bytes = row.int(2)?;
            if bytes == 0 {
                continue;
            }
            match row.int(0)? {
                0 => self.freed.repositories.insert(row.int(1)?, bytes),
                _ => self.freed.namespaces.insert(row.int(1)?, bytes),
            };
        }
        Ok(())
    }

    /// Brings the totals of repositories that lost a manifest, and of their namespaces, to
    /// what the rules say.
    pub(super) async fn settle_totals(&mut self, touched: &BTreeSet<i64>) -> Result<(), DbError> {
        match self.rules.quota {
            Quota::Keep => {}
            Quota::Reset => self.reset_totals(touched).await?,
            Quota::Subtract {
                suppress_failures: false,
            } => self.subtract_freed().await?,
            Quota::Subtract {
                suppress_failures: true,
            } => self.try_subtract_freed().await?,
        }
        self.rules.switches.pause("totals settled").await;
        Ok(())
    }

    async fn reset_totals(&mut self, touched: &BTreeSet<i64>) -> Result<(), DbError> {
        if touched.is_empty() {
            return Ok(());
        }
        let repositories: Vec<_> = touched.iter().copied().collect();
        let namespaces: BTreeSet<_> = touched
            .iter()
            .filter_map(|id| self.repositories.get(id))
            .map(|repository| repository.namespace_id)
            .collect();
        let namespaces: Vec<_> = namespaces.into_iter().collect();
        let switches = &self.rules.switches;
        let held = total::reset(self.conn, &repositories, &namespaces, switches).await?;
        self.collected.totals_postponed = held;
        Ok(())
    }

    async fn subtract_freed(&mut self) -> Result<(), DbError> {
        let Freed {
            repositories,
            namespaces,
        } = std::mem::take(&mut self.freed);
        if repositories.is_empty() && namespaces.is_empty() {
            return Ok(());
        }
        let switches = &self.rules.switches;
        let held = total::subtract(self.conn, repositories, namespaces, switches).await?;
        self.collected.totals_postponed = held;
        Ok(())
    }

    /// Subtracts behind a savepoint: a total that cannot be changed stays wrong, and the
    /// rest of the batch stands.
    async fn try_subtract_freed(&mut self) -> Result<(), DbError> {
        self.conn.batch("gc.savepoint", "savepoint totals").await?;
        let Err(error) = self.subtract_freed().await else {
            return Ok(());
        };
        tracing::warn!(%error, "size totals were not brought up to date");
        self.conn
            .batch("gc.rollback_to", "rollback to savepoint totals")
            .await
    }
}
