//! How a job is placed in a queue, and a job without its type.
use std::time::Duration;

use crate::{Entry, Queue};

/// Says how one job is placed; [`Placement::default`] is right for most.
#[derive(Clone, Debug, Default)]
pub struct Placement {
    /// The job's id, derived from what caused it, so that enqueuing it again changes nothing;
    /// `None` makes a new one. A dead job keeps its id taken: derive it from the occasion (a
    /// tick), not from the subject alone.
    pub id: Option<String>,
    /// Whose work it is (a namespace's id as text); empty means nobody's.
    pub tenant: String,
    /// Travels with the job; jobs are taken in the order of arrival whatever it says.
    pub priority: i8,
    /// When it is due, from now; zero means at once.
    pub delay: Duration,
    /// Trace context of the enqueuer (W3C `traceparent`); empty means none.
    pub trace: String,
}

impl Placement {
    /// Returns a placement that is due after `delay`.
    pub fn after(delay: Duration) -> Self {
        Self {
            delay,
            ..Self::default()
        }
    }
}

/// A job whose type this process need not know.
#[derive(Clone, Debug)]
pub struct RawJob<'a> {
    /// Where it goes.
    pub queue: &'a Queue,
    /// Its kind; a host that knows the kind will run it.
    pub kind: &'a str,
    /// Version of the payload; 1 is the first.
    pub version: u32,
    /// JSON.
    pub payload: String,
    /// As [`Policy::unique_for`](crate::Policy::unique_for).
    pub unique_for: Option<Duration>,
}

impl<'a> RawJob<'a> {
    /// Makes a job of a kind from the registry.
    pub fn of<C>(entry: &'a Entry<C>, payload: String) -> Self {
        Self {
            queue: &entry.queue,
            kind: entry.kind,
            version: entry.policy.version,
            payload,
            unique_for: entry.policy.unique_for,
        }
    }
}
