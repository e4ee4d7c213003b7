//! What operators ask of a queue: pauses, cancelling, searching.
use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{LONGEST_FIELD_BYTES, Shown, State};

/// Longest text of a name, of who did something or why, that is kept, in bytes.
pub(crate) const LONGEST_NOTE_BYTES: usize = 512;

/// Longest text of what is paused: the longest word before the longest field, in bytes.
const LONGEST_TARGET_BYTES: usize = "tenant:".len() + LONGEST_FIELD_BYTES;

/// What of a queue is paused. As text: `queue`, `kind:<kind>`, `tenant:<tenant>`. To be made by
/// [`Self::kind`] and [`Self::tenant`], which check the name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// All of it.
    Queue,
    /// The jobs of one kind.
    Kind(String),
    /// The jobs of one tenant.
    Tenant(String),
    /// Something else that stands among the pauses, as its text: shown and lifted, never made.
    Other(String),
}

/// Says that a text names nothing that can be paused.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` cannot be paused; write `queue`, `kind:<kind>` or `tenant:<tenant>`, the name being of 1 \
     to {LONGEST_FIELD_BYTES} bytes"
)]
pub struct BadTarget(String);

impl Target {
    /// Names the jobs of one kind.
    ///
    /// # Errors
    ///
    /// A name that is empty or longer than that of any job.
    pub fn kind(kind: &str) -> Result<Self, BadTarget> {
        Self::Kind(kind.to_owned()).checked()
    }

    /// Names the jobs of one tenant. Those that are nobody's cannot be paused by themselves.
    ///
    /// # Errors
    ///
    /// A name that is empty or longer than that of any tenant.
    pub fn tenant(tenant: &str) -> Result<Self, BadTarget> {
        Self::Tenant(tenant.to_owned()).checked()
    }

    /// Returns itself if it is something that can be paused.
    pub(crate) fn checked(&self) -> Result<Self, BadTarget> {
        self.to_string().parse()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queue => f.write_str("queue"),
            Self::Kind(kind) => write!(f, "kind:{kind}"),
            Self::Tenant(tenant) => write!(f, "tenant:{tenant}"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl FromStr for Target {
    type Err = BadTarget;

    fn from_str(text: &str) -> Result<Self, BadTarget> {
        let bad = || BadTarget(crate::settle::cut(text, LONGEST_TARGET_BYTES).to_owned());
        if text.len() > LONGEST_TARGET_BYTES {
            return Err(bad());
        }
        match text.split_once(':') {
            None if text == "queue" => Ok(Self::Queue),
            Some((_, name)) if name.is_empty() || name.len() > LONGEST_FIELD_BYTES => Err(bad()),
            Some(("kind", kind)) => Ok(Self::Kind(kind.to_owned())),
            Some(("tenant", tenant)) => Ok(Self::Tenant(tenant.to_owned())),
            _ => Err(bad()),
        }
    }
}

/// Who did something, when, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// When, in milliseconds since the Unix epoch by the store's clock.
    #[serde(default)]
    pub at_ms: u64,
    /// Who.
    #[serde(default)]
    pub by: String,
    /// Why; empty means nobody said.
    #[serde(default)]
    pub why: String,
}

impl Note {
    /// Reads what the store keeps; anybody may have written it, so nonsense is an empty note.
    pub(crate) fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }
}

/// One thing that is paused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// What.
    pub target: Target,
    /// By whom and why.
    pub note: Note,
}

/// What became of a wish to cancel a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// It waited, and is gone. One far inside a long queue still counts as ready until its turn
    /// comes; it is not run.
    Gone,
    /// It runs; its host stops it within a second, and whatever it returns but success, it is
    /// not run again.
    Stopping,
    /// It is dead already; nothing was changed.
    Dead,
    /// The queue does not hold it.
    Unknown,
}

impl Cancelled {
    /// Returns its name, for people and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "cancelled",
            Self::Stopping => "stopping",
            Self::Dead => "dead",
            Self::Unknown => "gone",
        }
    }

    pub(crate) fn of(name: &str) -> Option<Self> {
        let all = [Self::Gone, Self::Stopping, Self::Dead, Self::Unknown];
        all.into_iter().find(|one| one.as_str() == name)
    }
}

/// What became of a wish to renew a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewed {
    /// It ends a whole lease from now.
    Held,
    /// As [`Self::Held`], and somebody wants the job stopped.
    Stop,
    /// Somebody else may hold the job.
    Lost,
}

