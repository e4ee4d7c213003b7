//! A registry to work on: a database of its own, a storage folder with a file for every
//! placement, and what they hold.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use quayhand_testkit::{
    PostgresServer, create_objects,
    golden::{Golden, RowKey, quay_database, snapshot},
    registry::{self, RegistrySpec},
    unique_name,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::program::Quayhand;

/// An object in storage: location and path.
pub(crate) type Object = (String, String);

/// A database, its objects, and the program that works on them.
pub(crate) struct Scene {
    pub(crate) server: &'static PostgresServer,
    pub(crate) database: String,
    root: TempDir,
}

/// Everything that a run could change: the content of every table and the names of all files.
#[derive(PartialEq, Eq)]
pub(crate) struct Whole {
    tables: BTreeMap<String, String>,
    files: BTreeSet<Object>,
}

/// The databases that copies are made from, by what they hold.
static TEMPLATES: Mutex<BTreeMap<String, String>> = Mutex::const_new(BTreeMap::new());

impl Whole {
    /// Names the tables and objects that differ.
    fn differs_from(&self, other: &Self) -> Vec<String> {
        let both = self.tables.keys().chain(other.tables.keys());
        let table = |name: &&String| self.tables.get(*name) != other.tables.get(*name);
        let tables: BTreeSet<_> = both.filter(table).cloned().collect();
        let files = self.files.symmetric_difference(&other.files);
        let files = files.map(|(location, path)| format!("{location}/{path}"));
        tables.into_iter().chain(files).collect()
    }
}

impl Scene {
    /// Loads a golden state, applies our migrations, and makes a file for every placement.
    pub(crate) async fn golden(name: &str) -> Self {
        let golden = Golden::open(name).expect("a golden folder");
        let build = async |server: &PostgresServer| golden.load(server).await.expect("loads");
        let scene = copy_of(name, build).await;
        scene.make_files().await;
        scene
    }

    /// Generates a registry and applies our migrations; storage is empty. `name` stands for
    /// `spec`.
    pub(crate) async fn generated(name: &str, spec: &RegistrySpec) -> Self {
        let build = async |server: &PostgresServer| {
            let database = quay_database(server).await.expect("an empty Quay database");
            let loaded = registry::load(server, &database, spec, None).await;
            loaded.expect("a generated registry");
            database
        };
        copy_of(name, build).await
    }

    /// Takes a database that exists, with an empty storage.
    pub(crate) fn of(server: &'static PostgresServer, database: String) -> Self {
        let root = tempfile::tempdir().expect("a temporary folder");
        Self {
            server,
            database,
            root,
        }
    }

    /// Makes a file for every placement.
    async fn make_files(&self) {
        for location in self.locations().await {
            std::fs::create_dir(self.root().join(location)).expect("a location's folder");
        }
        let made = create_objects(self.server, &self.database, self.root()).await;
        assert_eq!(made.expect("objects"), self.files().len());
    }

    /// The database's URL.
    pub(crate) fn url(&self) -> String {
        self.server.url(&self.database)
    }

