//! Rows that point to rows: foreign keys say the same, unless somebody went around them.
use super::{Invariant, Page, run};
use crate::{
    Conn, DbError,
    db::{Param, Sql},
};

/// Rows that are looked at together.
const ROWS: i64 = 20_000;

const MANIFEST_BLOBS: Sql = Sql::postgres(
    "verify.manifest_blobs",
    "
    with page as materialized (
        select id, manifest_id, blob_id from manifestblob where id > $1 order by id limit $2
    )
    select null::bigint, max(id)::bigint, count(*), null::text from page
    union all
    select p.manifest_id, null, null, 'refers to blob ' || p.blob_id || ', whose row is gone'
      from page p
     where not exists (select 1 from imagestorage s where s.id = p.blob_id)",
);

// The cache of a proxied registry knows of blobs that it has not fetched yet.
const PLACEHOLDERS: Sql = Sql::postgres(
    "verify.placeholders",
    "
    with page as materialized (
        select id from imagestorage where id > $1 order by id limit $2
    )
    select null::bigint, max(id)::bigint, count(*), null::text from page
    union all
    select p.id, null, null, 'is in a manifest and in no storage location'
      from page p
     where not exists (select 1 from imagestorageplacement pl where pl.storage_id = p.id)
       and exists (select 1
                     from manifestblob mb
                     join repository r on r.id = mb.repository_id
                    where mb.blob_id = p.id and r.state <> 3)
       and not exists (select 1
                         from manifestblob mb
                         join repository r on r.id = mb.repository_id
                         join proxycacheconfig pc on pc.organization_id = r.namespace_user_id
                        where mb.blob_id = p.id)",
);

const TAGS: Sql = Sql::postgres(
    "verify.tags",
    "
    with page as materialized (
        select id, manifest_id, lifetime_end_ms from tag where id > $1 order by id limit $2
    )
    select null::bigint, max(id)::bigint, count(*), null::text from page
    union all
    select p.id, null, null,
           coalesce('points to manifest ' || p.manifest_id || ', whose row is gone',
                    'points to no manifest')
      from page p
     where (p.lifetime_end_ms is null
            or p.lifetime_end_ms > extract(epoch from clock_timestamp()) * 1000)
       and not exists (select 1 from manifest m where m.id = p.manifest_id)",
);

const CHILDREN: Sql = Sql::postgres(
    "verify.children",
    "
    with page as materialized (
        select id, manifest_id, child_manifest_id from manifestchild
         where id > $1 order by id limit $2
    )
    select null::bigint, max(id)::bigint, count(*), null::text from page
    union all
    select p.manifest_id, null, null,
           'contains manifest ' || p.child_manifest_id || ', whose row is gone'
      from page p
     where not exists (select 1 from manifest m where m.id = p.child_manifest_id)",
);

const SUBJECTS: Sql = Sql::postgres(
    "verify.subjects",
    "
    with page as materialized (
        select id, repository_id, subject from manifest where id > $1 order by id limit $2
    )
    select null::bigint, max(id)::bigint, count(*), null::text from page
    union all
    select p.id, null, null, 'refers to subject ' || p.subject || ', which is not there'
      from page p
     where p.subject is not null
       and exists (select 1 from tag t where t.manifest_id = p.id)
       and not exists (select 1
                         from manifest s
                        where s.repository_id = p.repository_id and s.digest = p.subject)",
);

pub(super) async fn manifest_blobs(conn: &mut Conn, after: i64) -> Result<Page, DbError> {
    page(
        conn,
        &MANIFEST_BLOBS,
        after,
        Invariant::BlobRows,
        "manifest",
    )
    .await
}

pub(super) async fn placeholders(conn: &mut Conn, after: i64) -> Result<Page, DbError> {
    page(conn, &PLACEHOLDERS, after, Invariant::Objects, "blob").await
}

pub(super) async fn tags(conn: &mut Conn, after: i64) -> Result<Page, DbError> {
    page(conn, &TAGS, after, Invariant::Manifests, "tag").await
}

pub(super) async fn children(conn: &mut Conn, after: i64) -> Result<Page, DbError> {
    page(conn, &CHILDREN, after, Invariant::Manifests, "manifest").await
}

pub(super) async fn subjects(conn: &mut Conn, after: i64) -> Result<Page, DbError> {
    page(conn, &SUBJECTS, after, Invariant::Manifests, "manifest").await
}

async fn page(
    conn: &mut Conn,
    sql: &Sql,
    after: i64,
    invariant: Invariant,
    what: &str,
) -> Result<Page, DbError> {
    let params = [Param::Int(after), Param::Int(ROWS)];
    run(conn, sql, &params, invariant, what).await
}
