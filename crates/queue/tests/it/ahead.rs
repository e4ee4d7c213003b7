//! Short jobs are fetched ahead, and do not wait behind long ones.
use std::{sync::Arc, time::Duration};

use quayhand_testkit::wait_for;
use tokio::sync::{Notify, Semaphore};

use crate::support::{Desk, LONG_LEASE, Ledger, SOON, done};

const BEFORE: usize = 2_000;
const BEHIND: usize = 400;

#[tokio::test]
async fn a_job_caught_behind_a_long_one_goes_back_unspent() {
    for desk in [Desk::in_redis().await, Desk::in_memory().await] {
        desk.put(0..BEFORE).await;
        desk.put(["long"]).await;
        desk.put(BEFORE..BEFORE + BEHIND).await;
        let (ledger, starts, release) = (
            Ledger::default(),
            Arc::new(Notify::new()),
            Arc::new(Semaphore::new(0)),
        );
        let (noted, started, released) = (ledger.clone(), starts.clone(), release.clone());
        let worker = desk.work(1, LONG_LEASE, move |taken| {
            noted.note(&taken);
            let (started, released) = (started.clone(), released.clone());
            async move {
                if taken.envelope.id == "long" {
                    started.notify_one();
                    let _released = released.acquire().await.unwrap();
                }
                done()
            }
        });
        tokio::time::timeout(SOON, starts.notified()).await.unwrap();
        let ready = || async { desk.counts().await[0] };
        wait_for("jobs fetched ahead", Duration::from_secs(5), async || {
            (ready().await < BEHIND as u64).then_some(())
        })
        .await;
        desk.wait_for_counts([BEHIND as u64, 0, 1, 0]).await;
        assert_eq!(worker.pool.status().unwrap().running, 1);
        release.add_permits(1);
        desk.wait_for_counts([0; 4]).await;
        worker.stop().await;
        let ran = ledger.entries();
        assert_eq!(ran.len(), BEFORE + 1 + BEHIND);
        assert!(ran.iter().all(|(_, attempt)| *attempt == 1));
    }
}
