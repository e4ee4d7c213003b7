//! From a checked configuration to the things a command works with.
use std::{path::PathBuf, sync::Arc};

use quayhand_jobs::{Ctx, Gate, Locking, Options, Outbox, Pace, PaceLimits, Settings};
use quayhand_model::{Db, DbConfig, configure, drift};
use quayhand_queue::{Client, Deadlines, Locks, Redis, RedisStore, Registry, Store, Tls};
use quayhand_storage::Storage;
use tokio_util::sync::CancellationToken;

use super::{Failure, output::Format};
use crate::{
    config::{self, Config, RegistryState, SecretUrl},
    exit::Exit,
};

/// A configuration, and what is made of it when a command asks.
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) format: Format,
}

impl App {
    pub(crate) fn new(config: Config, format: Format) -> Self {
        Self { config, format }
    }

    /// Builds the database; no connection is made yet.
    pub(crate) fn db(&self) -> Result<Db, Failure> {
        Ok(configure(db_config(&self.config.database)?)?)
    }

    /// Builds the database; `None` when none is configured.
    pub(crate) fn db_if_any(&self) -> Result<Option<Db>, Failure> {
        let is_set = self.config.database.url.is_some();
        is_set.then(|| self.db()).transpose()
    }

    /// Builds the storage; `None` when no location is configured.
    pub(crate) fn storage(&self) -> Result<Option<Storage>, Failure> {
        let storage = &self.config.storage;
        if storage.locations.is_empty() {
            return Ok(None);
        }
        let built = Storage::with_extra_ca(
            storage.locations.expose(),
            &storage.preference,
            storage.extra_ca_certs.clone(),
        );
        built
            .map(Some)
            .map_err(|error| Failure::new(Exit::Config, error.to_string()))
    }

    /// Connects to the queue's Redis.
    pub(crate) async fn store(&self) -> Result<Store, Failure> {
        let Some(url) = &self.config.redis.queue_url else {
            return Err(Failure::new(
                Exit::Config,
                "no Redis for the queue is configured: set `redis.queue_url`, \
                 `QUAYHAND_REDIS_URL` or Quay's USER_EVENTS_REDIS",
            ));
        };
        let redis = self.redis(url)?;
        redis.ping().await?;
        Ok(RedisStore::new(redis).into())
    }

    /// Prepares a connection to a Redis, with the configured deadlines and certificates.
    pub(crate) fn redis(&self, url: &SecretUrl) -> Result<Redis, Failure> {
        let redis = &self.config.redis;
        let settings = quayhand_queue::Settings {
            deadlines: Deadlines {
                connect: redis.connect_timeout,
                command: redis.command_timeout,
            },
            tls: certificates(redis)?,
        };
        Ok(Redis::open_with(url.expose(), &settings)?)
    }

    /// Builds what fences deletes: Quay's lock where a Redis for it is configured. No
    /// connection is made yet; when Redis is out of reach, the job that needs it says so.
    pub(crate) fn locking(&self) -> Result<Locking, Failure> {
        match &self.config.redis.locks_url {
            Some(url) => Ok(Locking::Redis(Locks::new(self.redis(url)?))),
            None => Ok(Locking::Standalone),
        }
    }

    /// Builds the client through which a sweep enqueues; `None` without a queue's Redis.
    pub(crate) fn client(&self) -> Result<Option<Client>, Failure> {
        let Some(url) = &self.config.redis.queue_url else {
            return Ok(None);
        };
        Ok(Some(self.client_of(RedisStore::new(self.redis(url)?))))
    }

    /// Builds a client that enqueues under the policies in force.
    pub(crate) fn client_of(&self, store: impl Into<Store>) -> Client {
        Client::new(store).with_policies(Arc::new(self.config.policies()))
    }

    /// Lists the kinds, under the policies in force.
    pub(crate) fn registry(&self) -> Registry<Ctx> {
        quayhand_jobs::registry().with_policies(&self.config.policies())
    }

    /// Builds the way to enqueue through database and Redis together.
    pub(crate) fn outbox(&self) -> Result<Outbox, Failure> {
        Ok(Outbox::new(self.db()?, self.client()?))
    }

    /// Builds what a job is given; the gate is shut until [`check_schema`] opened it.
    pub(crate) fn ctx(&self, options: Options) -> Result<Ctx, Failure> {
        Ok(Ctx {
            db: self.db()?,
            storage: self.storage()?,
            locks: self.locking()?,
            client: self.client()?,
            settings: Arc::new(settings(&self.config)),
            gate: Gate::shut("the database's schema was not checked yet"),
            pace: Pace::default(),
            stop: CancellationToken::new(),
            options,
            concurrency: self.config.concurrency(quayhand_jobs::queues::GC.as_str()),
        })
    }
}

