//! Golden states in a database, and what a database's rows are, in the form of the golden files.

use std::collections::BTreeSet;

use super::{Golden, QuotaRow, RowKey, shared_folder, table};
use crate::{PostgresServer, TestkitError, error::database_error, unique_name};

/// The template with the tables of a Quay database and no row.
const SCHEMA_TEMPLATE: &str = "quay_schema";
/// The template with the tables and enum rows of a Quay database.
const EMPTY_TEMPLATE: &str = "quay_empty";
/// Lets rows come in any order: foreign keys are not looked at while it is set.
const WITHOUT_TRIGGERS: &str = "set session_replication_role = replica";

impl Golden {
    /// Creates a database with the state before, and returns its name.
    ///
    /// Cost: about 300 ms for a small state, and a second more for a server's first one.
    ///
    /// # Errors
    /// When the files are missing or do not fit each other.
    pub async fn load(&self, server: &PostgresServer) -> Result<String, TestkitError> {
        let template = server
            .template(SCHEMA_TEMPLATE, async |_url| {
                run_schema(server, SCHEMA_TEMPLATE).await
            })
            .await?;
        let database = unique_name("golden");
        server.create_database_from(&database, &template).await?;
        let file = self.folder.join("before.sql.gz");
        server.run_file(&database, &file, WITHOUT_TRIGGERS).await?;
        server.execute(&database, "analyze").await?;
        Ok(database)
    }
}

/// Creates a database as Quay's migrations leave it, and returns its name: all tables, enum rows
/// and the schema version, nothing else.
///
/// # Errors
/// When `../shared/quay-schema` is missing.
pub async fn quay_database(server: &PostgresServer) -> Result<String, TestkitError> {
    let template = server
        .template(EMPTY_TEMPLATE, async |_url| {
            run_schema(server, EMPTY_TEMPLATE).await?;
            server.execute(EMPTY_TEMPLATE, &enum_statements()?).await
        })
        .await?;
    let database = unique_name("quay");
    server.create_database_from(&database, &template).await?;
    Ok(database)
}

/// Makes Quay's tables in an empty database.
async fn run_schema(server: &PostgresServer, database: &str) -> Result<(), TestkitError> {
    let schema = shared_folder("quay-schema")?.join("schema.sql");
    server.run_file(database, &schema, "").await
}

/// Writes the statements that insert the enum rows and the schema version, and move the sequences
/// behind the rows.
fn enum_statements() -> Result<String, TestkitError> {
    let folder = shared_folder("quay-schema")?;
    let mut statements = Vec::new();
    let mut tables = BTreeSet::new();
    for line in table::read(&folder.join("enum_rows.tsv"))?.iter().skip(1) {
        let (table, row) = (line.text(0)?, line.text(1)?.replace('\'', "''"));
        let record = format!("json_populate_record(null::\"{table}\", '{row}')");
        statements.push(format!("insert into \"{table}\" select * from {record}"));
        tables.insert(table);
    }
    for line in table::read(&folder.join("alembic_version"))?.iter().take(1) {
        let version = line.text(0)?;
        statements.push(format!("insert into alembic_version values ('{version}')"));
    }
    statements.extend(tables.iter().map(|table| {
        let sequence = format!("pg_get_serial_sequence('\"{table}\"', 'id')");
        format!("select setval({sequence}, max(id)) from \"{table}\"")
    }));
    Ok(statements.join(";\n"))
}

/// Reads the ids of every row of every table that has an `id`, but for our own `quayhand_` tables.
///
/// Cost: one scan of every table.
///
/// # Errors
/// When the database cannot be read.
pub async fn snapshot(
    server: &PostgresServer,
    database: &str,
) -> Result<BTreeSet<RowKey>, TestkitError> {
    const TABLES: &str = "select coalesce(string_agg(format('select %L::text, id::bigint from %I.%I', \
        table_name, table_schema, table_name), ' union all '), 'select null, null where false') \
        from information_schema.columns join information_schema.tables \
        using (table_catalog, table_schema, table_name) where table_schema = 'public' \
        and column_name = 'id' and table_type = 'BASE TABLE' and table_name not like 'quayhand\\_%'";
    let failed = || database_error("read all ids", database);
    let client = server.connect(database).await?;
    let union: String = client
        .query_one(TABLES, &[])
        .await
        .map_err(failed())?
        .get(0);
    let rows = client.query(&union, &[]).await.map_err(failed())?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Reads the state of the quota tables, to compare with [`Golden::quota_after`].
///
/// # Errors
/// When a quota table is missing.
pub async fn quota_rows(
    server: &PostgresServer,
    database: &str,
) -> Result<BTreeSet<QuotaRow>, TestkitError> {
    const ROWS: &str = "select 'quotanamespacesize', namespace_user_id::bigint, size_bytes, \
        backfill_start_ms is not null, backfill_complete from quotanamespacesize union all \
        select 'quotarepositorysize', repository_id, size_bytes, backfill_start_ms is not null, \
        backfill_complete from quotarepositorysize union all \
        select 'quotaregistrysize', id, size_bytes, running, queued from quotaregistrysize";
    let client = server.connect(database).await?;
    let rows = client.query(ROWS, &[]).await;
    let rows = rows.map_err(database_error("read the quota tables", database))?;
    Ok(rows
        .iter()
        .map(|row| QuotaRow {
            table: row.get(0),
            id: row.get(1),
            size_bytes: row.get(2),
            started: row.get(3),
            complete: row.get(4),
        })
        .collect())
}
