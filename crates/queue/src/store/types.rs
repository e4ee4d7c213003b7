//! What goes into the verbs of a store and what comes out of them.
use std::{fmt, sync::Arc, time::Duration};

use crate::{Envelope, Outcome, Record, Rule, UniqueMode};

/// Names one life of one worker: host, process and a number that never comes again, so that a
/// restarted worker neither waits for its former self nor takes its leases.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WorkerId(String);

impl WorkerId {
    /// Makes the name of a worker that starts now, `host:pid:ulid`.
    ///
    /// `host` is shown to operators; `#` and control characters in it become `_`.
    pub fn new(host: &str) -> Self {
        let host = host.replace(|c: char| c == '#' || c.is_control(), "_");
        let unique = ulid::Ulid::generate();
        Self(format!("{host}:{}:{unique}", std::process::id()))
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the token of the worker's fetch number `number`.
    pub fn token(&self, number: u64) -> String {
        format!("{self}#{number}")
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A job on its way into a queue.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Its id.
    pub id: String,
    /// The JSON of its [`Envelope`], without the time (the store writes it).
    pub envelope: String,
    /// When it is due, from now; zero means at once.
    pub delay: Duration,
    /// Keeps other jobs with the same key out; empty means it does not.
    pub unique: String,
    /// Longest time of the mark that `unique` sets.
    pub unique_for: Duration,
    /// What happens to it when the key is taken.
    pub unique_mode: UniqueMode,
    /// Higher goes first; 0 is ordinary.
    pub priority: i8,
    /// Whose turn it takes; empty means nobody's.
    pub tenant: String,
}

impl NewJob {
    /// Says whether the shorter form of the script `enqueue` carries it.
    pub(crate) fn is_plain(&self) -> bool {
        self.priority == 0
            && self.tenant.is_empty()
            && self.unique_mode == UniqueMode::WhileQueuedOrRunning
    }

    /// Says whether the shortest form does: the job is due at once and asks for nothing.
    pub(crate) fn is_bare(&self) -> bool {
        self.is_plain() && self.delay.is_zero() && self.unique.is_empty()
    }
}

/// Says what became of a job that was to be enqueued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Id of the job that will do the work: the new one, or the one that was there.
    pub id: String,
    /// Whether the job was added; `false`: it, or an equal one, was in the queue already.
    pub is_new: bool,
}

/// Asks for jobs.
#[derive(Clone, Debug)]
pub struct Fetch<'a> {
    /// Who asks.
    pub worker: &'a WorkerId,
    /// Grows with each fetch of the worker, so that each has a token of its own.
    pub number: u64,
    /// How many jobs at most, 1 to 1,000.
    pub most: usize,
    /// How long the jobs stay with the worker unless it renews.
    pub lease: Duration,
    /// What holds kinds back; none costs nothing. Hosts that differ each go by their own.
    pub rules: &'a [Rule],
    /// How many jobs may be among them that are dead when their process ends once more
    /// ([`TakenJob::is_suspect`]); others of the kind are put off by a second.
    pub suspects: usize,
}

/// What a fetch brought.
#[derive(Clone, Debug, Default)]
pub struct Fetched {
    /// The jobs, oldest first, leased to the worker.
    pub jobs: Vec<TakenJob>,
    /// How long to wait for a wake-up before looking again; zero means look at once.
    pub wait: Duration,
    /// Jobs of lost workers that went back to the front of the queue.
    pub recovered: u64,
    /// Jobs of lost workers that are dead now, having crashed too often.
    pub buried: u64,
}

/// A job in the hands of one worker.
#[derive(Clone, Debug)]
pub struct TakenJob {
    /// The hold on it.
    pub lease: Lease,
    /// The bytes of its envelope: what an enqueuer wrote, trusted no further.
    pub envelope: Vec<u8>,
    /// Which attempt this is; 1 is the first.
    pub attempt: u32,
    /// Attempts that ended with their process.
    pub crashes: u32,
}

impl TakenJob {
    /// Says whether it ran each time when a process ended, and may do so no more: it, or another
    /// that ran beside it, is the cause.
    pub fn is_suspect(&self) -> bool {
        self.crashes.saturating_add(1) >= super::MOST_CRASHES
    }

    /// Reads the envelope.
    ///
    /// # Errors
    ///
    /// A text that says why it is no envelope.
    pub fn read(&self) -> Result<Envelope, String> {
        let mut envelope = Envelope::read(&self.envelope)?;
        self.lease.id.as_ref().clone_into(&mut envelope.id);
        envelope.attempt = self.attempt;
        envelope.crashes = self.crashes;
        Ok(envelope)
    }
}

/// The hold of one worker on one job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The job's id.
    pub id: Arc<str>,
    /// Differs each time the job is taken; a finish with an older one is refused. Jobs that were
    /// taken together share it.
    pub token: Arc<str>,
}

/// Says what becomes of one taken job.
#[derive(Clone, Debug)]
pub struct Finish {
    /// The hold on it.
    pub lease: Lease,
    /// What becomes of it.
    pub outcome: Outcome,
    /// What is kept of the attempt; `None` keeps nothing and costs nothing.
    pub kept: Option<Box<Kept>>,
}

/// A record of an attempt, and for how long it is kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// How the attempt went.
    pub record: Record,
    /// How long the attempt took.
    pub took: Duration,
    /// How long it is kept at most.
    pub keep_for: Duration,
}

/// Counts the jobs of one queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Waiting to be taken.
    pub ready: u64,
    /// Waiting for their time.
    pub delayed: u64,
    /// In the hands of a worker.
    pub leased: u64,
    /// Given up, kept for operators.
    pub dead: u64,
    /// Held back by a limit, a rate or a pause.
    pub blocked: u64,
    /// Finished since the queue exists.
    pub done_total: u64,
    /// Failed attempts since the queue exists that were followed by another.
    pub retries_total: u64,
    /// Jobs that died since the queue exists.
    pub dead_total: u64,
    /// Attempts since the queue exists that ended with their process.
    pub crashes_total: u64,
    /// Jobs that were cancelled since the queue exists.
    pub cancelled_total: u64,
}

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Waiting to be taken.
    Ready,
    /// Held back by a limit, a rate or a pause.
    Blocked,
    /// Waiting for its time.
    Delayed,
    /// In the hands of a worker.
    Leased,
    /// Given up.
    Dead,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 5] = [
        Self::Ready,
        Self::Blocked,
        Self::Delayed,
        Self::Leased,
        Self::Dead,
    ];

    /// Returns the name used on the wire and in the CLI.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Blocked => "blocked",
            Self::Delayed => "delayed",
            Self::Leased => "leased",
            Self::Dead => "dead",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One job, as an operator sees it.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Its id.
    pub id: String,
    /// Where it is.
    pub state: State,
    /// What it asks for, or why that cannot be read. Its `attempt` counts those spent.
    pub envelope: Result<Envelope, String>,
    /// When it is due, when its lease ends, or when it died: milliseconds since the Unix epoch
    /// by the store's clock; 0 for a ready or blocked job.
    pub at_ms: u64,
    /// Why the last attempt failed; empty when none did.
    pub last_error: String,
    /// What the last attempt said of how far it is; empty when it said nothing.
    pub progress: String,
}
