//! Deaths while the objects are in a bucket: the files of the place, served as one.

use std::time::Duration;

use quayhand_testkit::{
    s3::{Call, Failure, S3Server},
    wait_for,
};
use serde_json::json;

use super::{
    blow::{SETTLE, halting_program},
    points::{Bulk, Point, STEPS},
    round::TOMBSTONES,
};
use crate::{
    place::{LOCATION, Place},
    program::Program,
};

/// Longest time until a request comes.
const SOON: Duration = Duration::from_secs(30);
/// Keys that the server refuses of a bulk delete.
const REFUSED: usize = 20;
/// How long ago a multipart upload was begun that is given up, and one that goes on.
const STALE: Duration = Duration::from_hours(72);
const YOUNG: Duration = Duration::from_hours(1);

/// Kills a run when the server has aborted one of two stale multipart uploads and not answered. The
/// next run aborts the other one and leaves a young one alone.
pub(super) async fn kill_aborting(place: &Place, point: &Point) {
    let server = S3Server::start(&place.file(".")).unwrap();
    let uploads = [(STALE, "a"), (STALE, "b"), (YOUNG, "c")].map(|(age, digit)| {
        let key = format!("uploads/0b9f3a5e-7c1d-4e2f-8a6b-1c2d3e4f5a6{digit}");
        server.begin_upload(LOCATION, &key, age);
        key
    });
    server.fail(Call::Abort, Failure::Hang, 1);
    let program = told_of(&server, place);
    let arguments = ["job", "run", STEPS[point.step], "--all"];
    let running = program.start(&arguments, &place.file("killed.log"));
    wait_for("an upload that goes", SOON, async || {
        (server.uploads(LOCATION).len() < uploads.len()).then_some(())
    })
    .await;
    running.kill().await;
    server.heal();
    place.forget_locks().await;
    program.finish(STEPS[point.step]).await;
    assert_eq!(
        server.uploads(LOCATION),
        uploads[2..],
        "the young one stays"
    );
}

/// The program, told of the place's objects as of a bucket.
fn told_of(server: &S3Server, place: &Place) -> Program {
    let bucket = server.arguments(server.address(), LOCATION, "");
    Program {
        storage: json!({ LOCATION: ["S3Storage", bucket] }).to_string(),
        ..place.program()
    }
}

/// Kills a run when the server has its first bulk delete. The barrier is for a test that looks too
/// late: no answer is ever written down.
pub(super) async fn kill(place: &Place, point: &Point, bulk: Bulk) {
    let (files, waiting) = (place.files().len(), place.number(TOMBSTONES).await);
    let server = S3Server::start(&place.file(".")).unwrap();
    let failure = match bulk {
        Bulk::DoneUnanswered => Failure::Hang,
        Bulk::Swallowed => Failure::Swallow,
        Bulk::HalfRefused => Failure::Keys(REFUSED, "InternalError"),
    };
    server.fail(Call::Delete, failure, 1);
    let program = told_of(&server, place);
    let (mut barrier, running) = halting_program(place, point, SETTLE, 1, program).await;
    match bulk {
        Bulk::DoneUnanswered => {
            wait_for("objects that go", SOON, async || {
                (place.files().len() < files).then_some(())
            })
            .await;
        }
        Bulk::Swallowed => {
            wait_for("a bulk delete", SOON, async || {
                let requests = server.requests();
                requests
                    .iter()
                    .any(|request| request.contains("delete"))
                    .then_some(())
            })
            .await;
        }
        Bulk::HalfRefused => barrier.reached().await,
    }
    running.kill().await;
    let gone = files - place.files().len();
    assert_eq!(gone == 0, bulk == Bulk::Swallowed, "{gone} objects went");
    let left = place.number(TOMBSTONES).await;
    assert_eq!(left, waiting, "the answer was not written down");
}
