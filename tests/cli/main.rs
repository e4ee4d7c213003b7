//! The command line, end to end: the built program against real servers.
//!
//! - `program.rs`, `scene.rs`, `quay_config.rs`: running it, and what it works on
//! - `oracle.rs`, `golden.rs`: the same garbage as Quay's own collector
//! - `dry_run.rs`: one repository alone, and what would go; `tag_expiry.rs`: what fails
//! - `flags.rs`: Quay's flags; `quota.rs`: what becomes of size totals
//! - `refusals/`, `drift.rs`: what cannot be asked for, and a schema that is not known
//! - `bad_input/`: what a registry should not hold, and storage should not do
//! - `tombs.rs`, `blob_gc.rs`, `hold.rs`: removing objects, and what fences it
//! - `purge.rs`: what owners deleted
//! - `help.rs`, `snapshots/`: what the verbs say; `lists.rs`, `migrate.rs`: what they answer
//! - `clock.rs`: a host whose clock is wrong
//! - `desk.rs`: what operators ask of the queues, in `operating.rs`, `outbox.rs`, `pauses.rs`,
//!   `answers.rs`
//! - `interruption.rs`: runs that are stopped, killed, or not alone

mod answers;
mod bad_input;
mod blob_gc;
mod cleanup;
mod clock;
mod desk;
mod drift;
mod dry_run;
mod flags;
mod golden;
mod help;
mod hold;
mod interruption;
mod lists;
mod migrate;
mod network;
mod operating;
mod oracle;
mod outbox;
mod pauses;
mod program;
mod purge;
mod quay_config;
mod quota;
mod refusals;
mod scene;
mod schedule;
mod tag_expiry;
mod tombs;
mod verify;
