//! What a command ends with when it does not end well.
use std::{error::Error, process::ExitCode};

use quayhand_jobs::{Gate, outbox::SendError};
use quayhand_model::{DbError, migrate::MigrateError};
use quayhand_queue::{JobError, QueueError, chain};
use quayhand_storage::StorageError;

use super::output::Format;
use crate::{config::ConfigError, exit::Exit};

/// Says why a command failed: for a person, and as an exit code.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    /// Fails with one of the documented codes.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
        }
    }

    /// Fails for a reason without a code of its own.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// Fails because of what was asked.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Fails as a job did. A refusal by the schema gate has the schema's code.
    pub(crate) fn of_job(error: &JobError, gate: &Gate) -> Self {
        let message = match error {
            // Nobody tries again by itself here, so not when.
            JobError::Retry(source) | JobError::Unavailable { source, .. } => {
                chain(source.as_ref())
            }
            error => error.to_string(),
        };
        let exit = match error {
            JobError::Retry(source) | JobError::Unavailable { source, .. } => {
                exit_of(source.as_ref())
            }
            JobError::Partial { .. } => Exit::Partial,
            JobError::Dead { .. } => Exit::Usage,
            JobError::Snooze(_) => Exit::Failed,
            JobError::Refused { reason } if gate.reason().as_ref() == Some(reason) => Exit::Schema,
            JobError::Refused { .. } => Exit::Refused,
        };
        Self { exit, message }
    }

    /// Returns the exit code.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// Returns the message.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Prints the message on standard error; returns the exit code.
    pub(crate) fn report(&self, format: Format) -> ExitCode {
        let text = match format {
            Format::Human => format!("quayhand: {}", self.message),
            Format::Json => serde_json::json!({
                "error": self.message,
                "exit_code": self.exit.code(),
            })
            .to_string(),
        };
        #[expect(clippy::print_stderr, reason = "the last words of a command")]
        {
            eprintln!("{text}");
        }
        self.exit.into()
    }
}

/// Finds the code of the first error in the chain that has one.
fn exit_of(error: &(dyn Error + 'static)) -> Exit {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<DbError>() {
            return exit_of_db(error);
        }
        if error.is::<QueueError>() {
            return Exit::Redis;
        }
        if error.is::<StorageError>() {
            return Exit::Storage;
        }
        next = error.source();
    }
    Exit::Failed
}

fn exit_of_db(error: &DbError) -> Exit {
    match error {
        DbError::Config { .. } => Exit::Config,
        DbError::Schema(_) => Exit::Schema,
        _ => Exit::Database,
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Exit::Config, chain(&error))
    }
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Self {
        Self::new(exit_of_db(&error), chain(&error))
    }
}

impl From<QueueError> for Failure {
    fn from(error: QueueError) -> Self {
        Self::new(Exit::Redis, chain(&error))
    }
}

impl From<SendError> for Failure {
    fn from(error: SendError) -> Self {
        let exit = match &error {
            SendError::Database { source, .. } => exit_of_db(source),
            _ => Exit::Usage,
        };
        Self::new(exit, chain(&error))
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        Self::new(Exit::Storage, chain(&error))
    }
}

impl From<MigrateError> for Failure {
    fn from(error: MigrateError) -> Self {
        let exit = match &error {
            MigrateError::Database(error) => exit_of_db(error),
            _ => Exit::Schema,
        };
        Self::new(exit, chain(&error))
    }
}
