//! Leaks that a sweep has seen, and since when: one sighting is no reason to delete.
use std::collections::BTreeSet;

use crate::{
    Conn, DbError,
    db::{Param, Sql},
    gc::LeakKind,
};

/// The kind of an object in storage; those of rows are below.
const OBJECT: i64 = 4;

/// By which sightings something may go: it was seen in an earlier sweep, and long ago enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    /// Start of this sweep, in milliseconds since the Unix epoch by the database's clock.
    pub sweep_ms: i64,
    /// The first sighting must be at or before this.
    pub cut_ms: i64,
}

const NOTE: Sql = Sql::postgres(
    "sighting.note",
    "
    insert into quayhand_sighting as s (kind, object_id, first_seen, last_seen)
    select $1::smallint, id, to_timestamp($3 / 1000.0), to_timestamp($3 / 1000.0)
      from unnest($2::bigint[]) as leak (id)
     order by id
        on conflict on constraint quayhand_sighting_pk
        do update set last_seen = excluded.last_seen",
);

const DUE: Sql = Sql::postgres(
    "sighting.due",
    "
    select object_id
      from quayhand_sighting
     where kind = $1
       and object_id = any($2)
       and location = '' and checksum = ''
       and first_seen < to_timestamp($3 / 1000.0)
       and first_seen <= to_timestamp($4 / 1000.0)
     order by object_id",
);

// Leaks of another sweep that is running now are younger than this one's start.
const FORGET_UNSEEN: Sql = Sql::postgres(
    "sighting.forget_unseen",
    "
    delete from quayhand_sighting
     where kind = $1 and location = $2 and last_seen < to_timestamp($3 / 1000.0)",
);

const FORGET: Sql = Sql::postgres(
    "sighting.forget_gone",
    "
    delete from quayhand_sighting s
     where s.kind = $1
       and s.object_id = any($2)
       and not exists (select 1 from manifest m where s.kind = 1 and m.id = s.object_id)
       and not exists (select 1 from imagestorage b where s.kind = 2 and b.id = s.object_id)
       and not exists (select 1 from label l where s.kind = 3 and l.id = s.object_id)",
);

const ROWLESS: Sql = Sql::postgres(
    "sighting.rowless",
    "
    select o.checksum
      from unnest($2::text[]) as o (checksum)
     where exists (select 1 from imagestoragelocation l where l.name = $1)
       and not exists (select 1 from imagestorage s where s.content_checksum = o.checksum)
       and not exists (select 1
                         from quayhand_tombstone t
                         join imagestoragelocation l on l.id = t.location_id
                        where t.digest = decode(substr(o.checksum, 8), 'hex')
                          and t.legacy_uuid is null
                          and l.name = $1)",
);

const NOTE_OBJECTS: Sql = Sql::postgres(
    "sighting.note_objects",
    "
    insert into quayhand_sighting as s (kind, location, checksum, first_seen, last_seen)
    select 4, $1, checksum, to_timestamp($3 / 1000.0), to_timestamp($3 / 1000.0)
      from unnest($2::text[]) as o (checksum)
     order by checksum
        on conflict on constraint quayhand_sighting_pk
        do update set last_seen = excluded.last_seen",
);

const DUE_OBJECTS: Sql = Sql::postgres(
    "sighting.due_objects",
    "
    select checksum
      from quayhand_sighting
     where kind = 4
       and object_id = 0
       and location = $1
       and checksum > $2
       and first_seen < to_timestamp($3 / 1000.0)
       and first_seen <= to_timestamp($4 / 1000.0)
       and last_seen >= to_timestamp($3 / 1000.0)
     order by checksum
     limit $5",
);

const DUE_OF: Sql = Sql::postgres(
    "sighting.due_of_objects",
    "
    select checksum
      from quayhand_sighting
     where kind = 4
       and object_id = 0
       and location = $1
       and checksum = any($2)
       and first_seen < to_timestamp($3 / 1000.0)
       and first_seen <= to_timestamp($4 / 1000.0)",
);

// Whether a row has the digest is asked again here, and by `blob_gc` under the digest's lock.
const BURY: Sql = Sql::postgres(
    "sighting.bury",
    "
    with doomed as materialized (
        select l.id, decode(substr(o.checksum, 8), 'hex') as digest
          from unnest($2::text[]) as o (checksum)
          join imagestoragelocation l on l.name = $1
         where not exists (select 1 from imagestorage s where s.content_checksum = o.checksum)
           and not exists (select 1
                             from quayhand_tombstone t
                            where t.digest = decode(substr(o.checksum, 8), 'hex')
                              and t.legacy_uuid is null
                              and t.location_id = l.id)
    ),
    forgotten as (
        delete from quayhand_sighting
         where kind = 4 and object_id = 0 and location = $1 and checksum = any($2)
    )
    insert into quayhand_tombstone (location_id, digest) select id, digest from doomed",
);

