//! A scene whose collection is done: its objects wait for `blob_gc`.

use quayhand_testkit::{PostgresServer, RedisServer, wait_for};

use std::time::Duration;

use crate::{
    oracle::cas_path,
    program::{Quayhand, Running},
    scene::{Object, Scene},
};

/// Runs `blob_gc` on everything, whatever its age.
pub(crate) const BLOB_GC: [&str; 4] = ["job", "run", "blob_gc", "--all"];

/// How long an event may take on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A tombstone: the digest of an object and where it lies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tomb {
    pub(crate) digest: String,
    pub(crate) object: Object,
}

/// A collected scene.
pub(crate) struct Tombs {
    pub(crate) scene: Scene,
}

impl Tombs {
    /// Collects the small golden state.
    pub(crate) async fn new() -> Self {
        let scene = Scene::golden("boundary").await;
        let program = scene.program().await;
        program
            .run(&["job", "run", "tag_expiry", "--all"])
            .await
            .expect(0);
        Self { scene }
    }

    /// The program, with a Redis for its locks.
    pub(crate) async fn program_with(&self, redis_url: &str) -> Quayhand {
        self.scene
            .program()
            .await
            .env("QUAYHAND_REDIS_URL", redis_url)
    }

    /// Reads the tombstones in the order in which they are taken.
    pub(crate) async fn list(&self) -> Vec<Tomb> {
        self.read("true").await
    }

    /// Reads those whose digest has no row: their objects may go.
    pub(crate) async fn free(&self) -> Vec<Tomb> {
        self.read(
            "not exists (select 1 from imagestorage s \
             where s.content_checksum = 'sha256:' || encode(t.digest, 'hex'))",
        )
        .await
    }

    async fn read(&self, condition: &str) -> Vec<Tomb> {
        let list = format!(
            "select concat_ws(' ', 'sha256:' || encode(t.digest, 'hex'), l.name, t.legacy_uuid) \
             from quayhand_tombstone t join imagestoragelocation l on l.id = t.location_id \
             where t.digest is not null and {condition} order by t.id"
        );
        let lines = self.scene.texts(&list).await;
        lines.iter().map(|line| Tomb::read(line)).collect()
    }

    /// Counts the tombstones.
    pub(crate) async fn count(&self) -> i64 {
        self.scene
            .number("select count(*) from quayhand_tombstone")
            .await
    }

    /// Finds a digest with a single object, the `nth` of its kind.
    pub(crate) async fn single(&self, nth: usize) -> Tomb {
        let all = self.free().await;
        let alone = |tomb: &&Tomb| {
            all.iter()
                .filter(|other| other.digest == tomb.digest)
                .count()
                == 1
                && self.scene.files().contains(&tomb.object)
        };
        all.iter()
            .filter(alone)
            .nth(nth)
            .expect("a single object")
            .clone()
    }

    /// Insists that exactly these tombstones and their objects are left.
    pub(crate) async fn only_left(&self, expected: &[&Tomb]) {
        let left = self.list().await;
        let too_many: Vec<_> = left
            .iter()
            .filter(|tomb| !expected.contains(tomb))
            .collect();
        assert!(too_many.is_empty(), "left: {too_many:?}");
        assert_eq!(left.len(), expected.len(), "every expected tombstone stays");
        let files = self.scene.files();
        assert!(
            expected.iter().all(|tomb| files.contains(&tomb.object)),
            "objects stay"
        );
    }
}

impl Tomb {
    fn read(line: &str) -> Self {
        let mut words = line.split(' ').map(str::to_owned);
        let digest = words.next().expect("a digest");
        let location = words.next().expect("a location");
        let path = match words.next() {
            Some(uuid) => format!("sharedimages/{uuid}/layer"),
            None => cas_path(&digest),
        };
        let object = (location, path);
        Self { digest, object }
    }

    /// The key of the lock that Quay's writers take.
    pub(crate) fn lock_key(&self) -> String {
        format!("lock:BLOB_DELETE_{}", self.digest)
    }

    /// The list that a waiter for the lock pops from.
    pub(crate) fn signal_key(&self) -> String {
        format!("lock-signal:BLOB_DELETE_{}", self.digest)
    }
}

/// Opens a connection whose commands may block.
pub(crate) async fn connect(url: &str) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(url).expect("a URL");
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(SOON));
    let connection = client.get_multiplexed_async_connection_with_config(&config);
    connection.await.expect("Redis")
}

/// Holds a run between its locks and its deletes: the question which digests have a row again
/// waits for a table lock that the test has.
pub(crate) struct Held {
    blocker: tokio_postgres::Client,
    pub(crate) run: Running,
}

impl Held {
    /// Starts `blob_gc` and returns when it is inside its hold.
    pub(crate) async fn start(scene: &Scene, program: &Quayhand, arguments: &[&str]) -> Self {
        let blocker = connect_to(scene.server, &scene.database).await;
        let lock = "begin; lock table imagestorage in access exclusive mode";
        blocker.batch_execute(lock).await.expect("the lock");
        let run = program.start(arguments);
        // The same table has the same number in every copy of a template.
        let waiting = "select count(*) from pg_locks l join pg_database d on d.oid = l.database \
                       where not l.granted and d.datname = current_database() \
                       and l.relation = 'imagestorage'::regclass";
        wait_for("the run to ask for rows", SOON, async || {
            let row = blocker.query_one(waiting, &[]).await.expect("locks");
            (row.get::<_, i64>(0) > 0).then_some(())
        })
        .await;
        Self { blocker, run }
    }

    /// Runs a statement in the transaction that the run waits for.
    pub(crate) async fn execute(&self, statement: &str) {
        let done = self.blocker.batch_execute(statement).await;
        done.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }

    /// Waits until the run has waited for this long, by the database's clock.
    pub(crate) async fn last(&self, at_least: Duration) {
        let waited = format!(
            "select count(*) from pg_stat_activity where datname = current_database() \
             and wait_event_type = 'Lock' and clock_timestamp() - query_start \
             > interval '{} milliseconds'",
            at_least.as_millis()
        );
        wait_for("the hold to be over", SOON, async || {
            let row = self
                .blocker
                .query_one(&waited, &[])
                .await
                .expect("activity");
            (row.get::<_, i64>(0) > 0).then_some(())
        })
        .await;
    }

    /// Lets the run go on.
    pub(crate) async fn go_on(self) -> Running {
        self.blocker.batch_execute("commit").await.expect("commits");
        self.run
    }
}

async fn connect_to(server: &PostgresServer, database: &str) -> tokio_postgres::Client {
    server.connect(database).await.expect("connects")
}

/// Starts a Redis that a test may kill or pause.
pub(crate) async fn own_redis() -> RedisServer {
    RedisServer::start().await.expect("Redis")
}
