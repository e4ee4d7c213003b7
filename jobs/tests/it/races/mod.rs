//! The races around one object as schedules: `blob_gc` with locks in a real Redis, rows in a real
//! database and files, and a client who pushes the same content, step by step as Quay does.
//!
//! `docs/guards.md` lists the guards and the schedules, and is held to them.
//!
//! - `uploads.rs`: a run and a client
//! - `failures.rs`: a run and storage, and two runs
//! - `loss.rs`: what no guard closes, and who reports it
mod failures;
mod loss;
mod run;
mod schedule;
mod store;
mod uploads;

use std::collections::BTreeSet;

use quayhand_jobs::blob_gc::Guard;
use quayhand_testkit::check_guards_page;

use schedule::Schedule;

/// The races that are played here.
const RACES: [&str; 5] = ["R2", "R5", "R13", "R16", "R17"];

fn all() -> impl Iterator<Item = &'static Schedule> {
    [uploads::ALL, failures::ALL].into_iter().flatten()
}

/// Each guard is needed by a schedule, and the page says by which.
#[tokio::test]
async fn every_guard_is_needed() {
    let mut played = Vec::new();
    for schedule in all() {
        played.push(schedule.played().await);
    }
    let guards = Guard::ALL.iter().map(|guard| format!("{guard:?}"));
    let guards: Vec<_> = guards.collect();
    check_guards_page("Objects", "Guard", &guards, &played);
}

#[test]
fn every_race_is_played() {
    for race in RACES {
        let examples = all().filter(|schedule| schedule.races.contains(&race));
        let firsts: BTreeSet<_> = examples.map(|schedule| schedule.first).collect();
        let orders = if ["R2", "R5", "R16"].contains(&race) {
            2
        } else {
            1
        };
        assert!(firsts.len() >= orders, "{race} begins with {firsts:?} only");
    }
}
