//! Objects that lost their last row and wait to be removed from storage.
use std::{collections::BTreeSet, time::Duration};

use crate::{
    Conn, DbError,
    db::{Param, Sql},
};

/// Checksum of the empty layer, whose object is never removed: it is shared by nearly
/// every image and re-created without an upload.
pub const EMPTY_LAYER: &str =
    "sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4";

/// An object to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// Key of the row.
    pub id: i64,
    /// Name of the storage location.
    pub location: String,
    /// sha256 of the content.
    pub digest: [u8; 32],
    /// `imagestorage.uuid` for an object on the path of old; `None` for a
    /// content-addressed one.
    pub legacy_uuid: Option<String>,
}

/// Says how old a tombstone must be to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// It may have been written a moment ago.
    Any,
    /// It must have been written this long ago, or earlier.
    AtLeast {
        /// How long ago.
        grace: Duration,
        /// Milliseconds since the Unix epoch to count back from; `None` reads the
        /// database's clock.
        as_of_ms: Option<i64>,
    },
}

/// Joins a statement around the condition that the path of a tombstone `t` can be told: it is
/// content-addressed, or its uuid is one as Quay writes them.
macro_rules! when_path {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            "(t.legacy_uuid is null or t.legacy_uuid
                   ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$')",
            $after
        )
    };
}

const TAKE: Sql = Sql::postgres(
    "tombstone.take",
    when_path!(
        "
    select t.id, l.name, t.digest, t.legacy_uuid
      from quayhand_tombstone t
      join imagestoragelocation l on l.id = t.location_id
     where t.id > $1
       and t.digest is not null
       and ",
        "
       and ($2 or t.created_at <= coalesce(to_timestamp($3 / 1000.0), clock_timestamp())
                                  - $4 * interval '1 millisecond')
     order by t.id
     limit $5"
    ),
);

const STUCK: Sql = Sql::postgres(
    "tombstone.count_stuck",
    when_path!(
        "
    select count(*)
      from quayhand_tombstone t
     where t.digest is null
        or not ",
        "
        or not exists (select 1 from imagestoragelocation l where l.id = t.location_id)"
    ),
);

// A standby may lag behind a writer: its answer would be worth nothing.
const PRESENT: Sql = Sql::postgres(
    "tombstone.present",
    "
    select null as content_checksum where pg_is_in_recovery()
    union all
    select distinct content_checksum from imagestorage where content_checksum = any($1)",
);

const FENCE: Sql = Sql::postgres(
    "tombstone.fence",
    "
    select key.digest
      from unnest($1::text[], $2::bigint[]) as key (digest, lock)
     where pg_try_advisory_xact_lock(key.lock)",
);

// A digest in use again is noted as well: an earlier delete without an answer may have removed
// its object all the same. A path of old is never taken into use again.
const REMOVE: Sql = Sql::postgres(
    "tombstone.remove",
    "
    with removed as (
        delete from quayhand_tombstone where id = any($1)
        returning location_id, digest, legacy_uuid
    )
    insert into quayhand_removed (location_id, digest)
    select distinct location_id, digest
      from removed
     where legacy_uuid is null and digest is not null",
);

/// Reads the bytes of a checksum: `sha256:` and 64 lower-case hexadecimal digits. `None`
/// for anything else.
#[must_use]
pub fn sha256_bytes(checksum: &str) -> Option<[u8; 32]> {
    let hex = checksum.strip_prefix("sha256:")?.as_bytes();
    let mut bytes = [0; 32];
    if hex.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// Tells whether a text is a uuid as Quay writes them: 36 characters, lower case.
pub(crate) fn is_uuid(text: &str) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let fits = |(at, byte)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => is_digit(byte),
    };
    text.len() == 36 && text.bytes().enumerate().all(fits)
}

