//! Short jobs are fetched ahead, and do not wait behind long ones.
use std::{sync::Arc, time::Duration};

use quayhand_queue::Policy;
use quayhand_testkit::wait_for;
use tokio::sync::{Notify, Semaphore};

use crate::support::{Desk, LONG_LEASE, Ledger, SOON, Worker, done};

const BEFORE: u32 = 2_000;
const BEHIND: u32 = 400;

/// A pool of one slot, and in its queue many short jobs, a long one and some more short ones.
struct Scene {
    desk: Desk,
    worker: Worker,
    ledger: Ledger,
    release: Arc<Semaphore>,
}

impl Scene {
    /// Returns when the long job runs.
    async fn open(desk: Desk) -> Self {
        desk.put(0..BEFORE).await;
        desk.put(["long"]).await;
        desk.put(BEFORE..BEFORE + BEHIND).await;
        let (ledger, starts, release) = (
            Ledger::default(),
            Arc::new(Notify::new()),
            Arc::new(Semaphore::new(0)),
        );
        let (noted, started, released) = (ledger.clone(), starts.clone(), release.clone());
        let policy = Policy::DEFAULT.keep_for(Duration::from_hours(1));
        let worker = desk.work_by(policy, 1, LONG_LEASE, move |taken| {
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
        Self {
            desk,
            worker,
            ledger,
            release,
        }
    }

    /// Lets everything run, and sees that each job ran once, at its first attempt, and that nothing is
    /// kept of having waited.
    async fn close(self) {
        self.desk.wait_for_counts([0; 4]).await;
        self.worker.stop().await;
        let ran = self.ledger.entries();
        assert_eq!(ran.len(), usize::try_from(BEFORE + 1 + BEHIND).unwrap());
        assert!(ran.iter().all(|(_, attempt)| *attempt == 1));
        for id in (BEFORE..BEFORE + BEHIND).map(|n| n.to_string()) {
            let history = self.desk.store.history(&self.desk.queue, &id).await;
            assert_eq!(history.unwrap().len(), 1, "{id}");
        }
    }
}

#[tokio::test]
async fn a_job_caught_behind_a_long_one_goes_back_unspent() {
    for desk in [Desk::in_redis().await, Desk::in_memory().await] {
        let scene = Scene::open(desk).await;
        wait_for("jobs fetched ahead", Duration::from_secs(5), async || {
            (scene.desk.counts().await[0] < u64::from(BEHIND)).then_some(())
        })
        .await;
        scene
            .desk
            .wait_for_counts([u64::from(BEHIND), 0, 1, 0])
            .await;
        assert_eq!(scene.worker.pool.status().unwrap().running, 1);
        scene.release.add_permits(1);
        scene.close().await;
    }
}

#[tokio::test]
async fn what_waits_for_a_slot_does_not_start_in_a_quiet_pool() {
    for desk in [Desk::in_redis().await, Desk::in_memory().await] {
        let scene = Scene::open(desk).await;
        scene.worker.pool.quiet();
        scene.release.add_permits(1);
        scene
            .desk
            .wait_for_counts([u64::from(BEHIND), 0, 0, 0])
            .await;
        let ran = scene.ledger.entries().len();
        assert_eq!(ran, usize::try_from(BEFORE + 1).unwrap());
        scene.worker.pool.resume();
        scene.close().await;
    }
}
