//! The jobs in the hands of one pool, and when their leases were last renewed.
use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::OwnedSemaphorePermit;

use super::Notes;
use crate::{Lease, Progress};

/// Holds every job of a pool from its fetch until its finish is committed.
#[derive(Debug, Default)]
pub(super) struct Running {
    jobs: Mutex<HashMap<Arc<str>, Held>>,
}

#[derive(Debug)]
struct Held {
    token: Arc<str>,
    renewed: Instant,
    lost: bool,
    notes: Notes,
    /// The process's place for a suspect job, free again when the outcome is settled.
    place: Option<OwnedSemaphorePermit>,
}

impl Held {
    fn new(lease: &Lease, asked: Instant, notes: &Notes) -> Self {
        Self {
            token: lease.token.clone(),
            renewed: asked,
            lost: false,
            notes: notes.clone(),
            place: None,
        }
    }
}

impl Running {
    /// Adds jobs fetched by a call that was sent at `asked`; returns the notes of each, `None` for
    /// one of which an earlier attempt still runs here.
    pub(super) fn add<'a>(
        &self,
        leases: impl Iterator<Item = &'a Lease>,
        asked: Instant,
    ) -> Vec<Option<Notes>> {
        let mut jobs = self.lock();
        let add = |lease: &Lease| {
            let place = jobs.entry(lease.id.clone());
            if let Entry::Occupied(earlier) = &place
                && !earlier.get().notes.has_ended()
            {
                return None;
            }
            let notes = Notes::default();
            place.insert_entry(Held::new(lease, asked, &notes));
            Some(notes)
        };
        leases.map(add).collect()
    }

    /// Keeps the process's place for a suspect job until the outcome of this one is settled.
    pub(super) fn keep_place(&self, lease: &Lease, place: OwnedSemaphorePermit) {
        if let Some(held) = self.lock().get_mut(&lease.id) {
            held.place = Some(place);
        }
    }

    /// Lists every job whose finish is not settled, with the token of its lease.
    pub(super) fn held(&self) -> HashMap<Arc<str>, Arc<str>> {
        let jobs = self.lock();
        let held = jobs.iter();
        held.map(|(id, held)| (id.clone(), held.token.clone()))
            .collect()
    }

    /// Removes jobs whose finishes are settled.
    pub(super) fn remove<'a>(&self, leases: impl Iterator<Item = &'a Lease>) {
        let mut jobs = self.lock();
        for lease in leases {
            if let Entry::Occupied(held) = jobs.entry(lease.id.clone())
                && held.get().token == lease.token
            {
                held.remove();
            }
        }
    }

    /// Lists the leases that are still held.
    pub(super) fn leases(&self) -> Vec<Lease> {
        let jobs = self.lock();
        let held = jobs.iter().filter(|(_, held)| !held.lost);
        held.map(|(id, held)| Lease {
            id: id.clone(),
            token: held.token.clone(),
        })
        .collect()
    }

    /// Notes that a call sent at `asked` renewed the lease.
    pub(super) fn renewed(&self, lease: &Lease, asked: Instant) {
        if let Some(held) = self.lock().get_mut(&lease.id)
            && held.token == lease.token
        {
            held.renewed = asked;
        }
    }

    /// Cancels a job whose lease is lost; says whether it was held until now.
    pub(super) fn lose(&self, lease: &Lease) -> bool {
        let mut jobs = self.lock();
        let Some(held) = jobs.get_mut(&lease.id) else {
            return false;
        };
        let is_news = held.token == lease.token && !held.lost;
        if is_news {
            held.lost = true;
            held.notes.call_off();
        }
        is_news
    }

    /// Cancels a job that keeps its lease: its outcome still counts.
    pub(super) fn cancel(&self, lease: &Lease) {
        if let Some(held) = self.lock().get(&lease.id) {
            held.notes.call_off();
        }
    }

    /// Cancels a job that somebody wants stopped; says whether that is news.
    pub(super) fn stop(&self, lease: &Lease) -> bool {
        let mut jobs = self.lock();
        let held = jobs.get_mut(&lease.id);
        let Some(held) =
            held.filter(|held| held.token == lease.token && !held.notes.is_cancelled())
        else {
            return false;
        };
        held.notes.stop();
        true
    }

    /// Takes what attempts have said of how far they are since the last call.
    pub(super) fn news(&self) -> Vec<Progress> {
        let jobs = self.lock();
        let held = jobs
            .iter()
            .filter(|(_, held)| !held.notes.has_ended() && !held.lost);
        let news = held.filter_map(|(id, held)| {
            let lease = || Lease {
                id: id.clone(),
                token: held.token.clone(),
            };
            held.notes.news().map(|text| Progress {
                lease: lease(),
                text,
            })
        });
        news.collect()
    }

    /// Lists the leases that nobody renewed for `age`.
    pub(super) fn older_than(&self, age: Duration) -> Vec<Lease> {
        let jobs = self.lock();
        let old = jobs
            .iter()
            .filter(|(_, held)| !held.lost && held.renewed.elapsed() >= age);
        old.map(|(id, held)| Lease {
            id: id.clone(),
            token: held.token.clone(),
        })
        .collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Held>> {
        // Nothing that can panic runs under this lock.
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;

    #[test]
    fn a_lost_lease_cancels_its_own_attempt_once() {
        let running = Running::default();
        let lease = |token: &str| Lease {
            id: "1".into(),
            token: token.into(),
        };
        let add = |token: &str| {
            let leases = [lease(token)];
            running.add(leases.iter(), Instant::now()).remove(0)
        };
        let cancelled = Arc::new(CancellationToken::new());
        let notes = add("a").unwrap();
        assert!(notes.begin(&cancelled));
        assert!(add("b").is_none());
        assert!(!running.lose(&lease("b")) && !cancelled.is_cancelled());
        assert!(running.lose(&lease("a")) && cancelled.is_cancelled());
        assert!(!running.lose(&lease("a")));
        assert!(running.leases().is_empty(), "lost, so not renewed");
        notes.end();
        add("c").unwrap();
        running.remove([&lease("a")].into_iter());
        assert_eq!(&*running.held()["1"], "c", "the next attempt stays");
        running.remove([&lease("c")].into_iter());
        add("a").unwrap();
        running.remove([&lease("b")].into_iter());
        assert_eq!(&*running.held()["1"], "a");
        running.remove([&lease("a")].into_iter());
        assert!(running.held().is_empty());
    }

    #[test]
    fn an_attempt_is_called_off_before_it_begins_and_not_after_it_ended() {
        let running = Running::default();
        let lease = |id: &str| Lease {
            id: id.into(),
            token: "a".into(),
        };
        let leases = ["waits", "ended"].map(lease);
        let notes = running.add(leases.iter(), Instant::now());
        let [Some(waits), Some(ended)] = &notes[..] else {
            panic!("both are new");
        };
        let cancelled = Arc::new(CancellationToken::new());
        assert!(ended.begin(&cancelled));
        ended.end();
        assert!(running.lose(&leases[0]) && running.lose(&leases[1]));
        assert!(!waits.begin(&cancelled));
        assert!(!cancelled.is_cancelled(), "it may be the next one's");
    }
}
