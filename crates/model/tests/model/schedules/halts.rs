//! Places at which an actor halts until it is told to go on.
use std::sync::Arc;

use quayhand_testkit::wait_for;
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinHandle,
    time::timeout,
};

use super::registry::{DEADLINE, Registry};

/// The actor's side: where it halts.
#[derive(Clone)]
pub(super) struct Halts {
    places: &'static [&'static str],
    arrived: mpsc::UnboundedSender<&'static str>,
    goes: Arc<Mutex<mpsc::UnboundedReceiver<()>>>,
}

impl Halts {
    /// Halts at a place, if it is one of those, until told to go on or nobody is left to tell.
    pub(super) async fn at(&self, place: &'static str) {
        if self.places.contains(&place) {
            self.arrived.send(place).ok();
            self.goes.lock().await.recv().await;
        }
    }
}

/// The schedule's side: what somebody does beside it, halting where it was told.
pub(super) struct Actor<T> {
    task: JoinHandle<T>,
    arrivals: mpsc::UnboundedReceiver<&'static str>,
    go: mpsc::UnboundedSender<()>,
    /// Which connections are the actor's.
    is: String,
}

impl<T: Send + 'static> Actor<T> {
    /// Starts what `work` does; `is` tells its connections in `pg_stat_activity` from others.
    pub(super) fn start<F>(
        is: String,
        places: &'static [&'static str],
        work: impl FnOnce(Halts) -> F,
    ) -> Self
    where
        F: Future<Output = T> + Send + 'static,
    {
        let (arrived, arrivals) = mpsc::unbounded_channel();
        let (go, goes) = mpsc::unbounded_channel();
        let halts = Halts {
            places,
            arrived,
            goes: Arc::new(Mutex::new(goes)),
        };
        Self {
            task: tokio::spawn(work(halts)),
            arrivals,
            go,
            is,
        }
    }

    /// Waits until the actor halts at a place.
    pub(super) async fn reaches(&mut self, place: &str) {
        let arrival = timeout(DEADLINE, self.arrivals.recv()).await;
        let arrival = arrival.unwrap_or_else(|_| panic!("nobody came to `{place}`"));
        assert_eq!(arrival, Some(place));
    }

    /// Waits until the actor halts at a place, ends, or waits for somebody's lock; tells
    /// whether it is the last.
    pub(super) async fn is_kept_from(&mut self, place: &str, registry: &Registry) -> bool {
        wait_for(place, DEADLINE, async || {
            let arrival = self.arrivals.try_recv().ok();
            if arrival.is_some() || self.task.is_finished() {
                return Some(false);
            }
            (registry.count_waiting(&self.is).await > 0).then_some(true)
        })
        .await
    }

    /// Lets the actor go on to its next halt.
    pub(super) fn goes_on(&self) {
        // One that has ended needs no word.
        self.go.send(()).ok();
    }

    /// Lets the actor go on to its end.
    pub(super) async fn ends(self) -> T {
        drop(self.go);
        let ended = timeout(DEADLINE, self.task).await;
        ended
            .unwrap_or_else(|_| panic!("somebody does not end"))
            .unwrap()
    }
}
