//! Owns the laying of sources over each other: the last one that names a key decides it.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use serde_json::Value;

/// Where the value of a setting came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// No source names it.
    #[default]
    Default,
    /// A Quay configuration is read and does not name it, so Quay's default counts.
    QuayDefault,
    /// A line of a configuration file, counted from 1.
    File {
        /// The file as it was named.
        path: PathBuf,
        /// The line of the key.
        line: usize,
    },
    /// An environment variable.
    Environment(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::QuayDefault => f.write_str("Quay's default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
        }
    }
}

/// The sources in rising precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// Quay's `config.yaml` and Quay's own environment variables, which belong together.
    Quay,
    /// Our TOML file.
    File,
    /// Our environment variables.
    Environment,
}

/// What one source says about one key.
#[derive(Clone, Debug)]
pub(super) struct Assignment {
    /// The setting's name in that source, for messages.
    pub(super) name: String,
    /// The value in JSON's form, or what is wrong with it. An error counts only while no later
    /// source names the key.
    pub(super) value: Result<Value, String>,
    pub(super) origin: Origin,
    pub(super) source: Source,
}

/// All assignments so far, by our key.
#[derive(Debug, Default)]
pub(super) struct Layers(BTreeMap<String, Assignment>);

/// Settings that mean something only beside another one.
const COMPANIONS: [(&str, &str); 2] = [
    ("database.connection_args", "database.url"),
    ("storage.preference", "storage.locations"),
];

impl Layers {
    /// Lets this assignment decide the key, whatever an earlier one said.
    pub(super) fn set(&mut self, key: &str, assignment: Assignment) {
        self.0.insert(key.to_owned(), assignment);
    }

    /// Drops what an earlier source said about a companion of something that a later one replaced:
    /// arguments made for one database must not reach another, nor an order of locations that no
    /// longer exist.
    pub(super) fn drop_strays(&mut self) {
        for (companion, main) in COMPANIONS {
            let source = |key| {
                self.0
                    .get(key)
                    .map(|assignment: &Assignment| assignment.source)
            };
            if source(companion).is_some() && source(companion) < source(main) {
                self.0.remove(companion);
            }
        }
    }

    /// Returns what remains, by key.
    pub(super) fn into_assignments(self) -> impl Iterator<Item = (String, Assignment)> {
        self.0.into_iter()
    }
}
