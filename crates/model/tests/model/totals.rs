//! Size totals, and sizes, that no number can hold.
use quayhand_model::{
    Conn, DbError,
    gc::{self, Collected, Quota, Rules, Work},
};

use crate::purge::place::Place;

const LEAST: i64 = i64::MIN;
const MOST: i64 = i64::MAX;

fn rules(suppress_failures: bool) -> Rules {
    Rules {
        quota: Quota::Subtract { suppress_failures },
        ..Rules::default()
    }
}

/// Makes repositories of these owners, each with an expired tag of a manifest whose one blob has
/// ten bytes.
async fn garbage(place: &Place, owners: &[i64]) -> Vec<i64> {
    let mut repositories = Vec::new();
    for (nth, owner) in owners.iter().enumerate() {
        let repository = place.repository(*owner, &format!("app{nth}")).await;
        let manifest = place.manifest(repository, None).await;
        place.tag(repository, manifest).await;
        repositories.push(repository);
    }
    place
        .run("update tag set lifetime_end_ms = 1; update imagestorage set image_size = 10")
        .await;
    repositories
}

/// Makes the complete total of every repository and namespace, 100 bytes each.
async fn counted(place: &Place) {
    place
        .run(
            r#"insert into quotarepositorysize
                   (repository_id, size_bytes, backfill_start_ms, backfill_complete)
               select id, 100, 1, true from repository;
               insert into quotanamespacesize
                   (namespace_user_id, size_bytes, backfill_start_ms, backfill_complete)
               select id, 100, 1, true from "user""#,
        )
        .await;
}

async fn of_repository(place: &Place, id: i64) -> i64 {
    let total = format!("select size_bytes from quotarepositorysize where repository_id = {id}");
    place.number(&total).await
}

async fn of_namespace(place: &Place, id: i64) -> i64 {
    let total = format!("select size_bytes from quotanamespacesize where namespace_user_id = {id}");
    place.number(&total).await
}

async fn set(place: &Place, repository: i64, bytes: i64) {
    let set = format!(
        "update quotarepositorysize set size_bytes = {bytes} where repository_id = {repository}"
    );
    place.run(&set).await;
}

async fn collect(place: &Place, repositories: &[i64], rules: &Rules) -> Result<Collected, DbError> {
    let work = Work {
        repositories,
        carried: &[],
        at_most: 100,
    };
    let batch = async |tx: &mut Conn| gc::collect_batch(tx, work, rules).await;
    place.db.transaction(batch).await
}

#[tokio::test]
async fn one_total_that_cannot_change_leaves_all_others_right() {
    let place = Place::new().await;
    let one = place.user("one", false, "now()").await;
    let two = place.user("two", false, "now()").await;
    let repositories = garbage(&place, &[one, one, two, two, two]).await;
    counted(&place).await;
    set(&place, repositories[0], LEAST).await;
    set(&place, repositories[3], LEAST).await;

    let strict = collect(&place, &repositories, &rules(false)).await;
    assert!(strict.is_err(), "{strict:?}");
    assert_eq!(place.count("tag").await, 5, "nothing of it stands");

    let done = collect(&place, &repositories, &rules(true)).await.unwrap();
    assert_eq!((done.tags, done.manifests, done.blobs), (5, 5, 5));
    for (nth, left) in [LEAST, 90, 90, LEAST, 90].into_iter().enumerate() {
        let total = of_repository(&place, repositories[nth]).await;
        assert_eq!(total, left, "repository {nth}");
    }
    assert_eq!(of_namespace(&place, one).await, 80);
    assert_eq!(of_namespace(&place, two).await, 70);
}

#[tokio::test]
async fn suppressing_failures_costs_one_statement_when_there_is_none() {
    let mut statements = Vec::new();
    for suppress_failures in [false, true] {
        let place = Place::new().await;
        let owner = place.user("org", false, "now()").await;
        let repositories = garbage(&place, &[owner, owner]).await;
        counted(&place).await;
        let done = collect(&place, &repositories, &rules(suppress_failures)).await;
        statements.push(done.unwrap().statements);
        assert_eq!(of_namespace(&place, owner).await, 80);
    }
    assert_eq!(statements[0] + 1, statements[1]);
}

/// Makes a repository whose one manifest has more bytes than a number can hold, and another.
async fn immense(place: &Place) -> (i64, Vec<i64>) {
    let owner = place.user("org", false, "now()").await;
    let repositories = garbage(place, &[owner, owner]).await;
    let another = place.manifest(repositories[0], None).await;
    place
        .run(&format!(
            "update manifestblob
                set manifest_id = (select manifest_id from tag
                                    where repository_id = {0})
              where manifest_id = {another};
             delete from manifest where id = {another};
             update imagestorage set image_size = {MOST}
              where id in (select blob_id from manifestblob where repository_id = {0});",
            repositories[0]
        ))
        .await;
    (owner, repositories)
}

#[tokio::test]
async fn more_bytes_than_a_number_can_hold_stop_nobody_without_a_total() {
    for suppress_failures in [false, true] {
        let place = Place::new().await;
        let (_, repositories) = immense(&place).await;
        let done = collect(&place, &repositories, &rules(suppress_failures)).await;
        assert_eq!(done.unwrap().blobs, 3);
    }
}

#[tokio::test]
async fn more_bytes_than_a_number_can_hold_change_no_total() {
    let place = Place::new().await;
    let (owner, repositories) = immense(&place).await;
    counted(&place).await;
    let strict = collect(&place, &repositories, &rules(false)).await;
    assert!(strict.is_err(), "as with Quay: {strict:?}");
    let done = collect(&place, &repositories, &rules(true)).await.unwrap();
    assert_eq!(done.blobs, 3);
    assert_eq!(of_repository(&place, repositories[0]).await, 100);
    assert_eq!(of_repository(&place, repositories[1]).await, 90);
    assert_eq!(of_namespace(&place, owner).await, 100);
}

#[tokio::test]
async fn a_postponed_change_that_no_total_can_hold_keeps_no_other_from_its_own() {
    let place = Place::new().await;
    let owner = place.user("org", false, "now()").await;
    let repositories = garbage(&place, &[owner, owner]).await;
    counted(&place).await;
    set(&place, repositories[0], LEAST).await;
    for repository in &repositories {
        let change = format!(
            "insert into quayhand_total_change (kind, owner_id, freed_bytes, counted_from_ms)
             values (1, {repository}, 10, 1), (1, {repository}, {MOST}, 0)"
        );
        place.run(&change).await;
    }
    let settle = async |tx: &mut Conn| gc::settle_totals(tx, 100).await;
    assert!(!place.db.transaction(settle).await.unwrap());
    assert_eq!(of_repository(&place, repositories[0]).await, LEAST);
    assert_eq!(of_repository(&place, repositories[1]).await, 90);
    assert_eq!(place.count("quayhand_total_change").await, 0);
}
