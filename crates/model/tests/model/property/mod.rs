//! Any small registry: the collector, purges and the sweep of leaks leave, in every table,
//! what a slow reading of the rules leaves, whatever the size of batches, their order and what
//! runs beside them.
//!
//! - `registry.rs`, `strategies.rs`, `rows.rs`, `rows/`: what is drawn, and how it is written
//!   down
//! - `plan.rs`, `laboratory.rs`: how it is collected
//! - `snapshot.rs`, `oracle/`: what is left, and what should be
//!
//! `QUAYHAND_PROPERTY_SECONDS` says for how long registries are drawn; `QUAYHAND_PROPERTY_SEED`
//! begins with the registry of that number, as a failure prints it.
mod laboratory;
mod oracle;
mod plan;
mod registry;
mod rows;
mod snapshot;
mod strategies;

use std::{
    collections::BTreeSet,
    env,
    time::{Duration, Instant, SystemTime},
};

use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner},
};
use quayhand_model::gc::DoomedObject;

use laboratory::{Announced, Laboratory};
use oracle::{Mode, Rule, State};
use plan::Plan;
use registry::Registry;
use snapshot::{Snapshot, Tombstone};

/// How long registries are drawn unless told otherwise.
const SECONDS: u64 = 30;
/// So many are compared in a run of two minutes or more, however busy the machine is.
const ENOUGH: (Duration, u64) = (Duration::from_mins(2), 100);
/// A registry that fails is made smaller for no longer than this.
const SHRINKING: Duration = Duration::from_mins(2);
/// Registries after which a rule that made no difference is taken for one that makes none.
const MANY: u64 = 150;

type Case = (Registry, Plan);

/// Draws the registry of a number; the same number, the same registry.
fn runner(number: u64) -> TestRunner {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    let config = Config {
        cases: 1,
        failure_persistence: None,
        max_shrink_time: u32::try_from(SHRINKING.as_millis()).unwrap(),
        max_shrink_iters: 100_000,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
}

/// Reads a number from the environment.
fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| {
        let number = text.parse();
        number.unwrap_or_else(|error| panic!("{variable} `{text}` is no number: {error}"))
    })
}

#[test]
#[expect(clippy::print_stdout, reason = "the figure is there to be read")]
fn leaves_what_the_rules_leave_whatever_the_registry() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let laboratory = runtime.block_on(Laboratory::new());
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    let first = number("QUAYHAND_PROPERTY_SEED").unwrap_or(now.as_secs() * 1_000_000);
    let budget = number("QUAYHAND_PROPERTY_SECONDS").unwrap_or(SECONDS);
    let (budget, started) = (Duration::from_secs(budget), Instant::now());
    println!("QUAYHAND_PROPERTY_SEED={first}");
    let mut compared = 0;
    let least = if budget < ENOUGH.0 { 1 } else { ENOUGH.1 };
    while compared < least || started.elapsed() < budget {
        let case = |case: Case| {
            let differences = runtime.block_on(compare(&laboratory, &case));
            differences.map_err(TestCaseError::fail)
        };
        let seed = first + compared;
        match runner(seed).run(&(Registry::any(), Plan::any()), case) {
            Ok(()) => compared += 1,
            Err(TestError::Fail(reason, (registry, plan))) => panic!(
                "{reason}\n{plan:?}\n{registry:?}\
                 to see it again: QUAYHAND_PROPERTY_SEED={seed}"
            ),
            Err(TestError::Abort(reason)) => panic!("QUAYHAND_PROPERTY_SEED={seed}: {reason}"),
        }
    }
    println!(
        "registries compared {compared}, differences 0, {:.1} seconds of {}",
        started.elapsed().as_secs_f64(),
        budget.as_secs()
    );
}

