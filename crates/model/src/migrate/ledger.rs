//! The table in which a set notes what was applied.
use crate::db::{Conn, DbError, Param, Sql};

use super::Set;

/// Tells whether a table exists under this name.
const EXISTS: Sql = Sql::postgres(
    "migrate.ledger_exists",
    "select to_regclass($1) is not null",
);

/// A migration that was applied.
pub(super) struct Applied {
    pub(super) version: i64,
    pub(super) description: String,
    /// SHA-384 of the file that was applied.
    pub(super) checksum: Vec<u8>,
    /// RFC 3339, in UTC.
    pub(super) at: String,
}

/// Reads what was applied, by ascending number. No table: nothing was.
pub(super) async fn read(conn: &mut Conn, set: Set) -> Result<Vec<Applied>, DbError> {
    let table = set.table();
    if !conn
        .query_one(&EXISTS, &[Param::Text(table)])
        .await?
        .bool(0)?
    {
        return Ok(Vec::new());
    }
    let text = format!(
        "select version, description, checksum,
                to_char(installed_on at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')
         from {table} order by version"
    );
    let rows = conn.query_text("migrate.ledger_read", &text, &[]).await?;
    let read = rows.iter().map(|row| {
        Ok(Applied {
            version: row.int(0)?,
            description: row.text(1)?,
            checksum: row.opt_bytes(2)?.unwrap_or_default(),
            at: row.text(3)?,
        })
    });
    read.collect()
}

/// Makes the table unless it is there. The columns are those of sqlx's own tool.
pub(super) async fn ensure(conn: &mut Conn, set: Set) -> Result<(), DbError> {
    let text = format!(
        "create table if not exists {} (
             version        bigint      not null primary key,
             description    text        not null,
             installed_on   timestamptz not null default now(),
             success        boolean     not null,
             checksum       bytea       not null,
             execution_time bigint      not null
         )",
        set.table()
    );
    conn.batch("migrate.ledger_ensure", text).await
}

/// Notes a migration as applied, in the transaction that applied it.
pub(super) async fn add(
    conn: &mut Conn,
    set: Set,
    applied: &sqlx::migrate::Migration,
    took_ns: i64,
) -> Result<(), DbError> {
    let text = format!(
        "insert into {} (version, description, success, checksum, execution_time)
         values ($1, $2, true, decode($3, 'hex'), $4)",
        set.table()
    );
    let checksum = hex(&applied.checksum);
    let values = [
        Param::Int(applied.version),
        Param::Text(&applied.description),
        Param::Text(&checksum),
        Param::Int(took_ns),
    ];
    conn.query_text("migrate.ledger_add", &text, &values)
        .await?;
    Ok(())
}

/// Forgets a migration that was taken back; the last one takes the table along.
pub(super) async fn remove(
    conn: &mut Conn,
    set: Set,
    version: i64,
    is_last: bool,
) -> Result<(), DbError> {
    let table = set.table();
    if is_last {
        let text = format!("drop table {table}");
        return conn.batch("migrate.ledger_drop", text).await;
    }
    let text = format!("delete from {table} where version = $1");
    let values = [Param::Int(version)];
    conn.query_text("migrate.ledger_remove", &text, &values)
        .await?;
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
