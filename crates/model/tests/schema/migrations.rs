//! Migrations go up, down and up again, in turns, whole or not at all, and never where they must not.
use std::collections::BTreeSet;

use quayhand_model::drift::Kind;
use quayhand_model::migrate::{
    self, Depth, MigrateError, Set, State, check, current, down, history, up,
};
use quayhand_model::{DbConfig, configure};
use quayhand_testkit::shared_or_skip;

use super::Database;
use super::catalogue::{foreign_lines, lines};

#[tokio::test]
async fn goes_up_down_to_nothing_and_up_again() {
    let database = Database::empty().await;
    let nothing = lines(&database).await;
    let first = up(&database.db, None).await.unwrap();
    let built = lines(&database).await;
    assert_eq!(database.kind().await, Kind::Standalone);
    for set in [Set::Quayhand, Set::Registry] {
        let reverted = down(&database.db, set, Depth::All).await.unwrap();
        let applied = first.iter().filter(|step| step.set == set).rev();
        assert!(
            applied.eq(&reverted),
            "{set} goes the way back: {reverted:?}"
        );
    }
    assert_eq!(lines(&database).await, nothing, "nothing is left");
    assert_eq!(up(&database.db, None).await.unwrap(), first);
    assert_eq!(
        lines(&database).await,
        built,
        "the second time builds the same"
    );
}

#[tokio::test]
async fn takes_back_as_many_steps_as_asked() {
    let database = Database::standalone().await;
    let built = lines(&database).await;
    for set in Set::ALL {
        let all = history(&database.db, set).await.unwrap();
        let mut last_two: Vec<_> = all[all.len() - 2..]
            .iter()
            .map(|e| e.step.clone())
            .collect();
        let applied_again = last_two.clone();
        last_two.reverse();
        let back = down(&database.db, set, Depth::Steps(2)).await.unwrap();
        assert_eq!(back, last_two);
        assert!(lines(&database).await.len() < built.len());
        assert_eq!(up(&database.db, Some(set)).await.unwrap(), applied_again);
        assert_eq!(lines(&database).await, built);
    }
}

#[tokio::test]
async fn a_second_run_finds_nothing_to_do() {
    let database = Database::standalone().await;
    assert_eq!(up(&database.db, None).await.unwrap(), []);
    assert_eq!(check(&database.db, None).await.unwrap(), []);
    assert_eq!(
        down(&database.db, Set::Quayhand, Depth::Steps(0))
            .await
            .unwrap(),
        []
    );
}

#[tokio::test]
async fn two_migrators_take_turns() {
    let database = Database::empty().await;
    let other = configure(DbConfig::new(database.server.url(&database.name))).unwrap();
    let (one, two) = tokio::join!(up(&database.db, None), up(&other, None));
    let (one, two) = (one.unwrap(), two.unwrap());
    let all: BTreeSet<String> = one.iter().chain(&two).map(ToString::to_string).collect();
    assert_eq!(
        all.len(),
        one.len() + two.len(),
        "no step was applied twice"
    );
    assert_eq!(check(&database.db, None).await.unwrap(), []);
}

#[tokio::test]
async fn goes_beside_a_quay_without_touching_it() {
    let _shared = shared_or_skip!();
    let database = Database::quay().await;
    let before = foreign_lines(&database).await;
    let steps = up(&database.db, None).await.unwrap();
    assert!(
        steps.iter().all(|step| step.set == Set::Quayhand),
        "{steps:?}"
    );
    assert_eq!(foreign_lines(&database).await, before);
    let ours = lines(&database).await.len() - before.len();
    assert!(ours > 30, "{ours} definitions are ours");
    down(&database.db, Set::Quayhand, Depth::All).await.unwrap();
    assert_eq!(lines(&database).await, before, "and leaves it as it was");
}

#[tokio::test]
async fn refuses_to_build_a_registry_where_a_quay_is() {
    let _shared = shared_or_skip!();
    let database = Database::quay().await;
    let before = lines(&database).await;
    let refused = up(&database.db, Some(Set::Registry)).await;
    let error = refused.expect_err("refused");
    assert!(matches!(error, MigrateError::QuayDatabase { .. }));
    assert!(error.to_string().contains("9fa37f66a9b6"), "{error}");
    let refused = down(&database.db, Set::Registry, Depth::All).await;
    assert!(matches!(refused, Err(MigrateError::QuayDatabase { .. })));
    assert_eq!(lines(&database).await, before);
}

