//! Repositories that are marked for deletion.
use std::time::Duration;

use futures::FutureExt;
use quayhand_model::{
    gc::{self, Rules, Switches, Work},
    purge::{self, Ending},
};
use quayhand_testkit::wait_for;
use tokio::sync::mpsc;

use super::place::{Place, tag_of};

/// Makes a marked repository with tags, lists, subjects and cycles of every kind.
async fn tangle(place: &Place) -> i64 {
    let owner = place.user("org", false, "now()").await;
    let repository = place.repository(owner, "app").await;
    let mut chain = Vec::new();
    for _ in 0..12 {
        chain.push(place.manifest(repository, None).await);
    }
    // Twelve subjects with an untagged referrer each, in front of everything else.
    for subject in &chain {
        let digest = format!("select digest from manifest where id = {subject}");
        let digest = place.texts(&digest).await;
        place.manifest(repository, Some(&digest[0])).await;
    }
    place
        .run(&format!(
            "update manifest set subject = digest where id = {}",
            chain[0]
        ))
        .await;
    for pair in chain.windows(2) {
        place.child(repository, pair[0], pair[1]).await;
    }
    place.child(repository, chain[11], chain[0]).await;
    for manifest in &chain[3..6] {
        place.tag(repository, *manifest).await;
    }
    let linked = place.tag(repository, chain[7]).await;
    let link =
        format!("update tag set linked_tag_id = {linked} where repository_id = {repository}");
    place.run(&link).await;
    let upload = format!(
        "insert into uploadedblob (repository_id, blob_id, uploaded_at, expires_at)
         select {repository}, id, now(), now() + interval '1 day' from imagestorage"
    );
    place.run(&upload).await;
    place.mark(repository).await;
    repository
}

async fn nothing_is_left(place: &Place) {
    for table in [
        "repository",
        "deletedrepository",
        "tag",
        "manifest",
        "manifestchild",
    ] {
        assert_eq!(place.count(table).await, 0, "{table}");
    }
    for table in ["uploadedblob", "imagestorage", "imagestorageplacement"] {
        assert_eq!(place.count(table).await, 0, "{table}");
    }
    assert_eq!(place.count("quayhand_tombstone").await, 24);
}

#[tokio::test]
async fn cycles_subjects_and_links_do_not_stop_a_purge() {
    for at_most in [1, 3, 1_000] {
        let place = Place::new().await;
        let repository = tangle(&place).await;
        assert_eq!(
            place.purge(repository, at_most).await.unwrap(),
            Ending::Purged
        );
        nothing_is_left(&place).await;
        let again = place.purge(repository, at_most).await.unwrap();
        assert_eq!(again, Ending::NotMarked, "a second time");
    }
}

#[tokio::test]
async fn a_purge_that_breaks_off_anywhere_is_found_again() {
    for stop_at in [
        "repositories locked",
        "tags locked",
        "manifests reached",
        "manifests locked",
        "manifests deleted",
        "candidates locked",
        "orphans locked",
        "orphans deleted",
    ] {
        let place = Place::new().await;
        let repository = tangle(&place).await;
        let (arrived, mut arrivals) = mpsc::unbounded_channel();
        let doomed = Rules {
            switches: Switches::default().pausing(move |at| {
                let arrived = arrived.clone();
                async move {
                    if at == stop_at {
                        arrived.send(()).ok();
                        std::future::pending::<()>().await;
                    }
                }
                .boxed()
            }),
            ..Rules::default()
        };
        let batch = place
            .db
            .transaction(async |tx| gc::purge_batch(tx, repository, 1_000, &doomed).await);
        tokio::select! {
            done = batch => panic!("passed `{stop_at}`: {done:?}"),
            _ = arrivals.recv() => {}
        }
        wait_for(
            "the end of the transaction",
            Duration::from_secs(20),
            async || {
                let free = format!(
                    "select count(*) from (select 1 from repository where id = {repository}
                     for update skip locked) free"
                );
                (place.number(&free).await == 1).then_some(())
            },
        )
        .await;
        assert_eq!(
            place.count("manifest").await,
            24,
            "broken off at `{stop_at}`"
        );
        let marked = place
            .db
            .scope(async |conn| purge::marked_repositories(conn, 0, 10).await);
        assert_eq!(marked.await.unwrap()[0].id, repository);
        assert_eq!(place.purge(repository, 9).await.unwrap(), Ending::Purged);
        nothing_is_left(&place).await;
    }
}

