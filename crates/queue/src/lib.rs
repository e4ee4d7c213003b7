//! What a job is, and how it is carried over Redis.
//!
//! This crate knows neither databases nor registries. It owns the words every other
//! crate speaks: a [`Job`] has a kind, a [`Queue`], a [`Policy`] and a [`Source`]; it
//! travels as an [`Envelope`]; one try at running it is an attempt, which ends in
//! [`Done`] or a [`JobError`]; a [`Registry`] knows every kind a build can run.
//!
//! A [`Store`] holds the queues, in Redis or in memory. A [`Client`] puts jobs in, from any
//! process; a [`Backend`] hands them to an apalis worker, a [`Keeper`] renews what is leased.
//! [`Locks`] are Quay's own, for what an unmodified Quay may touch at the same time.
mod backend;
mod bulk;
mod client;
mod connect;
mod envelope;
mod error;
mod jitter;
mod job;
mod lock;
mod memory;
mod name;
mod outcome;
mod placement;
mod policy;
mod redis;
mod registry;
mod rules;
mod server;
mod settle;
mod store;
mod unique;

pub use self::redis::RedisStore;
pub use backend::{
    Ack, AckLayer, Backend, Follower, Keeper, KnownKinds, Notes, PoolConfig, PoolHandle,
    PoolStatus, Seat, Taken,
};
pub use bulk::Bulk;
pub use client::Client;
pub use connect::{Deadlines, Redis, Settings, Tls};
pub use envelope::{Envelope, LARGEST_PAYLOAD_BYTES, LONGEST_FIELD_BYTES};
pub use error::QueueError;
pub use job::{Job, Schedule, Source};
pub use lock::{Hold, LockError, Locks};
pub use memory::MemoryStore;
pub use name::{BadName, Queue};
pub use outcome::{Done, JobError, chain};
pub use placement::{Placement, RawJob};
pub use policy::{Backoff, Policy};
pub use registry::{Entry, Registry};
pub use rules::{KeyBy, Limit, Rate, Rule};
pub use settle::{Outcome, REFUSED_PAUSE};
pub use store::{
    About, BadTarget, Cancelled, Counts, Ending, Fetch, Fetched, Filter, Finish, Kept,
    LARGEST_BATCH, LONGEST_DEATH, LONGEST_WAIT, Lease, MOST_CRASHES, MOST_DEAD, MOST_KEPT,
    MOST_LINES, MOST_PAUSES, MOST_RECORDS, NewJob, Note, Page, PastAttempt, Pause, Progress,
    Receipt, Record, Renewed, SeenWorker, Shown, Span, State, Store, TakenJob, Target, Why,
    WorkerId,
};
pub use unique::{Unique, UniqueMode};
