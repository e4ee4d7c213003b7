//! Random sequences of verbs give the same answers from Redis and from the twin in memory.
use std::time::Duration;

use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};
use quayhand_queue::{KeyBy, Lease, NewJob, Outcome, Policy, Rule, Target, UniqueMode, WorkerId};

use crate::support::{Desk, LONG_LEASE, done, job_for, retry};

/// Jobs and keys are few, so that sequences meet themselves.
const IDS: u8 = 6;

/// One verb, with what it takes from the jobs held so far.
#[derive(Clone, Debug)]
enum Step {
    Enqueue {
        id: u8,
        key: Option<u8>,
        late: bool,
        lane: (u8, i8),
        mode: UniqueMode,
    },
    Fetch {
        most: usize,
    },
    Finish {
        picks: Vec<(usize, u8)>,
    },
    Renew,
    Adopt,
    Pause(u8),
    Resume(u8),
    Cancel(u8),
    SettleDead {
        id: u8,
        again: bool,
    },
    Clear {
        most: usize,
    },
}

/// What is paused: the queue, the kind, or a tenant.
fn target(number: u8) -> Target {
    match number {
        0 => Target::Queue,
        1 => Target::Kind("test".to_owned()),
        number => Target::Tenant(number.to_string()),
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (
            0..IDS,
            proptest::option::of(0..2_u8),
            proptest::bool::weighted(0.2),
            (0..4_u8, -1..2_i8),
            proptest::sample::select(vec![
                UniqueMode::WhileQueuedOrRunning,
                UniqueMode::WhileQueued,
                UniqueMode::Replace,
                UniqueMode::Debounce,
            ]),
        )
            .prop_map(|(id, key, late, lane, mode)| Step::Enqueue { id, key, late, lane, mode }),
        3 => (1..4_usize).prop_map(|most| Step::Fetch { most }),
        3 => vec((0..8_usize, 0..6_u8), 1..4).prop_map(|picks| Step::Finish { picks }),
        1 => Just(Step::Renew),
        1 => Just(Step::Adopt),
        1 => (0..4_u8).prop_map(Step::Pause),
        2 => (0..4_u8).prop_map(Step::Resume),
        1 => (0..IDS).prop_map(Step::Cancel),
        1 => (0..IDS, any::<bool>()).prop_map(|(id, again)| Step::SettleDead { id, again }),
        1 => (1..4_usize).prop_map(|most| Step::Clear { most }),
    ]
}

/// How long a job is put off: the two stores do not look at their clocks in the same millisecond,
/// and must not order what falls into one of them differently.
fn later(id: &str) -> Duration {
    LONG_LEASE + Duration::from_secs(id.parse().unwrap())
}

fn outcome(number: u8, id: &str) -> Outcome {
    match number {
        0 | 1 => done(),
        2 => retry(Duration::ZERO),
        3 => retry(later(id)),
        4 => Outcome::Dead { reason: "x".into() },
        _ => Outcome::GiveBack,
    }
}