#[tokio::test]
async fn what_is_written_meanwhile_goes_as_well() {
    let place = Place::new().await;
    let owner = place.user("org", false, "now()").await;
    let repository = place.repository(owner, "app").await;
    let manifest = place.manifest(repository, None).await;
    place.tag(repository, manifest).await;
    place.mark(repository).await;
    let rules = Rules::default();
    let purged = place
        .db
        .transaction(async |tx| gc::purge_batch(tx, repository, 10, &rules).await);
    assert_eq!(purged.await.unwrap().unwrap().manifests, 1);

    // A flush of counters, and a pusher with a token of before.
    let statistics = format!(
        "insert into tagpullstatistics (repository_id, tag_name, tag_pull_count, last_tag_pull_date)
         values ({repository}, 'latest', 1, now());
         insert into manifestpullstatistics (repository_id, manifest_digest, manifest_pull_count,
                                             last_manifest_pull_date)
         values ({repository}, 'sha256:00', 1, now())"
    );
    place.run(&statistics).await;
    let late = place.manifest(repository, None).await;
    place.tag(repository, late).await;
    let finish = place
        .db
        .transaction(async |tx| purge::finish_repository(tx, repository, &rules).await);
    let left = ["tag", "manifest", "manifestblob"].map(str::to_owned);
    assert_eq!(finish.await.unwrap(), Ending::Left(left.into()));
    assert_eq!(
        place.count("deletedrepository").await,
        1,
        "the mark goes last"
    );

    assert_eq!(place.purge(repository, 10).await.unwrap(), Ending::Purged);
    for table in [
        "repository",
        "tagpullstatistics",
        "manifestpullstatistics",
        "tag",
        "manifest",
    ] {
        assert_eq!(place.count(table).await, 0, "{table}");
    }
}

#[tokio::test]
async fn a_pusher_is_neither_waited_for_nor_ended() {
    let place = Place::new().await;
    let owner = place.user("org", false, "now()").await;
    let repository = place.repository(owner, "app").await;
    let manifest = place.manifest(repository, None).await;
    place.mark(repository).await;
    let pusher = place.other().await;
    pusher.batch_execute("begin").await.unwrap();
    pusher
        .batch_execute(&tag_of(repository, manifest))
        .await
        .unwrap();

    assert_eq!(place.purge(repository, 10).await.unwrap(), Ending::Busy);
    assert!(place.has("manifest", manifest).await, "the pusher holds it");
    pusher.batch_execute("commit").await.unwrap();
    assert_eq!(place.purge(repository, 10).await.unwrap(), Ending::Purged);
    let late = pusher.batch_execute(&tag_of(repository, manifest)).await;
    assert!(late.is_err(), "and whoever comes later is refused");
}

#[tokio::test]
async fn a_new_repository_of_the_same_name_is_not_touched() {
    let place = Place::new().await;
    let owner = place.user("org", false, "now()").await;
    let deleted = place.repository(owner, "app").await;
    let manifest = place.manifest(deleted, None).await;
    place.tag(deleted, manifest).await;
    place.mark(deleted).await;
    let new = place.repository(owner, "app").await;
    let manifest = place.manifest(new, None).await;
    place.tag(new, manifest).await;

    assert_eq!(place.purge(new, 10).await.unwrap(), Ending::NotMarked);
    assert_eq!(place.purge(deleted, 10).await.unwrap(), Ending::Purged);
    assert!(place.has("repository", new).await);
    assert_eq!(place.count("tag").await, 1);
    assert_eq!(place.count("imagestorage").await, 1);
}

#[tokio::test]
async fn what_another_repository_needs_stays_and_is_named() {
    let place = Place::new().await;
    let owner = place.user("org", false, "now()").await;
    let deleted = place.repository(owner, "app").await;
    let needed = place.manifest(deleted, None).await;
    for _ in 0..5 {
        place.manifest(deleted, None).await;
    }
    let live = place.repository(owner, "live").await;
    let list = place.manifest(live, None).await;
    place.child(live, list, needed).await;
    place.mark(deleted).await;

    // One at a time, what must stay in front.
    let left = ["manifest", "manifestblob"].map(str::to_owned);
    assert_eq!(
        place.purge(deleted, 1).await.unwrap(),
        Ending::Left(left.into())
    );
    assert!(place.has("manifest", needed).await);
    assert_eq!(place.count("manifest").await, 2, "all others went");
    assert_eq!(place.count("manifestchild").await, 1);
    assert_eq!(place.count("deletedrepository").await, 1);
}

