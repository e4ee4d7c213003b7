//! What the daemon is told by its configuration, and what of it can change while it runs.
use std::{collections::BTreeMap, time::Duration};

use quayhand_jobs::{
    blob_gc::BlobGc, namespace_purge_sweep::NamespacePurgeSweep,
    repository_purge_sweep::RepositoryPurgeSweep, tag_expiry_sweep::TagExpirySweep,
};
use quayhand_queue::{Job, Policy, PoolConfig, Queue, Registry};

use super::tick::{ScheduleError, Timetable, Timing};
use crate::config::{Config, LogLevel, When};

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
    pub schedules: BTreeMap<String, Timing>,
    /// Policies by kind, instead of the kinds' own. The daemon takes them over for what it runs;
    /// [`Client::with_policies`](quayhand_queue::Client::with_policies) does for what is enqueued.
    pub policies: BTreeMap<String, Policy>,
    /// Time between two looks at what the database knows to be open and the queue may have lost.
    pub relay_interval: Duration,
    /// Level of the log; `None` leaves it as it is.
    pub log_level: Option<LogLevel>,
}

/// A schedule and its next tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upcoming {
    /// The job's kind.
    pub kind: String,
    /// When it is enqueued by itself.
    pub timing: Timing,
    /// When the next tick is due, in milliseconds since the Unix epoch; `None`: never.
    pub due_ms: Option<i64>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            host: host(),
            slots: BTreeMap::new(),
            lease: PoolConfig::LEASE,
            drain_timeout: Duration::from_secs(25),
            schedules: BTreeMap::new(),
            policies: BTreeMap::new(),
            relay_interval: Duration::from_mins(1),
            log_level: None,
        }
    }
}

/// The settings of `[jobs.KIND]` that attempts look up when they start. The others are known to
/// the pools, which keep what they were started with, and to those who enqueue.
const CHANGEABLE_OF_KINDS: [&str; 3] = [".timeout", ".backoff_first", ".backoff_longest"];

/// The settings that [`Plan`] and a job's context take over from a new configuration; all others
/// need a restart. A name that ends in a dot stands for its whole section.
const CHANGEABLE: [&str; 7] = [
    "worker.concurrency",
    "worker.drain_timeout",
    "queues.",
    "schedules.",
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
        Self {
            slots: slots.collect(),
            lease: config.worker.lease,
            drain_timeout: config.worker.drain_timeout,
            schedules: schedules(config),
            policies: config.policies(),
            relay_interval: config.outbox.sweep_interval,
            log_level: Some(config.log.level),
            ..Self::default()
        }
    }

    /// Tells whether a setting (its key in our TOML file) takes effect while the daemon runs.
    pub fn can_change(key: &str) -> bool {
        if key.starts_with("jobs.") {
            return CHANGEABLE_OF_KINDS.iter().any(|name| key.ends_with(name));
        }
        CHANGEABLE
            .iter()
            .any(|name| key == *name || (name.ends_with('.') && key.starts_with(name)))
    }

    /// Lists the schedules of a registry's kinds, each with its first tick after `now_ms`
    /// (milliseconds since the Unix epoch).
    ///
    /// # Errors
    ///
    /// The first schedule that cannot be kept.
    pub fn upcoming<C: Send + Sync + 'static>(
        &self,
        registry: &Registry<C>,
        now_ms: i64,
    ) -> Result<Vec<Upcoming>, ScheduleError> {
        let mut upcoming = Vec::new();
        for entry in registry.iter() {
            let Some(own) = entry.schedule else { continue };
            let timing = self.schedules.get(entry.kind).cloned();
            let timing = timing.unwrap_or_else(|| own.into());
            let due_ms = Timetable::new(entry.kind, &timing)?.next(now_ms);
            let kind = entry.kind.to_owned();
            upcoming.push(Upcoming {
                kind,
                timing,
                due_ms,
            });
        }
        Ok(upcoming)
    }

    /// Returns how many jobs of a queue run at once.
    pub(crate) fn slots_of(&self, queue: &Queue) -> usize {
        self.slots.get(queue).copied().unwrap_or(1)
    }
}

/// The kinds that tick every `gc.sweep_interval` unless they have a schedule of their own.
const SWEEPS: [&str; 4] = [
    TagExpirySweep::KIND,
    RepositoryPurgeSweep::KIND,
    NamespacePurgeSweep::KIND,
    BlobGc::KIND,
];

/// Returns the schedules of all kinds: as the configuration says, else as the kind does.
fn schedules(config: &Config) -> BTreeMap<String, Timing> {
    let registry = quayhand_jobs::registry();
    let timing = registry.iter().filter_map(|entry| {
        let own = entry.schedule?;
        let asked = config
            .schedules
            .get(entry.kind)
            .cloned()
            .unwrap_or_default();
        let own = if SWEEPS.contains(&entry.kind) {
            When::Every(config.gc.sweep_interval)
        } else {
            own.into()
        };
        let timing = Timing {
            when: asked.when.unwrap_or(own),
            time_zone: asked.time_zone,
            jitter: asked.jitter,
        };
        Some((entry.kind.to_owned(), timing))
    });
    timing.collect()
}

/// Returns the host's name as the kernel has it.
pub(crate) fn host() -> String {
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
    use crate::config::KindSchedule;

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
        let nightly = KindSchedule {
            when: Some(When::Cron("30 2 * * *".to_owned())),
            time_zone: "Europe/Berlin".parse().unwrap(),
            jitter: Duration::from_mins(5),
        };
        config
            .schedules
            .insert("tag_expiry_sweep".to_owned(), nightly.clone());
        let plan = Plan::of(&config);
        assert_eq!(plan.slots_of(&Queue::new("gc")), 7);
        assert_eq!(plan.slots_of(&Queue::new("default")), 3);
        assert_eq!(plan.slots_of(&Queue::new("other")), 1);
        let every = |kind: &str| plan.schedules[kind].when.to_string();
        assert_eq!(every("blob_gc"), "every 5s");
        assert_eq!(every("leak_sweep"), "every 1d");
        let tag_expiry = &plan.schedules["tag_expiry_sweep"];
        assert_eq!(Some(tag_expiry.when.clone()), nightly.when);
        assert_eq!(tag_expiry.time_zone, nightly.time_zone);
        assert_eq!(tag_expiry.jitter, nightly.jitter);
        assert!(!plan.host.is_empty());
    }

    #[test]
    fn knows_what_needs_a_restart() {
        for key in [
            "queues.gc.concurrency",
            "log.level",
            "gc.batch_tags",
            "jobs.blob_gc.timeout",
            "jobs.blob_gc.backoff_first",
        ] {
            assert!(Plan::can_change(key), "{key}");
        }
        for key in [
            "database.url",
            "redis.queue_url",
            "worker.lease",
            "log.format",
            "jobs.blob_gc.limit",
            "jobs.blob_gc.max_attempts",
            "jobs.blob_gc.keep_for",
        ] {
            assert!(!Plan::can_change(key), "{key}");
        }
    }
}
