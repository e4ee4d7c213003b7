//! A registry to work on: a database, a storage folder, and what must be true of both.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use quayhand_testkit::{
    PostgresServer, REDIS_DATABASES, RedisServer,
    golden::{QuotaRow, RowKey, quota_rows, snapshot},
    unique_name, wait_for,
};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio_postgres::Client;

use crate::program::Program;

/// The one storage location.
pub(crate) const LOCATION: &str = "local";
/// How long a killed program's sessions may outlive it.
const SOON: Duration = Duration::from_secs(20);

/// Where each blob's object must be, with the digest of its content where the row tells.
const NEEDED: &str = "
    select s.cas_path, s.uuid, s.content_checksum
      from imagestorageplacement p join imagestorage s on s.id = p.storage_id";

/// Digests of the content-addressed objects that `blob_gc` will delete, in its order.
const DOOMED: &str = "
    select 'sha256:' || encode(t.digest, 'hex') from quayhand_tombstone t
     where t.digest is not null and t.legacy_uuid is null
       and not exists (select 1 from imagestorage s
                        where s.content_checksum = 'sha256:' || encode(t.digest, 'hex'))
     order by t.id";

/// A database and its storage folder.
pub(crate) struct Place {
    pub(crate) server: &'static PostgresServer,
    pub(crate) database: String,
    redis_url: String,
    root: TempDir,
}

/// What is left in the registry's tables and in its storage.
#[derive(PartialEq, Eq)]
pub(crate) struct Left {
    rows: BTreeSet<RowKey>,
    quota: BTreeSet<QuotaRow>,
    files: BTreeSet<String>,
}

impl Left {
    /// Names some of what differs; empty when nothing does.
    pub(crate) fn differs_from(&self, other: &Self) -> Vec<String> {
        let rows = self.rows.symmetric_difference(&other.rows);
        let quota = self.quota.symmetric_difference(&other.quota);
        let files = self.files.symmetric_difference(&other.files);
        let rows = rows.map(|row| format!("{row:?}"));
        let quota = quota.map(|row| format!("{row:?}"));
        rows.chain(quota).chain(files.cloned()).take(20).collect()
    }
}

