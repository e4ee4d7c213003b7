//! What all tasks of a soak share.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use quayhand_queue::Locks;
use quayhand_testkit::{
    PostgresServer,
    registry::{self, RegistrySpec},
    unique_name,
};
use tokio_postgres::Client;

use super::tally::Tally;
use crate::place::{LOCATION, Place};

/// Daemons that collect every second. Tombstones are young when their objects go, so that a
/// pusher meets the removal of its digest often; everything else is as it is shipped.
const SETTINGS: &str = "
[gc]
sweep_interval = \"1s\"
tombstone_grace = \"1s\"
recheck_after = \"1s\"
[worker]
lease = \"3s\"
[log]
format = \"json\"
";

/// Windows of the namespaces, in seconds, dealt by id: garbage at once, or after a moment in which
/// a tag can be restored.
const SHORT_WINDOWS: &str =
    "update \"user\" set removed_tag_expiration_s = (array[0, 1, 2])[1 + id % 3]";

/// A registry, its storage, and who works on it.
pub(super) struct World {
    pub(super) place: Place,
    pub(super) locks: Locks,
    pub(super) tally: Tally,
    pub(super) repositories: Vec<i64>,
    pub(super) ids: Ids,
    over: AtomicBool,
}

/// Ids of names.
pub(super) struct Ids {
    pub(super) location: i64,
    pub(super) tag_kind: i64,
}

impl World {
    /// Makes a small registry with a file for every object.
    pub(super) async fn new() -> Self {
        let server = PostgresServer::shared().await.unwrap();
        let database = unique_name("soak");
        server.create_database(&database).await.unwrap();
        let place = Place::new(database, SETTINGS).await;
        place.program().run(&["migrate", "up"]).await.expect(0);
        let spec = RegistrySpec {
            repositories: 8,
            tags: 80,
            users: 4,
            organizations: 2,
            locations: vec![LOCATION.to_owned()],
            ..RegistrySpec::small(7)
        };
        let root = place.file(".");
        registry::load(server, &place.database, &spec, Some(&root))
            .await
            .unwrap();
        place.execute(SHORT_WINDOWS).await;
        let client = place.connect().await;
        let repositories = "select id::bigint from repository where state = 0 order by id";
        let repositories = client.query(repositories, &[]).await.unwrap();
        let id = async |table: &str, name: &str| -> i64 {
            let find = format!("select id::bigint from {table} where name = $1");
            client.query_one(&find, &[&name]).await.unwrap().get(0)
        };
        Self {
            locks: Locks::connect(&place.program().redis_url).await.unwrap(),
            tally: Tally::default(),
            repositories: repositories.iter().map(|row| row.get(0)).collect(),
            ids: Ids {
                location: id("imagestoragelocation", LOCATION).await,
                tag_kind: id("tagkind", "tag").await,
            },
            over: AtomicBool::new(false),
            place,
        }
    }

    /// Connects to the database, as a process of the web tier.
    pub(super) async fn connect(&self) -> Client {
        self.place.connect().await
    }

    /// Tells pushers and pullers to end.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Tells whether the soak is over.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Lets other work have the processor for a moment: this is the pace of the load.
    pub(super) async fn rest(&self, at_most_ms: u64, dice: &mut super::dice::Dice) {
        tokio::time::sleep(Duration::from_millis(1 + dice.below(at_most_ms))).await;
    }
}
