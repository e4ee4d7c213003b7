//! The model's functions on real databases.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by ending"
)]

mod elsewhere;
mod golden;
mod guard;
mod links;
mod outbox;
mod pause;
mod permission;
mod property;
mod purge;
mod schedules;
mod scratch;
mod sweep;
mod ticks;
mod totals;
mod window;
