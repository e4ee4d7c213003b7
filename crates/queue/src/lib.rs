//! What a job is, and how it is carried over Redis.
//!
//! This crate knows neither databases nor registries. It owns the words every other
//! crate speaks: a [`Job`] has a kind, a [`Queue`], a [`Policy`] and a [`Source`]; it
//! travels as an [`Envelope`]; one try at running it is an attempt, which ends in
//! [`Done`] or a [`JobError`]; a [`Registry`] knows every kind a build can run.
mod envelope;
mod job;
mod name;
mod outcome;
mod policy;
mod registry;

pub use envelope::Envelope;
pub use job::{Job, Schedule, Source};
pub use name::{BadName, Queue};
pub use outcome::{Done, JobError};
pub use policy::{Backoff, Policy};
pub use registry::{Entry, Registry};
