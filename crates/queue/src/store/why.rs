//! Why a job is not running: one line for an operator.
use std::fmt;

use serde::Deserialize;

use super::Note;

/// Says why a job is not running. [`fmt::Display`] makes one line of it, for people; times in it
/// count from the moment the store was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The queue does not hold it: it is done, was cancelled, was never enqueued, or was left out
    /// for an equal job, which its receipt named.
    Gone,
    /// It runs.
    Running {
        /// Who runs it.
        worker: String,
        /// Until its lease ends unless it is renewed, in ms; 0: it has ended, and the next fetch
        /// takes the job back.
        lease_ms: u64,
    },
    /// It runs and was told to stop.
    Stopping {
        /// Who runs it.
        worker: String,
        /// Who wants that.
        note: Note,
    },
    /// It was cancelled, and is dropped when its turn comes.
    Cancelled(Note),
    /// It is dead.
    Dead {
        /// What killed it.
        error: String,
        /// How long ago, in ms.
        ago_ms: u64,
    },
    /// It, its kind, its tenant or the whole queue is paused.
    Paused {
        /// What is: `queue`, `kind:..` or `tenant:..`.
        what: String,
        /// By whom and why.
        note: Note,
    },
    /// No worker called this queue within a minute.
    NoWorker,
    /// No host that called within a minute knows its kind.
    UnknownKind {
        /// The kind.
        kind: String,
        /// How long ago a host last did, in ms; `None`: none within a day.
        ago_ms: Option<u64>,
    },
    /// It is not yet due.
    Due {
        /// In how many ms it is.
        in_ms: u64,
        /// Why it was put off; empty: it was enqueued so.
        error: String,
    },
    /// As many run as may.
    Limit {
        /// The limit: `limit:<kind>:<what the jobs share>`.
        gate: String,
        /// How many may run.
        most: u64,
        /// How many do.
        held: u64,
        /// Ids of some of those.
        holders: Vec<String>,
        /// How many others wait for the same before it.
        ahead: u64,
    },
    /// As many have started as may.
    Rate {
        /// The rate: `rate:<kind>:<what the jobs share>`.
        gate: String,
        /// Until the next may start, in ms.
        in_ms: u64,
        /// How many others wait for the same before it.
        ahead: u64,
    },
    /// It waits for its turn, or was just let through.
    Turn {
        /// How many jobs are before it, at most; `None`: very many.
        ahead: Option<u64>,
    },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str(
                "it is not in the queue: done, cancelled, never enqueued, or left out for an equal job",
            ),
            Self::Running { worker, lease_ms: 0 } => write!(
                f,
                "its lease, held by {worker}, has ended; the next fetch takes it back"
            ),
            Self::Running { worker, lease_ms } => {
                write!(f, "it runs on {worker}; its lease ends in {}", Span(*lease_ms))
            }
            Self::Stopping { worker, note } => {
                write!(f, "it runs on {worker} and was told to stop by {}", By(note))
            }
            Self::Cancelled(note) => write!(
                f,
                "it was cancelled by {} and is dropped when its turn comes",
                By(note)
            ),
            Self::Dead { error, ago_ms } => write!(f, "it died {} ago: {error}", Span(*ago_ms)),
            Self::Paused { what, note } => write!(f, "`{what}` was paused by {}", By(note)),
            Self::NoWorker => f.write_str("no worker of this queue called within a minute"),
            Self::UnknownKind { kind, ago_ms: None } => {
                write!(f, "no host knows `{kind}`, and none did within a day")
            }
            Self::UnknownKind { kind, ago_ms: Some(ago_ms) } => {
                write!(f, "no host knows `{kind}`; one did {} ago", Span(*ago_ms))
            }
            Self::Due { in_ms, error } if error.is_empty() => {
                write!(f, "it is due in {}", Span(*in_ms))
            }
            Self::Due { in_ms, error } => write!(f, "it is tried again in {}: {error}", Span(*in_ms)),
            Self::Limit { gate, most, held, holders, ahead } => write!(
                f,
                "{held} of {most} run under `{gate}` (such as {}); {ahead} wait before it",
                holders.join(", ")
            ),
            Self::Rate { gate, in_ms, ahead } => write!(
                f,
                "`{gate}` lets the next start in {}; {ahead} wait before it",
                Span(*in_ms)
            ),
            Self::Turn { ahead: None } => f.write_str("it waits for its turn, far behind"),
            Self::Turn { ahead: Some(ahead) } => {
                write!(f, "it waits for its turn; at most {ahead} are before it")
            }
        }
    }
}

/// Who did it, and why.
struct By<'a>(&'a Note);

