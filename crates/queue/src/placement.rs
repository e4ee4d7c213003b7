//! How a job is placed in a queue, and a job without its type.
use std::time::Duration;

use crate::{Entry, Policy, Queue, Unique};

/// Says how one job is placed; [`Placement::default`] is right for most.
///
/// ```
/// # use std::time::Duration;
/// # use quayhand_queue::{Placement, Unique, UniqueMode};
/// let soon = Placement::after(Duration::from_secs(5))
///     .tenant("4711")
///     .priority(10)
///     .unique(Unique::new(UniqueMode::Debounce, Duration::from_mins(1)).key("recount:4711"));
/// assert_eq!(soon.tenant, "4711");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// The job's id, derived from what caused it, so that enqueuing it again changes nothing;
    /// `None` makes a new one. A dead job keeps its id taken: derive it from the occasion (a
    /// tick), not from the subject alone.
    pub id: Option<String>,
    /// Whose work it is (a namespace's id as text); empty means nobody's. Tenants take turns.
    pub tenant: String,
    /// Higher goes first, over all tenants; `None`: as the kind's policy says.
    pub priority: Option<i8>,
    /// When it is due, from now; zero means at once.
    pub delay: Duration,
    /// How equal jobs are kept apart; `None`: as the kind's policy says.
    pub unique: Option<Unique>,
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

    /// Returns the placement under an id of its own.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Returns the placement for a tenant.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = tenant.into();
        self
    }

    /// Returns the placement with a priority.
    #[must_use]
    pub fn priority(mut self, priority: i8) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Returns the placement with equal jobs kept apart.
    #[must_use]
    pub fn unique(mut self, unique: Unique) -> Self {
        self.unique = Some(unique);
        self
    }

    /// Returns the placement with the trace context of its cause.
    #[must_use]
    pub fn trace(mut self, traceparent: impl Into<String>) -> Self {
        self.trace = traceparent.into();
        self
    }
}

/// A job whose type this process need not know.
#[derive(Clone, Debug)]
pub struct RawJob<'a> {
    /// Where it goes.
    pub queue: &'a Queue,
    /// Its kind; a host that knows the kind will run it.
    pub kind: &'a str,
    /// JSON.
    pub payload: String,
    /// The payload's version, and what holds where the placement says nothing: priority,
    /// uniqueness.
    pub policy: Policy,
}

impl<'a> RawJob<'a> {
    /// Makes a job of a kind from the registry.
    pub fn of<C>(entry: &'a Entry<C>, payload: String) -> Self {
        Self {
            queue: &entry.queue,
            kind: entry.kind,
            payload,
            policy: entry.policy,
        }
    }
}
