//! What a registry should not hold, and storage should not do: everything but the bad one is
//! worked on, the bad one is reported, and nothing goes by guess.
//!
//! - `manifests.rs`: manifests that cannot be read, and lists in a circle
//! - `names.rs`: digests, uuids and uploads that lead elsewhere
//! - `storage.rs`: storage that is not what it should be
//! - `times.rs`: times that nobody can have meant
mod manifests;
mod names;
mod storage;
mod times;

use quayhand_testkit::{
    PostgresServer, create_objects,
    registry::{self, RegistrySpec},
    unique_name,
};
use tokio::sync::OnceCell;

use crate::{program::Quayhand, scene::Scene, tombs::BLOB_GC};

const COLLECT: [&str; 4] = ["job", "run", "tag_expiry", "--all"];

/// A repository that is collected, with the id of its row.
const ANY_REPOSITORY: &str = "select min(r.id)::text from repository r \
    join \"user\" u on u.id = r.namespace_user_id where r.state = 0 and u.enabled";

/// Generates a registry with garbage, a file for every placement; each caller has a copy.
async fn registry() -> Scene {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    let server = PostgresServer::shared().await.expect("PostgreSQL");
    let template = TEMPLATE.get_or_init(async || build(server).await).await;
    let database = unique_name("bad_input");
    let copied = server.create_database_from(&database, template).await;
    copied.expect("a copy of the template");
    let scene = Scene::of(server, database);
    for location in scene.texts("select name from imagestoragelocation").await {
        std::fs::create_dir(scene.file(&location)).expect("a location's folder");
    }
    make_files(&scene).await;
    scene
}

async fn build(server: &PostgresServer) -> String {
    let database = unique_name("bad_input_template");
    server.create_database(&database).await.expect("a database");
    let program = Quayhand::default().env("QUAYHAND_DATABASE_URL", server.url(&database));
    program.run(&["migrate", "up"]).await.expect(0);
    let spec = RegistrySpec {
        locations: vec!["local".to_owned(), "s3_us_east_1".to_owned()],
        ..RegistrySpec::small(5)
    };
    let loaded = registry::load(server, &database, &spec, None).await;
    loaded.expect("a generated registry");
    database
}

/// Makes a file for every placement.
async fn make_files(scene: &Scene) {
    let made = create_objects(scene.server, &scene.database, scene.root()).await;
    made.expect("objects");
}

/// Collects everything and removes the objects.
async fn collect(scene: &Scene) {
    let program = scene.program().await;
    for job in [COLLECT, BLOB_GC] {
        program.run(&job).await.expect(0);
    }
}
