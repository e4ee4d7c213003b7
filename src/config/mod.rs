//! Owns the configuration: where a setting may come from, what it may be, and what it is.
//!
//! Four sources are laid over the defaults, a later one replacing an earlier one key by key:
//! Quay's own `config.yaml` (with `QUAY_OVERRIDE_CONFIG` and
//! `QUAY_DISTRIBUTED_STORAGE_PREFERENCE`), our TOML file, and the environment variables
//! `QUAYHAND_DATABASE_URL`, `QUAYHAND_REDIS_URL` and `QUAYHAND_STORAGE`. Whatever cannot be
//! understood is an error that names the place; it never becomes a default, because a default
//! might delete what the setting would have kept.

mod asked;
mod check;
mod env;
mod error;
mod file;
mod keys;
mod layers;
mod policy;
mod quay;
mod schedule;
mod secret;
mod sections;
mod setting;
mod words;
mod yaml;
mod yaml11;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

pub use asked::Asked;
pub use env::Environment;
pub use error::{ConfigError, Problem};
pub use layers::Origin;
pub use policy::KindPolicy;
pub use schedule::{KindSchedule, TimeZone, When};
pub use secret::{SecretMap, SecretUrl};
pub use sections::{Database, Gc, Log, Outbox, QueuePool, Redis, Registry, Storage, Worker};
pub(crate) use setting::{duration, shown};
pub use words::{LogFormat, LogLevel, RegistryState};

use layers::Layers;

/// Every setting of the program, checked. Its default is what an empty file means.
///
/// `Debug` shows no password or key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// Where the database is and how its connections behave.
    pub database: Database,
    /// Where the three Redis roles are.
    pub redis: Redis,
    /// Where the registry's objects are.
    pub storage: Storage,
    /// How jobs are taken and run, in every queue.
    pub worker: Worker,
    /// What differs from queue to queue, by the queue's name; one entry for every known queue.
    pub queues: BTreeMap<String, QueuePool>,
    /// When kinds are enqueued by themselves, by kind; one entry for every kind that is.
    pub schedules: BTreeMap<String, KindSchedule>,
    /// How kinds run, by kind; one entry for every kind, empty where a kind's own policy holds.
    pub jobs: BTreeMap<String, KindPolicy>,
    /// How what the database knows to be open gets into the queue.
    pub outbox: Outbox,
    /// How garbage is collected.
    pub gc: Gc,
    /// What Quay's own configuration decides about the jobs.
    pub registry: Registry,
    /// What is written to the log.
    pub log: Log,
    origins: BTreeMap<String, Origin>,
}

/// Says which sources a configuration is read from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Quay's `config.yaml`; `None` when there is no Quay to follow.
    pub quay_config: Option<PathBuf>,
    /// Our own TOML file; `None` for defaults only.
    pub config: Option<PathBuf>,
    /// The environment variables that count.
    pub environment: Environment,
    /// The queues that exist: `[queues.NAME]` of another name is an error.
    pub queues: Vec<String>,
    /// The kinds with a schedule: `[schedules.KIND]` of another kind is an error.
    pub schedules: Vec<String>,
    /// The kinds that exist: `[jobs.KIND]` of another kind is an error.
    pub kinds: Vec<String>,
}

/// One setting as `config show` prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The key in our TOML file, such as `gc.batch_tags`.
    pub key: String,
    /// The value in TOML's form, without secrets; empty when there is none.
    pub value: String,
    /// Where the value came from.
    pub origin: Origin,
}

impl Sources {
    /// Names the two files (each may be absent), this process's environment and the queues of
    /// this build.
    pub fn of_process(quay_config: Option<PathBuf>, config: Option<PathBuf>) -> Self {
        let queues = quayhand_jobs::queues::ALL
            .into_iter()
            .map(|queue| queue.as_str().to_owned());
        let registry = quayhand_jobs::registry();
        let scheduled = registry.iter().filter(|entry| entry.schedule.is_some());
        Self {
            quay_config,
            config,
            environment: Environment::of_process(),
            queues: queues.collect(),
            schedules: scheduled.map(|entry| entry.kind.to_owned()).collect(),
            kinds: registry.iter().map(|entry| entry.kind.to_owned()).collect(),
        }
    }
}

impl Config {
    /// Reads all sources and checks the result.
    ///
    /// # Errors
    /// When a file cannot be read or is not of its format, and otherwise with every problem that
    /// was found, each with its file and line or environment variable.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        for queue in &sources.queues {
            config.queues.insert(queue.clone(), QueuePool::default());
        }
        for kind in &sources.schedules {
            config
                .schedules
                .insert(kind.clone(), KindSchedule::default());
        }
        for kind in &sources.kinds {
            config.jobs.insert(kind.clone(), KindPolicy::default());
        }
        let mut layers = Layers::default();
        quay::read(sources, &mut layers)?;
        if let Some(path) = &sources.config {
            file::read(path, &mut config.clone(), &mut layers)?;
        }
        env::read(&sources.environment, &mut layers);
        layers.drop_strays();
        config.apply(layers)?;
        check::check(&config)?;
        Ok(config)
    }

    /// Returns where a setting's value came from, by its key in our TOML file.
    pub fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or_default()
    }

    /// Lists every setting with its value and origin, without secrets; of `[jobs.KIND]` those
    /// that somebody set, since the others are the kinds' own.
    pub fn rows(&self) -> Vec<Row> {
        let mut copy = self.clone(); // the table of keys hands fields out for writing only
        let row = |key: String| Row {
            value: keys::field(&mut copy, &key)
                .map(|field| field.show())
                .unwrap_or_default(),
            origin: self.origin(&key),
            key,
        };
        let is_own = |row: &Row| row.key.starts_with("jobs.") && row.origin == Origin::Default;
        let rows = keys::all(self).into_iter().map(row);
        rows.filter(|row| !is_own(row)).collect()
    }

    /// Lists the keys whose values differ, for saying what a reload changed.
    pub fn changed_keys(&self, other: &Self) -> Vec<String> {
        let (mut one, mut two) = (self.clone(), other.clone());
        let keys: BTreeSet<_> = keys::all(self)
            .into_iter()
            .chain(keys::all(other))
            .collect();
        let mut differs = |key: &String| {
            let value = |config| keys::field(config, key).map(|field| field.write());
            value(&mut one) != value(&mut two)
        };
        keys.into_iter().filter(|key| differs(key)).collect()
    }

    /// Returns how many jobs of a queue run at once; at least 1.
    ///
    /// The queue's own `concurrency`, else `worker.concurrency`, else (0) the number of cores.
    pub fn concurrency(&self, queue: &str) -> usize {
        let own = self.queues.get(queue).map_or(0, |pool| pool.concurrency);
        match (own, self.worker.concurrency) {
            (0, 0) => std::thread::available_parallelism().map_or(1, usize::from),
            (0, all) => all,
            (own, _) => own,
        }
    }

    /// Sets what the sources say.
    fn apply(&mut self, layers: Layers) -> Result<(), ConfigError> {
        let mut problems = Vec::new();
        for (key, assignment) in layers.into_assignments() {
            let origin = assignment.origin.clone();
            match keys::set(self, &key, assignment) {
                Ok(()) => drop(self.origins.insert(key, origin)),
                Err(what) => problems.push(Problem { origin, what }),
            }
        }
        ConfigError::from_problems(problems)
    }
}
