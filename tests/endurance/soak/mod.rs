//! Pushers and pullers against two daemons that collect every second, one of which is killed every
//! 20 s: no pull and no push fails, and nothing is left behind.
//!
//! Pushers send Quay's own statements in Quay's order, with its lock of each digest and its holes:
//! what Quay answers in a race is counted by kind, everything else is a failure. A protection of an
//! hour covers each push as in production, and is let run out when that push is over.
//! `QUAYHAND_SOAK_SECONDS` says how long it takes (20 unless told).

mod answer;
mod blob;
mod content;
mod daemons;
mod dice;
mod manifest;
mod pull;
mod push;
mod tally;
mod world;

use std::{fs, sync::Arc, time::Duration};

use daemons::Daemons;
use tokio::task::JoinSet;
use world::World;

use crate::place::cas_path;

/// How many push and pull at the same time.
const PUSHERS: u64 = 4;
const PULLERS: u64 = 2;
/// Rows and objects are leaks when they are seen twice, a moment apart.
const SWEEP_SETTINGS: &str = "[gc]\nleak_grace = \"0s\"\n";
/// What is done when nobody pushes any more: a leak goes at its second sighting.
const LAST_JOBS: [&str; 5] = [
    "tag_expiry",
    "blob_gc",
    "leak_sweep",
    "leak_sweep",
    "blob_gc",
];

#[tokio::test(flavor = "multi_thread")]
async fn pushes_and_pulls_go_on_while_daemons_collect_and_die() {
    let seconds = std::env::var("QUAYHAND_SOAK_SECONDS").map_or(20, |text| text.parse().unwrap());
    let world = Arc::new(World::new().await);
    let objects = world.place.files().len() as u64;
    let mut daemons = Daemons::start(&world).await;
    let mut load = JoinSet::new();
    for number in 0..PUSHERS + PULLERS {
        let world = Arc::clone(&world);
        load.spawn(async move {
            if number < PUSHERS {
                push::push(&world, number).await;
            } else {
                pull::pull(&world, number).await;
            }
        });
    }
    let killed = daemons
        .die_in_turn(&world, Duration::from_secs(seconds))
        .await;
    world.end();
    load.join_all().await;
    daemons.end(&world).await;
    let (cycles, complaints) = (daemons::cycles(&world), daemons::complaints(&world));
    println!("soak of {seconds} s: {killed} daemons killed, {cycles} sweeps for garbage");
    let objects = objects + world.tally.of("objects written");
    show_collected(&world, objects).await;
    world.tally.show();
    settle(&world).await;
    world.tally.expect_no_failure();
    assert!(complaints.is_empty(), "daemons complain: {complaints:#?}");
    assert!(world.tally.of("pulls") > 0 && world.tally.of("images pushed") > 0);
}

/// The twin: a lost object fails whoever comes by.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_object_is_noticed_by_pullers_and_pushers() {
    let world = World::new().await;
    let (client, image) = (world.connect().await, content::image(1));
    let mut leases = manifest::Leases::default();
    let mut pusher = world.connect().await;
    let mut dice = dice::Dice::new(1);
    let repository = world.repositories[0];
    let pushed = manifest::push_image(
        &world,
        &mut pusher,
        repository,
        &image,
        &mut leases,
        &mut dice,
    );
    let id = pushed.await.unwrap();
    assert!(pull::read_all(&world, &client, id).await.unwrap().is_ok());
    let lost = &image.blobs[1];
    fs::remove_file(world.place.object(&cas_path(&lost.digest))).unwrap();
    let missing = pull::read_all(&world, &client, id).await.unwrap();
    assert!(missing.is_err_and(|missing| missing.contains(&lost.digest[7..])));
    blob::expect_object(&world, &client, lost).await.unwrap();
    assert_eq!(world.tally.failed(), 1);
}

/// Prints what daemons took so far, of so many objects.
async fn show_collected(world: &World, objects: u64) {
    let gone = async |table: &str| {
        let gone = format!("select coalesce(max(id), 0)::bigint - count(*) from {table}");
        world.place.number(&gone).await
    };
    println!(
        "collected: {} tags, {} manifests, {} blob rows, {} of {objects} objects",
        gone("tag").await,
        gone("manifest").await,
        gone("imagestorage").await,
        objects - world.place.files().len() as u64,
    );
}

/// Finishes the work when nobody pushes any more, and looks for everything that is wrong.
async fn settle(world: &World) {
    let place = &world.place;
    place.is_left_alone().await;
    place.forget_locks().await;
    fs::write(place.file("quayhand.toml"), SWEEP_SETTINGS).unwrap();
    let program = place.program();
    let rowless = "select count(*) from quayhand_sighting where kind = 4 and object_id = 0";
    let mut leaked = 0;
    for job in LAST_JOBS {
        program.finish(job).await;
        leaked = leaked.max(place.number(rowless).await);
    }
    let early = place.deleted_early().await;
    let verify = ["verify", "--hash", "--allow-missing-subjects"];
    let verified = program.run(&verify).await;
    println!(
        "leaked objects before the sweeps: {leaked}; early deletes: {}",
        early.len()
    );
    println!("{}", verified.stdout.trim());
    assert!(early.is_empty(), "deleted too early: {early:?}");
    verified.expect(0);
}