#[tokio::test]
async fn refuses_a_registry_that_a_quay_has_taken_over() {
    let database = Database::standalone().await;
    database
        .run("create table alembic_version (version_num varchar(32) primary key)")
        .await;
    assert_eq!(database.kind().await, Kind::Quay { alembic: None });
    let before = lines(&database).await;
    let refused = down(&database.db, Set::Registry, Depth::All).await;
    assert!(matches!(refused, Err(MigrateError::QuayDatabase { .. })));
    assert_eq!(lines(&database).await, before);
}

#[tokio::test]
async fn refuses_a_database_of_somebody_else() {
    let database = Database::empty().await;
    database
        .run("create table orders (id int); create table alembic_version (version_num text)")
        .await;
    let before = lines(&database).await;
    for only in [None, Some(Set::Registry), Some(Set::Quayhand)] {
        let error = up(&database.db, only).await.expect_err("refused");
        assert!(matches!(error, MigrateError::Foreign { .. }));
        assert!(error.to_string().contains("`orders`"), "{error}");
    }
    assert!(matches!(
        check(&database.db, None).await,
        Err(MigrateError::Foreign { .. })
    ));
    assert_eq!(lines(&database).await, before);
}

#[tokio::test]
async fn a_failing_step_leaves_nothing_and_can_be_run_again() {
    let database = Database::empty().await;
    database
        .run("create table quayhand_schedule (in_the_way int)")
        .await;
    let error = up(&database.db, Some(Set::Quayhand))
        .await
        .expect_err("a table is in the way");
    let MigrateError::Step { version: 3, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(
        error.to_string(),
        "applying `quayhand` 0003 schedule failed and was rolled back"
    );
    let last = current(&database.db).await.unwrap().last;
    assert_eq!(
        last.iter().map(|step| step.version).collect::<Vec<_>>(),
        [2]
    );
    database.run("drop table quayhand_schedule").await;
    let rest = up(&database.db, Some(Set::Quayhand)).await.unwrap();
    assert_eq!(rest[0].version, 3);
    assert_eq!(check(&database.db, Some(Set::Quayhand)).await.unwrap(), []);
}

#[tokio::test]
async fn tells_what_is_pending_and_when_the_rest_was_applied() {
    let database = Database::standalone().await;
    let back = down(&database.db, Set::Quayhand, Depth::Steps(1))
        .await
        .unwrap();
    let off = check(&database.db, None).await.unwrap();
    assert_eq!(off.len(), 1);
    assert_eq!(off[0].step, back[0]);
    assert_eq!(off[0].state, State::Pending);
    let history = history(&database.db, Set::Quayhand).await.unwrap();
    assert_eq!(history.last(), off.first());
    assert_eq!(history[0].step.to_string(), "quayhand 0001 tombstone");
    let State::Applied { at } = &history[0].state else {
        panic!("{history:?}");
    };
    assert!(at.len() == 20 && at.ends_with('Z'), "{at}");
    let current = current(&database.db).await.unwrap();
    assert_eq!(current.kind, Kind::Standalone);
    let before_last = &history[history.len() - 2].step;
    assert_eq!(current.last.last(), Some(before_last));
}

#[tokio::test]
async fn stops_at_a_migration_that_was_changed_or_is_unknown() {
    let database = Database::standalone().await;
    database
        .run("update quayhand_migrations set checksum = '\\x00' where version = 2")
        .await;
    let error = up(&database.db, None).await.expect_err("changed");
    assert!(
        matches!(&error, MigrateError::Changed(step) if step.version == 2),
        "{error}"
    );
    let off = check(&database.db, None).await.unwrap();
    assert!(matches!(off[0].state, State::Changed { .. }), "{off:?}");

    let database = Database::standalone().await;
    database
        .run(
            "insert into quayhand_migrations values (99, 'from tomorrow', now(), true, '\\x00', 0)",
        )
        .await;
    for attempt in [
        up(&database.db, None).await,
        down(&database.db, Set::Quayhand, Depth::All).await,
    ] {
        let error = attempt.expect_err("unknown");
        assert!(
            matches!(&error, MigrateError::Unknown(step) if step.version == 99),
            "{error}"
        );
    }
    let off = check(&database.db, None).await.unwrap();
    assert!(matches!(off[0].state, State::Unknown { .. }), "{off:?}");
}

#[tokio::test]
async fn reading_changes_nothing() {
    let database = Database::empty().await;
    let before = lines(&database).await;
    assert_eq!(current(&database.db).await.unwrap().last, []);
    let pending = check(&database.db, None).await.unwrap();
    assert!(
        pending.iter().all(|entry| entry.state == State::Pending),
        "{pending:?}"
    );
    let mut listed = 0;
    for set in Set::ALL {
        listed += migrate::history(&database.db, set).await.unwrap().len();
    }
    assert_eq!(listed, pending.len());
    assert_eq!(lines(&database).await, before);
}
