//! Stage 6: sizes that no longer hold. Last, because every batch of a namespace wants the
//! same row; and without waiting for it ([`total`]).
use std::collections::BTreeSet;

use super::{Batch, total, total::Freed};
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

// Asked once the candidates are locked: of two batches that each drop one of the last two
// references in a namespace, the second sees that the first one is gone.
// A sum that no column can hold fails where Quay's subtraction would: unless failures are
// suppressed, and where there is a total to subtract from. Otherwise it is null.
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
    ),
    freed as (
        select 1 as kind, o.repository_id as owner_id, sum(o.bytes) as bytes
          from owned o
         where not exists (select 1
                             from manifestblob mb
                            where mb.repository_id = o.repository_id and mb.blob_id = o.blob_id)
         group by o.repository_id
        union all
        select 2, o.namespace_user_id, sum(o.bytes)
          from (select distinct namespace_user_id, blob_id, bytes from owned) o
         where not exists (select 1
                             from manifestblob mb
                             join repository r on r.id = mb.repository_id
                            where mb.blob_id = o.blob_id
                              and r.namespace_user_id = o.namespace_user_id)
         group by o.namespace_user_id
    )
    select kind, owner_id,
           case when bytes between -9223372036854775808 and 9223372036854775807
                then bytes::bigint
                when not $3
                     and (exists (select 1
                                    from quotarepositorysize q
                                   where kind = 1 and q.repository_id = owner_id
                                     and q.backfill_complete)
                          or exists (select 1
                                       from quotanamespacesize q
                                      where kind = 2 and q.namespace_user_id = owner_id
                                        and q.backfill_complete))
                then bytes::bigint end
      from freed"#,
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
        let suppress_failures = matches!(
            self.rules.quota,
            Quota::Subtract {
                suppress_failures: true
            }
        );
        let params = [
            Param::Ints(&repositories),
            Param::Ints(&blobs),
            Param::Bool(suppress_failures),
        ];
        for row in self.conn.query(&MEASURE, &params).await? {
            let (kind, owner_id) = (row.int(0)?, row.int(1)?);
            match row.opt_int(2)? {
                Some(0) => {}
                Some(bytes) => self.freed.push(Freed {
                    kind,
                    owner_id,
                    bytes,
                }),
                None => tracing::warn!(
                    total.kind = kind,
                    total.owner_id = owner_id,
                    "more bytes went than a size total can hold: it is not brought up to date"
                ),
            }
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
        let freed = std::mem::take(&mut self.freed);
        if freed.is_empty() {
            return Ok(());
        }
        let switches = &self.rules.switches;
        let held = total::subtract(self.conn, &freed, switches).await?;
        self.collected.totals_postponed = held;
        Ok(())
    }

    /// Subtracts behind a savepoint: a total that cannot be changed stays wrong, and the
    /// rest of the batch stands. Halves around it, so that all other totals are changed.
    async fn try_subtract_freed(&mut self) -> Result<(), DbError> {
        let freed = std::mem::take(&mut self.freed);
        if freed.is_empty() {
            return Ok(());
        }
        self.conn.batch("gc.savepoint", "savepoint totals").await?;
        let mut parts = vec![freed.as_slice()];
        while let Some(part) = parts.pop() {
            match total::subtract(self.conn, part, &self.rules.switches).await {
                Ok(held) => {
                    self.collected.totals_postponed += held;
                    if !parts.is_empty() {
                        let keep = "release savepoint totals; savepoint totals";
                        self.conn.batch("gc.savepoint", keep).await?;
                    }
                }
                Err(error) => {
                    self.conn
                        .batch("gc.rollback_to", "rollback to savepoint totals")
                        .await?;
                    if let [only] = part {
                        tracing::warn!(
                            total.kind = only.kind,
                            total.owner_id = only.owner_id,
                            %error,
                            "a size total was not brought up to date"
                        );
                    } else {
                        let (front, back) = part.split_at(part.len() / 2);
                        parts.extend([back, front]);
                    }
                }
            }
        }
        Ok(())
    }
}
