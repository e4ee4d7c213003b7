//! A borrowed connection: the only place from which a statement reaches the server.
use std::borrow::Cow;

use tokio_postgres::types::{ToSql, Type};

use super::{DbError, Param, Row, Sql, pool::Lease, watch::Watch};

/// A connection borrowed from [`Db`](super::Db) for the length of a scope.
///
/// Statements run unnamed and with their parameter types, so that they work behind
/// `PgBouncer` in transaction mode and are planned for the very ids they are given.
///
/// Every statement is waited for to its end: when its future is dropped half-way, further
/// statements of the borrow are refused, an open transaction is rolled back, and the
/// connection is not used again.
pub struct Conn {
    pub(super) lease: Lease,
    pub(super) watch: Watch,
    /// A transaction was begun and its end was not answered.
    pub(super) in_transaction: bool,
}

impl Conn {
    /// Runs a statement; returns the number of rows it touched. One round trip.
    pub(crate) async fn execute(
        &mut self,
        sql: &Sql,
        params: &[Param<'_>],
    ) -> Result<u64, DbError> {
        let params = typed(params);
        let touched = self.lease.client.execute_typed(sql.postgres, &params);
        self.watch.over(sql.name, &self.lease.client, touched).await
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
        let params = typed(params);
        let rows = self.lease.client.query_typed(text, &params);
        let rows = self.watch.over(name, &self.lease.client, rows).await?;
        Ok(rows.into_iter().map(|inner| Row { name, inner }).collect())
    }

    /// Runs several statements without parameters in one round trip. Not for `begin`,
    /// `commit` and `rollback`: transactions are the guard's.
    pub(crate) async fn batch(
        &mut self,
        name: &'static str,
        text: impl Into<Cow<'_, str>>,
    ) -> Result<(), DbError> {
        let text = text.into();
        let done = self.lease.client.batch_execute(&text);
        self.watch.over(name, &self.lease.client, done).await
    }

    /// Counts the round trips made so far on this borrow.
    #[must_use]
    pub fn statements(&self) -> u64 {
        self.watch.statements()
    }
}

fn typed<'a>(params: &'a [Param<'_>]) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    params.iter().map(Param::postgres).collect()
}
