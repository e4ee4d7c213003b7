//! The connections: dialled when needed, reused last in first out.
use std::{future::Future, pin::Pin, time::Duration};

use deadpool_postgres::{
    Connect, Manager, ManagerConfig, Pool, PoolError, QueueMode, Runtime, TimeoutType,
};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, Error, error::SqlState};

use super::{
    DbConfig, DbError,
    address::Address,
    refusal::{self, is_tls_failure},
    tls::Tls,
};

type Dialled = Result<(Client, JoinHandle<()>), Error>;

/// Builds a pool; no connection is made yet.
///
/// The last connection given back is taken first, so that those a quiet hour does not need
/// grow old and are closed.
pub(super) fn build(config: &DbConfig, address: &Address) -> Result<Pool, DbError> {
    let bad = |problem: String| DbError::Config {
        setting: "pool_size",
        problem,
    };
    if config.pool_size == 0 {
        return Err(bad("is 0; it takes at least 1 connection".to_owned()));
    }
    let dialler = Dialler {
        target: address.target.clone(),
        fallback: address.fallback.clone(),
        tls: address.tls.clone(),
        session: (!config.pgbouncer).then(|| time_outs(config, config.statement_timeout, "set")),
    };
    Pool::builder(Manager::from_connect(
        Config::new(),
        dialler,
        ManagerConfig::default(),
    ))
    .max_size(config.pool_size)
    .queue_mode(QueueMode::Lifo)
    .wait_timeout(Some(config.checkout_timeout))
    .create_timeout(Some(create_timeout(address, config)))
    .runtime(Runtime::Tokio1)
    .build()
    .map_err(|error| bad(error.to_string()))
}

fn create_timeout(address: &Address, config: &DbConfig) -> Duration {
    let argument = address.target.get_connect_timeout();
    argument.copied().unwrap_or(config.connect_timeout)
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

/// Says why the pool gave no connection.
pub(super) fn no_connection(error: PoolError, address: &Address, config: &DbConfig) -> DbError {
    let connect_timeout = create_timeout(address, config);
    let problem = match error {
        PoolError::Backend(error) => return refusal::explain(&error, address),
        PoolError::Timeout(TimeoutType::Wait) => format!(
            "all {} connections of the pool stayed in use for {:?}; raise `pool_size` or run \
             fewer jobs at once",
            config.pool_size, config.checkout_timeout
        ),
        PoolError::Timeout(TimeoutType::Create | TimeoutType::Recycle) => {
            format!("no answer within {connect_timeout:?}; check host, port and firewall")
        }
        PoolError::Closed => "this process has closed its connections".to_owned(),
        other => other.to_string(),
    };
    DbError::Connect {
        server: address.server.clone(),
        problem,
        code: None,
    }
}

/// Dials a server and prepares the session.
struct Dialler {
    target: Config,
    fallback: Option<Config>,
    tls: Tls,
    /// What is set once a session; nothing behind `PgBouncer`, where sessions are shared.
    session: Option<String>,
}

impl Dialler {
    async fn dial(&self) -> Dialled {
        match (self.try_dial(&self.target).await, &self.fallback) {
            (Err(error), Some(fallback)) if asks_for_other_mode(&error) => {
                self.try_dial(fallback).await
            }
            (outcome, _) => outcome,
        }
    }

    async fn try_dial(&self, attempt: &Config) -> Dialled {
        let (client, connection) = attempt.connect(self.tls.clone()).await?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "a connection ended"
                );
            }
        });
        if let Some(session) = &self.session {
            client.batch_execute(session).await?;
        }
        Ok((client, driver))
    }
}

/// Tells whether `sslmode` allow or prefer should try the other way: the handshake failed,
/// or the server lets nobody in from here in this way.
fn asks_for_other_mode(error: &Error) -> bool {
    is_tls_failure(error) || error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
}

impl Connect for Dialler {
    fn connect(&self, _: &Config) -> Pin<Box<dyn Future<Output = Dialled> + Send + '_>> {
        Box::pin(self.dial())
    }
}
