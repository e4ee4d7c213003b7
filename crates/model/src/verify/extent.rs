//! How much there is to look at, for those who wait.
use super::Check;
use crate::{
    Conn, DbError,
    db::{Param, Sql},
};

// A table that two checks go through counts twice. One that was never analyzed says -1.
const ROWS: Sql = Sql::postgres(
    "verify.expected_rows",
    "
    select coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint
      from unnest($1::text[]) looked(table_name)
      join pg_class c on c.oid = to_regclass(looked.table_name)",
);

/// The table whose rows stand for objects.
const PLACEMENTS: &str = "imagestorageplacement";

impl Check {
    /// Names the table whose rows the check counts; the checks for leaks count what they find.
    const fn table(self) -> Option<&'static str> {
        match self {
            Self::ManifestBlobs => Some("manifestblob"),
            Self::Tags => Some("tag"),
            Self::Children => Some("manifestchild"),
            Self::Subjects => Some("manifest"),
            Self::Placeholders => Some("imagestorage"),
            Self::Tombstones => Some("quayhand_tombstone"),
            Self::Rechecks => Some("quayhand_recheck"),
            Self::RepositoryTotals => Some("quotarepositorysize"),
            Self::NamespaceTotals => Some("quotanamespacesize"),
            Self::LeakedManifests | Self::LeakedBlobs | Self::LeakedLabels => None,
        }
    }
}

/// Estimates how many rows these checks will look at, and, with `objects`, how many objects a
/// look at storage adds; by the planner's statistics, so 0 where there are none yet.
///
/// One statement on the catalog alone.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn expected_rows(
    conn: &mut Conn,
    checks: &[Check],
    objects: bool,
) -> Result<u64, DbError> {
    let tables = checks.iter().filter_map(|check| check.table());
    let tables: Vec<_> = tables.chain(objects.then_some(PLACEMENTS)).collect();
    let row = conn.query_one(&ROWS, &[Param::Texts(&tables)]).await?;
    Ok(row.int(0)?.unsigned_abs())
}
