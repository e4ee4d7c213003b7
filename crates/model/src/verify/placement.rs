//! Objects that the database says are in storage.
use std::collections::BTreeSet;

use crate::{
    Conn, DbError,
    db::{Param, Row, Sql},
};

/// An object that a manifest or an upload refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Key of the placement; the next page begins after it.
    pub id: i64,
    /// Key of the blob's row.
    pub blob_id: i64,
    /// Name of the storage location.
    pub location: String,
    /// `imagestorage.content_checksum`; `None` on some rows of old.
    pub checksum: Option<String>,
    /// `imagestorage.uuid` for an object on the path of old; `None` for a
    /// content-addressed one.
    pub legacy_uuid: Option<String>,
    /// Its size by the database, in bytes; `None` when it was never noted.
    pub size_bytes: Option<i64>,
    /// Whether a manifest or an upload refers to the blob.
    pub is_referred: bool,
}

const PLACED: Sql = Sql::postgres(
    "verify.placed",
    "
    select p.id, s.id, l.name, s.content_checksum,
           case when s.cas_path then null else s.uuid end, s.image_size,
           exists (select 1 from manifestblob mb where mb.blob_id = s.id)
           or exists (select 1 from uploadedblob ub where ub.blob_id = s.id)
      from imagestorageplacement p
      join imagestorage s on s.id = p.storage_id
      join imagestoragelocation l on l.id = p.location_id
     where p.id > $1
     order by p.id
     limit $2",
);

const STILL: Sql = Sql::postgres(
    "verify.still_placed",
    "
    select p.id
      from imagestorageplacement p
     where p.id = any($1)
       and (exists (select 1 from manifestblob mb where mb.blob_id = p.storage_id)
            or exists (select 1 from uploadedblob ub where ub.blob_id = p.storage_id))",
);

/// Lists at most `at_most` placements after the one given (0 begins), in order. One statement.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn placed(conn: &mut Conn, after: i64, at_most: u32) -> Result<Vec<Placed>, DbError> {
    let params = [Param::Int(after), Param::Int(i64::from(at_most))];
    let rows = conn.query(&PLACED, &params).await?;
    let read = |row: &Row| {
        Ok(Placed {
            id: row.int(0)?,
            blob_id: row.int(1)?,
            location: row.text(2)?,
            checksum: row.opt_text(3)?,
            legacy_uuid: row.opt_text(4)?,
            size_bytes: row.opt_int(5)?,
            is_referred: row.bool(6)?,
        })
    };
    rows.iter().map(read).collect()
}

/// Returns which of these placements are there still and referred to: an object that was
/// missing may have been collected meanwhile. One statement.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn still_placed(conn: &mut Conn, ids: &[i64]) -> Result<BTreeSet<i64>, DbError> {
    let rows = conn.query(&STILL, &[Param::Ints(ids)]).await?;
    rows.iter().map(|row| row.int(0)).collect()
}
