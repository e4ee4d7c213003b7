//! What a job works on: a database of its own, a folder of objects, and the job's context.
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use quayhand_jobs::{Ctx, Gate, Locking, Options, Pace, Preview, Settings};
use quayhand_model::{DbConfig, configure, migrate};
use quayhand_storage::Storage;
use quayhand_testkit::{
    PostgresServer, create_objects,
    golden::{Golden, RowKey, snapshot},
    registry::{self, RegistrySpec},
    unique_name,
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A registry with a file for every placement, and what a job is given.
pub(crate) struct Scene {
    pub(crate) server: &'static PostgresServer,
    pub(crate) database: String,
    pub(crate) ctx: Ctx,
    root: TempDir,
}

/// The lines of a dry run, as JSON.
#[derive(Clone, Default)]
pub(crate) struct Shown(Arc<Mutex<Vec<serde_json::Value>>>);

impl Scene {
    /// Loads a golden state.
    pub(crate) async fn golden(name: &str) -> Self {
        let server = PostgresServer::shared().await.unwrap();
        let database = Golden::open(name).unwrap().load(server).await.unwrap();
        let scene = Self::around(server, database).await;
        create_objects(server, &scene.database, scene.root.path())
            .await
            .unwrap();
        scene
    }

    /// Generates a registry whose objects have true digests.
    pub(crate) async fn generated(spec: &RegistrySpec) -> Self {
        Self::generated_on(PostgresServer::shared().await.unwrap(), spec).await
    }

    /// Generates a registry on a server of its own.
    pub(crate) async fn generated_on(server: &'static PostgresServer, spec: &RegistrySpec) -> Self {
        let database = unique_name("job");
        server.create_database(&database).await.unwrap();
        let db = configure(DbConfig::new(server.url(&database))).unwrap();
        migrate::up(&db, None).await.unwrap();
        let root = tempfile::tempdir().unwrap();
        registry::load(server, &database, spec, Some(root.path()))
            .await
            .unwrap();
        Self::with_root(server, database, root).await
    }

    /// Makes a registry without content, copied from one template.
    pub(crate) async fn empty() -> Self {
        let server = PostgresServer::shared().await.unwrap();
        let template = server.template("jobs_empty", async |url| {
            let db = configure(DbConfig::new(url))?;
            migrate::up(&db, None).await?;
            drop(db);
            // The guard may keep its connection for a while; a template must have none.
            let end = "select pg_terminate_backend(pid, 10000) from pg_stat_activity
                        where datname = 'jobs_empty'";
            Ok::<(), Box<dyn std::error::Error>>(server.execute("postgres", end).await?)
        });
        let template = template.await.unwrap();
        let database = unique_name("job");
        server
            .create_database_from(&database, &template)
            .await
            .unwrap();
        Self::with_root(server, database, tempfile::tempdir().unwrap()).await
    }

    async fn around(server: &'static PostgresServer, database: String) -> Self {
        let db = configure(DbConfig::new(server.url(&database))).unwrap();
        migrate::up(&db, None).await.unwrap();
        Self::with_root(server, database, tempfile::tempdir().unwrap()).await
    }

    async fn with_root(server: &'static PostgresServer, database: String, root: TempDir) -> Self {
        let client = server.connect(&database).await.unwrap();
        let names = client
            .query("select name from imagestoragelocation", &[])
            .await
            .unwrap();
        let mut config = serde_json::Map::new();
        for row in names {
            let name: String = row.get(0);
            let folder = root.path().join(&name);
            std::fs::create_dir_all(&folder).unwrap();
            let engine = serde_json::json!(["LocalStorage", { "storage_path": folder }]);
            config.insert(name, engine);
        }
        let preference = ["local".to_owned()];
        let storage = Storage::from_config(&config.into(), &preference).unwrap();
        let gate = Gate::shut("not checked yet");
        gate.open();
        let ctx = Ctx {
            db: configure(DbConfig::new(server.url(&database))).unwrap(),
            storage: Some(storage),
            locks: Locking::Standalone,
            client: None,
            settings: Arc::new(Settings::default()),
            gate,
            pace: Pace::default(),
            stop: CancellationToken::new(),
            options: Options::default(),
            concurrency: 2,
        };
        Self {
            server,
            database,
            ctx,
            root,
        }
    }

    /// Generates a registry without garbage.
    pub(crate) async fn clean_on(server: &'static PostgresServer) -> Self {
        let spec = RegistrySpec {
            repositories: 4,
            tags: 20,
            garbage_fraction: 0.0,
            uploads_fraction: 0.0,
            ..RegistrySpec::small(7)
        };
        Self::generated_on(server, &spec).await
    }

    /// Adds a namespace with repositories of so many tags past recovery each, the first of
    /// which ended at `since_ms`; returns the repositories.
    pub(crate) async fn litter(
        &self,
        namespace: &str,
        repositories: u32,
        tags: u32,
        since_ms: i64,
    ) -> Vec<i64> {
        self.execute(&format!(
            "insert into \"user\" (username, email, verified, organization, robot, invoice_email,
                                 last_invalid_login)
             values ('{namespace}', '', true, true, false, false, now());
             with r as (
                 insert into repository (namespace_user_id, name, visibility_id, badge_token)
                 select u.id, 'r' || n, (select min(id) from visibility), ''
                   from \"user\" u, generate_series(1, {repositories}) n
                  where u.username = '{namespace}'
                 returning id, substr(name, 2)::int as n
             )
             insert into tag (name, repository_id, lifetime_start_ms, lifetime_end_ms, tag_kind_id)
             select 't' || t, r.id, 0, {since_ms} + r.n * {tags} + t, (select min(id) from tagkind)
               from r, generate_series(0, {tags} - 1) t;
             analyze"
        ))
        .await;
        let client = self.server.connect(&self.database).await.unwrap();
        let ids =
            "select r.id::bigint from repository r join \"user\" u on u.id = namespace_user_id
                    where u.username = $1 order by substr(r.name, 2)::int";
        let rows = client.query(ids, &[&namespace]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Changes the settings of the next runs.
    pub(crate) fn set(&mut self, change: impl FnOnce(&mut Settings)) {
        change(Arc::make_mut(&mut self.ctx.settings));
    }

    /// The same context for a dry run, and what it will show.
    pub(crate) fn dry(&self) -> (Ctx, Shown) {
        let shown = Shown::default();
        let lines = shown.clone();
        let mut ctx = self.ctx.clone();
        ctx.options.preview = Some(Preview::new(move |doomed| {
            let line = serde_json::to_value(doomed).unwrap();
            lines.0.lock().unwrap().push(line);
        }));
        (ctx, shown)
    }

    /// The ids of all rows of Quay's tables.
    pub(crate) async fn rows(&self) -> BTreeSet<RowKey> {
        let rows = snapshot(self.server, &self.database).await.unwrap();
        let quays = |row: &RowKey| !row.0.starts_with("quayhand_");
        rows.into_iter().filter(quays).collect()
    }

    /// Runs statements.
    pub(crate) async fn execute(&self, statements: &str) {
        self.server
            .execute(&self.database, statements)
            .await
            .unwrap();
    }

    /// Reads one number.
    pub(crate) async fn number(&self, statement: &str) -> i64 {
        let client = self.server.connect(&self.database).await.unwrap();
        let text = format!("select ({statement})::bigint");
        client.query_one(&text, &[]).await.unwrap().get(0)
    }

    /// The path of an object in a location.
    pub(crate) fn object(&self, location: &str, path: &str) -> PathBuf {
        self.root.path().join(location).join(path)
    }

    /// Writes an object, last changed `age_s` seconds ago.
    pub(crate) fn put(&self, location: &str, path: &str, content: &[u8], age_s: u64) {
        let file = self.object(location, path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, content).unwrap();
        let modified = std::time::SystemTime::now() - std::time::Duration::from_secs(age_s);
        let open = std::fs::File::options().write(true).open(&file).unwrap();
        open.set_modified(modified).unwrap();
    }

    /// Lists the objects of all locations: location and path.
    pub(crate) fn files(&self) -> BTreeSet<(String, String)> {
        let mut files = BTreeSet::new();
        for entry in std::fs::read_dir(self.root.path()).unwrap() {
            let folder = entry.unwrap().path();
            let location = folder.file_name().unwrap().to_string_lossy().into_owned();
            add_files(&folder, &folder, &location, &mut files);
        }
        files
    }
}

fn add_files(folder: &Path, root: &Path, location: &str, files: &mut BTreeSet<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            add_files(&path, root, location, files);
        } else {
            let below = path.strip_prefix(root).unwrap().to_string_lossy();
            files.insert((location.to_owned(), below.into_owned()));
        }
    }
}

impl Shown {
    /// The rows that were shown; none was shown twice.
    pub(crate) fn rows(&self) -> BTreeSet<RowKey> {
        let row = |line: &serde_json::Value| {
            Some((line["table"].as_str()?.to_owned(), line["id"].as_i64()?))
        };
        self.once(row)
    }

    /// The objects that were shown; none was shown twice.
    pub(crate) fn objects(&self) -> BTreeSet<(String, String)> {
        let object = |line: &serde_json::Value| {
            let (location, path) = (line["location"].as_str()?, line["path"].as_str()?);
            Some((location.to_owned(), path.to_owned()))
        };
        self.once(object)
    }

    fn once<T: Ord>(&self, read: impl Fn(&serde_json::Value) -> Option<T>) -> BTreeSet<T> {
        let lines = self.0.lock().unwrap();
        let all: Vec<T> = lines.iter().filter_map(read).collect();
        let count = all.len();
        let once: BTreeSet<T> = all.into_iter().collect();
        assert_eq!(once.len(), count, "something was shown twice");
        once
    }
}
