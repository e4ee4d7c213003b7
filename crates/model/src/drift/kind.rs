//! Tells whose database this is, before anything is done to it.
use std::fmt;

use crate::db::{Conn, DbError, Sql};

/// Table in which Quay's own migrations note the revision of its schema.
const ALEMBIC: &str = "alembic_version";
/// Table in which our migrations note that they built the registry's schema.
const REGISTRY_MIGRATIONS: &str = "quayhand_registry_migrations";
/// Every table of ours starts with this, and no table of Quay does.
const OURS: &str = "quayhand_";
/// Tables without which a database is no registry.
const CORE: [&str; 5] = ["user", "repository", "manifest", "tag", "imagestorage"];

/// Lists the tables that a plain name finds, without those that belong to an extension.
const TABLES: Sql = Sql::postgres(
    "drift.tables",
    "select c.relname::text
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p') and pg_table_is_visible(c.oid)
       and n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema'
       and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass
                       and d.objid = c.oid and d.deptype = 'e')
     order by 1",
);

const REVISION: Sql = Sql::postgres(
    "drift.revision",
    "select version_num::text from alembic_version order by 1 limit 1",
);

/// Whose database this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Quay made it and migrates it: its tables are never altered by us.
    Quay {
        /// Revision of Quay's schema. `None`: the table for it is there but empty, as after
        /// loading a dump of the schema alone.
        alembic: Option<String>,
    },
    /// Our `registry` migrations made it; no Quay writes to it.
    Standalone,
    /// It has no tables, or none but `quayhand_*` ones.
    Empty,
    /// It holds something else.
    Foreign {
        /// Its tables, in order.
        tables: Vec<String>,
    },
}

impl Kind {
    /// Tells whether jobs can work here: it is a registry's database.
    #[must_use]
    pub fn is_registry(&self) -> bool {
        matches!(self, Self::Quay { .. } | Self::Standalone)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quay { alembic: Some(at) } => write!(f, "a Quay database at revision `{at}`"),
            Self::Quay { alembic: None } => f.write_str("a Quay database without a revision"),
            Self::Standalone => f.write_str("a stand-alone registry database"),
            Self::Empty => f.write_str("an empty database"),
            Self::Foreign { tables } => {
                let some: Vec<&str> = tables.iter().take(5).map(String::as_str).collect();
                write!(f, "neither Quay's database nor ours (")?;
                write!(f, "{} tables: `{}`", tables.len(), some.join("`, `"))?;
                f.write_str(if tables.len() > some.len() {
                    ", ...)"
                } else {
                    ")"
                })
            }
        }
    }
}

/// Tells whose database this is, from the tables it has. One or two round trips, read-only.
///
/// # Errors
///
/// [`DbError::Statement`] when the catalogue or `alembic_version` cannot be read.
pub async fn kind_of_database(conn: &mut Conn) -> Result<Kind, DbError> {
    let rows = conn.query(&TABLES, &[]).await?;
    let tables: Result<Vec<String>, DbError> = rows.iter().map(|row| row.text(0)).collect();
    let kind = classify(tables?);
    let Kind::Quay { .. } = kind else {
        return Ok(kind);
    };
    let row = conn.query_opt(&REVISION, &[]).await?;
    let alembic = row.map(|row| row.text(0)).transpose()?;
    Ok(Kind::Quay { alembic })
}

/// Decides by the names alone; leaves Quay's revision open.
fn classify(tables: Vec<String>) -> Kind {
    let has = |name: &str| tables.iter().any(|table| table == name);
    if has(ALEMBIC) && CORE.iter().all(|name| has(name)) {
        return Kind::Quay { alembic: None };
    }
    // The first migration makes `user`: enough, so that a set that stopped half-way is ours.
    if has(REGISTRY_MIGRATIONS) && has("user") && !has(ALEMBIC) {
        return Kind::Standalone;
    }
    if tables.iter().all(|table| table.starts_with(OURS)) {
        return Kind::Empty;
    }
    Kind::Foreign { tables }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(tables: &[&str]) -> Kind {
        classify(tables.iter().map(ToString::to_string).collect())
    }

    const QUAY: [&str; 6] = [
        "user",
        "repository",
        "manifest",
        "tag",
        "imagestorage",
        "star",
    ];

    #[test]
    fn knows_a_quay_database_by_its_revision_table_and_its_core() {
        let mut tables = QUAY.to_vec();
        tables.push("alembic_version");
        assert_eq!(kind(&tables), Kind::Quay { alembic: None });
        tables.extend([
            "quayhand_tombstone",
            "quayhand_registry_migrations",
            "unheard_of",
        ]);
        assert_eq!(
            kind(&tables),
            Kind::Quay { alembic: None },
            "Quay comes first"
        );
    }

    #[test]
    fn knows_its_own_by_the_migrations_table() {
        let mut tables = QUAY.to_vec();
        tables.push("quayhand_registry_migrations");
        assert_eq!(kind(&tables), Kind::Standalone);
        assert_eq!(
            kind(&["quayhand_registry_migrations", "user"]),
            Kind::Standalone
        );
    }

    #[test]
    fn takes_our_tables_alone_for_empty() {
        assert_eq!(kind(&[]), Kind::Empty);
        assert_eq!(
            kind(&["quayhand_migrations", "quayhand_tombstone"]),
            Kind::Empty
        );
    }

    #[test]
    fn takes_everything_else_for_foreign() {
        assert!(matches!(kind(&["orders"]), Kind::Foreign { .. }));
        assert!(
            matches!(kind(&QUAY), Kind::Foreign { .. }),
            "tables of nobody's migrations"
        );
        let other = kind(&["alembic_version", "user", "orders"]);
        assert!(
            matches!(other, Kind::Foreign { .. }),
            "another program with alembic"
        );
        let named =
            "neither Quay's database nor ours (3 tables: `alembic_version`, `user`, `orders`)";
        assert_eq!(other.to_string(), named);
    }
}
