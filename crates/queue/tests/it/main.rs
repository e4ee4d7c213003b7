//! The queue against a real Redis, and its twin in memory.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test panics when something is wrong, and prints its figures"
)]
mod backend;
mod client;
mod conformance;
mod connection;
mod defects;
mod flow;
mod locks;
mod operate;
mod support;
mod tls;
mod twins;
mod users;
