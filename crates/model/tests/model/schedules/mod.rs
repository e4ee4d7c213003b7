//! The races of the collector as schedules, each played on a real server.
//!
//! A schedule lets batches, purges and writers of the web tier meet at named places: one halts
//! there until it is told to go on, a statement that must wait is seen waiting. Nothing depends
//! on how fast anything is. Each is played with all locks, and once more without each lock that
//! it is about; it must end well the first time and badly then, and prints every ending.
//! `docs/guards.md` lists locks and schedules, and is held to them.
//!
//! - `collectors.rs`: two batches
//! - `blobs.rs`: a batch and a pusher who want the same blobs
//! - `holders.rs`: a pusher who holds something and then commits or rolls back
//! - `tags.rs`: a writer who changes a tag, or pushes into the same repository
//! - `workers.rs`: a batch and Quay's own workers
//! - `totals.rs`: a batch and a pusher who holds a size total
//! - `pushes.rs`: the statements by which Quay's web tier pushes
//! - `clients.rs`: a client that pushes, and a batch that it meets
//! - `scene.rs`: what such a client asks for
//! - `meetings.rs`: a batch and a whole push, in both orders
//! - `purges.rs`: a purge and others
mod actors;
mod blobs;
mod clients;
mod collectors;
mod gate;
mod halts;
mod holders;
mod meetings;
mod purges;
mod pushes;
mod registry;
mod rows;
mod scene;
mod schedule;
mod tags;
mod totals;
mod verdict;
mod workers;

use std::collections::BTreeSet;

use quayhand_model::{
    DbError,
    gc::{Collected, Lock},
};
use quayhand_testkit::check_guards_page;

use schedule::Schedule;

/// The races that are played here in both orders; those about objects are played with the jobs.
const RACES: [&str; 11] = [
    "R1", "R3", "R4", "R5", "R6", "R8", "R9", "R11", "R13", "R14", "R15",
];

fn all() -> impl Iterator<Item = &'static Schedule> {
    let parts = [
        collectors::ALL,
        blobs::ALL,
        holders::ALL,
        tags::ALL,
        workers::ALL,
        totals::ALL,
        meetings::ALL,
        purges::ALL,
    ];
    parts.into_iter().flatten()
}

/// Each lock is needed by a schedule, and the page says by which.
#[tokio::test]
async fn every_lock_is_needed() {
    let mut played = Vec::new();
    for schedule in all() {
        played.push(schedule.played().await);
    }
    let locks: Vec<_> = Lock::ALL.iter().map(|lock| format!("{lock:?}")).collect();
    check_guards_page("Batches and purges", "Lock", &locks, &played);
}

#[test]
fn every_race_is_played_in_both_orders() {
    for race in RACES {
        let examples = all().filter(|schedule| schedule.races.contains(&race));
        let firsts: BTreeSet<_> = examples.map(|schedule| schedule.first).collect();
        assert!(firsts.len() >= 2, "{race} begins with {firsts:?} only");
    }
}

/// Says in words how a writer's statement ended.
fn told(ended: &Result<(), String>) -> &'static str {
    match ended.as_ref().map_err(String::as_str) {
        Ok(()) => "went through",
        Err("23503") => "was told what is gone",
        Err("40P01") => "was ended as the victim of a deadlock",
        Err(_) => "failed otherwise",
    }
}

/// Says in words how a batch ended.
fn batch(ended: &Result<Collected, DbError>) -> String {
    match ended {
        Ok(_) => "went through".to_owned(),
        Err(error) => format!("failed with {}", error.code().unwrap_or("no code")),
    }
}
