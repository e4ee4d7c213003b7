//! What waits to be removed, and what waits to be looked at again.
use std::time::Duration;

use super::{Invariant, Page, run};
use crate::{
    Conn, DbError,
    db::{Param, Sql},
};

/// Tombstones that are looked at together.
const ROWS: i64 = 5_000;
/// `blob_gc` runs every minute; an hour after its time a tombstone is overdue.
const PATIENCE: Duration = Duration::from_hours(1);

// Any row of `tag` protects: alive, inside its window, or immutable. Past all that it would be
// gone.
const IN_USE: Sql = Sql::postgres(
    "verify.tombstones",
    "
    with page as materialized (
        select id, location_id, legacy_uuid, created_at,
               'sha256:' || encode(digest, 'hex') as checksum
          from quayhand_tombstone
         where id > $1
         order by id
         limit $3
    )
    select null::bigint, max(id)::bigint, count(*), null::text from page
    union all
    select p.id, null, null, 'would remove ' || p.checksum || ', which a tag protects'
      from page p
     where p.created_at <= clock_timestamp() - $2 * interval '1 millisecond'
       and exists (select 1
                     from imagestorage s
                     join imagestorageplacement pl
                       on pl.storage_id = s.id and pl.location_id = p.location_id
                     join manifestblob mb on mb.blob_id = s.id
                     join tag t on t.manifest_id = mb.manifest_id
                    where s.content_checksum = p.checksum
                      and case when p.legacy_uuid is null then s.cas_path
                               else s.uuid = p.legacy_uuid end)",
);

const RECHECKS: Sql = Sql::postgres(
    "verify.rechecks",
    "
    select null::bigint, null::bigint, count(*), null::text from quayhand_recheck
    union all
    (select object_id, null, null,
            'of kind ' || kind || ' should have been looked at again since ' || not_before
       from quayhand_recheck
      where not_before <= clock_timestamp() - interval '1 day'
      order by not_before
      limit 1000)
    union all
    (select owner_id, null, null,
            case kind when 1 then 'as a repository' else 'as a namespace' end
            || ' should have got its size total changed since ' || created_at
       from quayhand_total_change
      where created_at <= clock_timestamp() - interval '1 day'
      order by id
      limit 1000)",
);

pub(super) async fn in_use(conn: &mut Conn, after: i64, grace: Duration) -> Result<Page, DbError> {
    let age_ms = i64::try_from((grace + PATIENCE).as_millis()).unwrap_or(i64::MAX);
    let params = [Param::Int(after), Param::Int(age_ms), Param::Int(ROWS)];
    run(conn, &IN_USE, &params, Invariant::Protected, "tombstone").await
}

/// Looks at what was postponed: the oldest thousand of what is overdue, in one page.
pub(super) async fn rechecks(conn: &mut Conn) -> Result<Page, DbError> {
    run(conn, &RECHECKS, &[], Invariant::Progress, "object").await
}