/// Opens the gate if the schema is known; with a difference it stays shut and says which.
///
/// # Errors
///
/// When the database is out of reach, or is no registry's at all.
pub(crate) async fn check_schema(ctx: &Ctx) -> Result<(), Failure> {
    let drift = ctx.db.scope(drift::check).await?;
    if drift.is_clean() {
        ctx.gate.open();
    } else {
        ctx.gate.close(drifted(&drift));
    }
    Ok(())
}

/// Says why jobs that delete stay off.
pub(crate) fn drifted(drift: &drift::Drift) -> String {
    format!(
        "the database's schema is not the one this program knows, so nothing is deleted: {}; \
         a newer quayhand may know it",
        drift.problems.join("; ")
    )
}

/// Returns what the configuration says about the database, in the guard's words.
pub(crate) fn db_config(database: &config::Database) -> Result<DbConfig, Failure> {
    let Some(url) = &database.url else {
        return Err(Failure::new(
            Exit::Config,
            "no database is configured: set `database.url`, `QUAYHAND_DATABASE_URL` or Quay's DB_URI",
        ));
    };
    let mut args = std::collections::BTreeMap::new();
    if let Some(map) = database.connection_args.expose().as_object() {
        // An argument that Quay's file leaves empty is one that is not given.
        for (name, value) in map.iter().filter(|(_, value)| !value.is_null()) {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            args.insert(name.clone(), text);
        }
    }
    Ok(DbConfig {
        args,
        pool_size: database.pool_size,
        checkout_timeout: database.checkout_timeout,
        connect_timeout: database.connect_timeout,
        statement_timeout: database.statement_timeout,
        lock_timeout: database.lock_timeout,
        idle_in_transaction_timeout: database.idle_in_transaction_timeout,
        idle_disconnect: database.idle_disconnect,
        pgbouncer: database.pgbouncer,
        ..DbConfig::new(url.expose())
    })
}

/// Returns what the configuration says about the jobs, in their words.
pub(crate) fn settings(config: &Config) -> Settings {
    let (registry, gc) = (&config.registry, &config.gc);
    Settings {
        garbage_collection: registry.feature_garbage_collection,
        repository_garbage_collection: registry.feature_repository_garbage_collection,
        namespace_garbage_collection: registry.feature_namespace_garbage_collection,
        immutable_tags: registry.feature_immutable_tags,
        immutable_tags_can_expire: registry.feature_immutable_tags_can_expire,
        quota_management: registry.feature_quota_management,
        quota_invalidate_totals: registry.quota_invalidate_totals,
        quota_suppress_failures: registry.feature_quota_suppress_failures,
        disable_pushes: registry.disable_pushes,
        account_recovery_mode: registry.account_recovery_mode,
        setup_complete: registry.setup_complete,
        read_only: registry.registry_state == RegistryState::Readonly,
        app_specific_tokens: registry.feature_app_specific_tokens,
        expired_token_window: registry.expired_app_specific_token_gc,
        upload_window: registry.blobupload_deletion_date_threshold,
        clean_upload_folder: registry.clean_blob_upload_folder,
        clean_multipart_uploads: registry.feature_enable_stale_mpu_cleanup,
        standalone: gc.standalone,
        leak_grace: gc.leak_grace,
        tombstone_grace: gc.tombstone_grace,
        blob_lock_ttl: gc.blob_lock_ttl,
        blob_hold: gc.blob_hold,
        max_objects_per_run: gc.max_objects_per_run,
        batch_tags: gc.batch_tags,
        recheck_after: gc.recheck_after,
        pace: PaceLimits {
            enabled: gc.pace,
            slow_batch: gc.pace_slow_batch,
            replica_lag: gc.pace_replica_lag,
            replica_lag_mib: gc.pace_replica_lag_mib,
            longest_pause: gc.pace_longest_pause,
        },
    }
}

/// Reads the certificates for `rediss://`.
fn certificates(redis: &config::Redis) -> Result<Tls, Failure> {
    let read = |key: &str, path: &PathBuf| {
        std::fs::read(path).map_err(|error| {
            let path = path.display();
            Failure::new(
                Exit::Config,
                format!("`redis.{key}`: `{path}` cannot be read: {error}"),
            )
        })
    };
    let read = |key, path: &Option<PathBuf>| path.as_ref().map(|path| read(key, path)).transpose();
    let certificate = read("tls_certfile", &redis.tls_certfile)?;
    let key = read("tls_keyfile", &redis.tls_keyfile)?;
    Ok(Tls {
        authorities: read("tls_ca_certs", &redis.tls_ca_certs)?,
        client: certificate.zip(key),
    })
}
