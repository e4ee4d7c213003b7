//! Throw-away servers and fixtures for the tests and the demo.
//!
//! - [`PostgresServer`], [`RedisServer`], [`RedisCluster`]: private servers on free loopback ports, gone with the
//!   process that started them
//! - [`PgBouncer`]: one in front of such a PostgreSQL, in transaction mode
//! - [`Proxy`]: a network that fails on demand
//! - `s3` (feature of that name): a real S3 server that fails on demand
//! - [`wrong_clock`]: a host whose clock is off
//! - [`wait_for`], [`unique_name`]: events instead of sleeps, names that tests do not share
//! - [`golden`]: database states before and after Quay's own collector ran, and their objects
//! - [`registry`]: generated registries of any size, with true digests
//! - [`Schedule`]: who meets whom in which order, with every guard and without each
//! - [`check_guards_page`]: `docs/guards.md` held to the schedules that ran
//! - [`chosen_words`]: what the environment chooses of a long run
//! - [`shared_dir`], [`shared_or_skip!`]: the material beside the checkout

mod choice;
mod clock;
mod error;
pub mod golden;
mod guards;
mod keeper;
mod objects;
mod pgbouncer;
mod port;
mod postgres;
mod program;
mod proxy;
mod redis;
pub mod registry;
#[cfg(feature = "s3")]
pub mod s3;
mod schedule;
mod shared;
mod wait;

pub use choice::chosen_words;
pub use clock::wrong_clock;
pub use error::TestkitError;
pub use guards::{PlayedSchedule, check_guards_page};
pub use objects::create_objects;
pub use pgbouncer::PgBouncer;
pub use postgres::{POSTGRES_PASSWORD, POSTGRES_USER, PostgresOptions, PostgresServer};
pub use proxy::{Fault, Proxy};
pub use redis::{REDIS_DATABASES, RedisCluster, RedisOptions, RedisServer, RedisTls};
pub use schedule::{Play, Schedule, World};
pub use shared::{report_skipped, shared_dir};
pub use wait::{unique_name, wait_for};
