//! Tags that are linked to each other: nobody waits for one that cannot go.
use quayhand_model::gc::{self, Rules};

use crate::{purge::place::Place, sweep};

/// Makes a repository with so many expired tags.
async fn expired(place: &Place, owner: i64, tags: usize) -> (i64, Vec<i64>) {
    let name = format!("app{}", place.count("repository").await);
    let repository = place.repository(owner, &name).await;
    let mut ids = Vec::new();
    for _ in 0..tags {
        let manifest = place.manifest(repository, None).await;
        ids.push(place.tag(repository, manifest).await);
    }
    let end = format!("update tag set lifetime_end_ms = 1 where repository_id = {repository}");
    place.run(&end).await;
    (repository, ids)
}

async fn link(place: &Place, tag: i64, to: i64) {
    let link = format!("update tag set linked_tag_id = {to} where id = {tag}");
    place.run(&link).await;
}

/// Counts the garbage that is found, and insists that a batch takes exactly that.
async fn pass(place: &Place) -> u64 {
    let rules = Rules::default();
    let found = place
        .db
        .scope(async |conn| gc::candidates(conn, &rules, 100).await);
    let found = found.await.unwrap();
    let garbage = found.iter().map(|candidate| candidate.garbage).sum();
    let ids: Vec<_> = found.iter().map(|one| one.repository_id).collect();
    let swept = sweep::exhaust(&place.db, &rules, &ids, 100).await.unwrap();
    assert_eq!(swept.tags, garbage, "what is found goes");
    garbage
}

#[tokio::test]
async fn a_pair_that_is_linked_to_each_other_stays_and_is_not_found() {
    let place = Place::new().await;
    let owner = place.user("org", false, "now()").await;
    let (_, tags) = expired(&place, owner, 3).await;
    link(&place, tags[0], tags[1]).await;
    link(&place, tags[1], tags[0]).await;
    link(&place, tags[2], tags[2]).await;
    assert_eq!(
        pass(&place).await,
        1,
        "the one that is linked to itself goes"
    );
    assert_eq!(pass(&place).await, 0);
    assert_eq!(place.count("tag").await, 2);
}

#[tokio::test]
async fn what_a_dead_tag_of_a_disabled_owner_is_linked_to_is_not_found() {
    let place = Place::new().await;
    let owner = place.user("org", false, "now()").await;
    let disabled = place.user("gone", false, "now()").await;
    let (_, held) = expired(&place, owner, 1).await;
    let (_, holder) = expired(&place, disabled, 1).await;
    link(&place, holder[0], held[0]).await;
    place
        .run(r#"update "user" set enabled = false where username = 'gone'"#)
        .await;
    assert_eq!(pass(&place).await, 0);
    assert_eq!(place.count("tag").await, 2);
}

#[tokio::test]
async fn a_chain_goes_from_its_free_end_and_stays_below_one_that_stays() {
    let place = Place::new().await;
    let owner = place.user("org", false, "now()").await;
    let (_, free) = expired(&place, owner, 3).await;
    let (_, stuck) = expired(&place, owner, 3).await;
    for chain in [&free, &stuck] {
        link(&place, chain[1], chain[0]).await;
        link(&place, chain[2], chain[1]).await;
    }
    let keep = format!(
        "update tag set lifetime_end_ms = null where id = {}",
        stuck[2]
    );
    place.run(&keep).await;
    let preview = place
        .db
        .read_only_transaction(async |tx| gc::preview(tx, None, &Rules::default()).await);
    let (rows, _) = preview.await.unwrap();
    let shown: Vec<_> = rows.iter().filter(|row| row.table == "tag").collect();
    assert_eq!(shown.iter().map(|row| row.id).collect::<Vec<_>>(), free);

    for expected in [1, 1, 1, 0] {
        assert_eq!(pass(&place).await, expected);
    }
    for tag in stuck {
        assert!(place.has("tag", tag).await);
    }
    assert_eq!(place.count("tag").await, 3);
}
