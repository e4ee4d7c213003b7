//! The gate before every job that deletes: shut until the schema was found to be known.
use std::sync::{Arc, PoisonError, RwLock};

use quayhand_queue::JobError;

/// Lets jobs that delete pass, or says why not. Cheap to clone; clones share one state.
#[derive(Clone)]
pub struct Gate(Arc<RwLock<Option<String>>>);

impl Gate {
    /// Starts shut, for the reason given.
    pub fn shut(reason: impl Into<String>) -> Self {
        Self(Arc::new(RwLock::new(Some(reason.into()))))
    }

    /// Opens the gate: the schema was checked and is known.
    pub fn open(&self) {
        self.set(None);
    }

    /// Shuts the gate, for the reason given.
    pub fn close(&self, reason: impl Into<String>) {
        self.set(Some(reason.into()));
    }

    /// Returns why the gate is shut; `None` while it is open.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Refuses while the gate is shut.
    ///
    /// # Errors
    ///
    /// [`JobError::Refused`] with the reason.
    pub fn check(&self) -> Result<(), JobError> {
        match self.reason() {
            Some(reason) => Err(JobError::Refused { reason }),
            None => Ok(()),
        }
    }

    fn set(&self, reason: Option<String>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = reason;
    }
}

#[cfg(test)]
mod tests {
    use super::Gate;

    #[test]
    fn is_shut_until_opened_and_shuts_again() {
        let gate = Gate::shut("not checked yet");
        assert!(gate.check().is_err());
        gate.open();
        assert!(gate.check().is_ok());
        gate.clone().close("column `x` is missing");
        assert_eq!(gate.reason().as_deref(), Some("column `x` is missing"));
    }
}