/// Returns at most `at_most` tombstones of an age, with an id above `after`, in id order.
/// One statement, no locks.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn take(
    conn: &mut Conn,
    after: i64,
    age: Age,
    at_most: u32,
) -> Result<Vec<Tombstone>, DbError> {
    let (grace, as_of_ms) = match age {
        Age::Any => (Duration::ZERO, None),
        Age::AtLeast { grace, as_of_ms } => (grace, as_of_ms),
    };
    let params = [
        Param::Int(after),
        Param::Bool(age == Age::Any),
        Param::OptInt(as_of_ms),
        Param::Int(i64::try_from(grace.as_millis()).unwrap_or(i64::MAX)),
        Param::Int(i64::from(at_most)),
    ];
    let rows = conn.query(&TAKE, &params).await?;
    let mut tombstones = Vec::with_capacity(rows.len());
    for row in rows {
        let bytes = row.opt_bytes(2)?.unwrap_or_default();
        let digest = bytes.try_into().map_err(|_| DbError::Row {
            name: TAKE.name,
            column: 2,
            problem: "a digest of other than 32 bytes".to_owned(),
        })?;
        tombstones.push(Tombstone {
            id: row.int(0)?,
            location: row.text(1)?,
            digest,
            legacy_uuid: row.opt_text(3)?,
        });
    }
    Ok(tombstones)
}

/// Counts tombstones that are never taken: their checksum is no sha256, their path is one of
/// old under what is no uuid, or their location is gone. Their objects are kept. One statement.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn count_stuck(conn: &mut Conn) -> Result<u64, DbError> {
    let row = conn.query_one(&STUCK, &[]).await?;
    Ok(row.int(0)?.unsigned_abs())
}

/// Returns which of these checksums (`sha256:...`) some row of `imagestorage` has now.
/// One statement.
///
/// # Errors
///
/// [`DbError::Refused`] when the answer came from a standby, which may lag;
/// [`DbError::Statement`] if the database refuses.
pub async fn present(conn: &mut Conn, checksums: &[&str]) -> Result<BTreeSet<String>, DbError> {
    let mut found = BTreeSet::new();
    for row in conn.query(&PRESENT, &[Param::Texts(checksums)]).await? {
        let Some(checksum) = row.opt_text(0)? else {
            return Err(DbError::Refused(
                "the database is a standby: whether a blob is in use must be asked of the \
                 primary; name the primary in `database.url`"
                    .to_owned(),
            ));
        };
        found.insert(checksum);
    }
    Ok(found)
}

/// Takes, until the transaction ends, the database's own lock of each checksum; returns
/// those it got. The fence of a registry without Redis. One statement, never waits.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn fence(conn: &mut Conn, checksums: &[&str]) -> Result<BTreeSet<String>, DbError> {
    let keys: Vec<_> = checksums.iter().map(|text| fence_key(text)).collect();
    let params = [Param::Texts(checksums), Param::Ints(&keys)];
    let rows = conn.query(&FENCE, &params).await?;
    rows.iter().map(|row| row.text(0)).collect()
}

/// Returns the advisory lock of a checksum: its first eight bytes, big-endian. A checksum
/// that is no sha256 has the key 0.
fn fence_key(checksum: &str) -> i64 {
    let bytes = sha256_bytes(checksum).unwrap_or_default();
    let mut key = [0; 8];
    key.copy_from_slice(&bytes[..8]);
    i64::from_be_bytes(key)
}

/// Removes tombstones whose objects are gone or in use again, and notes the objects for
/// [`removed::look`](crate::removed::look). One statement.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn remove(conn: &mut Conn, ids: &[i64]) -> Result<(), DbError> {
    conn.execute(&REMOVE, &[Param::Ints(ids)]).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lower_case_sha256_is_a_digest() {
        assert!(sha256_bytes(EMPTY_LAYER).is_some());
        let upper = EMPTY_LAYER.to_uppercase().replace("SHA256", "sha256");
        let long = format!("{EMPTY_LAYER}0");
        for bad in [
            "",
            "sha256:",
            "sha256:00",
            &upper,
            &long,
            "sha512:00",
            "sha256:../../../../etc/passwd00000000000000000000000000000000000000000000",
        ] {
            assert!(sha256_bytes(bad).is_none(), "`{bad}`");
        }
    }
}
