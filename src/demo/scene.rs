//! The servers, the registry and the files of the demo.
use std::{fs, path::PathBuf};

use quayhand_jobs::{
    Ctx, permission_recompute::PermissionRecompute, tag_expiry_sweep::TagExpirySweep,
};
use quayhand_model::{Db, DbConfig, configure, migrate};
use quayhand_queue::{Client, Redis, RedisStore};
use quayhand_storage::Storage;
use quayhand_testkit::{
    PostgresServer, RedisServer, TestkitError,
    registry::{self, RegistrySpec},
};
use serde_json::json;
use tempfile::TempDir;

use super::{Args, report::say};
use crate::cli::Failure;

const DATABASE: &str = "demo";
const LOCATION: &str = "local";

/// Everything the demo works on; dropping it stops the servers and removes the files.
pub(super) struct Scene {
    postgres: PostgresServer,
    redis: RedisServer,
    folder: TempDir,
    pub(super) db: Db,
    pub(super) storage: Storage,
    pub(super) client: Client,
}

impl Scene {
    /// Starts the servers, migrates the database, generates the registry and its files.
    pub(super) async fn set_up(args: &Args) -> Result<Self, Failure> {
        say("starting a private PostgreSQL and a private Redis")?;
        let postgres = PostgresServer::start().await.map_err(unready)?;
        let redis = RedisServer::start().await.map_err(unready)?;
        postgres.create_database(DATABASE).await.map_err(unready)?;
        let db = configure(DbConfig::new(postgres.url(DATABASE)))?;
        let steps = migrate::up(&db, None).await?;
        say(&format!(
            "applied {} migrations to an empty database",
            steps.len()
        ))?;
        let folder = TempDir::with_prefix("quayhand-demo-").map_err(no_folder)?;
        let root = folder.path().join("objects");
        let spec = RegistrySpec {
            repositories: args.repositories,
            tags: args.tags,
            ..RegistrySpec::demo(args.seed)
        };
        say(&format!(
            "generating {} repositories, {} tags and their files",
            args.repositories, args.tags
        ))?;
        registry::load(&postgres, DATABASE, &spec, Some(&root))
            .await
            .map_err(unready)?;
        let path = root.join(LOCATION);
        let locations = json!({ LOCATION: ["LocalStorage", { "storage_path": path }] });
        let storage = Storage::from_config(&locations, &[])?;
        let client = Client::new(RedisStore::new(Redis::connect(&redis.url()).await?));
        Ok(Self {
            postgres,
            redis,
            folder,
            db,
            storage,
            client,
        })
    }

    /// Writes the daemon's configuration; returns where. Objects go as soon as their last
    /// row is gone: nobody pushes to this registry.
    pub(super) fn write_config(&self) -> Result<PathBuf, Failure> {
        let path = self.folder.path().join("quayhand.toml");
        let objects = self.folder.path().join("objects").join(LOCATION);
        let text = format!(
            "[database]\nurl = {:?}\n\n[redis]\nqueue_url = {:?}\nlocks_url = {:?}\n\n\
             [gc]\ntombstone_grace = \"0s\"\n\n\
             [storage.locations]\n{LOCATION} = [\"LocalStorage\", {{ storage_path = {:?} }}]\n",
            self.postgres.url(DATABASE),
            self.redis.url(),
            self.redis.url(),
            objects.display().to_string(),
        );
        fs::write(&path, text).map_err(no_folder)?;
        Ok(path)
    }

    /// Enqueues as a web tier would.
    pub(super) async fn enqueue(&self) -> Result<(), Failure> {
        self.client.enqueue::<Ctx, _>(&TagExpirySweep {}).await?;
        self.client
            .enqueue::<Ctx, _>(&PermissionRecompute::All)
            .await?;
        Ok(())
    }

    /// Names a file for what the daemon says.
    pub(super) fn log(&self) -> PathBuf {
        self.folder.path().join("daemon.log")
    }
}

#[expect(clippy::needless_pass_by_value, reason = "handed to map_err")]
fn unready(error: TestkitError) -> Failure {
    Failure::failed(format!("the demo's registry: {error}"))
}

#[expect(clippy::needless_pass_by_value, reason = "handed to map_err")]
fn no_folder(error: std::io::Error) -> Failure {
    Failure::failed(format!("the demo's temporary folder: {error}"))
}
