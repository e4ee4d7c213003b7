//! The registry that every round begins with.

use std::{fs, time::Duration};

use quayhand_testkit::{
    PostgresServer,
    registry::{self, RegistrySpec},
    unique_name, wait_for,
};

use super::round::SETTINGS;
use crate::place::{LOCATION, Place, cas_path, digest_of};

/// Objects without a row that the registry begins with.
pub(super) const PLANTED_OBJECTS: usize = 3;
/// Uploads that were begun three days ago, and as many that were begun just now.
const UPLOADS: u32 = 5;

/// Rows of uploads in progress. The numbers below [`UPLOADS`] are stale.
const BEGIN_UPLOADS: &str = "
    insert into blobupload (repository_id, uuid, byte_count, sha_state, location_id,
                            storage_metadata, chunk_count, created)
    select (select min(id) from repository),
           '00000000-0000-4000-8000-' || lpad(n::text, 12, '0'), 10, null,
           (select id from imagestoragelocation where name = 'local'), '{}', 1,
           (now() at time zone 'utc') - case when n < 5 then interval '3 days'
                                             else interval '1 minute' end
      from generate_series(0, 9) n";

/// Generates a registry of several batches with a file for every object, uploads that were given
/// up, and leaked objects.
pub(super) async fn template() -> Place {
    let server = PostgresServer::shared().await.unwrap();
    let database = unique_name("endurance");
    server.create_database(&database).await.unwrap();
    let place = Place::new(database, SETTINGS[0]).await;
    place.program().run(&["migrate", "up"]).await.expect(0);
    let spec = RegistrySpec {
        repositories: 30,
        tags: 1_300,
        locations: vec![LOCATION.to_owned()],
        ..RegistrySpec::small(41)
    };
    let root = place.file(".");
    registry::load(server, &place.database, &spec, Some(&root))
        .await
        .unwrap();
    place.execute(BEGIN_UPLOADS).await;
    for number in 0..2 * UPLOADS {
        write(
            &place,
            &format!("uploads/00000000-0000-4000-8000-{number:012}"),
            b"0123456789",
        );
    }
    for number in 0..PLANTED_OBJECTS {
        let content = format!("a leaked object {number}");
        write(
            &place,
            &cas_path(&digest_of(content.as_bytes())),
            content.as_bytes(),
        );
    }
    nobody_is_connected(&place).await;
    place
}

/// Waits until the database can be copied.
async fn nobody_is_connected(place: &Place) {
    let sessions = format!(
        "select count(*) from pg_stat_activity where datname = '{}'",
        place.database
    );
    wait_for(
        "the end of all sessions",
        Duration::from_secs(20),
        async || {
            let client = place.server.connect("postgres").await.unwrap();
            let row = client.query_one(&sessions, &[]).await.unwrap();
            (row.get::<_, i64>(0) == 0).then_some(())
        },
    )
    .await;
}

fn write(place: &Place, path: &str, content: &[u8]) {
    let file = place.object(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, content).unwrap();
}
