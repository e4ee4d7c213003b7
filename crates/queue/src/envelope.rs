//! The form in which a job crosses Redis.
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Largest payload of a job, in bytes of JSON: 256 KiB. Jobs carry ids and read the rows again.
pub const LARGEST_PAYLOAD_BYTES: usize = 256 * 1024;

/// Largest envelope that is read: a payload and room for everything around it.
const LARGEST_ENVELOPE_BYTES: usize = LARGEST_PAYLOAD_BYTES + 16 * 1024;

/// Longest text of any other field of an envelope, in bytes.
pub const LONGEST_FIELD_BYTES: usize = 512;

/// Carries one job: who it is, what it asks for, and how often it was tried.
///
/// The JSON of this struct is the wire format; a field is only ever added, with a default.
/// What the queue itself counts (`attempt`, `crashes`, `enqueued_at_ms`) is not part of what an
/// enqueuer writes, and neither is `id`: the queue names a job's envelope by it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// Unique for ever: a ULID, or derived from what caused the job (a schedule's tick).
    #[serde(default, skip_serializing)]
    pub id: String,
    /// [`Job::KIND`](crate::Job::KIND).
    pub kind: String,
    /// Version of the payload, [`Policy::version`](crate::Policy::version).
    #[serde(default = "first_version", skip_serializing_if = "is_first")]
    pub version: u32,
    /// The job itself, as it was enqueued.
    pub payload: Box<RawValue>,
    /// Which attempt this is; 1 is the first, 0 means not yet taken.
    #[serde(default, skip_serializing)]
    pub attempt: u32,
    /// Attempts that ended with their process.
    #[serde(default, skip_serializing)]
    pub crashes: u32,
    /// Higher goes first; 0 is ordinary.
    #[serde(default, skip_serializing_if = "is_ordinary")]
    pub priority: i8,
    /// Whose work it is (a namespace's id as text); empty means nobody's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tenant: String,
    /// Keeps equal jobs out while this one is queued or running; empty means it does not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unique: String,
    /// When it was enqueued: milliseconds since the Unix epoch by Redis's clock; 0 is unknown.
    #[serde(default, skip_serializing)]
    pub enqueued_at_ms: u64,
    /// Trace context of the enqueuer (W3C `traceparent`); empty means none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub trace: String,
}

impl Envelope {
    /// Reads what lies in a queue; anybody may have written it.
    ///
    /// # Errors
    ///
    /// A text that says why it is no envelope; it never holds the bytes themselves.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > LARGEST_ENVELOPE_BYTES {
            return Err(format!(
                "an envelope of {} bytes; at most {LARGEST_ENVELOPE_BYTES} are read",
                bytes.len()
            ));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())?;
        serde_json::from_str(text).map_err(|error| format!("not an envelope: {error}"))
    }
}

const fn first_version() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_first(version: &u32) -> bool {
    *version == first_version()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_ordinary(priority: &i8) -> bool {
    *priority == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_any_language_writes_and_ignores_what_it_does_not_know() {
        let least = br#"{"kind":"k","payload":{},"later":"field"}"#;
        let read = Envelope::read(least).unwrap();
        assert_eq!((read.version, read.attempt, read.priority), (1, 0, 0));
    }

    #[test]
    fn says_why_bytes_are_no_envelope() {
        let deep = format!(r#"{{"id":{}1{}}}"#, "[".repeat(9999), "]".repeat(9999));
        let large = vec![b' '; LARGEST_ENVELOPE_BYTES + 1];
        for (bytes, why) in [
            (&b"\xff"[..], "UTF-8"),
            (b"", "EOF"),
            (b"\0", "expected value"),
            (b"{}", "missing field"),
            (deep.as_bytes(), "expected a string"),
            (&large, "bytes; at most"),
        ] {
            let error = Envelope::read(bytes).unwrap_err();
            assert!(error.contains(why), "`{error}` does not say `{why}`");
        }
    }

    #[test]
    fn what_the_queue_knows_is_not_written() {
        let read = br#"{"id":"1","kind":"k","payload":[1],"attempt":3,"enqueued_at_ms":9}"#;
        let mut envelope = Envelope::read(read).unwrap();
        let written = serde_json::to_string(&envelope).unwrap();
        assert_eq!(written, r#"{"kind":"k","payload":[1]}"#);
        envelope.version = 2;
        let written = serde_json::to_string(&envelope).unwrap();
        assert_eq!(written, r#"{"kind":"k","version":2,"payload":[1]}"#);
    }
}
