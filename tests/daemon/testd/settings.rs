//! What a test tells its daemon, in a file that it may rewrite.
use std::{collections::BTreeMap, fs, io, path::Path, time::Duration};

use serde::{Deserialize, Serialize};

/// The settings of a test daemon.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) database_url: String,
    pub(crate) ledger_url: String,
    pub(crate) redis_url: String,
    pub(crate) slots: BTreeMap<String, usize>,
    pub(crate) lease: Duration,
    pub(crate) drain_timeout: Duration,
    pub(crate) tick: Duration,
    /// Time between two runs of the sweeping kind.
    pub(crate) sweep: Duration,
    pub(crate) relay_interval: Duration,
    /// How many of a kind run at a time over all hosts, instead of any number.
    pub(crate) limits: BTreeMap<String, u32>,
    /// How long an attempt of a kind may take, instead of what the kind says.
    pub(crate) timeouts: BTreeMap<String, Duration>,
    /// Level of the log, by the word of the configuration.
    pub(crate) log_level: String,
    /// Jobs do not take the time they are told to.
    pub(crate) hurry: bool,
    /// The daemon is of the next release: it knows a kind in a newer version.
    pub(crate) is_newer: bool,
}

impl Settings {
    /// Reads the file.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        Ok(serde_json::from_str(&fs::read_to_string(path)?)?)
    }

    /// Writes the file.
    pub(crate) fn write(&self, path: &Path) {
        fs::write(path, serde_json::to_string(self).unwrap()).unwrap();
    }

    /// Returns the settings with so many jobs of a queue at once.
    pub(crate) fn slots(mut self, queue: &str, slots: usize) -> Self {
        self.slots.insert(queue.to_owned(), slots);
        self
    }
}
