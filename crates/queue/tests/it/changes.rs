//! What was decided once and then changes: rules, back-offs, deaths, suspicion.
use std::time::Duration;

use quayhand_queue::{Cancelled, KeyBy, NewJob, Outcome, Policy, Rule, State, UniqueMode};
use quayhand_testkit::wait_for;

use crate::{
    on_every_store,
    support::{Desk, LONG_LEASE, SOON, done, job, leases, retry},
};

on_every_store!(
    jobs_held_back_by_an_old_rate_go_by_the_new_one,
    jobs_held_back_by_a_rate_that_is_gone_run,
    jobs_held_back_by_an_old_limit_go_by_the_new_one,
    an_equal_job_does_not_hurry_one_that_waits_out_its_back_off,
    a_dead_job_that_is_tried_again_keeps_equal_ones_out,
    a_dead_job_that_is_tried_again_takes_no_key_from_another,
);

const DAY: Duration = Duration::from_hours(24);

fn desk_with(desk: &Desk, policy: Policy) -> Desk {
    Desk {
        rules: Rule::of("test", &policy).into_iter().collect(),
        ..desk.clone()
    }
}

/// Takes until these jobs came, in whatever order.
async fn takes_all(desk: &Desk, expected: &[&str]) {
    let mut ids = Vec::new();
    wait_for(&format!("jobs {expected:?}"), SOON, async || {
        ids.extend(desk.take_ids(9).await);
        (ids.len() >= expected.len()).then_some(())
    })
    .await;
    ids.sort();
    assert_eq!(ids, expected);
}

async fn jobs_held_back_by_an_old_rate_go_by_the_new_one(desk: Desk) {
    let slow = desk_with(&desk, Policy::DEFAULT.rate(1, DAY, KeyBy::Kind));
    slow.put(0..4).await;
    assert_eq!(slow.take_ids(9).await, ["0"]);
    let second = Duration::from_secs(1);
    let fast = desk_with(&desk, Policy::DEFAULT.rate(100, second, KeyBy::Kind));
    wait_for("the new rate to be at rest", SOON, async || {
        fast.put(["new"]).await;
        let ids = fast.take_ids(9).await;
        ids.contains(&"new".to_owned()).then_some(())
    })
    .await;
    let counts = || async { desk.store.counts(&desk.queue).await.unwrap() };
    wait_for("nothing that is held back", SOON, async || {
        fast.take(9).await;
        (counts().await.blocked == 0).then_some(())
    })
    .await;
    assert_eq!(counts().await.leased, 5);
}

async fn jobs_held_back_by_a_rate_that_is_gone_run(desk: Desk) {
    let slow = desk_with(&desk, Policy::DEFAULT.rate(1, DAY, KeyBy::Kind));
    slow.put(0..4).await;
    assert_eq!(slow.take_ids(9).await, ["0"]);
    takes_all(&desk, &["1", "2", "3"]).await;
}

async fn jobs_held_back_by_an_old_limit_go_by_the_new_one(desk: Desk) {
    let narrow = desk_with(&desk, Policy::DEFAULT.limit(1, KeyBy::Kind));
    narrow.put(0..4).await;
    assert_eq!(narrow.take_ids(9).await, ["0"]);
    let wide = desk_with(&desk, Policy::DEFAULT.limit(9, KeyBy::Kind));
    wide.put(["new"]).await;
    assert_eq!(
        wide.take_ids(9).await,
        ["new"],
        "it finds that the limit is another"
    );
    assert_eq!(
        wide.take_ids(9).await,
        ["1", "2", "3"],
        "and nobody waits for what is over"
    );
}

fn equal(id: &str, mode: UniqueMode, delay: Duration) -> NewJob {
    NewJob {
        unique: "key".to_owned(),
        unique_for: LONG_LEASE,
        unique_mode: mode,
        delay,
        ..job(id)
    }
}

async fn an_equal_job_does_not_hurry_one_that_waits_out_its_back_off(desk: Desk) {
    let soon = Duration::from_millis(1);
    let debounced = |id| equal(id, UniqueMode::Debounce, soon);
    desk.put_jobs(&[debounced("first")]).await;
    let taken = desk.next(LONG_LEASE).await;
    desk.finish(&[taken.lease], retry(Duration::from_secs(40)))
        .await;
    assert_eq!(desk.put_jobs(&[debounced("second")]).await, [false]);
    let waits = desk
        .store
        .list(&desk.queue, State::Delayed, 0, 9)
        .await
        .unwrap();
    let due_ms = waits[0].at_ms.saturating_sub(crate::support::now_ms());
    assert!((30_000..=40_000).contains(&due_ms), "due in {due_ms} ms");
}

async fn dies(desk: &Desk, mode: UniqueMode) {
    desk.put_jobs(&[equal("first", mode, Duration::ZERO)]).await;
    let reason = "no hope".to_owned();
    desk.finish(&leases(&desk.take(1).await), Outcome::Dead { reason })
        .await;
}

async fn a_dead_job_that_is_tried_again_keeps_equal_ones_out(desk: Desk) {
    for mode in [UniqueMode::WhileQueuedOrRunning, UniqueMode::WhileQueued] {
        dies(&desk, mode).await;
        desk.store
            .retry_dead(&desk.queue, &["first"])
            .await
            .unwrap();
        let second = equal("second", mode, Duration::ZERO);
        assert_eq!(desk.put_jobs(&[second]).await, [false], "{mode:?}");
        desk.finish(&leases(&desk.take(9).await), done()).await;
        assert_eq!(desk.counts().await, [0; 4]);
    }
}

async fn a_dead_job_that_is_tried_again_takes_no_key_from_another(desk: Desk) {
    let mode = UniqueMode::WhileQueuedOrRunning;
    dies(&desk, mode).await;
    desk.put_jobs(&[equal("second", mode, Duration::ZERO)])
        .await;
    desk.store
        .retry_dead(&desk.queue, &["first"])
        .await
        .unwrap();
    let cancelled = desk
        .store
        .cancel(&desk.queue, &["first"], "test", "")
        .await
        .unwrap();
    assert_eq!(cancelled, [Cancelled::Gone]);
    let third = equal("third", mode, Duration::ZERO);
    assert_eq!(
        desk.put_jobs(&[third]).await,
        [false],
        "the second has it still"
    );
}

/// More jobs on either side than a cancelling call looks through.
#[tokio::test]
async fn a_cancelled_job_far_inside_the_line_keeps_no_equal_one_out() {
    let desk = Desk::in_redis().await;
    let mode = UniqueMode::WhileQueuedOrRunning;
    desk.put(0..10_001).await;
    desk.put_jobs(&[equal("first", mode, Duration::ZERO)]).await;
    desk.put(10_001..20_002).await;
    desk.store
        .cancel(&desk.queue, &["first"], "test", "")
        .await
        .unwrap();
    let second = equal("second", mode, Duration::ZERO);
    assert_eq!(desk.put_jobs(&[second]).await, [true]);
}
