//! One death: a copy of the registry, a program killed at its point, and what the next runs make
//! of it.

use std::fs;

use serde::Deserialize;

use super::{
    blow,
    points::{BEFORE_SWEEPS, Point, STEPS},
};
use crate::{
    place::{Left, Place},
    program::Program,
};

/// Leaks go at their second sighting; batches are small, so that there are many. Rounds take turns:
/// size totals are reset, as Quay does unless told, or kept right to the byte. One batch after the
/// other keeps them, so that none has to be put off because the other batch holds it.
pub(super) const SETTINGS: [&str; 2] = [
    "[gc]\nleak_grace = \"0s\"\nbatch_tags = 300\n",
    "[gc]\nleak_grace = \"0s\"\nbatch_tags = 300\n
     [registry]\nfeature_quota_management = true\n[worker]\nconcurrency = 1\n",
];
pub(super) const TOMBSTONES: &str = "select count(*) from quayhand_tombstone";

/// What a round saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Leaks that the registry had when the interrupted work was finished, before the sweeps.
    pub(super) leaked_before: usize,
    /// Leaks after the sweeps.
    pub(super) leaked_after: usize,
    /// Objects that a row needed and that were gone, right after the death or at the end.
    pub(super) early_deletes: usize,
}

/// A line of `quayhand verify`.
#[derive(Deserialize)]
struct Violation {
    invariant: String,
    subject: String,
    problem: String,
}

/// What a registry comes to without a death.
pub(super) struct Expected {
    settings: &'static str,
    left: Left,
    pub(super) seen: Seen,
}

/// Goes through all steps undisturbed.
pub(super) async fn undisturbed(template: &Place, settings: &'static str) -> Expected {
    let place = template.copy(settings).await;
    let planted = violations(&place.program()).await;
    let seen = finish(&place).await;
    assert_eq!(
        seen.leaked_before,
        leaks(&planted),
        "without a death nothing leaks but what was leaked: {}",
        told(&planted)
    );
    let left = place.left().await;
    place.remove().await;
    Expected {
        settings,
        left,
        seen,
    }
}

/// Kills a run at a point, on its `turn`-th pass (0 begins), finishes the work, and compares.
pub(super) async fn killed(
    template: &Place,
    point: &Point,
    turn: usize,
    expected: &Expected,
) -> Seen {
    let place = template.copy(expected.settings).await;
    for step in &STEPS[..point.step] {
        place.program().finish(step).await;
    }
    blow::kill(&place, point, turn).await;
    place.is_left_alone().await;
    let early = place.deleted_early().await;
    assert!(
        early.is_empty(),
        "{}: deleted too early: {early:?}",
        point.name
    );
    place.forget_locks().await;
    let mut seen = finish(&place).await;
    seen.early_deletes += early.len();
    let differs = place.left().await.differs_from(&expected.left);
    assert!(
        differs.is_empty(),
        "{} ({}): {differs:?}",
        point.name,
        point.about
    );
    is_done_for_good(&place, &expected.left).await;
    place.remove().await;
    seen
}

/// Loses the tombstones of a run that was killed after its commit, as if they were not written in
/// the transaction that deletes the rows; returns what was seen before and after the sweeps.
pub(super) async fn killed_and_robbed(template: &Place, point: &Point) -> Seen {
    let place = template.copy(SETTINGS[0]).await;
    blow::kill(&place, point, 0).await;
    place.is_left_alone().await;
    place.execute("delete from quayhand_tombstone").await;
    let seen = finish(&place).await;
    place.remove().await;
    seen
}

/// Tells whether a missing object, and one with other bytes, would be noticed.
pub(super) async fn losses_are_noticed(template: &Place) {
    let place = template.copy(SETTINGS[0]).await;
    let needed = place.needed().await;
    assert!(place.deleted_early().await.is_empty());
    let mut paths = needed
        .into_keys()
        .filter(|path| path.starts_with("sha256/"));
    let (gone, torn) = (paths.next().unwrap(), paths.next().unwrap());
    fs::remove_file(place.object(&gone)).unwrap();
    fs::remove_file(place.object(&torn)).unwrap(); // the name only: other copies have the file
    fs::write(place.object(&torn), "half").unwrap();
    assert_eq!(place.deleted_early().await, [gone, torn]);
    place.remove().await;
}

/// Does what is left to do, from the first step on, as the next runs would.
async fn finish(place: &Place) -> Seen {
    let program = place.program();
    for step in &STEPS[..BEFORE_SWEEPS] {
        program.finish(step).await;
    }
    let leaked_before = leaks(&violations(&program).await);
    for step in &STEPS[BEFORE_SWEEPS..] {
        program.finish(step).await;
    }
    let broken = violations(&program).await;
    let leaked_after = leaks(&broken);
    let others: Vec<_> = broken.into_iter().filter(|v| v.invariant != "I8").collect();
    assert!(others.is_empty(), "{}", told(&others));
    assert_eq!(place.number(TOMBSTONES).await, 0, "nothing waits any more");
    Seen {
        leaked_before,
        leaked_after,
        early_deletes: place.deleted_early().await.len(),
    }
}

/// Runs the jobs once more: there is nothing to do.
async fn is_done_for_good(place: &Place, expected: &Left) {
    for step in &STEPS[..BEFORE_SWEEPS] {
        place.program().finish(step).await;
    }
    let differs = place.left().await.differs_from(expected);
    assert!(
        differs.is_empty(),
        "a further run found more to do: {differs:?}"
    );
}

/// Looks for everything that breaks an invariant; [`Place::deleted_early`] hashes the objects.
async fn violations(program: &Program) -> Vec<Violation> {
    let verify = ["verify", "--format=json", "--allow-missing-subjects"];
    let ended = program.run(&verify).await;
    assert!(matches!(ended.code, Some(0 | 1)), "{ended:?}");
    let lines = ended.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn leaks(violations: &[Violation]) -> usize {
    violations.iter().filter(|v| v.invariant == "I8").count()
}

/// Writes violations as `quayhand verify` does.
fn told(violations: &[Violation]) -> String {
    let line = |v: &Violation| format!("{} {} {}", v.invariant, v.subject, v.problem);
    violations.iter().map(line).collect::<Vec<_>>().join("\n")
}
