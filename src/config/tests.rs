//! What comes out when sources are laid over each other.

mod documented;
mod file;
mod jobs;
mod quay;
mod quay_redis;
mod quay_windows;
mod quay_yaml;
mod sources;

use std::{fs, time::Duration};

use tempfile::TempDir;

use super::*;

/// The sources of one test, in a folder of its own.
struct Setup {
    folder: TempDir,
    sources: Sources,
}

impl Setup {
    fn new() -> Self {
        let queues = vec!["default".to_owned(), "gc".to_owned()];
        Self {
            folder: tempfile::tempdir().unwrap(),
            sources: Sources {
                queues,
                ..Sources::default()
            },
        }
    }

    /// Adds Quay's file.
    fn quay(mut self, text: &str) -> Self {
        let path = self.folder.path().join("config.yaml");
        fs::write(&path, text).unwrap();
        self.sources.quay_config = Some(path);
        self
    }

    /// Adds our file.
    fn toml(mut self, text: &str) -> Self {
        let path = self.folder.path().join("quayhand.toml");
        fs::write(&path, text).unwrap();
        self.sources.config = Some(path);
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.sources.environment = self.sources.environment.with(name, value);
        self
    }

    #[track_caller]
    fn load(&self) -> Config {
        Config::load(&self.sources).unwrap()
    }

    /// Loads and returns the message, with the folder's name taken out.
    #[track_caller]
    fn refused(&self) -> String {
        let error = Config::load(&self.sources).unwrap_err();
        error
            .to_string()
            .replace(&format!("{}/", self.folder.path().display()), "")
    }
}

/// The address as a test compares it.
fn exposed(url: Option<&SecretUrl>) -> &str {
    url.map_or("none", SecretUrl::expose)
}

#[test]
fn without_sources_everything_is_the_default() {
    let config = Setup::new().load();
    assert_eq!(
        Config {
            queues: BTreeMap::new(),
            ..config.clone()
        },
        Config::default()
    );
    assert_eq!(config.queues.len(), 2);
    assert!(
        config.registry.setup_complete,
        "a database that was named to us is set up"
    );
    assert!(
        config.redis.locks_url.is_none(),
        "there is no Quay to lock against"
    );
    assert!(
        config
            .rows()
            .iter()
            .all(|row| row.origin == Origin::Default)
    );
}

#[test]
fn secrets_are_never_shown() {
    let config = Setup::new()
        .quay(
            "DB_URI: postgresql://quay:hush@db/quay\nUSER_EVENTS_REDIS: {password: hush}\n\
             DB_CONNECTION_ARGS: {password: hush, sslmode: require}\n",
        )
        .env(
            "QUAYHAND_STORAGE",
            r#"{"e": ["S3Storage", {"s3_secret_key": "hush", "s3_bucket": "b"}]}"#,
        )
        .load();
    let shown = format!(
        "{config:?} {:#?} {:?}",
        config.rows(),
        Setup::new().env("QUAYHAND_REDIS_URL", "hush").sources
    );
    assert!(!shown.contains("hush"), "{shown}");
    assert!(
        shown.contains("quay:***@db") && shown.contains("require"),
        "{shown}"
    );
}

#[test]
fn a_reload_tells_which_keys_changed() {
    let before = Setup::new().toml("[queues.gc]\nconcurrency = 2\n").load();
    let text = "[queues.gc]\nconcurrency = 4\n[database]\nurl = 'postgresql://x:a@y/z'\n\
                [log]\nlevel = 'info'\n";
    let after = Setup::new().toml(text).load();
    assert_eq!(
        before.changed_keys(&after),
        ["database.url", "queues.gc.concurrency"]
    );
    let other = Setup::new().toml(&text.replace("x:a@", "x:b@")).load();
    assert_eq!(
        after.changed_keys(&other),
        ["database.url"],
        "a changed password is a change"
    );
    assert!(after.changed_keys(&after).is_empty());
}

#[test]
fn concurrency_falls_back_to_the_cores() {
    let config = Setup::new()
        .toml("[worker]\nconcurrency = 3\n[queues.gc]\nconcurrency = 2\n")
        .load();
    assert_eq!(
        (config.concurrency("gc"), config.concurrency("default")),
        (2, 3)
    );
    assert!(Setup::new().load().concurrency("gc") >= 1);
}

#[test]
fn every_rule_is_kept() {
    for (text, expected) in [
        (
            "[database]\npool_size = 0",
            "quayhand.toml:2: `database.pool_size` must be 1 to 1000",
        ),
        (
            "[database]\nstatement_timeout = '0s'",
            "`database.statement_timeout` must be above 0",
        ),
        (
            "[database]\nidle_disconnect = '0s'",
            "`database.idle_disconnect` must be at least 1s",
        ),
        (
            "[worker]\nlease = '500ms'",
            "`worker.lease` must be at least 1s",
        ),
        (
            "[gc]\nblob_hold = '5s'",
            "`gc.blob_hold` must be above 0 and at most 4s",
        ),
        ("[gc]\nblob_hold = '0s'", "`gc.blob_hold` must be above 0"),
        (
            "[gc]\nblob_lock_ttl = '3s'",
            "at least twice `gc.blob_hold`",
        ),
        (
            "[gc]\nblob_lock_ttl = '9500ms'",
            "`gc.blob_lock_ttl` must be whole seconds",
        ),
        ("[gc]\nbatch_tags = 299", "must be from 300 to 1000"),
        ("[gc]\nbatch_tags = 1001", "must be from 300 to 1000"),
        ("[gc]\nmax_objects_per_run = 0", "must be at least 1"),
        ("[gc]\nsweep_interval = '0s'", "must be at least 1s"),
    ] {
        let message = Setup::new().toml(text).refused();
        assert!(message.contains(expected), "{text}: {message}");
    }
    let config = Setup::new()
        .toml("[gc]\ntombstone_grace = '0s'\n[worker]\ndrain_timeout = '0s'")
        .load();
    assert_eq!(
        (config.gc.tombstone_grace, config.worker.drain_timeout),
        (Duration::ZERO, Duration::ZERO)
    );
}
