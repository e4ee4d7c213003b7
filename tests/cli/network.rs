//! Objects in a bucket: the jobs and `verify` over the network, with a server that fails.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use quayhand_testkit::{
    PostgresServer,
    registry::{self, RegistrySpec},
    s3::{Call, Failure, S3Server},
    shared_or_skip, unique_name,
};
use serde_json::{Value, json};

use crate::{
    program::Quayhand,
    quay_config::QuayConfig,
    scene::Scene,
    tombs::{BLOB_GC, Tombs},
};

const HOUR: Duration = Duration::from_hours(1);
const UPLOAD_CLEANUP: [&str; 4] = ["job", "run", "upload_cleanup", "--all"];

/// Serves the folders of a scene as buckets, and names them as Quay would.
async fn serve(scene: &Scene) -> (S3Server, Value) {
    let server = S3Server::start(scene.root()).expect("a server");
    let local = scene.storage().await;
    let names = local.as_object().expect("a map").keys();
    let engine = |name: &String| {
        let arguments = server.arguments(server.address(), name, "");
        (name.clone(), json!(["S3Storage", arguments]))
    };
    let storage = names.map(engine).collect();
    (server, storage)
}

/// The program, told of a database and a storage by its environment alone.
fn program(scene: &Scene, storage: &Value) -> Quayhand {
    Quayhand::default()
        .env("QUAYHAND_DATABASE_URL", scene.url())
        .env("QUAYHAND_STORAGE", storage.to_string())
}

#[expect(clippy::print_stdout, reason = "a figure beside what it is about")]
#[tokio::test]
async fn blob_gc_believes_only_what_the_server_names() {
    let _shared = shared_or_skip!();
    let tombs = Tombs::new().await;
    let (server, storage) = serve(&tombs.scene).await;
    let program = program(&tombs.scene, &storage);
    assert!(tombs.count().await > 3);

    server.fail(Call::Delete, Failure::Keys(3, "AccessDenied"), 1);
    let ended = program.run(&BLOB_GC).await.expect(9);
    ended.says(&["AccessDenied"]);
    assert_eq!(tombs.count().await, 3, "those that were refused stay");
    let kept = tombs.free().await;
    tombs.only_left(&kept.iter().collect::<Vec<_>>()).await;

    for (failure, said) in [
        (Failure::Refuse(503, "SlowDown"), "SlowDown"),
        (
            Failure::Refuse(403, "SignatureDoesNotMatch"),
            "storage location",
        ),
        (Failure::Swallow, "deadline"),
    ] {
        server.heal();
        server.fail(Call::Delete, failure, 0);
        let begun = Instant::now();
        program.run(&BLOB_GC).await.expect(9).says(&[said]);
        println!("`blob_gc` ended after {:?}: {said}", begun.elapsed());
        tombs.only_left(&kept.iter().collect::<Vec<_>>()).await;
    }
    // Done, and nobody was told: the tombstones stay.
    server.heal();
    server.fail(Call::Delete, Failure::Cut, 0);
    program.run(&BLOB_GC).await.expect(9).says(&["breaks off"]);
    assert_eq!(tombs.count().await, 3);
    server.heal();
    program.run(&BLOB_GC).await.expect(0);
    tombs.only_left(&[]).await;
}

#[tokio::test]
async fn a_missing_bucket_keeps_every_tombstone() {
    let _shared = shared_or_skip!();
    let tombs = Tombs::new().await;
    let (_server, storage) = serve(&tombs.scene).await;
    let program = program(&tombs.scene, &storage);
    let there = tombs.free().await;
    let (bucket, aside) = (tombs.scene.file("local"), tombs.scene.file("aside"));
    fs::rename(&bucket, &aside).expect("moved aside");
    let ended = program.run(&BLOB_GC).await.expect(9);
    ended.says(&["`local`", "does not exist"]);
    fs::rename(&aside, &bucket).expect("moved back");
    let local = there.iter().filter(|tomb| tomb.object.0 == "local");
    tombs.only_left(&local.collect::<Vec<_>>()).await;
    program.run(&["doctor"]).await;
    program.run(&BLOB_GC).await.expect(0);
    tombs.only_left(&[]).await;
}

#[tokio::test]
async fn a_location_that_is_not_supported_is_named_at_once() {
    let _shared = shared_or_skip!();
    let tombs = Tombs::new().await;
    let storage = json!({"local": ["SwiftStorage", {"swift_password": "hush"}]});
    let ended = program(&tombs.scene, &storage)
        .run(&BLOB_GC)
        .await
        .expect(3);
    ended.says(&["`local`", "SwiftStorage"]);
    let (_server, mut storage) = serve(&tombs.scene).await;
    storage["local"][1]["s3_buckt"] = json!("mistyped");
    let ended = program(&tombs.scene, &storage)
        .run(&BLOB_GC)
        .await
        .expect(3);
    ended.says(&["`s3_buckt`", "not known"]);
}