/// Collects a registry and says what is not as the rules have it, stage by stage.
async fn compare(laboratory: &Laboratory, (registry, plan): &Case) -> Result<(), String> {
    let mut before = laboratory.load(registry).await?;
    let mut state = State::read(&before, plan.mode());
    for stage in &plan.stages {
        let failed = |error| format!("{stage:?} failed: {error:?}");
        let announced = laboratory.preview(*stage, plan, &before).await;
        let announced = announced.map_err(failed)?;
        let buried = state.tombstones();
        laboratory.pass(*stage, plan).await.map_err(failed)?;
        state.pass(*stage);
        let expected = state.applied_to(&before);
        let left = laboratory.read().await;
        let mut differences = left.differs_from(&expected);
        if let Some(announced) = announced {
            let objects = objects_that_go(&left, &state, buried);
            differences.extend(misjudged(&before, &left, &objects, &announced));
        }
        if !differences.is_empty() {
            return Err(format!("after {stage:?}:\n{}", differences.join("\n")));
        }
        before = left;
    }
    Ok(())
}

/// Names the rows and objects that went without having been announced, and those that did not.
fn misjudged(
    before: &Snapshot,
    left: &Snapshot,
    objects: &BTreeSet<DoomedObject>,
    announced: &Announced,
) -> Vec<String> {
    let rows = before.rows.keys();
    let gone = rows.filter(|key| !left.rows.contains_key(*key));
    let gone: BTreeSet<_> = gone.cloned().collect();
    let wrong = gone.symmetric_difference(&announced.rows);
    let rows = wrong.map(|(table, id)| format!("the preview misjudges {table} {id}"));
    let said: BTreeSet<_> = announced.objects.iter().cloned().collect();
    let wrong = said.symmetric_difference(objects);
    let objects = wrong.map(|object| format!("the preview misjudges {object:?}"));
    rows.chain(objects).collect()
}

/// Returns the objects whose tombstones came after the first so many and that go in time.
fn objects_that_go(left: &Snapshot, state: &State, first: usize) -> BTreeSet<DoomedObject> {
    let location = |id: i64| {
        let mut locations = left.table("imagestoragelocation");
        locations
            .find(|(location, _)| *location == id)
            .unwrap()
            .1
            .text("name")
    };
    let object = |tombstone: Tombstone| DoomedObject {
        location: location(tombstone.location_id),
        digest: quayhand_model::tombstone::sha256_bytes(&tombstone.checksum).unwrap(),
        legacy_uuid: tombstone.legacy_uuid,
    };
    state
        .objects_that_go(first)
        .into_iter()
        .map(object)
        .collect()
}

/// A comparison that could not fail would show nothing: with any one rule taken out of the
/// slow reading, some registry differs.
#[test]
#[expect(clippy::print_stdout, reason = "the figure is there to be read")]
fn every_rule_makes_a_difference() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let laboratory = runtime.block_on(Laboratory::new());
    let mut without: Vec<_> = Rule::ALL.to_vec();
    let mut drawn = 0;
    while !without.is_empty() && drawn < MANY {
        drawn += 1;
        let strategy = (Registry::any(), Plan::any());
        let (registry, plan) = strategy.new_tree(&mut runner(drawn)).unwrap().current();
        let (before, left) = runtime.block_on(async {
            let before = laboratory.load(&registry).await.unwrap();
            for stage in &plan.stages {
                laboratory.pass(*stage, &plan).await.unwrap();
            }
            (before, laboratory.read().await)
        });
        let agrees = |rule: Option<Rule>| {
            let mode = Mode {
                without: rule,
                ..plan.mode()
            };
            let mut state = State::read(&before, mode);
            for stage in &plan.stages {
                state.pass(*stage);
            }
            left.differs_from(&state.applied_to(&before)).is_empty()
        };
        assert!(agrees(None), "registry {drawn}");
        without.retain(|rule| agrees(Some(*rule)));
    }
    println!(
        "{} rules, each made a difference within {drawn} registries",
        Rule::ALL.len()
    );
    assert!(
        without.is_empty(),
        "made no difference in {drawn} registries: {without:?}"
    );
}
