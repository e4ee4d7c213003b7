//! One object that waits for `blob_gc`, and a client of Quay's who pushes the same content.
use std::time::Duration;

use quayhand_jobs::{Locking, blob_gc::BlobGc, leak_sweep::LeakSweep};
use quayhand_queue::{Hold, Job, LockError, Locks};
use quayhand_storage::Digest;
use quayhand_testkit::{RedisServer, World, unique_name};
use tokio::sync::Mutex;
use tokio_postgres::Client;

use crate::scene::Scene;

/// How long a run may hold its locks: more than in service, because the machine may be busy,
/// and less than Quay waits.
pub(super) const HOLD: Duration = Duration::from_secs(4);
/// How long Quay waits for the lock of a digest before it goes on without.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long Quay's writers hold it at most.
const TTL: Duration = Duration::from_secs(30);

/// A registry of one object, whose last row went long ago.
pub(super) struct Store {
    pub(super) scene: Scene,
    redis: Mutex<RedisServer>,
    content: String,
    pub(super) digest: Digest,
}

impl World for Store {
    async fn new() -> Self {
        let redis = RedisServer::start().await.unwrap();
        let locks = Locks::connect(&redis.url()).await.unwrap();
        let mut scene = Scene::empty().await;
        scene.ctx.locks = Locking::Redis(locks);
        scene.set(|settings| settings.blob_hold = HOLD);
        scene.execute(REPOSITORY).await;
        let content = unique_name("an object ");
        let store = Self {
            scene,
            redis: Mutex::new(redis),
            digest: Digest::of(content.as_bytes()),
            content,
        };
        store.put("local");
        store.bury("2 hours").await;
        store
    }

    async fn is_whole(&self) {
        self.is_swept().await;
        let verdict = self.verdict().await;
        assert!(
            ["blob alive", "object gone"].contains(&verdict),
            "{verdict}"
        );
        assert_eq!(self.tombstones().await, 0, "nothing waits");
    }
}

const REPOSITORY: &str = r#"
    insert into "user" (username, email, verified, organization, robot, invoice_email,
                        last_invalid_login, removed_tag_expiration_s)
    values ('org', 'org@example.com', true, true, false, false, now(), 0);
    insert into repository (namespace_user_id, name, visibility_id, badge_token)
    select id, 'app', 1, '' from "user""#;

impl Store {
    /// Removes what waits, and what nothing leads to.
    pub(super) async fn is_swept(&self) {
        for _sighting in 0..2 {
            assert!(BlobGc::all(&self.scene.ctx).unwrap().await.is_ok());
            assert!(LeakSweep {}.run(&self.scene.ctx).await.is_ok());
            let a_day_passes = "update quayhand_sighting
                                   set first_seen = first_seen - interval '24 hours',
                                       last_seen = last_seen - interval '24 hours'";
            self.scene.execute(a_day_passes).await;
        }
        assert!(BlobGc::all(&self.scene.ctx).unwrap().await.is_ok());
    }

    /// Writes the object into a location.
    pub(super) fn put(&self, location: &str) {
        // Older than the grace of a leak.
        let content = self.content.as_bytes();
        self.scene.put(location, &self.path(), content, 2 * 86_400);
    }

    /// Leaves a tombstone of the object, written so long ago.
    pub(super) async fn bury(&self, age: &str) {
        self.scene
            .execute(&format!(
                "insert into quayhand_tombstone (location_id, digest, created_at)
                 select id, decode('{}', 'hex'), now() - interval '{age}'
                   from imagestoragelocation where name = 'local'",
                self.digest.hex()
            ))
            .await;
    }

    pub(super) fn path(&self) -> String {
        let hex = self.digest.hex();
        format!("sha256/{}/{hex}", &hex[..2])
    }

    pub(super) fn is_there(&self) -> bool {
        self.scene.object("local", &self.path()).is_file()
    }

    async fn tombstones(&self) -> i64 {
        self.scene
            .number("select count(*) from quayhand_tombstone")
            .await
    }

    /// Says what became of the object.
    pub(super) async fn verdict(&self) -> &'static str {
        let rows = format!(
            "select count(*) from imagestorage where content_checksum = '{}'",
            self.digest
        );
        let (rows, waits) = (self.scene.number(&rows).await, self.tombstones().await);
        match (rows > 0, self.is_there(), waits > 0) {
            (true, true, _) => "blob alive",
            (true, false, _) => "blob lost",
            (false, false, _) => "object gone",
            (false, true, true) => "object waits",
            (false, true, false) => "object leaked",
        }
    }

    /// Lets Redis forget every lock, as a restart without persistence does.
    pub(super) async fn redis_forgets(&self) {
        self.redis.lock().await.restart().await.unwrap();
    }

    /// A client begins to push the content.
    pub(super) async fn pusher(&self) -> Pusher<'_> {
        let server = self.scene.server;
        let url = self.redis.lock().await.url();
        Pusher {
            store: self,
            client: server.connect(&self.scene.database).await.unwrap(),
            locks: Locks::connect(&url).await.unwrap(),
            hold: None,
        }
    }
}

/// Quay's web tier while it ends an upload, step by step and in Quay's order.
pub(super) struct Pusher<'a> {
    store: &'a Store,
    client: Client,
    locks: Locks,
    hold: Option<Hold>,
}

impl Pusher<'_> {
    /// Asks storage for the object, and puts it when it is not there. Outside of any lock.
    pub(super) fn looks(&self) {
        if !self.store.is_there() {
            self.store.put("local");
        }
    }

    /// Takes the digest's lock, or goes on without it when that takes too long.
    pub(super) async fn locks(&mut self) -> &'static str {
        let name = format!("BLOB_DELETE_{}", self.store.digest);
        match self.locks.acquire(&name, TTL, PATIENCE).await {
            Ok(hold) => {
                self.hold = Some(hold);
                "with the lock"
            }
            Err(LockError::Busy { .. }) => "without the lock",
            Err(error) => panic!("{error}"),
        }
    }

    /// Takes the lock of a registry without Redis, in the transaction that writes.
    pub(super) async fn fences(&self) {
        let bytes = self.store.digest.as_bytes().first_chunk().unwrap();
        let key = i64::from_be_bytes(*bytes);
        self.runs(&format!("begin; select pg_advisory_xact_lock({key})"))
            .await;
    }

    /// Writes row, placement and lease, not yet committed.
    pub(super) async fn writes(&self) {
        let digest = self.store.digest;
        self.runs(&format!(
            "begin;
             insert into imagestorage (uuid, cas_path, content_checksum)
             values (gen_random_uuid(), true, '{digest}');
             insert into imagestorageplacement (storage_id, location_id)
             select s.id, l.id from imagestorage s, imagestoragelocation l
              where s.content_checksum = '{digest}' and l.name = 'local';
             insert into uploadedblob (repository_id, blob_id, uploaded_at, expires_at)
             select r.id, s.id, now(), now() + interval '1 hour'
               from repository r, imagestorage s where s.content_checksum = '{digest}'"
        ))
        .await;
    }

    /// Commits, and releases the lock if it has it.
    pub(super) async fn commits(&mut self) {
        self.runs("commit").await;
        if let Some(hold) = self.hold.take() {
            self.locks.release(hold).await.unwrap();
        }
    }

    /// Takes all steps from the lock on.
    pub(super) async fn goes_on(&mut self) -> &'static str {
        let how = self.locks().await;
        self.writes().await;
        self.commits().await;
        how
    }

    async fn runs(&self, statements: &str) {
        self.client.batch_execute(statements).await.unwrap();
    }
}
