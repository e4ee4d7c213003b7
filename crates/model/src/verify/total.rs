//! Size totals against a recount, where a total is complete.
use super::{Invariant, Page, run};
use crate::{
    Conn, DbError,
    db::{Param, Sql},
};

/// Totals that are recounted together: each reads all manifests below it.
const ROWS: i64 = 20;

const REPOSITORIES: Sql = Sql::postgres(
    "verify.repository_totals",
    "
    with page as materialized (
        select id, repository_id, size_bytes, backfill_complete from quotarepositorysize
         where id > $1 order by id limit $2
    ),
    counted as (
        select p.repository_id, p.size_bytes,
               (select coalesce(sum(s.image_size), 0)::bigint
                  from imagestorage s
                 where s.id in (select mb.blob_id
                                  from manifestblob mb
                                 where mb.repository_id = p.repository_id)) as counted
          from page p
         where p.backfill_complete
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
        select id, namespace_user_id, size_bytes, backfill_complete from quotanamespacesize
         where id > $1 order by id limit $2
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
         where p.backfill_complete and ns.enabled
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
