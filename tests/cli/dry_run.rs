//! Runs about one repository, and what a dry run prints for people.

use std::collections::BTreeSet;

use quayhand_testkit::shared_or_skip;

use crate::{golden::Doomed, scene::Scene};

/// The live repository with the most garbage, as people name it.
const FULLEST: &str = "select u.username || '/' || r.name from tag t \
    join repository r on r.id = t.repository_id join \"user\" u on u.id = r.namespace_user_id \
    where r.state <> 3 and u.enabled and t.lifetime_end_ms is not null \
    and t.lifetime_end_ms <= (extract(epoch from now()) - u.removed_tag_expiration_s) * 1000 \
    group by 1 order by count(*) desc, 1 limit 1";

#[tokio::test]
async fn one_repository_alone() {
    let _shared = shared_or_skip!();
    let scene = Scene::golden("boundary").await;
    let (program, before) = (scene.program().await, scene.rows().await);
    let name = scene.texts(FULLEST).await.remove(0);
    let one = ["job", "run", "tag_expiry", "--repository", &name];
    let whole = scene.whole().await;
    let dry = [&one[..], &["--dry-run", "--format=json"]].concat();
    let announced: Vec<Doomed> = program.run(&dry).await.expect(0).json();
    scene.is_unchanged(&whole).await;
    let announced: BTreeSet<_> = announced.into_iter().filter_map(Doomed::row).collect();
    assert!(announced.len() > 2, "{announced:?}");

    program.run(&one).await.expect(0);
    let after = scene.rows().await;
    let gone: BTreeSet<_> = before.difference(&after).cloned().collect();
    assert_eq!(gone, announced);
    let payload = scene
        .texts(&format!(
            "select format('{{\"repository_ids\": [%s]}}', r.id) \
        from repository r join \"user\" u on u.id = r.namespace_user_id \
        where u.username || '/' || r.name = '{name}'"
        ))
        .await;
    let whole = scene.whole().await;
    let payload = ["job", "run", "tag_expiry", &payload[0]];
    program.run(&payload).await.expect(0);
    scene.is_unchanged(&whole).await;
    program
        .run(&["job", "run", "tag_expiry", "--all"])
        .await
        .expect(0);
    assert!(
        scene.rows().await.len() < after.len(),
        "the others were left alone"
    );
}

#[tokio::test]
async fn prints_the_same_for_people_and_programs() {
    let _shared = shared_or_skip!();
    let scene = Scene::golden("boundary").await;
    let program = scene.program().await;
    let dry = ["job", "run", "tag_expiry", "--all", "--dry-run"];
    let human = program
        .run(&dry)
        .await
        .expect(0)
        .says(&["a dry run", "nothing was changed"]);
    let json = program
        .run(&[&dry[..], &["--format=json"]].concat())
        .await
        .expect(0);
    let lines: Vec<_> = json.json::<Doomed>().iter().map(Doomed::line).collect();
    assert!(lines.len() > 100);
    assert_eq!(human.stdout.lines().collect::<Vec<_>>(), lines);
}

#[tokio::test]
async fn looks_into_the_future() {
    let _shared = shared_or_skip!();
    let scene = Scene::golden("boundary").await;
    let (program, whole) = (scene.program().await, scene.whole().await);
    let dry = ["job", "run", "tag_expiry", "--all", "--dry-run"];
    let now = program.run(&dry).await.expect(0).stdout;
    let ahead = [&dry[..], &["--as-of", "2150-01-01T00:00:00Z"]].concat();
    let later = program.run(&ahead).await.expect(0).stdout;
    assert!(
        later.lines().count() > now.lines().count(),
        "more tags will be past recovery"
    );
    scene.is_unchanged(&whole).await;
}
