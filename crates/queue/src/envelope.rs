//! The form in which a job crosses Redis.
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Carries one job: who it is, what it asks for, and how often it was tried.
///
/// The JSON of this struct is the wire format; a field is only ever added, with a default.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// Unique for ever: a ULID, or derived from what caused the job (a schedule's tick).
    pub id: String,
    /// [`Job::KIND`](crate::Job::KIND).
    pub kind: String,
    /// Version of the payload, [`Policy::version`](crate::Policy::version).
    #[serde(default = "first_version")]
    pub version: u32,
    /// The job itself, as it was enqueued.
    pub payload: Box<RawValue>,
    /// Which attempt this is; 1 is the first, 0 means not yet taken.
    #[serde(default)]
    pub attempt: u32,
    /// Attempts that ended with their process.
    #[serde(default)]
    pub crashes: u32,
    /// Higher goes first; 0 is ordinary.
    #[serde(default)]
    pub priority: i8,
    /// Whose work it is (a namespace's id as text); empty means nobody's.
    #[serde(default)]
    pub tenant: String,
    /// Keeps equal jobs out while this one is queued or running; empty means it does not.
    #[serde(default)]
    pub unique: String,
    /// When it was enqueued: milliseconds since the Unix epoch by Redis's clock.
    #[serde(default)]
    pub enqueued_at_ms: u64,
    /// Trace context of the enqueuer (W3C `traceparent`); empty means none.
    #[serde(default)]
    pub trace: String,
}

const fn first_version() -> u32 {
    1
}
