//! Owns the sections of the configuration file: each field is a key of the same name.

use std::{path::PathBuf, time::Duration};

use super::{LogFormat, LogLevel, RegistryState, SecretMap, SecretUrl};

/// Section `[database]`: where the registry's database is and how its connections behave.
#[derive(Clone, Debug, PartialEq)]
pub struct Database {
    /// `postgresql://user:password@host:port/database`, user and password percent-encoded.
    /// `None`: nothing that needs a database can run. Source: Quay `DB_URI`.
    pub url: Option<SecretUrl>,
    /// Further libpq parameters by name, such as `sslmode`. Source: Quay `DB_CONNECTION_ARGS`.
    pub connection_args: SecretMap,
    /// Connections at most; at least 1.
    pub pool_size: usize,
    /// Longest wait for a free connection.
    pub checkout_timeout: Duration,
    /// Longest time for making one connection.
    pub connect_timeout: Duration,
    /// Longest time of one statement.
    pub statement_timeout: Duration,
    /// Longest wait of a statement for a lock.
    pub lock_timeout: Duration,
    /// Longest pause inside a transaction before the server ends it.
    pub idle_in_transaction_timeout: Duration,
    /// An unused connection is closed after this time.
    pub idle_disconnect: Duration,
    /// The server is `PgBouncer` in transaction mode.
    pub pgbouncer: bool,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: None,
            connection_args: SecretMap::default(),
            pool_size: 8,
            checkout_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(5),
            idle_in_transaction_timeout: Duration::from_mins(1),
            idle_disconnect: Duration::from_secs(10),
            pgbouncer: false,
        }
    }
}

/// Section `[redis]`: three roles, which may be one server.
#[derive(Clone, Debug, PartialEq)]
pub struct Redis {
    /// The server that dispatches jobs. `None`: no daemon; `job run` works without.
    pub queue_url: Option<SecretUrl>,
    /// The server that holds Quay's locks. `None`: there is no Quay to lock against.
    /// Source: Quay `USER_EVENTS_REDIS`.
    pub locks_url: Option<SecretUrl>,
    /// The server that holds cached answers. `None`: nothing is cached there.
    pub cache_url: Option<SecretUrl>,
    /// Longest time for making one connection.
    pub connect_timeout: Duration,
    /// Longest wait for the answer to one command.
    pub command_timeout: Duration,
    /// PEM file with the only authorities that `rediss://` believes. `None`: the system's.
    /// Source: Quay `USER_EVENTS_REDIS`, `ssl_ca_certs`.
    pub tls_ca_certs: Option<PathBuf>,
    /// PEM file with the certificate shown to a server that asks for one; needs the key.
    /// Source: Quay `USER_EVENTS_REDIS`, `ssl_certfile`.
    pub tls_certfile: Option<PathBuf>,
    /// PEM file with the key of that certificate.
    /// Source: Quay `USER_EVENTS_REDIS`, `ssl_keyfile`.
    pub tls_keyfile: Option<PathBuf>,
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            queue_url: None,
            locks_url: None,
            cache_url: None,
            connect_timeout: Duration::from_secs(5),
            command_timeout: Duration::from_secs(5),
            tls_ca_certs: None,
            tls_certfile: None,
            tls_keyfile: None,
        }
    }
}

/// Section `[storage]`: where the registry's objects are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Storage {
    /// Location names with engine and arguments, in the form of Quay's
    /// `DISTRIBUTED_STORAGE_CONFIG`. Empty: no object can be deleted.
    pub locations: SecretMap,
    /// Order in which locations are tried. Empty: all of them, by name.
    /// Source: Quay `DISTRIBUTED_STORAGE_PREFERENCE`.
    pub preference: Vec<String>,
    /// A PEM file, or a folder of them, with authorities that storage is trusted by besides the
    /// system's. `None`: the system's alone. Source: the folder `extra_ca_certs` beside Quay's file.
    pub extra_ca_certs: Option<PathBuf>,
}

/// Section `[worker]`: how jobs are taken and run, in every queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worker {
    /// Jobs of one queue that run at once, where the queue has no number of its own. 0: as many as
    /// there are cores.
    pub concurrency: usize,
    /// A job whose worker is silent for this long is given to another. A worker says that it
    /// still has its job every third of it.
    pub lease: Duration,
    /// How long running jobs may go on after a request to stop. 0: they are cancelled at once.
    pub drain_timeout: Duration,
}

impl Default for Worker {
    fn default() -> Self {
        Self {
            concurrency: 0,
            lease: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(25),
        }
    }
}

/// Section `[queues.NAME]`: what one queue does differently.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueuePool {
    /// Jobs that run at once. 0: `worker.concurrency`.
    pub concurrency: usize,
}

/// Section `[outbox]`: how what the database knows to be open gets into the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outbox {
    /// How often everything that is open is looked at, and enqueued again if the queue lost it.
    pub sweep_interval: Duration,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            sweep_interval: Duration::from_mins(1),
        }
    }
}

