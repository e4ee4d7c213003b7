//! A borrowed connection: the only place from which a statement reaches the server.
use std::borrow::Cow;

use tokio_postgres::types::{ToSql, Type};

use super::{DbError, Param, Row, Sql};

/// A connection borrowed from [`Db`](super::Db) for the length of a scope.
///
/// Statements run unnamed and with their parameter types, so that they work behind
/// `PgBouncer` in transaction mode and are planned for the very ids they are given.
pub struct Conn {
    pub(super) client: super::pool::Client,
    pub(super) statements: u64,
}

impl Conn {
    /// Runs a statement; returns the number of rows it touched. One round trip.
    pub(crate) async fn execute(
        &mut self,
        sql: &Sql,
        params: &[Param<'_>],
    ) -> Result<u64, DbError> {
        self.execute_text(sql.name, sql.postgres, params).await
    }

    /// Runs a statement; returns its rows. One round trip.
    pub(crate) async fn query(
        &mut self,
        sql: &Sql,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>, DbError> {
        self.query_text(sql.name, sql.postgres, params).await
    }

    /// Runs a statement that gives exactly one row. One round trip.
    pub(crate) async fn query_one(
        &mut self,
        sql: &Sql,
        params: &[Param<'_>],
    ) -> Result<Row, DbError> {
        let row = self.query_opt(sql, params).await?;
        row.ok_or_else(|| DbError::Row {
            name: sql.name,
            column: 0,
            problem: "no row where one was expected".to_owned(),
        })
    }

    /// Runs a statement that gives at most one row. One round trip.
    pub(crate) async fn query_opt(
        &mut self,
        sql: &Sql,
        params: &[Param<'_>],
    ) -> Result<Option<Row>, DbError> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    /// Runs a text under a statement's name; returns its rows.
    pub(crate) async fn query_text(
        &mut self,
        name: &'static str,
        text: &str,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>, DbError> {
        self.statements += 1;
        let params = typed(params);
        let rows = self.client.query_typed(text, &params).await;
        let rows = rows.map_err(|error| failed(name, error))?;
        Ok(rows.into_iter().map(|inner| Row { name, inner }).collect())
    }

    async fn execute_text(
        &mut self,
        name: &'static str,
        text: &str,
        params: &[Param<'_>],
    ) -> Result<u64, DbError> {
        self.statements += 1;
        let params = typed(params);
        let touched = self.client.execute_typed(text, &params).await;
        touched.map_err(|error| failed(name, error))
    }

    /// Runs several statements without parameters in one round trip.
    pub(crate) async fn batch(
        &mut self,
        name: &'static str,
        text: impl Into<Cow<'_, str>>,
    ) -> Result<(), DbError> {
        self.statements += 1;
        let done = self.client.batch_execute(&text.into()).await;
        done.map_err(|error| failed(name, error))
    }

    /// Counts the round trips made so far on this borrow.
    #[must_use]
    pub fn statements(&self) -> u64 {
        self.statements
    }
}

fn typed<'a>(params: &'a [Param<'_>]) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    params.iter().map(Param::postgres).collect()
}

pub(super) fn failed(name: &'static str, error: tokio_postgres::Error) -> DbError {
    DbError::Statement {
        name,
        code: error.code().map(|code| code.code().to_owned()),
        source: error.into(),
    }
}
