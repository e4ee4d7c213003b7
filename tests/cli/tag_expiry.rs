//! `tag_expiry` where something stands in its way.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use quayhand_testkit::{golden::RowKey, shared_or_skip};

use crate::scene::Scene;

const COLLECT: [&str; 4] = ["job", "run", "tag_expiry", "--all"];

/// The repositories that have a tag past recovery, the one with the fewest first.
const WITH_GARBAGE: &str = "select r.id::text from tag t \
    join repository r on r.id = t.repository_id join \"user\" u on u.id = r.namespace_user_id \
    where r.state <> 3 and u.enabled \
    and t.lifetime_end_ms <= (extract(epoch from now()) - u.removed_tag_expiration_s) * 1000 \
    group by 1 order by count(*), 1";

/// Collects a state that nothing stands in the way of.
async fn rows_after() -> BTreeSet<RowKey> {
    let scene = Scene::golden("seed1").await;
    scene.program().await.run(&COLLECT).await.expect(0);
    scene.rows().await
}

#[tokio::test]
async fn a_repository_that_fails_stands_alone_and_the_others_are_done() {
    let _shared = shared_or_skip!();
    let scene = Scene::golden("seed1").await;
    let before = scene.rows().await;
    let bad = scene.texts(WITH_GARBAGE).await.remove(0);
    let trap = format!(
        "create function trap() returns trigger language plpgsql as \
         $$ begin raise exception 'this row is cursed'; end $$; \
         create trigger trap before delete on tag for each row \
         when (old.repository_id = {bad}) execute function trap()"
    );
    scene.execute(&trap).await;
    let program = scene.program().await;
    let named = format!("repository {bad}: ");
    let ended = program.run(&COLLECT).await.expect(9);
    let ended = ended.says(&[&named, "this row is cursed"]);
    assert_eq!(
        ended.stderr.matches("cursed").count(),
        1,
        "{}",
        ended.stderr
    );

    let (after, expected) = (scene.rows().await, rows_after().await);
    assert!(expected.is_subset(&after), "nothing more went");
    let owned = format!(
        "select 'tag ' || id from tag where repository_id = {bad} \
         union all select 'manifest ' || id from manifest where repository_id = {bad} \
         union all select 'uploadedblob ' || id from uploadedblob where repository_id = {bad}"
    );
    let owned: BTreeSet<_> = scene.texts(&owned).await.into_iter().collect();
    for (table, id) in after.difference(&expected) {
        let of_bad = owned.contains(&format!("{table} {id}"));
        let of_any = ["tag", "manifest", "uploadedblob"].contains(&table.as_str());
        assert!(of_bad || !of_any, "{table} {id} is another repository's");
    }
    let gone: BTreeSet<_> = before.difference(&after).collect();
    assert!(gone.len() > 1000, "the others are done: {}", gone.len());

    scene.execute("drop trigger trap on tag").await;
    program.run(&COLLECT).await.expect(0);
    assert!(
        scene.rows().await == expected,
        "the next run finds the rest"
    );
}

#[tokio::test]
async fn a_tag_that_a_living_one_is_linked_to_stays_and_keeps_nobody_waiting() {
    let _shared = shared_or_skip!();
    let scene = Scene::golden("boundary").await;
    let ids = "select (min(t.id)::text || ' ' || min(live.id)) from tag t join tag live \
        on live.repository_id = t.repository_id and live.lifetime_end_ms is null \
        join repository r on r.id = t.repository_id join \"user\" u on u.id = r.namespace_user_id \
        where r.state <> 3 and u.enabled and t.linked_tag_id is null \
        and t.lifetime_end_ms <= (extract(epoch from now()) - u.removed_tag_expiration_s) * 1000 \
        group by t.repository_id limit 1";
    let ids = scene.texts(ids).await.remove(0);
    let (expired, living) = ids.split_once(' ').expect("two ids");
    let link = |to: &str| format!("update tag set linked_tag_id = {to} where id = {living}");
    scene.execute(&link(expired)).await;
    let (program, started) = (scene.program().await, Instant::now());
    program.run(&COLLECT).await.expect(0);
    assert!(
        started.elapsed() < Duration::from_secs(15),
        "{:?}",
        started.elapsed()
    );
    let there = async || {
        let row = ("tag".to_owned(), expired.parse().expect("an id"));
        scene.rows().await.contains(&row)
    };
    assert!(there().await, "its row could not go");
    scene.execute(&link("null")).await;
    program.run(&COLLECT).await.expect(0);
    assert!(!there().await, "the twin: free, it goes");
}
