//! Random verbs, crashes and lost answers, against a model: nothing is lost, nothing runs twice at
//! a time, nothing runs that must not.
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};
use quayhand_queue::{KeyBy, Lease, NewJob, Outcome, Policy, Rule, State, Target, WorkerId};
use quayhand_testkit::wait_for;

use crate::{
    model::{LIMIT, Model, Place},
    support::{Desk, LONG_LEASE, SOON, done, job, leases, retry},
};

const WORKERS: usize = 2;
const TARGETS: [&str; 4] = ["queue", "kind:free", "kind:limited", "tenant:a"];
const TENANTS: [&str; 3] = ["", "a", "b"];
const PRIORITIES: [i8; 4] = [0, 0, 7, -7];

/// How long the test goes on, in seconds: 20 unless `QUAYHAND_PROPERTY_SECONDS` says otherwise.
fn seconds() -> u64 {
    let said = std::env::var("QUAYHAND_PROPERTY_SECONDS");
    said.map_or(20, |said| said.parse().unwrap())
}

#[derive(Clone, Debug)]
enum Step {
    Enqueue {
        limited: bool,
        tenant: usize,
        priority: usize,
        late: bool,
        lost: bool,
    },
    Fetch {
        worker: usize,
        most: usize,
        lost: bool,
    },
    /// Takes jobs and dies.
    Crash {
        most: usize,
    },
    Finish {
        pick: usize,
        outcome: u8,
        lost: bool,
    },
    Renew,
    Pause(usize),
    Resume(usize),
    Cancel(usize),
    SettleDead {
        pick: usize,
        again: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let lost = || proptest::bool::weighted(0.15);
    let some = 0..100_usize;
    prop_oneof![
        8 => (any::<bool>(), 0..3_usize, 0..4_usize, proptest::bool::weighted(0.1), lost())
            .prop_map(|(limited, tenant, priority, late, lost)| Step::Enqueue {
                limited, tenant, priority, late, lost,
            }),
        6 => (0..WORKERS, 1..5_usize, lost())
            .prop_map(|(worker, most, lost)| Step::Fetch { worker, most, lost }),
        1 => (1..3_usize).prop_map(|most| Step::Crash { most }),
        6 => (some.clone(), 0..7_u8, lost())
            .prop_map(|(pick, outcome, lost)| Step::Finish { pick, outcome, lost }),
        1 => Just(Step::Renew),
        1 => (0..TARGETS.len()).prop_map(Step::Pause),
        2 => (0..TARGETS.len()).prop_map(Step::Resume),
        1 => some.clone().prop_map(Step::Cancel),
        1 => (some, any::<bool>()).prop_map(|(pick, again)| Step::SettleDead { pick, again }),
    ]
}

fn outcome(number: u8) -> Outcome {
    match number {
        0..=2 => done(),
        3 => retry(Duration::ZERO),
        4 => retry(LONG_LEASE),
        5 => Outcome::Dead { reason: "x".into() },
        _ => Outcome::GiveBack,
    }
}

/// A store under test beside its model.
struct Run {
    desks: Vec<Desk>,
    model: Model,
    made: usize,
}

impl Run {
    fn new(desk: &Desk) -> Self {
        let limit = Policy::DEFAULT.limit(LIMIT, KeyBy::Kind);
        let desk = |number: usize| Desk {
            worker: WorkerId::new(&number.to_string()),
            rules: vec![Rule::of("limited", &limit).unwrap()],
            ..desk.clone()
        };
        Self {
            desks: (0..WORKERS).map(desk).collect(),
            model: Model::default(),
            made: 0,
        }
    }

    async fn carry_out(&mut self, step: &Step) {
        match *step {
            Step::Enqueue {
                limited,
                tenant,
                priority,
                late,
                lost,
            } => {
                let kind = if limited { "limited" } else { "free" };
                self.enqueue(kind, TENANTS[tenant], PRIORITIES[priority], late, lost)
                    .await;
            }
            Step::Fetch { worker, most, lost } => self.fetch(worker, most, lost).await,
            Step::Crash { most } => self.crash(most).await,
            Step::Finish {
                pick,
                outcome: number,
                lost,
            } => {
                self.finish(pick, &outcome(number), lost).await;
            }
            Step::Renew => self.renew().await,
            Step::Pause(number) => self.pause(TARGETS[number], true).await,
            Step::Resume(number) => self.pause(TARGETS[number], false).await,
            Step::Cancel(pick) => self.cancel(pick).await,
            Step::SettleDead { pick, again } => self.settle_dead(pick, again).await,
        }
        let desk = &self.desks[0];
        let counts = desk.store.counts(&desk.queue).await.unwrap();
        self.model.check_counts(&counts);
    }

