//! Deaths while the objects are in a bucket: the files of the place, served as one.

use std::time::Duration;

use quayhand_testkit::{
    s3::{Call, Failure, S3Server},
    wait_for,
};
use serde_json::json;

use super::{
    blow::{SETTLE, halting_program},
    points::{Bulk, Point},
    round::TOMBSTONES,
};
use crate::place::{LOCATION, Place};

/// Longest time until a request comes.
const SOON: Duration = Duration::from_secs(30);
/// Keys that the server refuses of a bulk delete.
const REFUSED: usize = 20;

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
    let mut program = place.program();
    let bucket = server.arguments(server.address(), LOCATION, "");
    program.storage = json!({ LOCATION: ["S3Storage", bucket] }).to_string();
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