#[tokio::test]
async fn large_tables_go_in_pieces() {
    let place = Place::new().await;
    let owner = place.user("org", false, "now()").await;
    let repository = place.repository(owner, "app").await;
    let counts = format!(
        "insert into repositoryactioncount (repository_id, count, date)
         select {repository}, 1, date '2000-01-01' + n from generate_series(1, 2500) n"
    );
    place.run(&counts).await;
    place.mark(repository).await;
    let mut pieces = Vec::new();
    loop {
        let gone = place
            .db
            .transaction(async |tx| purge::drop_repository_rows(tx, repository, 1_000).await);
        match gone.await.unwrap() {
            0 => break,
            gone => pieces.push(gone),
        }
    }
    assert_eq!(pieces, [1_000, 1_000, 500]);
    assert_eq!(place.purge(repository, 10).await.unwrap(), Ending::Purged);
}

#[tokio::test]
async fn a_batch_that_began_before_the_mark_ends_first() {
    let place = Place::new().await;
    let owner = place.user("org", false, "now()").await;
    let repository = place.repository(owner, "app").await;
    let manifest = place.manifest(repository, None).await;
    place
        .run(&format!(
            "{}; update tag set immutable = false, lifetime_end_ms = 1",
            tag_of(repository, manifest)
        ))
        .await;
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let (go_on, gate) = tokio::sync::watch::channel(false);
    let rules = Rules {
        switches: Switches::default().pausing(move |at| {
            let (arrived, mut gate) = (arrived.clone(), gate.clone());
            async move {
                if at == "tags locked" {
                    arrived.send(()).ok();
                    gate.wait_for(|open| *open).await.ok();
                }
            }
            .boxed()
        }),
        ..Rules::default()
    };
    let work = Work {
        repositories: &[repository],
        carried: &[],
        at_most: 100,
    };
    let (db, free) = (place.db.clone(), Rules::default());
    let collector = async {
        let batch = db.transaction(async |tx| gc::collect_batch(tx, work, &rules).await);
        batch.await.unwrap()
    };
    let purger = async {
        arrivals.recv().await;
        // The name of old is free at once; the state is what a purge waits for.
        let pusher = place.other().await;
        let mark = format!("update repository set state = 3 where id = {repository}");
        let marking = pusher.batch_execute(&mark);
        let purge = async {
            let early = place
                .db
                .transaction(async |tx| gc::purge_batch(tx, repository, 100, &free).await);
            assert_eq!(early.await.unwrap(), None, "the collector has it");
            go_on.send(true).unwrap();
        };
        futures::join!(marking, purge).0.unwrap();
    };
    let (collected, ()) = futures::join!(collector, purger);
    assert_eq!((collected.tags, collected.manifests), (1, 1));
    assert_eq!(place.purge(repository, 100).await.unwrap(), Ending::Purged);
}

#[tokio::test]
async fn rules_that_another_repositorys_mirror_works_by_stay_and_are_named() {
    let place = Place::new().await;
    let owner = place.user("org", false, "now()").await;
    let robot = place.user("org+robot", true, "now()").await;
    let deleted = place.repository(owner, "app").await;
    let live = place.repository(owner, "live").await;
    let of_live = place.mirror(live, deleted, robot).await;
    let rule = format!(
        "insert into repomirrorrule (uuid, repository_id, creation_date, rule_type, rule_value)
         values (gen_random_uuid(), {deleted}, now(), 1, '[]')"
    );
    let (below, own) = (place.insert(&rule).await, place.insert(&rule).await);
    let link = format!("update repomirrorrule set left_child_id = {below} where id = {of_live}");
    place.run(&link).await;
    place.mark(deleted).await;
    let marked = [deleted];
    let preview = place
        .db
        .read_only_transaction(async |tx| purge::preview_repositories(tx, &marked).await);
    let (rows, _) = preview.await.unwrap();
    let rules: Vec<_> = rows
        .iter()
        .filter(|row| row.table == "repomirrorrule")
        .collect();
    assert_eq!(rules.iter().map(|row| row.id).collect::<Vec<_>>(), [own]);

    let left = vec!["repomirrorrule".to_owned()];
    assert_eq!(place.purge(deleted, 10).await.unwrap(), Ending::Left(left));
    for (rule, stays) in [(of_live, true), (below, true), (own, false)] {
        assert_eq!(
            place.has("repomirrorrule", rule).await,
            stays,
            "rule {rule}"
        );
    }
    assert_eq!(place.count("repomirrorconfig").await, 1);
    assert!(place.has("repository", deleted).await);

    place.run("delete from repomirrorconfig").await;
    assert_eq!(place.purge(deleted, 10).await.unwrap(), Ending::Purged);
}
