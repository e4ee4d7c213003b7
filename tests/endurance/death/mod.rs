//! `kill -9` at every step: the next runs finish the work, and nothing is lost or left behind.
//!
//! Each round copies one registry, kills the shipped program at a point, and lets the following
//! runs go on. What is left must be what an undisturbed run leaves, row for row and object for
//! object. `QUAYHAND_DEATH_ROUNDS` says how often each point is tried (once unless told).

mod blow;
mod bucket;
mod points;
mod round;
mod scene;

use std::time::Instant;

use futures::{StreamExt as _, stream};

use crate::place::Place;
use points::{POINTS, Point};
use round::{Expected, SETTINGS, Seen};

/// Rounds that run at the same time.
const SIDE_BY_SIDE: usize = 2;

/// What the rounds of a point came to.
struct Line {
    point: Point,
    rounds: usize,
    seen: Seen,
}

#[tokio::test(flavor = "multi_thread")]
async fn death_at_any_step_loses_nothing_and_leaves_nothing_behind() {
    let rounds = std::env::var("QUAYHAND_DEATH_ROUNDS").map_or(1, |text| text.parse().unwrap());
    let started = Instant::now();
    let template = scene::template().await;
    let mut expected = Vec::new();
    for settings in SETTINGS {
        let one = round::undisturbed(&template, settings).await;
        assert_eq!((one.seen.leaked_after, one.seen.early_deletes), (0, 0));
        expected.push(one);
    }
    let (template, expected) = (&template, &expected[..]);
    let lines = POINTS.iter();
    let lines = lines.map(|point| try_point(template, point, rounds, expected));
    let lines: Vec<Line> = stream::iter(lines).buffered(SIDE_BY_SIDE).collect().await;
    show(&lines, started.elapsed().as_secs());
    for Line { point, seen, .. } in &lines {
        let found = (seen.leaked_before, seen.leaked_after, seen.early_deletes);
        assert_eq!(found, (0, 0, 0), "{}: {}", point.name, point.about);
    }
}

/// The twin: what the rounds look for is found where it is.
#[tokio::test(flavor = "multi_thread")]
async fn lost_tombstones_and_lost_objects_are_noticed() {
    let template = scene::template().await;
    round::losses_are_noticed(&template).await;
    let baseline = round::undisturbed(&template, SETTINGS[0]).await.seen;
    let committed = POINTS.iter().find(|point| point.name == "K3").unwrap();
    let seen = round::killed_and_robbed(&template, committed).await;
    assert!(seen.leaked_before > baseline.leaked_before, "{seen:?}");
    assert_eq!(
        (seen.leaked_after, seen.early_deletes),
        (0, 0),
        "the sweeps find them"
    );
}

/// Kills at one point again and again; leaks that were planted are not counted.
async fn try_point(template: &Place, point: &Point, rounds: usize, expected: &[Expected]) -> Line {
    let mut seen = Seen::default();
    for number in 0..rounds {
        let (expected, turn) = (&expected[number % expected.len()], number / expected.len());
        let one = round::killed(template, point, turn, expected).await;
        let planted = expected.seen.leaked_before;
        seen.leaked_before += one.leaked_before.saturating_sub(planted);
        seen.leaked_after += one.leaked_after;
        seen.early_deletes += one.early_deletes;
    }
    Line {
        point: *point,
        rounds,
        seen,
    }
}

fn show(lines: &[Line], seconds: u64) {
    println!("kill -9 at each point ({seconds} s); target 0 leaked, 0 early deletes:");
    println!(
        "point at                                      rounds  leaked before sweep  after  early deletes"
    );
    for Line {
        point,
        rounds,
        seen,
    } in lines
    {
        println!(
            "{:<5} {:<40} {rounds:>5} {:>20} {:>6} {:>14}",
            point.name, point.about, seen.leaked_before, seen.leaked_after, seen.early_deletes
        );
    }
    println!(
        "K7 (replication copies) is no job of this program yet; its place has the burial of leaks"
    );
}
