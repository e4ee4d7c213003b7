//! Stage 1: the repositories of a batch.
use std::collections::{BTreeMap, BTreeSet};

use super::{Batch, Collected, Lock, Rules};
use crate::{
    Conn, DbError,
    db::{Param, Sql},
};

/// A repository this batch has to itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Locked {
    /// The owner's row in `user`.
    pub(super) namespace_id: i64,
    /// Tags that ended at or before this time are past recovery.
    pub(super) cut_ms: i64,
}

// A window is 0 s to 285 years. What is outside can be no window that anybody set: a negative
// one would end what has not ended yet, so it keeps everything, and a huge one would stop the
// statement for all repositories.
// The clock is read once, in a materialized table of one row: a batch must not judge its
// first repository by another time than its last. The settings hold until the transaction
// ends: a statement of a batch is done before workers have started or code is compiled.
const LOCK: Sql = Sql::postgres(
    "gc.lock_repositories",
    r#"
    with now as materialized (
        select coalesce($2, floor(extract(epoch from clock_timestamp()) * 1000)::bigint) as ms,
               set_config('max_parallel_workers_per_gather', '0', true),
               set_config('jit', 'off', true)
    )
    select r.id, r.namespace_user_id, now.ms - case when ns.removed_tag_expiration_s between 0 and 9000000000
                then ns.removed_tag_expiration_s else 9000000000 end * 1000, now.ms
      from now
     cross join repository r
      join "user" ns on ns.id = r.namespace_user_id
     where r.id = any($1)
       and r.state <> 3
       and ns.enabled
     order by r.id
       for no key update of r skip locked"#,
);

impl<'a> Batch<'a> {
    /// Locks the repositories that may be collected and that no other batch holds.
    pub(super) async fn begin(
        conn: &'a mut Conn,
        repositories: &[i64],
        rules: &'a Rules,
    ) -> Result<Self, DbError> {
        let clause = "for no key update of r skip locked";
        let text = rules
            .switches
            .text(Lock::Repositories, clause, LOCK.postgres);
        let params = [Param::Ints(repositories), Param::OptInt(rules.as_of_ms)];
        let rows = conn.query_text(LOCK.name, &text, &params).await?;
        let mut locked = BTreeMap::new();
        let mut now_ms = 0;
        for row in rows {
            let repository = Locked {
                namespace_id: row.int(1)?,
                cut_ms: row.int(2)?,
            };
            locked.insert(row.int(0)?, repository);
            now_ms = row.int(3)?;
        }
        rules.switches.pause("repositories locked").await;
        Ok(Self::over(conn, rules, now_ms, locked))
    }

    /// Starts a batch over repositories that this transaction has locked.
    pub(super) fn over(
        conn: &'a mut Conn,
        rules: &'a Rules,
        now_ms: i64,
        repositories: BTreeMap<i64, Locked>,
    ) -> Self {
        Self {
            conn,
            rules,
            now_ms,
            repositories,
            manifests: BTreeSet::new(),
            blobs: BTreeSet::new(),
            labels: BTreeSet::new(),
            dropped: BTreeSet::new(),
            freed: Vec::new(),
            postponed: Vec::new(),
            taken: BTreeSet::new(),
            collected: Collected::default(),
        }
    }
}
