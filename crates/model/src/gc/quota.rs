//! Stage 6: sizes that no longer hold. Last, because every batch of a namespace wants the
//! same row.
use std::collections::BTreeSet;

use super::Batch;
use crate::{
    DbError,
    db::{Param, Sql},
};

const RESET: Sql = Sql::postgres(
    "gc.reset_totals",
    "
    with repositories as (
        select id
          from quotarepositorysize
         where repository_id = any($1) and backfill_start_ms is not null
         order by id
           for update
    ),
    namespaces as (
        select id
          from quotanamespacesize
         where namespace_user_id = any($2) and backfill_start_ms is not null
         order by id
           for update
    ),
    reset_repositories as (
        update quotarepositorysize
           set size_bytes = 0, backfill_start_ms = null, backfill_complete = false
         where id in (select id from repositories)
    )
    update quotanamespacesize
       set size_bytes = 0, backfill_start_ms = null, backfill_complete = false
     where id in (select id from namespaces)",
);

impl Batch<'_> {
    /// Resets the totals of repositories that lost a manifest, and of their namespaces, so
    /// that the backfill counts them again (Quay `QUOTA_INVALIDATE_TOTALS`).
    pub(super) async fn reset_totals(&mut self, touched: &BTreeSet<i64>) -> Result<(), DbError> {
        if touched.is_empty() || !self.rules.reset_totals {
            return Ok(());
        }
        let repositories: Vec<_> = touched.iter().copied().collect();
        let namespaces: BTreeSet<_> = touched
            .iter()
            .filter_map(|id| self.repositories.get(id))
            .map(|repository| repository.namespace_id)
            .collect();
        let namespaces: Vec<_> = namespaces.into_iter().collect();
        let params = [Param::Ints(&repositories), Param::Ints(&namespaces)];
        self.conn.execute(&RESET, &params).await?;
        Ok(())
    }
}