impl Place {
    /// Takes a database with an empty storage, a Redis database of its own, and settings.
    pub(crate) async fn new(database: String, settings: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let redis = RedisServer::shared().await.unwrap();
        let number = NEXT.fetch_add(1, Ordering::Relaxed) % REDIS_DATABASES;
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join(LOCATION)).unwrap();
        fs::write(root.path().join("quayhand.toml"), settings).unwrap();
        Self {
            server: PostgresServer::shared().await.unwrap(),
            database,
            redis_url: redis.database_url(number),
            root,
        }
    }

    /// Copies a place that nobody is connected to. The copy's files are further names of the same
    /// files: nothing here writes into one.
    pub(crate) async fn copy(&self, settings: &str) -> Self {
        let database = unique_name("endurance");
        let copied = self.server.create_database_from(&database, &self.database);
        copied.await.unwrap();
        let copy = Self::new(database, settings).await;
        for file in self.files() {
            let (from, to) = (self.object(&file), copy.object(&file));
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::hard_link(from, to).unwrap();
        }
        copy
    }

    /// Drops the database.
    pub(crate) async fn remove(self) {
        let drop = format!("drop database \"{}\" with (force)", self.database);
        self.server.execute("postgres", &drop).await.unwrap();
    }

    /// The program, told of this place.
    pub(crate) fn program(&self) -> Program {
        let folder = self.root.path().join(LOCATION);
        let storage = json!({ LOCATION: ["LocalStorage", { "storage_path": folder }] });
        Program {
            config: self.file("quayhand.toml"),
            database_url: self.server.url(&self.database),
            redis_url: self.redis_url.clone(),
            storage: storage.to_string(),
        }
    }

    /// A file beside the storage.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The folder that holds all objects.
    pub(crate) fn storage(&self) -> PathBuf {
        self.file(LOCATION)
    }

    /// The file of an object.
    pub(crate) fn object(&self, path: &str) -> PathBuf {
        self.storage().join(path)
    }

    /// Connects to the database.
    pub(crate) async fn connect(&self) -> Client {
        self.server.connect(&self.database).await.unwrap()
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
        let statement = format!("select ({statement})::bigint");
        let row = self.connect().await.query_one(&statement, &[]).await;
        row.unwrap().get(0)
    }

    /// Waits until no session of the program is left, so that what was open is rolled back.
    pub(crate) async fn is_left_alone(&self) {
        let others = "select count(*) from pg_stat_activity where datname = current_database() \
                      and application_name = 'quayhand'";
        wait_for("the end of a killed program's sessions", SOON, async || {
            (self.number(others).await == 0).then_some(())
        })
        .await;
    }

    /// Lets all locks end. Those of a dead holder end by themselves, after their time to live,
    /// which a test does not wait for.
    pub(crate) async fn forget_locks(&self) {
        let client = redis::Client::open(self.redis_url.as_str()).unwrap();
        let mut redis = client.get_multiplexed_async_connection().await.unwrap();
        redis::cmd("FLUSHDB").exec_async(&mut redis).await.unwrap();
    }

    /// Lists the objects that a tombstone names and no row needs.
    pub(crate) async fn doomed(&self) -> Vec<String> {
        let client = self.connect().await;
        let rows = client.query(DOOMED, &[]).await.unwrap();
        let paths = rows.iter().map(|row| cas_path(row.get(0)));
        paths.filter(|path| self.object(path).is_file()).collect()
    }

    /// Lists all objects, by their paths.
    pub(crate) fn files(&self) -> BTreeSet<String> {
        let mut files = BTreeSet::new();
        add_files(&self.storage(), &self.storage(), &mut files);
        files
    }

    /// Reads what is left.
    pub(crate) async fn left(&self) -> Left {
        Left {
            rows: snapshot(self.server, &self.database).await.unwrap(),
            quota: quota_rows(self.server, &self.database).await.unwrap(),
            files: self.files(),
        }
    }

    /// Lists the paths of all objects that a row needs, with the digests that the rows tell.
    pub(crate) async fn needed(&self) -> BTreeMap<String, Option<String>> {
        let rows = self.connect().await.query(NEEDED, &[]).await.unwrap();
        let object = |row: &tokio_postgres::Row| {
            let (uuid, checksum): (String, Option<String>) = (row.get(1), row.get(2));
            let path = match &checksum {
                Some(checksum) if row.get(0) => cas_path(checksum),
                _ => format!("sharedimages/{uuid}/layer"),
            };
            (path, checksum)
        };
        rows.iter().map(object).collect()
    }

    /// Lists the objects that a row needs and that are not there, or hold other bytes than their
    /// digest promises: what was deleted too early.
    pub(crate) async fn deleted_early(&self) -> Vec<String> {
        let needed = self.needed().await;
        let broken = |(path, checksum): &(String, Option<String>)| {
            let Ok(content) = fs::read(self.object(path)) else {
                return true;
            };
            checksum
                .as_ref()
                .is_some_and(|expected| *expected != digest_of(&content))
        };
        let broken = needed.into_iter().filter(broken);
        broken.map(|(path, _)| path).collect()
    }
}

/// Where the blob of a digest lies.
pub(crate) fn cas_path(digest: &str) -> String {
    let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
    format!("sha256/{}/{hex}", &hex[..2])
}

/// The digest of some bytes, as the registry writes it.
pub(crate) fn digest_of(content: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = "sha256:".to_owned();
    for byte in Sha256::digest(content) {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

fn add_files(folder: &Path, root: &Path, files: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            add_files(&path, root, files);
        } else {
            let below = path.strip_prefix(root).unwrap();
            files.insert(below.to_str().unwrap().to_owned());
        }
    }
}