    async fn enqueue(
        &mut self,
        kind: &'static str,
        tenant: &str,
        priority: i8,
        late: bool,
        lost: bool,
    ) {
        self.made += 1;
        let id = format!("{:04}", self.made);
        let envelope =
            format!(r#"{{"id":"{id}","kind":"{kind}","tenant":"{tenant}","payload":{{}}}}"#);
        let new = NewJob {
            envelope,
            tenant: tenant.to_owned(),
            priority,
            delay: if late { LONG_LEASE } else { Duration::ZERO },
            ..job(&id)
        };
        let new = [new];
        assert_eq!(self.desks[0].put_jobs(&new).await, [true]);
        if lost {
            assert_eq!(
                self.desks[0].put_jobs(&new).await,
                [false],
                "once is enough"
            );
        }
        self.model.enqueued(&id, kind, tenant, priority, late);
    }

    async fn fetch(&mut self, worker: usize, most: usize, lost: bool) {
        let taken = self.desks[worker].take(most).await;
        self.model.recover();
        self.model.fetched(worker, most, &taken);
        if lost {
            let desk = &self.desks[worker];
            let adopted = desk
                .store
                .adopt(&desk.queue, &desk.worker, LONG_LEASE)
                .await;
            let adopted: BTreeSet<_> = adopted
                .unwrap()
                .into_iter()
                .map(|job| job.lease.id.to_string())
                .collect();
            assert_eq!(
                adopted,
                self.model.held_by(worker),
                "all that it holds, nothing else"
            );
        }
    }

    async fn crash(&mut self, most: usize) {
        let desk = Desk {
            worker: WorkerId::new("dies"),
            ..self.desks[0].clone()
        };
        let taken = desk.fetch(most, Duration::from_millis(1)).await.jobs;
        self.model.recover();
        self.model.fetched(WORKERS, most, &taken);
        self.model.orphaned(&taken);
        wait_for("the leases to end", SOON, async || {
            let leased = desk
                .store
                .list(&desk.queue, State::Leased, 0, 1)
                .await
                .unwrap();
            let is_over = leased
                .first()
                .is_none_or(|job| job.at_ms < crate::support::now_ms());
            (taken.is_empty() || is_over).then_some(())
        })
        .await;
    }

    /// The lease of some job that is held, or that was.
    fn lease(&self, pick: usize) -> Option<Lease> {
        let held = self
            .model
            .jobs
            .iter()
            .filter_map(|(id, job)| match &job.place {
                Place::Held { token, .. } => Some(Lease {
                    id: id.as_str().into(),
                    token: token.clone(),
                }),
                _ => None,
            });
        let held: Vec<_> = held.collect();
        (!held.is_empty()).then(|| held[pick % held.len()].clone())
    }

    async fn finish(&mut self, pick: usize, outcome: &Outcome, lost: bool) {
        let Some(lease) = self.lease(pick) else {
            return;
        };
        let stale = Lease {
            token: format!("{}x", lease.token).into(),
            ..lease.clone()
        };
        let both = [stale, lease.clone()];
        let settled = self.desks[0].finish(&both, outcome.clone()).await;
        assert_eq!(settled, [false, true]);
        assert!(self.model.finished(&lease.id, &lease.token, outcome));
        if lost {
            let again = self.desks[0].finish(&both, outcome.clone()).await;
            assert_eq!(again, [false; 2], "settled once");
        }
    }

    async fn renew(&mut self) {
        let all: Vec<_> = (0..100).map_while(|pick| self.lease(pick)).collect();
        let desk = &self.desks[0];
        let renewed = desk
            .store
            .renew(&desk.queue, &all, LONG_LEASE)
            .await
            .unwrap();
        assert!(!renewed.contains(&quayhand_queue::Renewed::Lost));
    }

    async fn pause(&mut self, name: &str, is_on: bool) {
        let (desk, target): (_, Target) = (&self.desks[0], name.parse().unwrap());
        if is_on {
            let is_new = desk
                .store
                .pause(&desk.queue, &target, "test", "")
                .await
                .unwrap();
            assert_eq!(is_new, self.model.paused.insert(name.to_owned()));
        } else {
            let was = desk.store.resume(&desk.queue, &target).await.unwrap();
            assert_eq!(was, self.model.paused.remove(name));
        }
    }

    fn id(&self, pick: usize) -> String {
        format!("{:04}", 1 + pick % self.made.max(1))
    }

    async fn cancel(&mut self, pick: usize) {
        let (desk, id) = (&self.desks[0], self.id(pick));
        let answer = desk
            .store
            .cancel(&desk.queue, &[&id], "test", "")
            .await
            .unwrap();
        assert_eq!(answer, [self.model.cancel(&id)], "`{id}`");
    }

    async fn settle_dead(&mut self, pick: usize, again: bool) {
        let dead = self
            .model
            .jobs
            .iter()
            .filter(|(_, job)| job.place == Place::Dead);
        let dead: Vec<_> = dead.map(|(id, _)| id.clone()).collect();
        let id = if dead.is_empty() {
            self.id(pick)
        } else {
            dead[pick % dead.len()].clone()
        };
        let (desk, ids) = (&self.desks[0], [id.as_str()]);
        let settled = if again {
            desk.store.retry_dead(&desk.queue, &ids).await
        } else {
            desk.store.discard_dead(&desk.queue, &ids).await
        };
        assert_eq!(
            settled.unwrap(),
            [self.model.settle_dead(&id, again)],
            "`{id}`"
        );
    }

    /// At the end everything that waits runs: nothing was lost.
    async fn drain(mut self) {
        for target in TARGETS {
            self.pause(target, false).await;
        }
        wait_for("every job to have run", SOON, async || {
            while let Some(lease) = self.lease(0) {
                assert_eq!(
                    self.desks[0]
                        .finish(std::slice::from_ref(&lease), done())
                        .await,
                    [true]
                );
                self.model.finished(&lease.id, &lease.token, &done());
            }
            self.fetch(0, 9, false).await;
            let is_left =
                |job: &crate::model::Job| matches!(job.place, Place::Waiting | Place::Held { .. });
            (!self.model.jobs.values().any(is_left)).then_some(())
        })
        .await;
        for (id, done) in &self.model.ended {
            assert!(*done <= 1, "`{id}` was done {done} times");
        }
        assert_eq!(
            self.model.jobs.len() + self.model.ended.len(),
            self.made,
            "lost"
        );
        self.check_nothing_is_left_behind().await;
    }

    /// What still counts as held by a limit, or keeps a key, belongs to a job.
    async fn check_nothing_is_left_behind(&self) {
        let desk = &self.desks[0];
        let taken = desk.take(9).await;
        assert!(taken.is_empty(), "{:?}", leases(&taken));
        let counts = desk.store.counts(&desk.queue).await.unwrap();
        assert_eq!(counts.blocked, 0);
        assert_eq!(desk.put_jobs(&[job("last")]).await, [true]);
        assert_eq!(desk.take_ids(9).await, ["last"]);
    }
}

fn holds_on(name: &str, open: impl AsyncFn() -> Desk) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let first = runtime.block_on(open());
    let until = Instant::now() + Duration::from_secs(seconds());
    let mut runner = TestRunner::new(Config {
        cases: u32::MAX,
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..Config::default()
    });
    let (cases, steps_done) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let outcome = runner.run(&vec(step(), 1..80), |steps| {
        if Instant::now() > until {
            return Err(TestCaseError::reject("the time is over"));
        }
        runtime.block_on(async {
            let mut run = Run::new(&Desk::at(first.store.clone()));
            for step in &steps {
                run.carry_out(step).await;
            }
            run.drain().await;
        });
        cases.set(cases.get() + 1);
        steps_done.set(steps_done.get() + steps.len());
        Ok(())
    });
    let (cases, steps) = (cases.get(), steps_done.get());
    println!(
        "{name}: {cases} sequences of {steps} verbs in {} s",
        seconds()
    );
    match outcome {
        // Time is over, and nothing else was wrong.
        Err(proptest::test_runner::TestError::Abort(_)) => assert!(cases > 0),
        Err(error) => panic!("{error}"),
        Ok(()) => {}
    }
}

#[test]
fn redis_keeps_every_promise() {
    holds_on("redis", Desk::in_redis);
}

#[test]
fn the_twin_keeps_every_promise() {
    holds_on("memory", Desk::in_memory);
}
