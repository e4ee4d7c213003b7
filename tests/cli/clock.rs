//! F17: a host whose clock is a day ahead collects nothing early: the database says what time it is.
#![expect(clippy::print_stdout, reason = "a test of a fault prints its figure")]

use quayhand_testkit::{shared_or_skip, wrong_clock};

use crate::scene::Scene;

/// Gives every tag that is past recovery an hour until it is.
const AN_HOUR_LEFT: &str = "update tag set lifetime_end_ms = tag.id + \
    (extract(epoch from now()) + 3600 - u.removed_tag_expiration_s) * 1000 \
    from repository r join \"user\" u on u.id = r.namespace_user_id \
    where r.id = tag.repository_id and tag.lifetime_end_ms \
        <= (extract(epoch from now()) + 3600 - u.removed_tag_expiration_s) * 1000";

const DUE_TOMORROW: &str = "select count(*) from tag t \
    join repository r on r.id = t.repository_id join \"user\" u on u.id = r.namespace_user_id \
    where r.state <> 3 and u.enabled and t.lifetime_end_ms \
        <= (extract(epoch from now()) + 86400 - u.removed_tag_expiration_s) * 1000";

#[tokio::test]
async fn a_host_whose_clock_is_a_day_ahead_collects_nothing_early() {
    let _shared = shared_or_skip!();
    let scene = Scene::golden("seed1").await;
    scene.execute(AN_HOUR_LEFT).await;
    let due = scene.number(DUE_TOMORROW).await;
    assert!(due > 100, "a day later they would go: {due}");
    let tags = "select count(*) from tag";
    let before = scene.number(tags).await;
    let mut program = scene.program().await;
    let folder = tempfile::tempdir().expect("a folder");
    for (name, value) in wrong_clock(folder.path(), 86_400).expect("a C compiler") {
        program = program.env(name, value);
    }
    let collect = ["job", "run", "tag_expiry", "--all"];
    program.run(&collect).await.expect(0);
    let early = before - scene.number(tags).await;
    println!(
        "F17 a collector's clock off by a day: target tags deleted early 0 of {due}, seen {early}"
    );
    assert_eq!(early, 0);
}
