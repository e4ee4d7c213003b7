//! The connections: made when needed, closed when idle.
use deadpool_postgres::{Manager, Object, Pool, Runtime};

use super::{DbConfig, DbError};

/// A pooled client.
pub(super) type Client = Object;

/// Builds a pool; no connection is made yet.
pub(super) fn build(config: &DbConfig) -> Result<Pool, DbError> {
    let bad = |problem: String| DbError::Config {
        setting: "url",
        problem,
    };
    let target: tokio_postgres::Config = config
        .url
        .parse()
        .map_err(|error: tokio_postgres::Error| bad(error.to_string()))?;
    let manager = Manager::new(target, tokio_postgres::NoTls);
    Pool::builder(manager)
        .max_size(config.pool_size.max(1))
        .wait_timeout(Some(config.checkout_timeout))
        .create_timeout(Some(config.connect_timeout))
        .recycle_timeout(Some(config.connect_timeout))
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|error| bad(error.to_string()))
}