    /// The folder that holds a folder for each location.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// A file beside the locations' folders.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// Writes a file beside the locations' folders.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.file(name);
        std::fs::write(&file, text).expect("a file in a temporary folder");
        file
    }

    /// The program, told of database and storage by its environment alone.
    pub(crate) async fn program(&self) -> Quayhand {
        Quayhand::default()
            .env("QUAYHAND_DATABASE_URL", self.url())
            .env("QUAYHAND_STORAGE", self.storage().await.to_string())
    }

    /// The storage in the form of Quay's `DISTRIBUTED_STORAGE_CONFIG`.
    pub(crate) async fn storage(&self) -> serde_json::Value {
        let engine = |name: String| {
            let path = self.root().join(&name);
            (name, json!(["LocalStorage", { "storage_path": path }]))
        };
        self.locations().await.into_iter().map(engine).collect()
    }

    /// Reads the first column of a statement, as texts.
    pub(crate) async fn texts(&self, statement: &str) -> Vec<String> {
        let client = self.server.connect(&self.database).await.expect("connects");
        let rows = client.query(statement, &[]).await;
        let rows = rows.unwrap_or_else(|error| panic!("{statement}: {error}"));
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Reads one number.
    pub(crate) async fn number(&self, statement: &str) -> i64 {
        let text = self.texts(&format!("select ({statement})::text")).await;
        text[0].parse().expect("a number")
    }

    /// Runs statements.
    pub(crate) async fn execute(&self, statements: &str) {
        let done = self.server.execute(&self.database, statements).await;
        done.unwrap_or_else(|error| panic!("{statements}: {error:?}"));
    }

    /// Reads the ids of all rows of the registry's tables.
    pub(crate) async fn rows(&self) -> BTreeSet<RowKey> {
        let rows = snapshot(self.server, &self.database).await;
        rows.expect("the ids of all rows")
    }

    /// Lists the objects in storage.
    pub(crate) fn files(&self) -> BTreeSet<Object> {
        let mut files = BTreeSet::new();
        for location in folders(self.root()) {
            let name = location.file_name().expect("a name").to_string_lossy();
            add_files(&location, &location, &name, &mut files);
        }
        files
    }

    /// Insists that everything is as it was.
    #[track_caller]
    pub(crate) fn is_unchanged<'a>(&'a self, whole: &'a Whole) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let differs = self.whole().await.differs_from(whole);
            assert!(differs.is_empty(), "{caller}: changed: {differs:?}");
        }
    }

    /// Insists that everything is as it was but the notes of what was removed: when they are
    /// looked at next is up to the clock.
    pub(crate) async fn is_unchanged_but_for_notes(&self, whole: &Whole) {
        let mut differs = self.whole().await.differs_from(whole);
        differs.retain(|name| name != "quayhand_removed");
        assert!(differs.is_empty(), "changed: {differs:?}");
    }

    /// Reads everything that a run could change.
    pub(crate) async fn whole(&self) -> Whole {
        Whole {
            tables: self.contents().await,
            files: self.files(),
        }
    }

    /// Computes a digest of the content of every table, ours too.
    async fn contents(&self) -> BTreeMap<String, String> {
        const TABLES: &str = "select coalesce(string_agg(format('select %L || chr(9) || \
            coalesce(md5(string_agg(t::text, chr(10) order by t::text)), '''') from %I t', \
            relname, relname), ' union all '), 'select null where false') from pg_class \
            where relnamespace = 'public'::regnamespace and relkind = 'r'";
        let union = self.texts(TABLES).await;
        let lines = self.texts(&union[0]).await;
        let pair = |line: &String| {
            let (table, digest) = line.split_once('\t').expect("a table and its digest");
            (table.to_owned(), digest.to_owned())
        };
        lines.iter().map(pair).collect()
    }

    async fn locations(&self) -> Vec<String> {
        self.texts("select name from imagestoragelocation").await
    }
}

/// Copies the database of that name, which is built and migrated by the first who asks.
async fn copy_of(name: &str, build: impl AsyncFnOnce(&PostgresServer) -> String) -> Scene {
    let server = PostgresServer::shared().await.expect("PostgreSQL");
    let mut templates = TEMPLATES.lock().await;
    if !templates.contains_key(name) {
        let database = build(server).await;
        let program = Quayhand::default().env("QUAYHAND_DATABASE_URL", server.url(&database));
        program.run(&["migrate", "up"]).await.expect(0);
        templates.insert(name.to_owned(), database);
    }
    let template = templates[name].clone();
    let database = unique_name("cli");
    let copied = server.create_database_from(&database, &template).await;
    copied.expect("a copy of the template");
    drop(templates);
    Scene::of(server, database)
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.filter(|path| path.is_dir()).collect()
}

/// Adds the files below `folder`, with their paths below `location`.
fn add_files(folder: &Path, location: &Path, name: &str, files: &mut BTreeSet<Object>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            add_files(&path, location, name, files);
            continue;
        }
        let below = path.strip_prefix(location).expect("a path below its root");
        files.insert((name.to_owned(), below.to_string_lossy().into_owned()));
    }
}
