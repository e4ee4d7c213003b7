//! Nobody's backlog stands in front of everybody else's.
use quayhand_jobs::tag_expiry::TagExpiry;
use quayhand_model::gc::{self, Candidate, Rules};
use quayhand_queue::{Job, JobError};
use quayhand_testkit::PostgresServer;

use crate::scene::Scene;

/// Batches of one turn.
const TURN: i64 = 32;

/// Writes down the repository of every tag that goes, in order.
const DIARY: &str = "
    create table diary (at serial, repository_id int);
    create function note() returns trigger language plpgsql as $$ begin
        insert into diary (repository_id) select repository_id from gone;
        return null;
    end $$;
    create trigger note after delete on tag referencing old table as gone
        for each statement execute function note()";

async fn scene() -> Scene {
    Scene::clean_on(PostgresServer::shared().await.unwrap()).await
}

async fn candidates(scene: &Scene, at_most: u32) -> Vec<i64> {
    let found = scene
        .ctx
        .db
        .scope(async |conn| gc::candidates(conn, &Rules::default(), at_most).await);
    let found: Vec<Candidate> = found.await.unwrap();
    found.iter().map(|found| found.repository_id).collect()
}

#[tokio::test]
async fn a_namespace_with_many_candidates_does_not_hide_one_with_one() {
    let scene = scene().await;
    let many = scene.litter("many", 20_000, 1, 1_000).await;
    let one = scene.litter("one", 1, 1, 900_000_000).await;
    let few = scene.litter("few", 3, 1, 500_000_000).await;
    let found = candidates(&scene, 100).await;
    let expected = [many[0], few[0], one[0], many[1], few[1], many[2], few[2]];
    assert_eq!(found[..7], expected, "in turn, the oldest first");
    assert_eq!(found[7..], many[3..96], "then the rest of the large one");
    println!(
        "of {} candidates of one namespace, {} stand in front of the only one of another",
        many.len(),
        found.iter().take_while(|id| **id != one[0]).count() - 1
    );
}

#[tokio::test]
async fn a_large_repository_gives_way_after_a_turn_of_a_run_over_all() {
    let mut scene = scene().await;
    scene.set(|settings| settings.batch_tags = 10);
    scene.ctx.concurrency = 1;
    let large = scene.litter("large", 1, 1_000, 1_000).await[0];
    let small = scene.litter("small", 1, 5, 500_000_000).await[0];
    scene.execute(DIARY).await;
    let done = TagExpiry::all(&scene.ctx).unwrap().await.unwrap();
    assert_eq!(done.of("tags"), 1_005);
    let before = |id| {
        let first = format!("select min(at) from diary where repository_id = {id}");
        format!("select count(*) from diary where at < ({first})")
    };
    assert_eq!(
        scene.number(&before(large)).await,
        0,
        "the older one is first"
    );
    assert_eq!(scene.number(&before(small)).await, TURN * 10);
}

#[tokio::test]
async fn a_large_repository_gives_way_after_a_turn_in_the_daemon() {
    let mut scene = scene().await;
    scene.set(|settings| settings.batch_tags = 10);
    let large = scene.litter("large", 1, 700, 1_000).await[0];
    let job = TagExpiry {
        repository_ids: vec![large],
        rechecks: false,
    };
    let left = format!("select count(*) from tag where repository_id = {large}");
    for expected in [380, 60] {
        let given_way = job.run(&scene.ctx).await;
        assert!(
            matches!(given_way, Err(JobError::Snooze(_))),
            "{given_way:?}"
        );
        assert_eq!(scene.number(&left).await, expected);
    }
    assert_eq!(job.run(&scene.ctx).await.unwrap().of("tags"), 60);
    // An operator who asked for this repository waits for its end.
    let again = scene.litter("again", 1, 700, 1_000).await[0];
    let mut ctx = scene.ctx.clone();
    ctx.options.by_hand = true;
    let job = TagExpiry::for_repository(again).unwrap();
    assert_eq!(job.run(&ctx).await.unwrap().of("tags"), 700);
}