/// Carries a step out and writes down everything the store answered.
async fn carry_out(desk: &Desk, held: &mut Vec<Lease>, step: &Step) -> String {
    let (store, queue) = (&desk.store, &desk.queue);
    match step {
        Step::Enqueue {
            id,
            key,
            late,
            lane: (tenant, priority),
            mode,
        } => {
            let tenant = match tenant {
                0 | 1 => String::new(),
                tenant => tenant.to_string(),
            };
            let new = NewJob {
                unique: key.map_or_else(String::new, |key| key.to_string()),
                unique_for: 2 * LONG_LEASE,
                delay: if *late {
                    later(&id.to_string())
                } else {
                    Duration::ZERO
                },
                unique_mode: *mode,
                ..job_for(&id.to_string(), &tenant, *priority)
            };
            format!("{:?}", store.enqueue(queue, &[new]).await.unwrap())
        }
        Step::Fetch { most } => {
            let jobs = desk.take(*most).await;
            held.extend(jobs.iter().map(|job| job.lease.clone()));
            let seen = jobs
                .iter()
                .map(|job| (&job.lease.id, job.attempt, job.crashes));
            format!("{:?}", seen.collect::<Vec<_>>())
        }
        Step::Finish { picks } => {
            let mut settled = Vec::new();
            for (pick, number) in picks {
                if let Some(lease) = held.get(*pick) {
                    let one = std::slice::from_ref(lease);
                    settled.extend(desk.finish(one, outcome(*number, &lease.id)).await);
                }
            }
            format!("{settled:?}")
        }
        Step::Renew => format!("{:?}", store.renew(queue, held, LONG_LEASE).await.unwrap()),
        Step::Adopt => {
            let jobs = store.adopt(queue, &desk.worker, LONG_LEASE).await.unwrap();
            let mut ids: Vec<_> = jobs.into_iter().map(|job| job.lease.id).collect();
            ids.sort();
            format!("{ids:?}")
        }
        operating => operate(desk, operating).await,
    }
}

/// Carries an operator's step out.
async fn operate(desk: &Desk, step: &Step) -> String {
    let (store, queue) = (&desk.store, &desk.queue);
    match step {
        Step::Pause(number) => {
            let paused = store.pause(queue, &target(*number), "", "").await;
            format!("{:?}", paused.unwrap())
        }
        Step::Resume(number) => {
            format!("{:?}", store.resume(queue, &target(*number)).await.unwrap())
        }
        Step::Cancel(id) => {
            let cancelled = store.cancel(queue, &[id.to_string()], "", "").await;
            format!("{:?}", cancelled.unwrap())
        }
        Step::SettleDead { id, again } => {
            let ids = [id.to_string()];
            let settled = match again {
                true => store.retry_dead(queue, &ids).await,
                false => store.discard_dead(queue, &ids).await,
            };
            format!("{:?}", settled.unwrap())
        }
        Step::Clear { most } => format!("{}", store.clear(queue, *most).await.unwrap()),
        other => panic!("{other:?} is no operator's"),
    }
}

async fn compare(redis: &Desk, memory: &Desk, steps: &[Step]) {
    let (mut held_there, mut held_here) = (Vec::new(), Vec::new());
    for step in steps {
        let there = carry_out(redis, &mut held_there, step).await;
        let here = carry_out(memory, &mut held_here, step).await;
        assert_eq!(there, here, "after {step:?}");
        let there = redis.store.counts(&redis.queue).await.unwrap();
        let here = memory.store.counts(&memory.queue).await.unwrap();
        assert_eq!(there, here, "after {step:?}");
    }
    for id in 0..IDS {
        let id = id.to_string();
        let there = redis.store.get(&redis.queue, &id).await.unwrap();
        let here = memory.store.get(&memory.queue, &id).await.unwrap();
        let told = |shown: Option<quayhand_queue::Shown>| {
            shown.map(|shown| {
                (
                    shown.id,
                    shown.state,
                    shown.envelope.unwrap().attempt,
                    shown.last_error,
                )
            })
        };
        assert_eq!(told(there), told(here), "job {id}");
    }
}

#[test]
fn redis_and_the_twin_answer_alike() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let first = runtime.block_on(Desk::in_redis());
    let mut runner = TestRunner::new(Config {
        cases: 200,
        failure_persistence: None,
        ..Config::default()
    });
    let outcome = runner.run(&vec(step(), 1..60), |steps| {
        runtime.block_on(async {
            let worker = WorkerId::new("twin");
            let policy = Policy::DEFAULT.limit(2, KeyBy::Tenant);
            let rules = vec![Rule::of("test", &policy).unwrap()];
            let redis = Desk {
                worker: worker.clone(),
                rules: rules.clone(),
                ..Desk::at(first.store.clone())
            };
            let memory = Desk {
                worker,
                rules,
                ..Desk::in_memory().await
            };
            compare(&redis, &memory, &steps).await;
        });
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
