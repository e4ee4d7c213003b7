//! Counts of a whole registry, for reports: never for deciding what goes.
use crate::{
    Conn, DbError,
    db::{Param, Sql},
};

/// Counts what a registry holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Rows of `repository`.
    pub repositories: u64,
    /// Rows of `tag`, alive or not.
    pub tags: u64,
    /// Rows of `manifest`.
    pub manifests: u64,
    /// Rows of `imagestorage`.
    pub blobs: u64,
    /// Objects that wait to be removed from storage.
    pub tombstones: u64,
    /// Rows of the materialised permissions.
    pub permissions: u64,
}

/// An object that the database says exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Key of the placement; the next page begins after it.
    pub id: i64,
    /// Name of the storage location.
    pub location: String,
    /// `imagestorage.content_checksum`; `None` on some rows of old.
    pub checksum: Option<String>,
    /// `imagestorage.uuid` for an object on the path of old; `None` for a
    /// content-addressed one.
    pub legacy_uuid: Option<String>,
}

const COUNT: Sql = Sql::postgres(
    "census.count",
    "
    select (select count(*) from repository), (select count(*) from tag),
           (select count(*) from manifest), (select count(*) from imagestorage),
           (select count(*) from quayhand_tombstone),
           (select count(*) from quayhand_permission)
           + (select count(*) from quayhand_namespace_permission)",
);

const PLACED: Sql = Sql::postgres(
    "census.placed",
    "
    select p.id, l.name, s.content_checksum, case when s.cas_path then null else s.uuid end
      from imagestorageplacement p
      join imagestorage s on s.id = p.storage_id
      join imagestoragelocation l on l.id = p.location_id
     where p.id > $1
     order by p.id
     limit $2",
);

// What must be 0 in a registry that was just collected and is not written to.
const VIOLATIONS: Sql = Sql::postgres(
    "census.violations",
    "
    select 'live tags without a manifest',
           (select count(*) from tag
             where manifest_id is null
               and (lifetime_end_ms is null
                    or lifetime_end_ms > extract(epoch from clock_timestamp()) * 1000))
    union all
    select 'subjects of live referrers that are gone',
           (select count(*)
              from manifest r
             where r.subject is not null
               and exists (select 1 from tag t where t.manifest_id = r.id)
               and not exists (select 1
                                 from manifest s
                                where s.repository_id = r.repository_id
                                  and s.digest = r.subject))
    union all
    select 'blobs without a reference',
           (select count(*)
              from imagestorage s
             where not exists (select 1 from manifestblob mb where mb.blob_id = s.id)
               and not exists (select 1 from uploadedblob ub where ub.blob_id = s.id)
               and exists (select 1 from imagestorageplacement p where p.storage_id = s.id))
    union all
    select 'labels without a manifest',
           (select count(*)
              from label l
             where not exists (select 1 from manifestlabel ml where ml.label_id = l.id))",
);

/// Counts the rows of a registry. One statement that reads whole tables.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn count(conn: &mut Conn) -> Result<Census, DbError> {
    let row = conn.query_one(&COUNT, &[]).await?;
    let at = |column| row.int(column).map(i64::unsigned_abs);
    Ok(Census {
        repositories: at(0)?,
        tags: at(1)?,
        manifests: at(2)?,
        blobs: at(3)?,
        tombstones: at(4)?,
        permissions: at(5)?,
    })
}

/// Lists at most `at_most` objects that the database says exist, by placement, after the
/// one given (0 begins). One statement.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn placed(conn: &mut Conn, after: i64, at_most: u32) -> Result<Vec<Placed>, DbError> {
    let params = [Param::Int(after), Param::Int(i64::from(at_most))];
    let rows = conn.query(&PLACED, &params).await?;
    let read = |row: &crate::db::Row| {
        Ok(Placed {
            id: row.int(0)?,
            location: row.text(1)?,
            checksum: row.opt_text(2)?,
            legacy_uuid: row.opt_text(3)?,
        })
    };
    rows.iter().map(read).collect()
}

/// Counts what a collected registry that nobody writes to must not have: each rule with the
/// rows that break it. One statement that reads whole tables.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn violations(conn: &mut Conn) -> Result<Vec<(String, u64)>, DbError> {
    let rows = conn.query(&VIOLATIONS, &[]).await?;
    let read = |row: &crate::db::Row| Ok((row.text(0)?, row.int(1)?.unsigned_abs()));
    rows.iter().map(read).collect()
}
