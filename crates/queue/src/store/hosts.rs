//! What workers tell of themselves and of their attempts.
use serde::{Deserialize, Serialize};

use crate::{Done, Kept, Lease, Outcome, WorkerId, settle::kept};

/// Longest log that is kept of one attempt, in lines.
pub const MOST_LINES: usize = 20;
/// Longest line or progress text that is kept, in bytes.
pub(crate) const LONGEST_LINE_BYTES: usize = 256;
/// Attempts of one job whose records are kept; the oldest go first.
pub const MOST_RECORDS: usize = 10;
/// Jobs of one queue whose records are kept; those that would go first, go first.
pub const MOST_KEPT: usize = 1000;

/// Tells what a worker is. It does so every ten seconds; one that was silent for a minute is
/// forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The name under which it leases jobs.
    pub worker: String,
    /// Its host.
    pub host: String,
    /// Its process.
    pub pid: u32,
    /// When it started, in milliseconds since the Unix epoch by its host's clock.
    pub started_at_ms: u64,
    /// Jobs it may run at a time.
    pub slots: usize,
    /// Jobs it runs.
    pub running: usize,
    /// Whether it takes no new jobs.
    pub is_quiet: bool,
    /// Kinds it can run; at most 1,000 are told.
    pub kinds: Vec<String>,
}

/// A worker, as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenWorker {
    /// When it last told, in milliseconds since the Unix epoch by the store's clock.
    pub seen_ms: u64,
    /// What it told.
    pub about: About,
}

/// How far a running job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The hold on the job; one that was lost tells nothing.
    pub lease: Lease,
    /// For people; at most 256 bytes are kept.
    pub text: String,
}

/// How an attempt ended, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It finished.
    Done,
    /// It failed and is tried again.
    Retry,
    /// It failed for good.
    Dead,
    /// It comes back later; no attempt was spent.
    Snooze,
    /// It went back to the front of its queue; no attempt was spent.
    GiveBack,
    /// Somebody cancelled it.
    Cancelled,
}

/// What is kept of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When it ended, in milliseconds since the Unix epoch by the store's clock.
    #[serde(default, skip_serializing)]
    pub at_ms: u64,
    /// How it ended.
    pub outcome: Ending,
    /// Which attempt it was; 0 for a job that was cancelled.
    #[serde(default)]
    pub attempt: u32,
    /// Who ran it; empty when nobody did.
    #[serde(default)]
    pub worker: String,
    /// What was done, or what went wrong; at most 2 KiB.
    #[serde(default)]
    pub text: String,
    /// Its last log lines, at most 20, the newest last.
    #[serde(default)]
    pub lines: Vec<String>,
}

/// An attempt that ended, as operators see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastAttempt {
    /// When it ended, in milliseconds since the Unix epoch by the store's clock.
    #[serde(default)]
    pub at_ms: u64,
    /// How long it took, in ms; `None` when nobody ran it, and from the store in memory.
    #[serde(default)]
    pub took_ms: Option<u64>,
    /// How it ended.
    pub outcome: Ending,
    /// Which attempt it was; 0 for a job that was cancelled.
    #[serde(default)]
    pub attempt: u32,
    /// Who ran it; empty when nobody did.
    #[serde(default)]
    pub worker: String,
    /// What was done, or what went wrong.
    #[serde(default)]
    pub text: String,
    /// Its last log lines, the newest last.
    #[serde(default)]
    pub lines: Vec<String>,
}

impl From<Record> for PastAttempt {
    fn from(record: Record) -> Self {
        Self {
            at_ms: record.at_ms,
            took_ms: None,
            outcome: record.outcome,
            attempt: record.attempt,
            worker: record.worker,
            text: record.text,
            lines: record.lines,
        }
    }
}

impl Ending {
    /// Returns its name, for people and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Retry => "retry",
            Self::Dead => "dead",
            Self::Snooze => "snooze",
            Self::GiveBack => "give_back",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A record as it is written; the store adds when.
#[derive(Serialize)]
struct Written<'a> {
    #[serde(flatten)]
    record: &'a Record,
    took_ms: u64,
}

impl Kept {
    /// Writes the record as JSON.
    pub(crate) fn written(&self) -> Option<String> {
        let written = Written {
            record: &self.record,
            took_ms: crate::redis::ms(self.took),
        };
        serde_json::to_string(&written).ok()
    }
}

impl Record {
    /// Makes the record of an attempt that ended.
    pub(crate) fn of(
        outcome: &Outcome,
        attempt: u32,
        worker: &WorkerId,
        lines: Vec<String>,
    ) -> Self {
        let done = |done: &Done| done.to_string();
        let (ending, text) = match outcome {
            Outcome::Done(counts) => (Ending::Done, done(counts)),
            Outcome::Retry { error, .. } => (Ending::Retry, error.clone()),
            Outcome::Dead { reason } => (Ending::Dead, reason.clone()),
            Outcome::Snooze { reason, .. } => (Ending::Snooze, reason.clone()),
            Outcome::GiveBack => (Ending::GiveBack, String::new()),
        };
        Self {
            at_ms: 0,
            outcome: ending,
            attempt,
            worker: worker.to_string(),
            text: kept(&text).to_owned(),
            lines,
        }
    }
}
