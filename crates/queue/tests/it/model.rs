//! What a queue must do, said as simply as possible: a map of jobs, without any clock or order but
//! what the promises name.
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use quayhand_queue::{Cancelled, Counts, Outcome, TakenJob};

/// Most jobs of the kind `limited` that run at a time.
pub(crate) const LIMIT: u32 = 2;

/// Where a job is, as far as promises go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Ready or blocked.
    Waiting,
    Delayed,
    /// In the hands of a worker.
    Held {
        worker: usize,
        token: Arc<str>,
    },
    /// Its worker is gone, its lease has ended.
    Orphaned,
    Dead,
}

#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) place: Place,
    pub(crate) kind: &'static str,
    pub(crate) tenant: String,
    pub(crate) priority: i8,
    attempts: u32,
    crashes: u32,
    is_stopped: bool,
}

/// The jobs, and what is paused.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) jobs: BTreeMap<String, Job>,
    pub(crate) paused: BTreeSet<String>,
    /// Ended jobs and how often each was done.
    pub(crate) ended: BTreeMap<String, u32>,
}

impl Model {
    pub(crate) fn enqueued(
        &mut self,
        id: &str,
        kind: &'static str,
        tenant: &str,
        priority: i8,
        late: bool,
    ) {
        let place = if late { Place::Delayed } else { Place::Waiting };
        let job = Job {
            place,
            kind,
            tenant: tenant.to_owned(),
            priority,
            attempts: 0,
            crashes: 0,
            is_stopped: false,
        };
        assert!(
            self.jobs.insert(id.to_owned(), job).is_none(),
            "`{id}` was there"
        );
    }

    fn may_run(&self, job: &Job) -> bool {
        let names = [
            "queue".to_owned(),
            format!("kind:{}", job.kind),
            format!("tenant:{}", job.tenant),
        ];
        names.iter().all(|name| !self.paused.contains(name))
    }

    /// Takes orphans back, as every fetch does first.
    pub(crate) fn recover(&mut self) {
        let mut ended = Vec::new();
        for (id, job) in &mut self.jobs {
            if job.place != Place::Orphaned {
                continue;
            }
            job.crashes += 1;
            job.attempts += 1;
            job.place = match job.crashes {
                ..3 => Place::Waiting,
                _ => Place::Dead,
            };
            if job.is_stopped {
                ended.push(id.clone());
            }
        }
        for id in ended {
            self.end(&id, 0);
        }
    }

    fn end(&mut self, id: &str, done: u32) {
        self.jobs.remove(id);
        *self.ended.entry(id.to_owned()).or_default() += done;
    }

    /// Checks what a fetch of a worker brought and takes it down.
    pub(crate) fn fetched(&mut self, worker: usize, most: usize, taken: &[TakenJob]) {
        assert!(taken.len() <= most);
        for job in taken {
            let id = &*job.lease.id;
            let known = self
                .jobs
                .get(id)
                .unwrap_or_else(|| panic!("`{id}` came back"));
            assert_eq!(
                known.place,
                Place::Waiting,
                "`{id}` was not there to be taken"
            );
            assert!(self.may_run(known), "`{id}` is paused");
            assert_eq!(
                (job.attempt, job.crashes),
                (known.attempts + 1, known.crashes),
                "`{id}`"
            );
        }
        self.check_order(most, taken);
        for job in taken {
            if let Some(known) = self.jobs.get_mut(&*job.lease.id) {
                let token = job.lease.token.clone();
                known.place = Place::Held { worker, token };
            }
        }
        let running = |job: &&Job| {
            job.kind == "limited" && matches!(job.place, Place::Held { .. } | Place::Orphaned)
        };
        let running = self.jobs.values().filter(running).count();
        assert!(running <= LIMIT as usize, "{running} run at a time");
    }

