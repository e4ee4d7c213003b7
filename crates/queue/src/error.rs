//! What can go wrong between this process and the queue.
use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::connect::is_between_nodes;

/// Says which call on Redis failed, where, and what helps.
///
/// The cause is its `source`. No text of it ever holds a password: the place is host and
/// port, or a socket's path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// The URL of the Redis cannot be used.
    #[error(
        "the Redis URL is not usable: {reason}; write `redis://[user:password@]host:port/database`"
    )]
    Url {
        /// What does not fit; without the URL, which may hold a password.
        reason: String,
    },
    /// Nothing answers, or not in time.
    #[error(
        "Redis at `{place}` does not answer; start it, or correct its URL in the configuration"
    )]
    Unreachable {
        /// Host and port.
        place: String,
        /// The failure on the wire.
        source: RedisError,
    },
    /// The server asks for other credentials.
    #[error("Redis at `{place}` refused the user or the password; correct them in its URL")]
    Credentials {
        /// Host and port.
        place: String,
        /// What the server said.
        source: RedisError,
    },
    /// The server answered with an error.
    #[error("Redis at `{place}` refused `{verb}`")]
    Refused {
        /// What was asked of it.
        verb: &'static str,
        /// Host and port.
        place: String,
        /// What the server said.
        source: RedisError,
    },
    /// The server answered something that the verb never answers.
    #[error(
        "Redis answered `{verb}` with {reason}; is another program writing to the keys `qh:*`?"
    )]
    Answer {
        /// What was asked of it.
        verb: &'static str,
        /// What was wrong with the answer.
        reason: String,
    },
    /// The job is larger than a queue carries.
    #[error(
        "a job `{kind}` of {bytes} bytes was not enqueued: a payload has at most {limit}; let it carry ids and read the rows again"
    )]
    TooLarge {
        /// The job's kind.
        kind: String,
        /// Size of its payload, or of the field that is too long.
        bytes: usize,
        /// What is allowed.
        limit: usize,
    },
    /// A queue holds as many pauses as it may.
    #[error("queue `{queue}` has 1,000 pauses already; resume some of them first")]
    TooMany {
        /// The queue's name.
        queue: crate::Queue,
    },
    /// What was to be paused is nothing that can be.
    #[error(transparent)]
    Target(#[from] crate::BadTarget),
    /// The job cannot be written as JSON, or is no JSON.
    #[error("the payload of a job `{kind}` is not usable as JSON")]
    Payload {
        /// The job's kind.
        kind: String,
        /// What JSON says.
        source: serde_json::Error,
    },
    /// The thread that renews leases could not be started.
    #[error("the thread that renews leases could not be started")]
    Keeper {
        /// What the system said.
        source: std::io::Error,
    },
}

impl QueueError {
    /// Sorts an error of the Redis client by what helps against it.
    pub(crate) fn of(verb: &'static str, place: &str, source: RedisError) -> Self {
        let place = place.to_owned();
        let code = source.code().unwrap_or_default();
        if source.kind() == ErrorKind::AuthenticationFailed
            || matches!(code, "NOAUTH" | "WRONGPASS")
        {
            return Self::Credentials { place, source };
        }
        let loading = matches!(
            source.kind(),
            ErrorKind::Server(ServerErrorKind::BusyLoading)
        );
        let moving = is_between_nodes(&source);
        if source.is_io_error() || source.is_unrecoverable_error() || loading || moving {
            return Self::Unreachable { place, source };
        }
        Self::Refused {
            verb,
            place,
            source,
        }
    }

    /// Says whether the job itself is at fault: no Redis would take it.
    pub fn is_unusable(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::Payload { .. })
    }

    /// Says whether nothing answered: the call may or may not have had its effect.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}