/// Notes that these rows look leaked. One statement.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn note(
    conn: &mut Conn,
    kind: LeakKind,
    ids: &[i64],
    sweep_ms: i64,
) -> Result<(), DbError> {
    let params = [
        Param::Int(code(kind)),
        Param::Ints(ids),
        Param::Int(sweep_ms),
    ];
    conn.execute(&NOTE, &params).await.map(drop)
}

/// Returns which of these rows may go. One statement.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn due(
    conn: &mut Conn,
    kind: LeakKind,
    ids: &[i64],
    since: Since,
) -> Result<Vec<i64>, DbError> {
    let params = [
        Param::Int(code(kind)),
        Param::Ints(ids),
        Param::Int(since.sweep_ms),
        Param::Int(since.cut_ms),
    ];
    let rows = conn.query(&DUE, &params).await?;
    rows.iter().map(|row| row.int(0)).collect()
}

/// Forgets the rows of a kind that this sweep, which saw all of them, has not seen. One
/// statement.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn forget_unseen(conn: &mut Conn, kind: LeakKind, sweep_ms: i64) -> Result<(), DbError> {
    forget(conn, code(kind), "", sweep_ms).await
}

/// As [`forget_unseen`], for the objects of a location.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn forget_unseen_objects(
    conn: &mut Conn,
    location: &str,
    sweep_ms: i64,
) -> Result<(), DbError> {
    forget(conn, OBJECT, location, sweep_ms).await
}

async fn forget(conn: &mut Conn, code: i64, location: &str, sweep_ms: i64) -> Result<(), DbError> {
    let params = [
        Param::Int(code),
        Param::Text(location),
        Param::Int(sweep_ms),
    ];
    conn.execute(&FORGET_UNSEEN, &params).await.map(drop)
}

/// Forgets those of these rows that are gone, in the transaction that deleted them. One
/// statement.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn forget_gone(conn: &mut Conn, kind: LeakKind, ids: &[i64]) -> Result<(), DbError> {
    let params = [Param::Int(code(kind)), Param::Ints(ids)];
    conn.execute(&FORGET, &params).await.map(drop)
}

/// Returns which of these checksums (`sha256:` and 64 digits) no row has and no tombstone at
/// that location waits for; none at a location that the registry does not know. One
/// statement.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn rowless(
    conn: &mut Conn,
    location: &str,
    checksums: &[&str],
) -> Result<BTreeSet<String>, DbError> {
    let params = [Param::Text(location), Param::Texts(checksums)];
    let rows = conn.query(&ROWLESS, &params).await?;
    rows.iter().map(|row| row.text(0)).collect()
}

/// Notes that these objects look leaked, by their checksums. One statement.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn note_objects(
    conn: &mut Conn,
    location: &str,
    checksums: &[&str],
    sweep_ms: i64,
) -> Result<(), DbError> {
    let params = [
        Param::Text(location),
        Param::Texts(checksums),
        Param::Int(sweep_ms),
    ];
    conn.execute(&NOTE_OBJECTS, &params).await.map(drop)
}

/// Returns at most `at_most` checksums after the one given (empty begins), in order, whose
/// objects this sweep has seen and that may go. One statement.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn due_objects(
    conn: &mut Conn,
    location: &str,
    after: &str,
    since: Since,
    at_most: u32,
) -> Result<Vec<String>, DbError> {
    let params = [
        Param::Text(location),
        Param::Text(after),
        Param::Int(since.sweep_ms),
        Param::Int(since.cut_ms),
        Param::Int(i64::from(at_most)),
    ];
    let rows = conn.query(&DUE_OBJECTS, &params).await?;
    rows.iter().map(|row| row.text(0)).collect()
}

/// Returns which of these objects may go by what earlier sweeps saw. One statement.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn due_of_objects(
    conn: &mut Conn,
    location: &str,
    checksums: &[&str],
    since: Since,
) -> Result<BTreeSet<String>, DbError> {
    let params = [
        Param::Text(location),
        Param::Texts(checksums),
        Param::Int(since.sweep_ms),
        Param::Int(since.cut_ms),
    ];
    let rows = conn.query(&DUE_OF, &params).await?;
    rows.iter().map(|row| row.text(0)).collect()
}

/// Writes a tombstone for each of these objects that still has no row, and forgets all of
/// them; returns how many tombstones. One statement.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn bury(conn: &mut Conn, location: &str, checksums: &[&str]) -> Result<u64, DbError> {
    let params = [Param::Text(location), Param::Texts(checksums)];
    conn.execute(&BURY, &params).await
}

/// The number of a kind in our table.
const fn code(kind: LeakKind) -> i64 {
    match kind {
        LeakKind::Manifest => 1,
        LeakKind::Blob => 2,
        LeakKind::Label => 3,
    }
}
