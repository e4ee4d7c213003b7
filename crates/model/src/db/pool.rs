//! The pool: sessions made when needed, reused last in first out.
use std::time::Duration;

use deadpool::{
    Runtime,
    managed::{self, Metrics, PoolError, QueueMode, RecycleError, RecycleResult, TimeoutType},
};

use super::{DbConfig, DbError, address::Address, dial::dial, refusal, session::Session};

/// A pool of sessions.
pub(super) type Pool = managed::Pool<Keeper>;
/// A session out of the pool.
pub(super) type Lease = managed::Object<Keeper>;

/// Makes sessions for the pool.
pub(super) struct Keeper {
    address: Address,
    /// What is set once a session; nothing behind `PgBouncer`, where sessions are shared.
    settings: Option<String>,
}

/// Builds a pool; no connection is made yet.
///
/// The session given back last is taken first, so that those a quiet hour does not need grow
/// old and are closed.
pub(super) fn build(config: &DbConfig, address: Address) -> Result<Pool, DbError> {
    let bad = |problem: String| DbError::Config {
        setting: "pool_size",
        problem,
    };
    if config.pool_size == 0 {
        return Err(bad("is 0; it takes at least 1 connection".to_owned()));
    }
    let settings = || time_outs(config, config.statement_timeout, "set");
    let keeper = Keeper {
        settings: (!config.pgbouncer).then(settings),
        address,
    };
    managed::Pool::builder(keeper)
        .max_size(config.pool_size)
        .queue_mode(QueueMode::Lifo)
        .wait_timeout(Some(config.checkout_timeout))
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|error| bad(error.to_string()))
}

/// Writes the three time-outs as `verb` statements; `verb` is `set` or `set local`.
pub(super) fn time_outs(config: &DbConfig, statement: Duration, verb: &str) -> String {
    format!(
        "{verb} statement_timeout = {}; {verb} lock_timeout = {}; \
         {verb} idle_in_transaction_session_timeout = {}",
        whole_ms(statement),
        whole_ms(config.lock_timeout),
        whole_ms(config.idle_in_transaction_timeout),
    )
}

/// Rounds up to whole milliseconds: zero means no limit to the server, and only zero may.
fn whole_ms(time: Duration) -> i32 {
    i32::try_from(time.as_micros().div_ceil(1000)).unwrap_or(i32::MAX)
}

impl Keeper {
    /// Says why the pool gave no session.
    pub(super) fn explain(&self, error: PoolError<DbError>, config: &DbConfig) -> DbError {
        let problem = match error {
            PoolError::Backend(error) => return error,
            PoolError::Timeout(TimeoutType::Wait) => format!(
                "all {} connections of the pool stayed in use for {:?}; raise `pool_size` or run \
                 fewer jobs at once",
                config.pool_size, config.checkout_timeout
            ),
            PoolError::Closed => "this process has closed its connections".to_owned(),
            other => other.to_string(),
        };
        refusal::without_code(problem, &self.address)
    }
}

impl managed::Manager for Keeper {
    type Type = Session;
    type Error = DbError;

    async fn create(&self) -> Result<Session, DbError> {
        // Boxed: dialling is rare, and its future many times as large as a job's.
        Box::pin(dial(&self.address, self.settings.as_deref())).await
    }

    async fn recycle(&self, session: &mut Session, _: &Metrics) -> RecycleResult<DbError> {
        if session.client.is_closed() {
            return Err(RecycleError::message("the connection is closed"));
        }
        Ok(())
    }
}
