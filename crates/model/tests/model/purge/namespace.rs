//! Deleted namespaces: when they are due, and what goes with them.
use quayhand_model::purge::{self, Ending, NamespaceState};

use super::place::Place;

/// Deletes a namespace as Quay's web tier does, but for its queue item.
pub(super) async fn mark(place: &Place, id: i64, name: &str, marked: &str, queue_id: &str) -> i64 {
    place
        .run(&format!(
            r#"update "user" set enabled = false, username = gen_random_uuid(),
                                 email = gen_random_uuid() where id = {id}"#
        ))
        .await;
    place
        .insert(&format!(
            "insert into deletednamespace (namespace_id, marked, original_username,
                                           original_email, queue_id)
             values ({id}, {marked}, '{name}', '{name}@example.com', {queue_id})"
        ))
        .await
}

/// Queues the purge of a namespace for some time from now.
async fn queue(place: &Place, id: i64, delay: &str) -> i64 {
    place
        .insert(&format!(
            "insert into queueitem (queue_name, body, available_after, available,
                                    retries_remaining, state_id)
             values ('namespacegc/{id}/', '{{}}', now() at time zone 'utc' + interval '{delay}',
                     true, 5, gen_random_uuid())"
        ))
        .await
}

async fn due(place: &Place, as_of_ms: Option<i64>) -> Vec<i64> {
    let due = place
        .db
        .scope(async |conn| purge::due_namespaces(conn, 0, 100, as_of_ms).await);
    due.await
        .unwrap()
        .iter()
        .map(|namespace| namespace.id)
        .collect()
}

#[tokio::test]
async fn nothing_goes_before_its_time_of_grace_is_over() {
    let place = Place::new().await;
    let mut expected = Vec::new();
    // The delay of the item, whether the marker names it, when it was marked, and whether due.
    let cases = [
        (Some("-1 minute"), true, "0", true),
        (Some("1 hour"), true, "90 days", false),
        (Some("1 hour"), false, "90 days", false),
        (Some("-1 minute"), false, "0", true),
        (None, false, "1 day", false),
        (None, false, "31 days", true),
    ];
    for (n, (delay, named, ago, is_due)) in cases.into_iter().enumerate() {
        let id = place.user(&format!("org{n}"), false, "now()").await;
        let mut queue_id = "null".to_owned();
        if let Some(delay) = delay {
            let item = queue(&place, id, delay).await;
            if named {
                queue_id = format!("'{item}'");
            }
        }
        let marked = format!("now() - interval '{ago}'");
        mark(&place, id, &format!("org{n}"), &marked, &queue_id).await;
        if is_due {
            expected.push(id);
        } else {
            assert_eq!(
                place.prepare(id).await.unwrap(),
                NamespaceState::NotDue,
                "case {n}"
            );
            assert_eq!(place.purge_namespace(id).await.unwrap(), Ending::NotMarked);
            assert!(place.has("user", id).await, "case {n}");
        }
    }
    let mut gone = Vec::new();
    for (name, item) in [
        ("gone", "'999999'"),
        ("large", "'2147483647'"),
        ("beyond", "'9999999999'"),
    ] {
        let id = place.user(name, false, "now()").await;
        mark(&place, id, name, "now()", item).await;
        gone.push(id);
    }
    expected.extend(&gone);
    let odd = place.user("odd", false, "now()").await;
    mark(&place, odd, "odd", "now()", "'no number'").await;
    assert_eq!(due(&place, None).await, expected);
    assert_eq!(due(&place, Some(0)).await, gone, "as of 1970");
    for id in expected {
        assert_eq!(place.purge_namespace(id).await.unwrap(), Ending::Purged);
        assert_eq!(
            place.purge_namespace(id).await.unwrap(),
            Ending::NotMarked,
            "again"
        );
    }
}

#[tokio::test]
async fn a_limit_that_was_left_over_does_not_block() {
    let place = Place::new().await;
    let id = place.user("org", false, "now()").await;
    let quota =
        format!("insert into userorganizationquota (namespace_id, limit_bytes) values ({id}, 5)");
    let quota = place.insert(&quota).await;
    place
        .run(&format!(
            "insert into quotalimits (quota_id, quota_type_id, percent_of_limit)
             values ({quota}, 1, 50), ({quota}, 2, 100)"
        ))
        .await;
    for n in 0..5 {
        place.repository(id, &format!("app{n}")).await;
    }
    mark(&place, id, "org", "now() - interval '40 days'", "null").await;
    assert_eq!(place.purge_namespace(id).await.unwrap(), Ending::Purged);
    for table in ["user", "deletednamespace", "quotalimits", "repository"] {
        assert_eq!(place.count(table).await, 0, "{table}");
    }
}

#[tokio::test]
async fn a_repository_made_meanwhile_is_named_and_goes_next() {
    let place = Place::new().await;
    let id = place.user("org", false, "now()").await;
    mark(&place, id, "org", "now() - interval '40 days'", "null").await;
    assert_eq!(
        place.prepare(id).await.unwrap(),
        NamespaceState::Ready(Vec::new())
    );
    place.repository(id, "late").await;
    let finish = place
        .db
        .transaction(async |tx| purge::finish_namespace(tx, id, None).await);
    let left = vec!["repository".to_owned()];
    assert_eq!(finish.await.unwrap(), Ending::Left(left));
    assert_eq!(
        place.count("deletednamespace").await,
        1,
        "the marker goes last"
    );
    assert_eq!(place.purge_namespace(id).await.unwrap(), Ending::Purged);
}

#[tokio::test]
async fn a_namespace_without_a_marker_is_not_touched() {
    let place = Place::new().await;
    let id = place.user("org", false, "now()").await;
    place.repository(id, "app").await;
    assert_eq!(place.prepare(id).await.unwrap(), NamespaceState::NotMarked);
    let finish = place
        .db
        .transaction(async |tx| purge::finish_namespace(tx, id, None).await);
    assert_eq!(finish.await.unwrap(), Ending::NotMarked);
    let enabled = r#"select count(*) from "user" where enabled"#;
    assert_eq!(place.number(enabled).await, 1);
    let live = "select count(*) from repository where state = 0";
    assert_eq!(place.number(live).await, 1);
}
