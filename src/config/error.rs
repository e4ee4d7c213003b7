//! Owns what is said about a configuration that cannot be used.

use std::{fmt, io, path::PathBuf};

use super::Origin;

/// Says why there is no configuration. Nothing was started or changed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A configuration file cannot be read.
    #[error(
        "could not read the configuration file `{}`; check its path and permissions",
        path.display()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Settings are unknown, malformed or contradict each other. Never empty.
    #[error("{}", list(.0))]
    Problems(Vec<Problem>),
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file and line or the variable.
    pub origin: Origin,
    /// The setting, what it is and what it should be; no secrets.
    pub what: String,
}

impl ConfigError {
    /// Wraps a single problem.
    pub(super) fn one(origin: Origin, what: impl Into<String>) -> Self {
        Self::Problems(vec![Problem {
            origin,
            what: what.into(),
        }])
    }

    /// Is an error when there are any problems.
    pub(super) fn from_problems(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Self::Problems(problems))
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.what)
    }
}

/// Writes one problem as it is, and several one a line.
fn list(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(Problem::to_string).collect();
    match lines.as_slice() {
        [only] => only.clone(),
        lines => format!(
            "{} problems in the configuration:\n  {}",
            lines.len(),
            lines.join("\n  ")
        ),
    }
}
