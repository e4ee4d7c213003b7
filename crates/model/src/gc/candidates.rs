//! Which repositories hold garbage, how much, and whose turn it is.
use super::Rules;
use crate::{
    Conn, DbError,
    db::{Param, Sql},
};

/// A repository with something to collect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The repository.
    pub repository_id: i64,
    /// Its owner's row in `user`.
    pub namespace_id: i64,
    /// Tags past recovery and expired uploads that can go now. At least 1.
    pub garbage: u64,
}

// Turns: the repository with the oldest garbage of every namespace first, then the second
// of every namespace, and so on. Nobody's backlog stands in front of everybody else's.
// A time without beginning would be no number; before 1970 nobody comes before another.
// What a batch cannot take must not be found, or a run waits for it: a tag is left out while
// another one is linked to it, as in `gc.lock_tags`. A chain goes from its free end, a link
// each time.
const FIND: Sql = Sql::postgres(
    "gc.find_candidates",
    r#"
    with now as materialized (
        select coalesce($1, floor(extract(epoch from clock_timestamp()) * 1000)::bigint) as ms
    ),
    garbage as (
        select t.repository_id, count(*) as n, min(t.lifetime_end_ms) as since_ms
          from now
         cross join "user" ns
          join repository r on r.namespace_user_id = ns.id
          join tag t on t.repository_id = r.id
         where t.lifetime_end_ms <= now.ms - case when ns.removed_tag_expiration_s between 0 and 9000000000
                then ns.removed_tag_expiration_s else 9000000000 end * 1000
           and r.state <> 3
           and ns.enabled
           and not ($2 and t.immutable)
           and coalesce((select false
                           from tag other
                          where other.linked_tag_id = t.id and other.id <> t.id
                          limit 1), true)
         group by t.repository_id
        union all
        select b.repository_id, count(*),
               floor(extract(epoch from greatest(min(b.expires_at), 'epoch')) * 1000)::bigint
          from now
         cross join uploadedblob b
          join repository r on r.id = b.repository_id
          join "user" ns on ns.id = r.namespace_user_id
         where b.expires_at <= to_timestamp(now.ms / 1000.0) at time zone 'utc'
           and r.state <> 3
           and ns.enabled
         group by b.repository_id
    ),
    found as (
        select g.repository_id, r.namespace_user_id, sum(g.n)::bigint as n,
               min(g.since_ms) as since_ms
          from garbage g
          join repository r on r.id = g.repository_id
         group by g.repository_id, r.namespace_user_id
    )
    select repository_id, namespace_user_id, n
      from found
     order by row_number() over (partition by namespace_user_id order by since_ms, repository_id),
              since_ms, repository_id
     limit $3"#,
);

/// Finds at most `at_most` repositories with garbage, oldest first and fair over
/// namespaces: not marked for deletion, owner enabled, with a tag past recovery that no
/// other is linked to, or an expired upload.
///
/// One statement; reads the tags that have ended, not the live ones.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn candidates(
    conn: &mut Conn,
    rules: &Rules,
    at_most: u32,
) -> Result<Vec<Candidate>, DbError> {
    let params = [
        Param::OptInt(rules.as_of_ms),
        Param::Bool(rules.immutable_stays),
        Param::Int(i64::from(at_most)),
    ];
    let rows = conn.query(&FIND, &params).await?;
    let read = |row: &crate::db::Row| {
        Ok(Candidate {
            repository_id: row.int(0)?,
            namespace_id: row.int(1)?,
            garbage: row.int(2)?.unsigned_abs(),
        })
    };
    rows.iter().map(read).collect()
}
