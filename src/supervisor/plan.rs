//! What the daemon is told by its configuration, and what of it can change while it runs.
use std::{collections::BTreeMap, time::Duration};

use quayhand_jobs::{
    blob_gc::BlobGc, namespace_purge_sweep::NamespacePurgeSweep,
    repository_purge_sweep::RepositoryPurgeSweep, tag_expiry_sweep::TagExpirySweep,
};
use quayhand_queue::{Job, PoolConfig, Queue, Schedule};

use crate::config::{Config, LogLevel};

/// Says how the daemon runs jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Name of this host, shown to operators; part of the name under which it leases jobs.
    pub host: String,
    /// Jobs of each queue that run at once; 0 takes none. A queue that is not named runs one.
    pub slots: BTreeMap<Queue, usize>,
    /// How long a job stays with a daemon that is silent.
    pub lease: Duration,
    /// How long running jobs may go on after a request to stop; zero: not at all.
    pub drain_timeout: Duration,
    /// Schedules by kind, instead of the kinds' own.
    pub schedules: BTreeMap<String, Schedule>,
    /// Level of the log; `None` leaves it as it is.
    pub log_level: Option<LogLevel>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            host: host(),
            slots: BTreeMap::new(),
            lease: PoolConfig::LEASE,
            drain_timeout: Duration::from_secs(25),
            schedules: BTreeMap::new(),
            log_level: None,
        }
    }
}

/// The settings that [`Plan`] and a job's context take over from a new configuration; all others
/// need a restart. A name that ends in a dot stands for its whole section.
const CHANGEABLE: [&str; 6] = [
    "worker.concurrency",
    "worker.drain_timeout",
    "queues.",
    "gc.",
    "registry.",
    "log.level",
];

impl Plan {
    /// Returns what a configuration says.
    pub fn of(config: &Config) -> Self {
        let names = config.queues.keys();
        // The configuration knows the queues of this build only, so every name is one.
        let slots = names.filter_map(|name| Some((name.parse().ok()?, config.concurrency(name))));
        let sweep = Schedule::Every(config.gc.sweep_interval);
        let sweeps = [
            TagExpirySweep::KIND,
            RepositoryPurgeSweep::KIND,
            NamespacePurgeSweep::KIND,
            BlobGc::KIND,
        ];
        Self {
            slots: slots.collect(),
            lease: config.worker.lease,
            drain_timeout: config.worker.drain_timeout,
            schedules: sweeps.map(|kind| (kind.to_owned(), sweep)).into(),
            log_level: Some(config.log.level),
            ..Self::default()
        }
    }

    /// Tells whether a setting (its key in our TOML file) takes effect while the daemon runs.
    pub fn can_change(key: &str) -> bool {
        CHANGEABLE
            .iter()
            .any(|name| key == *name || (name.ends_with('.') && key.starts_with(name)))
    }

    /// Returns how many jobs of a queue run at once.
    pub(crate) fn slots_of(&self, queue: &Queue) -> usize {
        self.slots.get(queue).copied().unwrap_or(1)
    }
}

/// Returns the host's name as the kernel has it.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
    let name = name.or_else(|_| std::fs::read_to_string("/etc/hostname"));
    let name = name.unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_configuration() {
        let mut config = Config::default();
        config.worker.concurrency = 3;
        config
            .queues
            .insert("gc".to_owned(), crate::config::QueuePool { concurrency: 7 });
        config
            .queues
            .insert("default".to_owned(), crate::config::QueuePool::default());
        config.gc.sweep_interval = Duration::from_secs(5);
        let plan = Plan::of(&config);
        assert_eq!(plan.slots_of(&Queue::new("gc")), 7);
        assert_eq!(plan.slots_of(&Queue::new("default")), 3);
        assert_eq!(plan.slots_of(&Queue::new("other")), 1);
        assert_eq!(
            plan.schedules["blob_gc"],
            Schedule::Every(Duration::from_secs(5))
        );
        assert!(!plan.host.is_empty());
    }

    #[test]
    fn knows_what_needs_a_restart() {
        for key in ["queues.gc.concurrency", "log.level", "gc.batch_tags"] {
            assert!(Plan::can_change(key), "{key}");
        }
        for key in [
            "database.url",
            "redis.queue_url",
            "worker.lease",
            "log.format",
        ] {
            assert!(!Plan::can_change(key), "{key}");
        }
    }
}
