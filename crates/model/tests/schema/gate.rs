//! The gate lets known schemas pass and names what it does not know.
use quayhand_model::drift::Kind;
use quayhand_model::{DbError, migrate};
use quayhand_testkit::shared_or_skip;

use super::Database;

#[tokio::test]
async fn passes_quays_schema_and_ours() {
    let ours = Database::standalone().await;
    assert_eq!(ours.drift().await.unwrap().problems, Vec::<String>::new());
    let _shared = shared_or_skip!();
    let quays = Database::quay().await;
    migrate::up(&quays.db, None).await.unwrap();
    assert_eq!(quays.drift().await.unwrap().problems, Vec::<String>::new());
    let revision = Some("9fa37f66a9b6".to_owned());
    assert_eq!(quays.kind().await, Kind::Quay { alembic: revision });
}

#[tokio::test]
async fn names_a_foreign_key_that_it_does_not_know() {
    let database = Database::standalone().await;
    for table in [
        "tag",
        "manifest",
        "imagestorage",
        "label",
        "repository",
        "user",
        "manifestblob",
    ] {
        let made = format!(
            "create table pinned (thing_id integer, \
             constraint pinned_to foreign key (thing_id) references \"{table}\" (id))"
        );
        database.run(&made).await;
        let named =
            format!("foreign key `pinned_to` from `pinned.thing_id` to `{table}` is unknown");
        assert_eq!(database.drift().await.unwrap().problems, [named]);
        database.run("drop table pinned").await;
    }
    assert!(database.drift().await.unwrap().is_clean());
}

#[tokio::test]
async fn names_a_foreign_key_from_another_schema() {
    let database = Database::standalone().await;
    database
        .run("create schema plug_in; create table plug_in.tag (pin integer references public.tag)")
        .await;
    let problems = database.drift().await.unwrap().problems;
    let named = "foreign key `tag_pin_fkey` from `plug_in.tag.pin` to `tag` is unknown";
    assert_eq!(problems, [named]);
}

#[tokio::test]
async fn names_a_foreign_key_that_would_take_rows_along_and_one_that_is_gone() {
    let database = Database::standalone().await;
    database
        .run("alter table tag drop constraint fk_tag_manifest_id_manifest")
        .await;
    let problems = database.drift().await.unwrap().problems;
    assert_eq!(
        problems,
        ["the foreign key from `tag.manifest_id` to `manifest` is missing"]
    );
    database
        .run(
            "alter table tag add constraint gone_with_it foreign key (manifest_id) \
             references manifest (id) on delete cascade",
        )
        .await;
    let problems = database.drift().await.unwrap().problems;
    let named = "foreign key `gone_with_it` from `tag.manifest_id` to `manifest` changes rows when \
                 one is deleted";
    assert_eq!(problems, [named]);
}

#[tokio::test]
async fn names_a_column_that_is_gone_or_has_another_type() {
    let database = Database::standalone().await;
    database
        .run(
            "alter table tag drop column immutable; \
             alter table \"user\" alter column removed_tag_expiration_s type text; \
             drop table manifestlabel",
        )
        .await;
    let problems = database.drift().await.unwrap().problems;
    let mut named = [
        "column `tag.immutable` is missing",
        "column `user.removed_tag_expiration_s` is `text`, known is `bigint`",
        "table `manifestlabel` is missing",
    ];
    named.sort_unstable();
    let mut found: Vec<&str> = problems.iter().map(String::as_str).collect();
    found.sort_unstable();
    assert_eq!(found, named);
}

#[tokio::test]
async fn passes_what_leads_nowhere_near_the_deleted_rows() {
    let database = Database::standalone().await;
    database
        .run(
            "create table billing (id serial primary key, service_id integer references loginservice (id)); \
             alter table tag add column colour text; create index on tag (colour); \
             alter table repository rename column badge_token to badge",
        )
        .await;
    assert!(database.drift().await.unwrap().is_clean());
}

#[tokio::test]
async fn says_which_command_makes_the_tables_that_are_ours() {
    let _shared = shared_or_skip!();
    let database = Database::quay().await;
    let error = database.drift().await.expect_err("not migrated");
    assert!(matches!(error, DbError::Schema(_)), "{error:?}");
    let error = error.to_string();
    assert!(error.contains("`quayhand_tombstone` is missing"), "{error}");
    assert!(error.contains("`quayhand migrate up`"), "{error}");
}

#[tokio::test]
async fn refuses_a_database_that_is_no_registrys() {
    let database = Database::empty().await;
    let error = database.drift().await.expect_err("empty").to_string();
    assert!(
        error.contains("empty") && error.contains("`quayhand migrate up`"),
        "{error}"
    );
    database.run("create table orders (id int)").await;
    let error = database.drift().await.expect_err("foreign");
    assert!(matches!(error, DbError::Schema(_)), "{error:?}");
    assert!(error.to_string().contains("`orders`"), "{error}");
}

#[tokio::test]
async fn does_not_count_the_tables_of_extensions() {
    let database = Database::empty().await;
    database
        .run(
            "create extension pg_trgm; create table pretended (id int); \
             alter extension pg_trgm add table pretended",
        )
        .await;
    assert_eq!(database.kind().await, Kind::Empty);
}
