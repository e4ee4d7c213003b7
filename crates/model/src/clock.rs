//! The database's clock: the only one by which anything is deleted.
use crate::{Conn, DbError, db::Sql};

const NOW: Sql = Sql::postgres(
    "clock.now",
    "select floor(extract(epoch from clock_timestamp()) * 1000)::bigint",
);

/// Reads the database's clock: milliseconds since the Unix epoch. One statement.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn now_ms(conn: &mut Conn) -> Result<i64, DbError> {
    conn.query_one(&NOW, &[]).await?.int(0)
}
