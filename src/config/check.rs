//! Owns the rules that single values and values together must keep. A number that would weaken a
//! guard is refused here, before any job sees it.

use std::time::Duration;

use super::{Config, ConfigError, Problem, SecretUrl, policy};

/// How long a creator waits for a `BLOB_DELETE_` lock before it goes on without one is about 5 s
/// in Quay; a delete must have ended well before.
const LONGEST_HOLD: Duration = Duration::from_secs(4);

/// A key, what must hold, and how to say that it does not.
type Rule = (&'static str, fn(&Config) -> bool, &'static str);

const RULES: &[Rule] = &[
    (
        "database.url",
        |c| {
            has_scheme(
                c.database.url.as_ref(),
                &["postgresql", "postgres", "postgresql+psycopg2"],
            )
        },
        "must begin with `postgresql://`; other databases are not supported yet",
    ),
    (
        "database.pool_size",
        |c| (1..=1_000).contains(&c.database.pool_size),
        "must be 1 to 1000",
    ),
    (
        "database.checkout_timeout",
        |c| !c.database.checkout_timeout.is_zero(),
        NOT_ZERO,
    ),
    (
        "database.connect_timeout",
        |c| !c.database.connect_timeout.is_zero(),
        NOT_ZERO,
    ),
    (
        "database.statement_timeout",
        |c| !c.database.statement_timeout.is_zero(),
        NOT_ZERO,
    ),
    (
        "database.lock_timeout",
        |c| !c.database.lock_timeout.is_zero(),
        NOT_ZERO,
    ),
    (
        "database.idle_in_transaction_timeout",
        |c| !c.database.idle_in_transaction_timeout.is_zero(),
        NOT_ZERO,
    ),
    (
        "database.idle_disconnect",
        |c| c.database.idle_disconnect >= Duration::from_secs(1),
        "must be at least 1s",
    ),
    (
        "redis.queue_url",
        |c| is_redis(c.redis.queue_url.as_ref()) || is_cluster(c.redis.queue_url.as_ref()),
        "must begin with `redis://`, `rediss://`, `redis+unix://`, `redis-cluster://` or \
         `rediss-cluster://`",
    ),
    (
        "redis.locks_url",
        |c| is_redis(c.redis.locks_url.as_ref()),
        REDIS_SCHEME,
    ),
    (
        "redis.cache_url",
        |c| is_redis(c.redis.cache_url.as_ref()),
        REDIS_SCHEME,
    ),
    (
        "redis.tls_keyfile",
        |c| c.redis.tls_keyfile.is_some() == c.redis.tls_certfile.is_some(),
        "must be set together with `redis.tls_certfile`",
    ),
    (
        "redis.connect_timeout",
        |c| !c.redis.connect_timeout.is_zero(),
        NOT_ZERO,
    ),
    (
        "redis.command_timeout",
        |c| !c.redis.command_timeout.is_zero(),
        NOT_ZERO,
    ),
    (
        "worker.lease",
        |c| c.worker.lease >= Duration::from_secs(1),
        "must be at least 1s",
    ),
    (
        "outbox.sweep_interval",
        |c| c.outbox.sweep_interval >= Duration::from_secs(1),
        "must be at least 1s",
    ),
    (
        "gc.sweep_interval",
        |c| c.gc.sweep_interval >= Duration::from_secs(1),
        "must be at least 1s",
    ),
    (
        "gc.batch_tags",
        |c| (300..=1_000).contains(&c.gc.batch_tags),
        "must be from 300 to 1000",
    ),
    (
        "gc.blob_hold",
        |c| !c.gc.blob_hold.is_zero() && c.gc.blob_hold <= LONGEST_HOLD,
        "must be above 0 and at most 4s: Quay waits about 5s for the lock and then writes \
         without it",
    ),
    (
        "gc.blob_lock_ttl",
        |c| c.gc.blob_lock_ttl.subsec_nanos() == 0 && c.gc.blob_lock_ttl >= c.gc.blob_hold * 2,
        "must be whole seconds and at least twice `gc.blob_hold`, so that no lock ends before \
         its work",
    ),
    (
        "registry.blobupload_deletion_date_threshold",
        |c| !c.registry.blobupload_deletion_date_threshold.is_zero(),
        "must be above 0: uploads in progress would be given up",
    ),
    (
        "gc.max_objects_per_run",
        |c| c.gc.max_objects_per_run >= 1,
        "must be at least 1",
    ),
];

const NOT_ZERO: &str = "must be above 0: without a limit a job could hang for ever";
const REDIS_SCHEME: &str = "must begin with `redis://`, `rediss://` or `redis+unix://`";

/// Checks all rules.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    let broken = RULES.iter().filter(|(_, holds, _)| !holds(config));
    let problem = |&(key, _, rule): &Rule| Problem {
        origin: config.origin(key),
        what: format!("`{key}` {rule}"),
    };
    let problems = broken.map(problem).chain(policy::problems(config));
    ConfigError::from_problems(problems.collect())
}

/// Says whether an address is absent or of one of these kinds.
fn has_scheme(url: Option<&SecretUrl>, schemes: &[&str]) -> bool {
    url.is_none_or(|url| schemes.contains(&url.scheme()))
}

/// Says whether an address is absent or one of a Redis Cluster. Only queues may live there: locks
/// are Quay's, whose client knows single servers only.
fn is_cluster(url: Option<&SecretUrl>) -> bool {
    has_scheme(url, &["redis-cluster", "rediss-cluster"])
}

/// Says whether an address is absent or one of a Redis.
fn is_redis(url: Option<&SecretUrl>) -> bool {
    has_scheme(url, &["redis", "rediss", "redis+unix", "unix"])
}
