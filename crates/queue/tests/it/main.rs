//! The queue against a real Redis, and its twin in memory.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test panics when something is wrong, and prints its figures"
)]
mod ahead;
mod backend;
mod backlog;
mod bounds;
mod changes;
mod client;
mod conformance;
mod connection;
mod defects;
mod faults;
mod flow;
mod leases;
mod locks;
mod model;
mod operate;
mod property;
mod support;
mod tls;
mod twins;
mod users;
mod wire;
