//! Borrowing: a connection is out of the pool exactly between two braces.
use std::time::Instant;

use super::{
    Conn, Db, DbError,
    discard::discard,
    pool::{Lease, time_outs},
    reaper,
    watch::Watch,
};

tokio::task_local! {
    /// Set while a scope of this task runs its closure.
    static IN_SCOPE: ();
}

const READ_WRITE: &str = "begin isolation level read committed";
const READ_ONLY: &str = "begin isolation level repeatable read, read only";

impl Db {
    /// Borrows a connection, runs `f`, gives it back. Each statement commits by itself.
    ///
    /// Dropping the returned future, or a panic in `f`, cancels the running statement on the
    /// server and closes the connection.
    ///
    /// # Errors
    ///
    /// [`DbError::Connect`] and [`DbError::Nested`], or whatever `f` returns.
    pub async fn scope<T, E, F>(&self, f: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut Conn) -> Result<T, E>,
        E: From<DbError>,
    {
        if IN_SCOPE.try_with(|()| ()).is_ok() {
            return Err(DbError::Nested.into());
        }
        let mut borrow = Borrow {
            db: self,
            conn: None,
        };
        let conn = borrow.conn.insert(self.check_out().await?);
        let done = IN_SCOPE.scope((), f(conn)).await;
        borrow.give_back();
        done
    }

    /// Runs `f` in a transaction at READ COMMITTED: commits on `Ok`, rolls back on `Err`,
    /// panic and cancellation. The error that `f` returned is returned even when the
    /// rollback fails. Costs two round trips besides those of `f`.
    ///
    /// # Errors
    ///
    /// [`DbError::Connect`] and [`DbError::Nested`], [`DbError::OutcomeUnknown`] when the
    /// answer to the commit was lost, any other failure of the commit, or whatever `f`
    /// returns. `Ok` of an `f` that swallowed a failed statement is such a failure: nothing
    /// was committed.
    pub async fn transaction<T, E, F>(&self, f: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut Conn) -> Result<T, E>,
        E: From<DbError>,
    {
        self.within(READ_WRITE, f).await
    }

    /// Runs `f` in a transaction that sees one state of the database and cannot change it:
    /// REPEATABLE READ, READ ONLY. Otherwise as [`Db::transaction`].
    ///
    /// # Errors
    ///
    /// As [`Db::transaction`]; a statement that writes or locks a row fails.
    pub async fn read_only_transaction<T, E, F>(&self, f: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut Conn) -> Result<T, E>,
        E: From<DbError>,
    {
        self.within(READ_ONLY, f).await
    }

    async fn within<T, E, F>(&self, begin: &str, f: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut Conn) -> Result<T, E>,
        E: From<DbError>,
    {
        let limits = time_outs(&self.shared.config, self.statement_timeout, "set local");
        self.scope(async |conn| {
            conn.begin(format!("{begin}; {limits}")).await?;
            let done = f(conn).await;
            match &done {
                Ok(_) => conn.commit().await?,
                Err(_) => conn.roll_back().await,
            }
            done
        })
        .await
    }

    async fn check_out(&self) -> Result<Conn, DbError> {
        let shared = &self.shared;
        let leased = shared.pool.get().await;
        let explain = |error| shared.pool.manager().explain(error, &shared.config);
        let lease = leased.map_err(explain)?;
        reaper::wake(shared);
        Ok(Conn {
            lease,
            watch: Watch::new(&shared.server, &shared.statements, self.statement_timeout),
            in_transaction: false,
        })
    }
}

/// A connection on loan; whatever ends the loan early discards it.
struct Borrow<'a> {
    db: &'a Db,
    conn: Option<Conn>,
}

impl Borrow<'_> {
    /// Ends the loan as planned: a connection in perfect order goes back to the pool.
    fn give_back(mut self) {
        let clean = |conn: &mut Conn| !conn.in_transaction && conn.watch.unanswered().is_none();
        let Some(mut conn) = self.conn.take_if(|conn| clean(conn)) else {
            return;
        };
        let config = &self.db.shared.config;
        if self.db.closing || config.idle_disconnect.is_zero() || conn.lease.client.is_closed() {
            drop(Lease::take(conn.lease));
        } else {
            conn.lease.idle_since = Instant::now();
        }
    }
}

impl Drop for Borrow<'_> {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take() {
            let shared = &self.db.shared;
            discard(conn, &shared.tls, &shared.discards);
        }
    }
}
