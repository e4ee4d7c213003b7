//! The lock schedules of the collector, each run twice on a real server.
//!
//! A schedule lets batches and writers of the web tier meet at named places: a batch
//! halts there until it is told to go on, a statement that must wait is seen waiting.
//! Nothing depends on how fast anything is. Each schedule runs once as the collector is
//! and once with the one clause taken away that it is about; it must come out well the
//! first time and badly the second, and prints both.
//!
//! - `collectors.rs`: two batches
//! - `blobs.rs`: a batch and a pusher who want the same blobs
//! - `holders.rs`: a pusher who holds something and then commits or rolls back
//! - `tags.rs`: a writer who changes a tag, or pushes into the same repository
//! - `workers.rs`: a batch and Quay's own workers
mod actors;
mod blobs;
mod collectors;
mod gate;
mod holders;
mod registry;
mod rows;
mod tags;
mod workers;

use quayhand_model::{
    DbError,
    gc::{Collected, Lock},
};

use registry::Registry;

/// Runs a schedule with all locks and without one; prints and checks both outcomes.
#[expect(clippy::print_stdout, reason = "both outcomes are there to be read")]
async fn compare(
    name: &str,
    lock: Lock,
    schedule: impl AsyncFn(&Registry, Option<Lock>) -> String,
    [good, bad]: [&str; 2],
) {
    let with = schedule(&Registry::new().await, None).await;
    let without = schedule(&Registry::new().await, Some(lock)).await;
    println!("{name}: with all locks {with} / without {lock:?} {without}");
    assert_eq!(with, good, "{name}, with all locks");
    assert_eq!(without, bad, "{name}, without {lock:?}");
}

/// Runs a schedule that no one lock is behind; prints and checks its outcome.
#[expect(clippy::print_stdout, reason = "the outcome is there to be read")]
async fn show(name: &str, schedule: impl AsyncFn(&Registry) -> String, good: &str) {
    let outcome = schedule(&Registry::new().await).await;
    println!("{name}: {outcome}");
    assert_eq!(outcome, good, "{name}");
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