/// Section `[gc]`: how garbage is collected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gc {
    /// How often new garbage is looked for.
    pub sweep_interval: Duration,
    /// Tags a batch starts with, 300 to 1,000; it adapts to the time batches take.
    pub batch_tags: u32,
    /// Pause after which something a pusher held is looked at again.
    pub recheck_after: Duration,
    /// Age a tombstone must reach before its object is removed. 0: at once.
    pub tombstone_grace: Duration,
    /// Lifetime of a `BLOB_DELETE_` lock in Redis, in whole seconds.
    pub blob_lock_ttl: Duration,
    /// Time after taking those locks at which the last object delete must have ended.
    pub blob_hold: Duration,
    /// Time between the two sightings after which a leak is taken. 0: at the next sweep.
    pub leak_grace: Duration,
    /// Objects one run of a job removes at most; at least 1.
    pub max_objects_per_run: u64,
    /// Objects may be removed without a locks Redis although a Quay has made the database.
    pub standalone: bool,
    /// Batches come slower while others suffer from them.
    pub pace: bool,
    /// The database is slow when the smallest batch takes longer. `None`: never.
    pub pace_slow_batch: Option<Duration>,
    /// A replica may be this long behind. `None`: as long as it likes.
    pub pace_replica_lag: Option<Duration>,
    /// A replica may have so many MiB of the log to apply. 0: any number.
    pub pace_replica_lag_mib: u64,
    /// The longest pause after one batch. 0: none.
    pub pace_longest_pause: Duration,
}

impl Default for Gc {
    fn default() -> Self {
        Self {
            sweep_interval: Duration::from_mins(1),
            batch_tags: 500,
            recheck_after: Duration::from_mins(1),
            tombstone_grace: Duration::from_hours(1),
            blob_lock_ttl: Duration::from_secs(30),
            blob_hold: Duration::from_secs(2),
            leak_grace: Duration::from_hours(24),
            max_objects_per_run: 1_000_000,
            standalone: false,
            pace: true,
            pace_slow_batch: Some(Duration::from_secs(1)),
            pace_replica_lag: Some(Duration::from_secs(10)),
            pace_replica_lag_mib: 1_024,
            pace_longest_pause: Duration::from_secs(5),
        }
    }
}

/// Section `[registry]`: Quay's own settings, each under Quay's name in lower case.
///
/// Every default is Quay's, but for `setup_complete`: that is true as long as no Quay
/// configuration is read, because then somebody named the database to us on purpose; with one,
/// an absent `SETUP_COMPLETE` is false as in Quay.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one of Quay's own flags"
)]
pub struct Registry {
    /// Quay `FEATURE_GARBAGE_COLLECTION`: off stops every job that deletes content.
    pub feature_garbage_collection: bool,
    /// Quay `FEATURE_REPOSITORY_GARBAGE_COLLECTION`: off, deleted repositories are not purged.
    pub feature_repository_garbage_collection: bool,
    /// Quay `FEATURE_NAMESPACE_GARBAGE_COLLECTION`: off, deleted namespaces are not purged.
    pub feature_namespace_garbage_collection: bool,
    /// Quay `FEATURE_IMMUTABLE_TAGS`: immutable tags are kept.
    pub feature_immutable_tags: bool,
    /// Quay `FEATURE_IMMUTABLE_TAGS_CAN_EXPIRE`: they expire all the same.
    pub feature_immutable_tags_can_expire: bool,
    /// Quay `FEATURE_QUOTA_MANAGEMENT`: sizes are kept up to date while content goes.
    pub feature_quota_management: bool,
    /// Quay `QUOTA_INVALIDATE_TOTALS`: while quota management is off, totals of what changed are
    /// reset.
    pub quota_invalidate_totals: bool,
    /// Quay `FEATURE_QUOTA_SUPPRESS_FAILURES`: a total that cannot be changed stops nothing.
    pub feature_quota_suppress_failures: bool,
    /// Quay `FEATURE_APP_SPECIFIC_TOKENS`: off, no expired token is deleted.
    pub feature_app_specific_tokens: bool,
    /// Quay `EXPIRED_APP_SPECIFIC_TOKEN_GC`: how long an expired token stays; `None` for ever.
    pub expired_app_specific_token_gc: Option<Duration>,
    /// Quay `BLOBUPLOAD_DELETION_DATE_THRESHOLD` (there in minutes): an upload older than this is
    /// given up.
    pub blobupload_deletion_date_threshold: Duration,
    /// Quay `CLEAN_BLOB_UPLOAD_FOLDER`: chunks in storage that no upload has go as well.
    pub clean_blob_upload_folder: bool,
    /// Quay `FEATURE_ENABLE_STALE_MPU_CLEANUP`: multipart uploads that are a day old are aborted.
    pub feature_enable_stale_mpu_cleanup: bool,
    /// Quay `DISABLE_PUSHES`: stops every job that deletes content.
    pub disable_pushes: bool,
    /// Quay `ACCOUNT_RECOVERY_MODE`: stops every job.
    pub account_recovery_mode: bool,
    /// Quay `SETUP_COMPLETE`: no job runs before.
    pub setup_complete: bool,
    /// Quay `REGISTRY_STATE`: while read-only, no job writes.
    pub registry_state: RegistryState,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            feature_garbage_collection: true,
            feature_repository_garbage_collection: true,
            feature_namespace_garbage_collection: true,
            feature_immutable_tags: false,
            feature_immutable_tags_can_expire: false,
            feature_quota_management: false,
            quota_invalidate_totals: true,
            feature_quota_suppress_failures: false,
            feature_app_specific_tokens: true,
            expired_app_specific_token_gc: Some(Duration::from_hours(24)),
            blobupload_deletion_date_threshold: Duration::from_hours(48),
            clean_blob_upload_folder: true,
            feature_enable_stale_mpu_cleanup: true,
            disable_pushes: false,
            account_recovery_mode: false,
            setup_complete: true,
            registry_state: RegistryState::Normal,
        }
    }
}

/// Section `[log]`: what is written to the log, on standard error or to the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// In which form.
    pub format: LogFormat,
    /// Down to which level.
    pub level: LogLevel,
}
