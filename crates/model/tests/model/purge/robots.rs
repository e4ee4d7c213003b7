//! A name that has a new owner: robots are told apart.
use quayhand_model::purge::Ending;

use super::{namespace::mark, place::Place};

const MARKED: &str = "'2020-06-01'";

#[tokio::test]
async fn robots_go_with_their_namespace() {
    let place = Place::new().await;
    let org = place.user("org", false, "'2020-01-01'").await;
    let known = place.user("org+a", true, "'2020-02-01'").await;
    let unknown = place.user("org+b", true, "null").await;
    let others = [
        place.user("organic+a", true, "'2020-02-01'").await,
        place.user("org-2+a", true, "'2020-02-01'").await,
        place.user("org+later", true, "'2020-07-01'").await,
        place.user("org+human", false, "'2020-02-01'").await,
    ];
    for robot in [known, unknown] {
        place
            .run(&format!(
                "insert into robotaccounttoken (robot_account_id, token) values ({robot}, 't')"
            ))
            .await;
    }
    mark(&place, org, "org", MARKED, "null").await;
    assert_eq!(place.purge_namespace(org).await.unwrap(), Ending::Purged);
    for id in [org, known, unknown] {
        assert!(!place.has("user", id).await);
    }
    for id in others {
        assert!(place.has("user", id).await, "{id} is somebody else");
    }
    assert_eq!(place.count("robotaccounttoken").await, 0);
}

#[tokio::test]
async fn a_new_owner_of_the_name_keeps_its_robots_and_quota() {
    let place = Place::new().await;
    let old = place.user("org", false, "'2020-01-01'").await;
    let theirs = place.user("org+old", true, "'2020-02-01'").await;
    mark(&place, old, "org", MARKED, "null").await;
    let new = place.user("org", false, "'2020-06-01 01:00'").await;
    let kept = [
        place.user("org+new", true, "'2020-06-01 02:00'").await,
        place.user("org+unknown", true, "null").await,
    ];
    place
        .run(&format!(
            "insert into userorganizationquota (namespace_id, limit_bytes) values ({new}, 5)"
        ))
        .await;
    assert_eq!(place.purge_namespace(old).await.unwrap(), Ending::Purged);
    assert!(!place.has("user", theirs).await, "older than the new owner");
    for id in [new, kept[0], kept[1]] {
        assert!(place.has("user", id).await);
    }
    assert_eq!(place.count("userorganizationquota").await, 1);
}

#[tokio::test]
async fn deleted_owners_of_one_name_take_the_robots_of_their_time() {
    for second_first in [false, true] {
        let place = Place::new().await;
        let first = place.user("org", false, "'2020-01-01'").await;
        let of_first = place.user("org+a", true, "'2020-02-01'").await;
        mark(&place, first, "org", MARKED, "null").await;
        let second = place.user("org", false, "'2020-07-01'").await;
        let of_second = place.user("org+b", true, "'2020-08-01'").await;
        let of_nobody = place.user("org+c", true, "null").await;
        mark(&place, second, "org", "'2020-09-01'", "null").await;
        let mut order = [(first, of_first, of_second), (second, of_second, of_first)];
        if second_first {
            order.reverse();
        }
        for (n, (namespace, gone, other)) in order.into_iter().enumerate() {
            let before = place.has("user", other).await;
            assert_eq!(
                place.purge_namespace(namespace).await.unwrap(),
                Ending::Purged
            );
            assert!(!place.has("user", gone).await);
            assert_eq!(place.has("user", other).await, before);
            assert_eq!(
                place.has("user", of_nobody).await,
                n == 0,
                "goes with the last"
            );
        }
    }
}

#[tokio::test]
async fn a_robot_that_somebody_elses_mirror_needs_stays() {
    let place = Place::new().await;
    let org = place.user("org", false, "'2020-01-01'").await;
    let robot = place.user("org+a", true, "'2020-02-01'").await;
    let other = place.user("other", false, "'2020-01-01'").await;
    let mirror = place.repository(other, "mirror").await;
    place.mirror(mirror, mirror, robot).await;
    mark(&place, org, "org", MARKED, "null").await;
    assert_eq!(place.purge_namespace(org).await.unwrap(), Ending::Purged);
    assert!(place.has("user", robot).await);
    assert_eq!(place.count("repomirrorconfig").await, 1);
}

#[tokio::test]
async fn a_robot_that_is_a_namespace_itself_stays_and_blocks_no_other() {
    let place = Place::new().await;
    let org = place.user("org", false, "'2020-01-01'").await;
    let owner = place.user("org+owner", true, "'2020-02-01'").await;
    let app = place.repository(owner, "app").await;
    let deleted = place.user("org+deleted", true, "'2020-02-01'").await;
    let plain = place.user("org+plain", true, "'2020-02-01'").await;
    mark(&place, org, "org", MARKED, "null").await;
    place
        .run(&format!(
            "insert into deletednamespace (namespace_id, marked, original_username,
                                           original_email)
             values ({deleted}, now(), 'org+deleted', 'x')"
        ))
        .await;
    assert_eq!(place.purge_namespace(org).await.unwrap(), Ending::Purged);
    for id in [org, plain] {
        assert!(!place.has("user", id).await, "{id} goes");
    }
    for id in [owner, deleted] {
        assert!(place.has("user", id).await, "{id} has rows of its own");
    }
    assert!(place.has("repository", app).await);
}