#[tokio::test]
async fn stale_multipart_uploads_are_aborted_and_others_are_not() {
    const LIVE: &str = "0b9f3a5e-7c1d-4e2f-8a6b-1c2d3e4f5a6b";
    const LOST: &str = "1b9f3a5e-7c1d-4e2f-8a6b-1c2d3e4f5a6b";
    let _shared = shared_or_skip!();
    let scene = Scene::golden("uploads").await;
    let (server, storage) = serve(&scene).await;
    let names = storage.as_object().expect("a map").keys();
    let first = names.min().expect("a location").clone();
    scene
        .execute(&format!(
            "insert into blobupload (repository_id, uuid, byte_count, location_id, created, \
             storage_metadata) \
             select (select min(id) from repository), 'ub9f3a5e-7c1d-4e2f-8a6b-1c2d3e4f5a6b', 0, \
             id, now() at time zone 'utc', '{{\"chunks\": [[\"uploads/{LIVE}\", 0, 5]]}}' \
             from imagestoragelocation where name = '{first}'"
        ))
        .await;
    let blob = "sha256/a3/a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4";
    let (lost, live) = (format!("uploads/{LOST}"), format!("uploads/{LIVE}"));
    for key in [blob, &lost, &live, "logs/of/others"] {
        server.begin_upload(&first, key, 25 * HOUR);
        server.begin_upload(&first, key, 23 * HOUR);
    }
    let config = QuayConfig::of(&scene)
        .await
        .with("DISTRIBUTED_STORAGE_CONFIG", &storage.to_string())
        .with("DISTRIBUTED_STORAGE_PREFERENCE", &format!("[{first}]"));
    let off = config
        .clone()
        .with("FEATURE_ENABLE_STALE_MPU_CLEANUP", "false");
    off.program(&scene).run(&UPLOAD_CLEANUP).await.expect(0);
    assert_eq!(server.uploads(&first).len(), 8);

    let program = config.program(&scene);
    let dry = [&UPLOAD_CLEANUP[..], &["--dry-run"]].concat();
    let shown = program.run(&dry).await.expect(0).stdout;
    assert_eq!(shown.matches("multipart upload of").count(), 2, "{shown}");
    assert_eq!(server.uploads(&first).len(), 8);
    server.fail(Call::Abort, Failure::Refuse(500, "InternalError"), 1);
    program.run(&UPLOAD_CLEANUP).await.expect(9);
    assert_eq!(server.uploads(&first).len(), 7);
    program.run(&UPLOAD_CLEANUP).await.expect(0);
    let mut left = vec![
        blob,
        &lost,
        &live,
        &live,
        "logs/of/others",
        "logs/of/others",
    ];
    left.sort_unstable();
    assert_eq!(server.uploads(&first), left);
}

#[tokio::test]
async fn a_leak_in_a_bucket_is_found_and_goes() {
    let postgres = PostgresServer::shared().await.expect("PostgreSQL");
    let database = unique_name("network");
    postgres
        .create_database(&database)
        .await
        .expect("a database");
    let scene = Scene::of(postgres, database);
    fs::create_dir(scene.file("local")).expect("a bucket");
    let server = S3Server::start(scene.root()).expect("a server");
    let arguments = server.arguments(server.address(), "local", "");
    let storage = json!({"local": ["RadosGWStorage", rados(&arguments)]});
    let config = scene.write("quayhand.toml", "[gc]\nleak_grace = \"0s\"\n");
    let program = program(&scene, &storage).file("--config", &config);
    program.run(&["migrate", "up"]).await.expect(0);
    let spec = RegistrySpec::small(11);
    let loaded = registry::load(postgres, &scene.database, &spec, Some(scene.root())).await;
    loaded.expect("a generated registry");
    for job in [
        "tag_expiry",
        "blob_gc",
        "leak_sweep",
        "leak_sweep",
        "blob_gc",
    ] {
        program.run(&["job", "run", job, "--all"]).await.expect(0);
    }
    program.run(&["verify", "--hash"]).await.expect(0);

    let leak = "sha256/00/00000000000000000000000000000000000000000000000000000000000000aa";
    write_old(&server.file("local", leak));
    let ended = program.run(&["verify"]).await.expect(1);
    assert!(ended.stdout.contains("left behind"), "{}", ended.stdout);
    for job in ["leak_sweep", "leak_sweep", "blob_gc"] {
        program.run(&["job", "run", job, "--all"]).await.expect(0);
    }
    assert!(!server.file("local", leak).exists());
    program.run(&["verify", "--hash"]).await.expect(0);

    server.fail(Call::Look, Failure::Refuse(403, "AccessDenied"), 0);
    program.run(&["verify"]).await.expect(6);
    server.heal();
    server.fail(Call::List, Failure::Refuse(403, "AccessDenied"), 0);
    program
        .run(&["job", "run", "leak_sweep", "--all"])
        .await
        .expect(9);
}

/// The same bucket by the names of another engine.
fn rados(arguments: &Value) -> Value {
    let endpoint = arguments["endpoint_url"].as_str().expect("an address");
    let (host, port) = endpoint["http://".len()..].split_once(':').expect("a port");
    json!({
        "hostname": host,
        "port": port,
        "is_secure": false,
        "storage_path": "/",
        "access_key": arguments["s3_access_key"],
        "secret_key": arguments["s3_secret_key"],
        "bucket_name": arguments["s3_bucket"],
    })
}

/// Writes an object as of two days ago.
fn write_old(file: &Path) {
    fs::create_dir_all(file.parent().expect("a folder")).expect("its folder");
    fs::write(file, "leaked").expect("an object");
    let file = fs::File::options().append(true).open(file).expect("opened");
    file.set_modified(SystemTime::now() - 48 * HOUR)
        .expect("aged");
}