/// Which jobs are looked for. What is empty or `None` fits every job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Where it is.
    pub state: Option<State>,
    /// Its kind.
    pub kind: Option<String>,
    /// Its tenant.
    pub tenant: Option<String>,
    /// Fields of its payload with their values, each as text.
    pub arguments: Vec<(String, String)>,
    /// A part of its last error.
    pub error: String,
    /// At least so long ago: its death when it is dead, else when it was enqueued.
    pub older_than: Option<Duration>,
}

impl Filter {
    /// Texts that the envelope of a job that fits must hold, however it is written; they narrow
    /// the search down where the jobs are. A text that JSON could spell in two ways is left out.
    pub(crate) fn texts(&self) -> Vec<&str> {
        let is_plain = |text: &&str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "_-. ".contains(c);
            !text.is_empty() && text.chars().all(plain)
        };
        let own = [self.kind.as_deref(), self.tenant.as_deref()];
        let arguments = self.arguments.iter();
        let arguments = arguments.flat_map(|(field, value)| [field.as_str(), value.as_str()]);
        let texts = own.into_iter().flatten().chain(arguments);
        texts.filter(is_plain).collect()
    }

    /// Says whether a job fits, at a time in milliseconds since the Unix epoch.
    #[must_use]
    pub fn fits(&self, job: &Shown, now_ms: u64) -> bool {
        let envelope = job.envelope.as_ref().ok();
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| Some(wanted) == found)
        };
        self.state.is_none_or(|state| state == job.state)
            && is(&self.kind, envelope.map(|e| e.kind.as_str()))
            && is(&self.tenant, envelope.map(|e| e.tenant.as_str()))
            && job.last_error.contains(&self.error)
            && self.fits_payload(envelope.map_or("null", |e| e.payload.get()))
            && self.older_than.is_none_or(|age| {
                let since_ms = match job.state {
                    State::Dead => job.at_ms,
                    _ => envelope.map_or(0, |e| e.enqueued_at_ms),
                };
                now_ms.saturating_sub(since_ms) >= crate::redis::ms(age)
            })
    }

    fn fits_payload(&self, payload: &str) -> bool {
        if self.arguments.is_empty() {
            return true;
        }
        let payload: serde_json::Value = serde_json::from_str(payload).unwrap_or_default();
        self.arguments
            .iter()
            .all(|(field, wanted)| match payload.get(field) {
                Some(serde_json::Value::Array(values)) => {
                    values.iter().any(|value| text_of(value) == *wanted)
                }
                Some(value) => text_of(value) == *wanted,
                None => false,
            })
    }
}

/// A value of a payload as it is asked for: a text without its quotes.
fn text_of(value: &serde_json::Value) -> Cow<'_, str> {
    match value {
        serde_json::Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

/// Some of the jobs that fit a [`Filter`].
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The jobs, in no order; one may come again on a later page.
    pub jobs: Vec<Shown>,
    /// How many jobs were looked at.
    pub scanned: usize,
    /// Where to go on; `None`: that was all.
    pub next: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_as_they_are_written() {
        for text in ["queue", "kind:blob_gc", "tenant:a:b"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        for bad in ["", "kind:", "kind", "tenants:1", "queue:"] {
            assert!(bad.parse::<Target>().is_err(), "`{bad}`");
        }
        let longest = "t".repeat(LONGEST_FIELD_BYTES);
        let target = Target::tenant(&longest).unwrap();
        assert_eq!(target.to_string().parse::<Target>().unwrap(), target);
        for bad in ["", &format!("{longest}t")] {
            assert!(Target::tenant(bad).is_err() && Target::kind(bad).is_err());
        }
    }

    #[test]
    fn arguments_fit_by_value_or_as_one_of_a_list() {
        let filter = |field: &str, value: &str| Filter {
            arguments: vec![(field.to_owned(), value.to_owned())],
            ..Filter::default()
        };
        let payload = r#"{"ids":[1,22],"name":"x","deep":{"ids":[3]}}"#;
        for (field, value, fits) in [
            ("ids", "22", true),
            ("ids", "2", false),
            ("ids", "3", false),
            ("name", "x", true),
            ("none", "x", false),
        ] {
            assert_eq!(filter(field, value).fits_payload(payload), fits, "{field}");
        }
        assert_eq!(filter("a\"b", "22").texts(), ["22"]);
    }
}
