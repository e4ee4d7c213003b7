//! How the program is killed at a point.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use super::{
    bucket,
    points::{Death, Point, STEPS},
    round::TOMBSTONES,
};
use crate::{
    barrier::{Barrier, Halt, Side},
    place::Place,
    program::{Program, Running},
};

/// Longest time until the deletes of a run begin.
const SOON: Duration = Duration::from_secs(30);
/// Where an answer of storage is written down.
pub(super) const SETTLE: Death = Death::At(Side::Before, &["delete from quayhand_tombstone where"]);

/// Runs a point's step and kills it there, on its `turn`-th pass (0 begins), as far as
/// it has several.
pub(super) async fn kill(place: &Place, point: &Point, turn: usize) {
    let turn = 1 + turn % point.turns;
    match point.death {
        Death::At(..) => kill_at(place, point, point.death, turn).await,
        Death::WithFirstObject => kill_with_the_first_object(place, point).await,
        Death::WithHalfTheObjects => kill_with_half_the_objects(place, point).await,
        Death::WithMultipartUpload => bucket::kill_aborting(place, point).await,
        Death::InBucket(bulk) => bucket::kill(place, point, bulk).await,
    }
}

/// Kills a run that halts at a statement.
async fn kill_at(place: &Place, point: &Point, death: Death, turn: usize) {
    let (mut barrier, running) = halting(place, point, death, turn).await;
    barrier.reached().await;
    running.kill().await;
}

/// Starts a run that will halt at a statement.
async fn halting(place: &Place, point: &Point, death: Death, turn: usize) -> (Barrier, Running) {
    halting_program(place, point, death, turn, place.program()).await
}

/// Starts a run that will halt at a statement, told of its storage in another way.
pub(super) async fn halting_program(
    place: &Place,
    point: &Point,
    death: Death,
    turn: usize,
    mut program: Program,
) -> (Barrier, Running) {
    let Death::At(side, texts) = death else {
        unreachable!("only statements have a barrier")
    };
    let port = place.server.port();
    let barrier = Barrier::start(port, Halt { texts, side, turn }).await;
    program.database_url = barrier.through(&program.database_url, port);
    let arguments = ["job", "run", STEPS[point.step], "--all"];
    let running = program.start(&arguments, &place.file("killed.log"));
    (barrier, running)
}

/// Kills a run as soon as the first object is gone. The barrier is for a test that looks too late:
/// the answer is never written down.
async fn kill_with_the_first_object(place: &Place, point: &Point) {
    let (files, waiting) = (place.files(), place.number(TOMBSTONES).await);
    let watched: Vec<PathBuf> = place
        .doomed()
        .await
        .iter()
        .map(|path| place.object(path))
        .collect();
    let (_barrier, running) = halting(place, point, SETTLE, 1).await;
    let watching = tokio::task::spawn_blocking(move || {
        let deadline = Instant::now() + SOON;
        while watched
            .iter()
            .all(|file| fs::symlink_metadata(file).is_ok())
        {
            assert!(Instant::now() < deadline, "no object goes");
        }
    });
    watching.await.unwrap();
    running.kill().await;
    assert!(place.files().len() < files.len());
    let left = place.number(TOMBSTONES).await;
    assert_eq!(left, waiting, "the answer was not written down");
}

/// Kills a run that could delete only some of the objects, before it drops their tombstones.
async fn kill_with_half_the_objects(place: &Place, point: &Point) {
    let doomed = place.doomed().await;
    let (files, waiting) = (place.files().len(), place.number(TOMBSTONES).await);
    let refused = doomed.iter().step_by(2).map(|path| place.object(path));
    let refused: Vec<_> = refused
        .map(|file| (file.with_extension("aside"), file))
        .collect();
    for (aside, file) in &refused {
        fs::rename(file, aside).unwrap();
        fs::create_dir(file).unwrap(); // a folder is never removed
    }
    kill_at(place, point, SETTLE, 1).await;
    for (aside, file) in &refused {
        fs::remove_dir(file).unwrap();
        fs::rename(aside, file).unwrap();
    }
    let gone = files - place.files().len();
    assert!(
        gone > 0 && gone < doomed.len(),
        "{gone} of {} objects went",
        doomed.len()
    );
    let left = place.number(TOMBSTONES).await;
    assert_eq!(left, waiting, "the answer was not written down");
}
