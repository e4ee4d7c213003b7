//! Owns [`StorageError`]: what can go wrong with a whole call. What happens to one key is a
//! [`Deleted`](crate::Deleted).

use std::{io, path::PathBuf};

/// Says why storage could not be set up or reached. Every case means: nothing was deleted.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// No location is configured at all.
    #[error(
        "no storage location is configured: give at least one in the form \
         {{\"name\": [\"LocalStorage\", {{\"storage_path\": \"/path\"}}]}}"
    )]
    NoLocation,
    /// The configuration is not a map from names to an engine with its arguments.
    #[error(
        "storage location `{location}`: expected [\"<engine>\", {{<arguments>}}], found {found}"
    )]
    Malformed {
        /// The location's name, or `(all)` when the map itself has the wrong form.
        location: String,
        /// The kind of value that was found; never the value, which may be a secret.
        found: &'static str,
    },
    /// Quay has such an engine and quayhand has not.
    #[error(
        "storage location `{location}`: engine `{engine}` is not supported: \
         nothing there can be deleted, so run the jobs that remove objects with Quay's own workers"
    )]
    UnsupportedEngine {
        /// The location's name.
        location: String,
        /// The engine's name in Quay.
        engine: String,
    },
    /// Neither Quay nor quayhand has such an engine.
    #[error(
        "storage location `{location}`: there is no engine `{engine}`; Quay's engines are {}",
        known.join(", ")
    )]
    UnknownEngine {
        /// The location's name.
        location: String,
        /// The name that was given.
        engine: String,
        /// The engines that Quay has.
        known: &'static [&'static str],
    },
    /// An argument of an engine is missing, unknown or of the wrong form.
    #[error("storage location `{location}`: argument `{key}` of {engine} {problem}")]
    Argument {
        /// The location's name.
        location: String,
        /// The engine's name.
        engine: &'static str,
        /// The argument's name.
        key: String,
        /// What is wrong and what is expected; never the value, which may be a secret.
        problem: &'static str,
    },
    /// A call or the order of preference names a location that is not configured.
    #[error(
        "storage location `{location}` is not configured; configured are: {}",
        known.join(", ")
    )]
    UnknownLocation {
        /// The name that was asked for.
        location: String,
        /// The names that are configured.
        known: Vec<String>,
    },
    /// The folder that should hold all objects of a location is not there.
    ///
    /// Usually a volume that is not mounted: were it taken for many missing objects, their records
    /// would go while the objects stay.
    #[error(
        "storage location `{location}`: its root `{}` is missing or not a folder; \
         is the volume mounted?",
        root.display()
    )]
    RootMissing {
        /// The location's name.
        location: String,
        /// The root as configured.
        root: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The bucket or container that should hold all objects of a location is not there.
    ///
    /// As with a missing root: were it taken for many missing objects, their records would go.
    #[error("storage location `{location}`: its bucket or container `{bucket}` does not exist")]
    BucketMissing {
        /// The location's name.
        location: String,
        /// The bucket's or container's name.
        bucket: String,
    },
    /// An operation on a location failed.
    #[error("storage location `{location}`: could not {action}")]
    Failed {
        /// The location's name.
        location: String,
        /// What was being done, with the path.
        action: String,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StorageError {
    /// Writes the error with its causes on one line, for where no error can stand.
    pub(crate) fn in_full(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }
}
