//! Size totals against a recount, where a total is complete.
use super::{Invariant, Page, run};
use crate::{
    Conn, DbError,
    db::{Param, Sql},
};

/// Totals that are recounted together: each reads all manifests below it.
const ROWS: i64 = 20;

// A change that is written down and not made yet counts as made.
const REPOSITORIES: Sql = Sql::postgres(
    "verify.repository_totals",
    "
    with page as materialized (
        select q.id, q.repository_id, q.size_bytes - c.bytes as size_bytes,
               q.backfill_complete and not c.resets as is_counted
          from quotarepositorysize q
         cross join lateral (select coalesce(sum(freed_bytes) filter (
                                        where counted_from_ms is not distinct from q.backfill_start_ms
                                    ), 0)::bigint as bytes,
                                    coalesce(bool_or(freed_bytes is null), false) as resets
                               from quayhand_total_change
                              where kind = 1 and owner_id = q.repository_id) c
         where q.id > $1 order by q.id limit $2
    ),
    counted as (
        select p.repository_id, p.size_bytes,
               (select coalesce(sum(s.image_size), 0)::bigint
                  from imagestorage s
                 where s.id in (select mb.blob_id
                                  from manifestblob mb
                                 where mb.repository_id = p.repository_id)) as counted
          from page p
         where p.is_counted
    )
    select null::bigint, max(id)::bigint, count(*), null::text from page
    union all
    select repository_id, null, null,
           'has a total of ' || size_bytes || ' bytes; a recount gives ' || counted
      from counted
     where size_bytes is distinct from counted",
);

// The total of a disabled namespace is not kept up to date while it is purged.
const NAMESPACES: Sql = Sql::postgres(
    "verify.namespace_totals",
    r#"
    with page as materialized (
        select q.id, q.namespace_user_id, q.size_bytes - c.bytes as size_bytes,
               q.backfill_complete and not c.resets as is_counted
          from quotanamespacesize q
         cross join lateral (select coalesce(sum(freed_bytes) filter (
                                        where counted_from_ms is not distinct from q.backfill_start_ms
                                    ), 0)::bigint as bytes,
                                    coalesce(bool_or(freed_bytes is null), false) as resets
                               from quayhand_total_change
                              where kind = 2 and owner_id = q.namespace_user_id) c
         where q.id > $1 order by q.id limit $2
    ),
    counted as (
        select p.namespace_user_id, p.size_bytes,
               (select coalesce(sum(s.image_size), 0)::bigint
                  from imagestorage s
                 where s.id in (select mb.blob_id
                                  from repository r
                                  join manifestblob mb on mb.repository_id = r.id
                                 where r.namespace_user_id = p.namespace_user_id)) as counted
          from page p
          join "user" ns on ns.id = p.namespace_user_id
         where p.is_counted and ns.enabled
    )
    select null::bigint, max(id)::bigint, count(*), null::text from page
    union all
    select namespace_user_id, null, null,
           'has a total of ' || size_bytes || ' bytes; a recount gives ' || counted
      from counted
     where size_bytes is distinct from counted"#,
);

pub(super) async fn repositories(conn: &mut Conn, after: i64) -> Result<Page, DbError> {
    let params = [Param::Int(after), Param::Int(ROWS)];
    run(
        conn,
        &REPOSITORIES,
        &params,
        Invariant::Totals,
        "repository",
    )
    .await
}

pub(super) async fn namespaces(conn: &mut Conn, after: i64) -> Result<Page, DbError> {
    let params = [Param::Int(after), Param::Int(ROWS)];
    run(conn, &NAMESPACES, &params, Invariant::Totals, "namespace").await
}