impl fmt::Display for By<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = if self.0.by.is_empty() {
            "somebody"
        } else {
            &self.0.by
        };
        f.write_str(by)?;
        if self.0.why.is_empty() {
            return Ok(());
        }
        write!(f, " ({})", self.0.why)
    }
}

/// Shows a time in milliseconds as people say it, such as `5 min`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 1000;
        match seconds {
            0 => write!(f, "{} ms", self.0),
            1..120 => write!(f, "{seconds} s"),
            120..7200 => write!(f, "{} min", seconds / 60),
            7200..172_800 => write!(f, "{} h", seconds / 3600),
            _ => write!(f, "{} d", seconds / 86_400),
        }
    }
}

/// What a store knows, before the reason is picked.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Facts {
    pub(crate) now_ms: u64,
    pub(crate) state: String,
    pub(crate) at_ms: u64,
    pub(crate) error: String,
    pub(crate) token: String,
    pub(crate) stop: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) kind_seen_ms: u64,
    pub(crate) paused: String,
    pub(crate) pause: Option<String>,
    pub(crate) workers: u64,
    pub(crate) gate: Option<String>,
    pub(crate) cap: Option<String>,
    /// When the rate is at rest again.
    pub(crate) full_ms: u64,
    pub(crate) ahead: Option<u64>,
    pub(crate) held: u64,
    pub(crate) holders: String,
}

/// How long a host counts as there after it last called, in ms.
pub(crate) const PRESENT_MS: u64 = 60_000;

impl Facts {
    /// Picks the reason that would keep the job back longest, or that somebody decided.
    pub(crate) fn why(self) -> Why {
        let worker = self.token.split('#').next().unwrap_or_default().to_owned();
        let note = self.stop.as_deref().map(Note::read);
        match (self.state.as_str(), note) {
            ("gone", _) => Why::Gone,
            ("leased", Some(note)) => Why::Stopping { worker, note },
            ("leased", None) => Why::Running {
                worker,
                lease_ms: self.at_ms.saturating_sub(self.now_ms),
            },
            ("dead", _) => Why::Dead {
                ago_ms: self.now_ms.saturating_sub(self.at_ms),
                error: self.error,
            },
            (_, Some(note)) => Why::Cancelled(note),
            _ => self.why_waiting(),
        }
    }

    fn why_waiting(self) -> Why {
        if let Some(pause) = &self.pause {
            let note = Note::read(pause);
            return Why::Paused {
                what: self.paused,
                note,
            };
        }
        if self.workers == 0 && self.state != "delayed" {
            return Why::NoWorker;
        }
        let unseen_ms = self.now_ms.saturating_sub(self.kind_seen_ms);
        if let Some(kind) = self
            .kind
            .as_ref()
            .filter(|_| self.workers > 0 && unseen_ms > PRESENT_MS)
        {
            let kind = kind.clone();
            let ago_ms = (self.kind_seen_ms > 0).then_some(unseen_ms);
            return Why::UnknownKind { kind, ago_ms };
        }
        if self.state == "delayed" {
            return Why::Due {
                in_ms: self.at_ms.saturating_sub(self.now_ms),
                error: self.error,
            };
        }
        self.why_ready()
    }

    fn why_ready(self) -> Why {
        let ahead = self.ahead.unwrap_or_default();
        let most = self.cap.as_deref().and_then(|cap| cap.parse().ok());
        let in_ms = self.rate_wait_ms();
        match self.gate {
            Some(gate) if gate.starts_with("rate:") => Why::Rate { gate, in_ms, ahead },
            Some(gate) if gate.starts_with("limit:") => Why::Limit {
                gate,
                most: most.unwrap_or_default(),
                held: self.held,
                holders: self.holders.lines().map(str::to_owned).collect(),
                ahead,
            },
            _ => Why::Turn { ahead: self.ahead },
        }
    }

    /// How long until a rate of `most/per ms` lets one more start.
    fn rate_wait_ms(&self) -> u64 {
        let cap = self.cap.as_deref().and_then(|cap| cap.split_once('/'));
        let number = |text: &str| text.parse::<u64>().ok().filter(|number| *number > 0);
        let Some((most, per)) = cap.and_then(|(most, per)| Some((number(most)?, number(per)?)))
        else {
            return 0;
        };
        let debt = self.full_ms.saturating_sub(self.now_ms).min(per);
        (debt + per / most).saturating_sub(per)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_said_as_people_do() {
        let said =
            [5, 1500, 119_999, 130_000, 7_300_000, 200_000_000].map(|ms| Span(ms).to_string());
        assert_eq!(said, ["5 ms", "1 s", "119 s", "2 min", "2 h", "2 d"]);
    }
}
