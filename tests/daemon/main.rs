//! The daemon and the command line, as processes against real servers.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by ending"
)]
#![expect(clippy::print_stdout, reason = "tests print the figures they saw")]

mod faults;
mod idle;
mod outbox;
mod process;
mod supervision;
mod testd;
mod units;
mod world;
