//! One row of an answer, read without the types of any one driver.
use tokio_postgres::types::{FromSql, Type};

use super::DbError;

/// One row of an answer.
pub(crate) struct Row {
    pub(super) name: &'static str,
    pub(super) inner: tokio_postgres::Row,
}

impl Row {
    /// Reads an integer of any width.
    pub(crate) fn int(&self, column: usize) -> Result<i64, DbError> {
        self.opt_int(column)?
            .ok_or_else(|| self.bad(column, "null where a number was expected"))
    }

    /// Reads an integer of any width, or null.
    pub(crate) fn opt_int(&self, column: usize) -> Result<Option<i64>, DbError> {
        match *self.column_type(column)? {
            Type::INT2 => Ok(self.get::<Option<i16>>(column)?.map(i64::from)),
            Type::INT4 => Ok(self.get::<Option<i32>>(column)?.map(i64::from)),
            _ => self.get(column),
        }
    }

    /// Reads a text.
    pub(crate) fn text(&self, column: usize) -> Result<String, DbError> {
        self.get(column)
    }

    /// Reads a text or null.
    pub(crate) fn opt_text(&self, column: usize) -> Result<Option<String>, DbError> {
        self.get(column)
    }

    /// Reads a byte string or null.
    pub(crate) fn opt_bytes(&self, column: usize) -> Result<Option<Vec<u8>>, DbError> {
        self.get(column)
    }

    /// Reads true or false.
    pub(crate) fn bool(&self, column: usize) -> Result<bool, DbError> {
        self.get(column)
    }

    fn column_type(&self, column: usize) -> Result<&Type, DbError> {
        let columns = self.inner.columns();
        let found = columns.get(column).map(tokio_postgres::Column::type_);
        found.ok_or_else(|| self.bad(column, "the answer has no such column"))
    }

    fn get<'a, T: FromSql<'a>>(&'a self, column: usize) -> Result<T, DbError> {
        let value = self.inner.try_get(column);
        value.map_err(|error| self.bad(column, &error.to_string()))
    }

    fn bad(&self, column: usize, problem: &str) -> DbError {
        DbError::Row {
            name: self.name,
            column,
            problem: problem.to_owned(),
        }
    }
}
