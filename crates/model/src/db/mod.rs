//! The guard: borrow a connection, use it, give it back.
//!
//! [`Db::scope`] and [`Db::transaction`] are the only ways to a [`Conn`], and a [`Conn`] is
//! the only way to a statement; both end with the closing brace.
mod config;
mod conn;
mod error;
mod param;
mod pool;
mod row;
mod sql;

use std::sync::Arc;

pub use config::DbConfig;
pub use conn::Conn;
pub use error::DbError;
pub(crate) use param::Param;
pub(crate) use row::Row;
pub(crate) use sql::Sql;

tokio::task_local! { static IN_SCOPE: (); }

/// Opens scopes on one database. Cheap to clone; holds no connection by itself.
#[derive(Clone)]
pub struct Db {
    pool: deadpool_postgres::Pool,
    config: Arc<DbConfig>,
}

/// Builds a [`Db`]; no connection is made yet.
///
/// # Errors
///
/// [`DbError::Config`] for settings that cannot be used.
pub fn configure(config: DbConfig) -> Result<Db, DbError> {
    Ok(Db {
        pool: pool::build(&config)?,
        config: Arc::new(config),
    })
}

impl Db {
    /// Borrows a connection, runs `f`, gives it back. Each statement commits by itself.
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
        let mut conn = self.checkout().await?;
        IN_SCOPE.scope((), f(&mut conn)).await
    }

    /// Runs `f` in a transaction: commits on `Ok`, rolls back on `Err`, panic and
    /// cancellation.
    ///
    /// # Errors
    ///
    /// [`DbError::Connect`] and [`DbError::Nested`], a failed commit, or whatever `f`
    /// returns.
    pub async fn transaction<T, E, F>(&self, f: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut Conn) -> Result<T, E>,
        E: From<DbError>,
    {
        self.scope(async |conn| {
            conn.batch("db.begin", begin(&self.config)).await?;
            let done = f(conn).await;
            let end = if done.is_ok() { "commit" } else { "rollback" };
            conn.batch("db.end", end).await?;
            done
        })
        .await
    }

    async fn checkout(&self) -> Result<Conn, DbError> {
        let client = self.pool.get().await.map_err(|error| DbError::Connect {
            server: String::new(),
            problem: error.to_string(),
            source: Some(error.into()),
        })?;
        Ok(Conn {
            client,
            statements: 0,
        })
    }
}

fn begin(config: &DbConfig) -> String {
    format!(
        "begin; set local statement_timeout = {}; set local lock_timeout = {}; \
         set local idle_in_transaction_session_timeout = {}",
        config.statement_timeout.as_millis(),
        config.lock_timeout.as_millis(),
        config.idle_in_transaction_timeout.as_millis(),
    )
}
