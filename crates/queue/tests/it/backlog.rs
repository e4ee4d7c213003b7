//! F20: a long line of jobs waits, and an urgent one comes.
//!
//! Ten times `QUAYHAND_FAULT_JOBS` wait: 100,000 unless told.
use std::time::{Duration, Instant};

use quayhand_queue::{Redis, RedisStore};
use quayhand_testkit::RedisServer;

use crate::support::{Desk, LONG_LEASE, Ledger, done, job, job_for, leases};

const URGENT_WITHIN: Duration = Duration::from_secs(5);
const FETCH_P99: Duration = Duration::from_millis(50);
/// Jobs of one call.
const BATCH: usize = 1000;
const FETCHES: usize = 400;

fn waiting_jobs() -> usize {
    let jobs = std::env::var("QUAYHAND_FAULT_JOBS").map_or(10_000, |text| text.parse().unwrap());
    10 * jobs
}

async fn fill(desk: &Desk, jobs: usize) {
    for first in (0..jobs).step_by(BATCH) {
        let ids = first..(first + BATCH).min(jobs);
        let batch: Vec<_> = ids.map(|id| job(&id.to_string())).collect();
        desk.put_jobs(&batch).await;
    }
}

/// Takes and finishes jobs; returns how long 99 of 100 fetches took at most.
async fn fetch_p99(desk: &Desk) -> Duration {
    let mut took = Vec::with_capacity(FETCHES);
    for _ in 0..FETCHES {
        let asked = Instant::now();
        let taken = desk.take(16).await;
        took.push(asked.elapsed());
        assert_eq!(taken.len(), 16);
        desk.finish(&leases(&taken), done()).await;
    }
    took.sort_unstable();
    took[FETCHES * 99 / 100]
}

#[tokio::test]
async fn an_urgent_job_passes_a_long_line_and_fetches_stay_quick() {
    let server = RedisServer::start().await.unwrap();
    let redis = Redis::connect(&server.url()).await.unwrap();
    let desk = Desk::at(RedisStore::new(redis));
    let jobs = waiting_jobs();
    fill(&desk, jobs).await;
    let p99 = fetch_p99(&desk).await;
    let ledger = Ledger::default();
    let noted = ledger.clone();
    let worker = desk.work(8, LONG_LEASE, move |taken| {
        noted.note(&taken);
        async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            done()
        }
    });
    ledger.wait_for_len(32).await;
    let asked = Instant::now();
    desk.put_jobs(&[job_for("urgent", "", 100)]).await;
    let urgent = loop {
        let seen = ledger.entries().len();
        let runs = ledger.wait_for_len(seen + 1).await;
        if runs.iter().any(|(id, _)| id == "urgent") {
            break asked.elapsed();
        }
    };
    let [ready, ..] = desk.counts().await;
    println!(
        "F20 {jobs} jobs wait: target an urgent one starts within {URGENT_WITHIN:.1?}, fetch p99 \
         {FETCH_P99:.1?}; seen {urgent:.1?}, {p99:.1?} ({ready} still wait)"
    );
    assert!(ready > 0, "the line was worked off before");
    assert!(urgent <= URGENT_WITHIN, "{urgent:?}");
    assert!(p99 <= FETCH_P99, "{p99:?}");
    worker.stop().await;
}
