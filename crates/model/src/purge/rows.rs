//! Deleting the rows of many tables in bounded pieces.
use crate::{
    Conn, DbError,
    db::{Param, Sql},
};

/// The rows of one table that hang on some ids.
pub(super) struct Step {
    /// The table whose rows go.
    pub(super) table: &'static str,
    /// Deletes the rows that hang on the ids `$1`, no more than `$2` of them, and what only
    /// refers to them; one that another transaction holds is left for later.
    pub(super) sql: Sql,
    /// Lists the ids of those rows. `None` for rows that are only changed, and for our own
    /// tables, whose rows follow from Quay's.
    pub(super) list: Option<Sql>,
}

/// Writes a step: the rows of a table whose column names one of the ids.
macro_rules! step {
    ($table:ident . $column:ident) => {
        step!(
            $table.$column,
            concat!(
                "delete from ",
                stringify!($table),
                " where id in (select id from ",
                stringify!($table),
                " where ",
                stringify!($column),
                " = any($1) limit $2 for update skip locked)"
            )
        )
    };
    ($table:ident . $column:ident, $delete:expr) => {
        step!(
            $table.$column,
            $delete,
            Some($crate::db::Sql::postgres(
                concat!("purge.list.", stringify!($table), ".", stringify!($column)),
                concat!(
                    "select id from ",
                    stringify!($table),
                    " where ",
                    stringify!($column),
                    " = any($1)"
                ),
            ))
        )
    };
    ($table:ident . $column:ident, $delete:expr, $list:expr) => {
        $crate::purge::rows::Step {
            table: stringify!($table),
            sql: $crate::db::Sql::postgres(
                concat!("purge.", stringify!($table), ".", stringify!($column)),
                $delete,
            ),
            list: $list,
        }
    };
}
pub(super) use step;

/// Runs steps in their order until `at_most` rows are gone; returns how many went, at most
/// twice that. Fewer than `at_most` means that nothing but held rows is left.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub(super) async fn run(
    conn: &mut Conn,
    steps: &[Step],
    ids: &[i64],
    at_most: u32,
) -> Result<u64, DbError> {
    let limit = i64::from(at_most.max(1));
    let mut gone = 0;
    for step in steps {
        let params = [Param::Ints(ids), Param::Int(limit)];
        gone += conn.execute(&step.sql, &params).await?;
        if gone >= limit.unsigned_abs() {
            break;
        }
    }
    Ok(gone)
}

/// Names the tables that a statement over the id `$1` finds rows of.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub(super) async fn names_left(
    conn: &mut Conn,
    sql: &Sql,
    id: i64,
) -> Result<Vec<String>, DbError> {
    let rows = conn.query(sql, &[Param::Int(id)]).await?;
    rows.iter().map(|row| row.text(0)).collect()
}