    /// No free job is passed by one of lower priority, none waits while there are idle hands.
    fn check_order(&self, most: usize, taken: &[TakenJob]) {
        let is_taken = |id: &String| taken.iter().any(|job| *job.lease.id == **id);
        let is_left = |(id, job): &(&String, &Job)| {
            job.kind == "free" && job.place == Place::Waiting && self.may_run(job) && !is_taken(id)
        };
        let left = self
            .jobs
            .iter()
            .filter(is_left)
            .map(|(_, job)| job.priority)
            .max();
        let free = taken.iter().filter_map(|job| self.jobs.get(&*job.lease.id));
        let lowest = free
            .filter(|job| job.kind == "free")
            .map(|job| job.priority)
            .min();
        if let Some(left) = left {
            assert!(
                taken.len() == most,
                "a job waits though {most} were asked for"
            );
            assert!(
                lowest.is_none_or(|lowest| lowest >= left),
                "{left} waits behind {lowest:?}"
            );
        }
    }

    /// The ids that a worker holds.
    pub(crate) fn held_by(&self, worker: usize) -> BTreeSet<String> {
        let held = self.jobs.iter().filter(|(_, job)| {
            matches!(&job.place, Place::Held { worker: holder, .. } if *holder == worker)
        });
        held.map(|(id, _)| id.clone()).collect()
    }

    /// Every worker's process ends.
    pub(crate) fn orphaned(&mut self, ids: &[TakenJob]) {
        for job in ids {
            if let Some(known) = self.jobs.get_mut(&*job.lease.id) {
                known.place = Place::Orphaned;
            }
        }
    }

    /// Takes down what became of a job; says whether the lease counted.
    pub(crate) fn finished(&mut self, id: &str, token: &str, outcome: &Outcome) -> bool {
        let Some(job) = self.jobs.get_mut(id) else {
            return false;
        };
        if !matches!(&job.place, Place::Held { token: held, .. } if **held == *token) {
            return false;
        }
        if let Outcome::Retry { .. } | Outcome::Dead { .. } = outcome
            && !job.is_stopped
        {
            job.attempts += 1;
        }
        match outcome {
            Outcome::Done(_) => self.end(id, 1),
            _ if job.is_stopped => self.end(id, 0),
            Outcome::Dead { .. } => job.place = Place::Dead,
            Outcome::GiveBack => job.place = Place::Waiting,
            Outcome::Retry { delay, .. } | Outcome::Snooze { delay, .. } => {
                let is_late = !delay.is_zero();
                job.place = if is_late {
                    Place::Delayed
                } else {
                    Place::Waiting
                };
            }
        }
        true
    }

    /// What becomes of the wish to cancel a job.
    pub(crate) fn cancel(&mut self, id: &str) -> Cancelled {
        let Some(job) = self.jobs.get_mut(id) else {
            return Cancelled::Unknown;
        };
        match job.place {
            Place::Held { .. } | Place::Orphaned => {
                job.is_stopped = true;
                Cancelled::Stopping
            }
            Place::Dead => Cancelled::Dead,
            Place::Waiting | Place::Delayed => {
                self.end(id, 0);
                Cancelled::Gone
            }
        }
    }

    /// Puts a dead job back, or throws it away; says whether it was dead.
    pub(crate) fn settle_dead(&mut self, id: &str, again: bool) -> bool {
        let job = self.jobs.get_mut(id);
        let Some(job) = job.filter(|job| job.place == Place::Dead) else {
            return false;
        };
        if again {
            job.place = Place::Waiting;
            (job.attempts, job.crashes) = (0, 0);
        } else {
            self.end(id, 0);
        }
        true
    }

    /// Checks what a store counts.
    pub(crate) fn check_counts(&self, counts: &Counts) {
        let count = |fits: fn(&Place) -> bool| {
            self.jobs.values().filter(|job| fits(&job.place)).count() as u64
        };
        let expected = [
            count(|place| *place == Place::Waiting),
            count(|place| *place == Place::Delayed),
            count(|place| matches!(place, Place::Held { .. } | Place::Orphaned)),
            count(|place| *place == Place::Dead),
        ];
        let seen = [
            counts.ready + counts.blocked,
            counts.delayed,
            counts.leased,
            counts.dead,
        ];
        assert_eq!(seen, expected, "waiting, delayed, held, dead");
    }
}
