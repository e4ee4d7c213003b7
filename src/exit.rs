//! The exit codes of every command: the one table.
use std::{fmt, process::ExitCode};

/// Says how a command ended, for the shell, scripts and systemd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Exit {
    /// Everything asked for was done.
    Ok = 0,
    /// Something went wrong that has no code of its own.
    Failed = 1,
    /// The command line cannot be understood.
    Usage = 2,
    /// The configuration cannot be used.
    Config = 3,
    /// The database cannot be reached, or refuses us.
    Database = 4,
    /// Redis cannot be reached, or refuses us.
    Redis = 5,
    /// Object storage cannot be reached, or refuses us.
    Storage = 6,
    /// The database is no registry's, lacks our tables, or has a schema we do not know.
    Schema = 7,
    /// A setting or a safety check forbids the work; nothing was changed.
    Refused = 8,
    /// A part was done and a part was left.
    Partial = 9,
}

impl Exit {
    /// Every code, in order.
    pub const ALL: [Self; 10] = [
        Self::Ok,
        Self::Failed,
        Self::Usage,
        Self::Config,
        Self::Database,
        Self::Redis,
        Self::Storage,
        Self::Schema,
        Self::Refused,
        Self::Partial,
    ];

    /// Returns the number that the process ends with.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Returns the meaning in a few words, as the help prints it.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Usage => "wrong usage",
            Self::Config => "configuration not usable",
            Self::Database => "database out of reach",
            Self::Redis => "Redis out of reach",
            Self::Storage => "object storage out of reach",
            Self::Schema => "schema missing or unknown",
            Self::Refused => "refused, nothing was changed",
            Self::Partial => "done in part",
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code(), self.about())
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn codes_are_the_documented_ones_and_differ() {
        let codes = Exit::ALL.map(Exit::code);
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(Exit::Redis.to_string(), "5 Redis out of reach");
    }
}
