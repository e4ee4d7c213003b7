//! `blob_gc`: what it passes by, what it keeps, what it says.

use quayhand_testkit::shared_or_skip;

use crate::{
    golden::audit_of,
    tombs::{BLOB_GC, SOON, Tombs, connect, own_redis},
};

/// A token as Quay's locks have it.
const TOKEN: &str = "q83vEjRWeJq83vEjRWeJq83v";

#[tokio::test]
async fn passes_a_held_lock_by_and_wakes_who_waits_for_another() {
    let _shared = shared_or_skip!();
    let (tombs, redis) = (Tombs::new().await, own_redis().await);
    let (held, waited) = (tombs.single(0).await, tombs.single(1).await);
    let mut locks = connect(&redis.url()).await;
    let mut set = redis::cmd("SET");
    set.arg(held.lock_key())
        .arg(TOKEN)
        .arg("NX")
        .arg("EX")
        .arg(120);
    set.exec_async(&mut locks).await.expect("the lock is free");
    let mut waiting = connect(&redis.url()).await;
    let signal = waited.signal_key();
    let pop = tokio::spawn(async move {
        let mut pop = redis::cmd("BLPOP");
        pop.arg(&signal).arg(SOON.as_secs());
        pop.query_async::<(String, String)>(&mut waiting).await
    });

    let program = tombs.program_with(&redis.url()).await;
    program
        .run(&BLOB_GC)
        .await
        .expect(9)
        .says(&["1 objects", "another process holds"]);
    tombs.only_left(&[&held]).await;
    let woken = pop.await.expect("the waiter").expect("a signal");
    assert_eq!(woken, (waited.signal_key(), "1".to_owned()));
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg("lock:*")
        .query_async(&mut locks)
        .await
        .expect("keys");
    assert_eq!(keys, [held.lock_key()], "our own locks are released");
    let token: String = redis::cmd("GET")
        .arg(held.lock_key())
        .query_async(&mut locks)
        .await
        .expect("a token");
    assert_eq!(token, TOKEN, "the other's lock is as it was");

    redis::cmd("DEL")
        .arg(held.lock_key())
        .exec_async(&mut locks)
        .await
        .expect("released");
    program.run(&BLOB_GC).await.expect(0);
    assert!(
        !tombs.scene.files().contains(&held.object),
        "the twin: free, it goes"
    );
    tombs.only_left(&[]).await;
}

#[tokio::test]
async fn deletes_nothing_without_its_redis() {
    let _shared = shared_or_skip!();
    let (tombs, mut redis) = (Tombs::new().await, own_redis().await);
    redis.kill().expect("killed");
    let whole = tombs.scene.whole().await;
    let program = tombs.program_with(&redis.url()).await;
    let place = format!("127.0.0.1:{}", redis.port());
    program
        .run(&BLOB_GC)
        .await
        .expect(5)
        .says(&["Redis", &place]);
    tombs.scene.is_unchanged(&whole).await;
    redis.restart().await.expect("restarted");
    program.run(&BLOB_GC).await.expect(0);
    tombs.only_left(&[]).await;
}

#[tokio::test]
async fn runs_alone_with_a_warning_when_no_redis_is_named() {
    let _shared = shared_or_skip!();
    let tombs = Tombs::new().await;
    let program = tombs.scene.program().await;
    program
        .run(&BLOB_GC)
        .await
        .expect(0)
        .says(&["no locks Redis", "stand-alone"]);
    tombs.only_left(&[]).await;
}

#[tokio::test]
async fn keeps_an_object_whose_digest_has_a_row_again() {
    let _shared = shared_or_skip!();
    let tombs = Tombs::new().await;
    let again = tombs.single(0).await;
    tombs.scene.execute(&row_of(&again.digest)).await;
    let in_use = tombs.list().await.len() - tombs.free().await.len();
    let ended = tombs.scene.program().await.run(&BLOB_GC).await.expect(0);
    assert!(
        ended.stdout.contains(&format!("{in_use} in use again")),
        "{}",
        ended.stdout
    );
    assert_eq!(tombs.count().await, 0, "its tombstone goes");
    assert!(
        tombs.scene.files().contains(&again.object),
        "its object stays"
    );
}

/// Writes the statement that a pusher would create a blob's row with.
pub(crate) fn row_of(digest: &str) -> String {
    format!(
        "insert into imagestorage (uuid, uploading, cas_path, content_checksum) \
         values ('pushed-again', false, true, '{digest}')"
    )
}

#[tokio::test]
async fn a_missing_root_is_no_missing_object() {
    let _shared = shared_or_skip!();
    let tombs = Tombs::new().await;
    let there = tombs.free().await;
    let (root, aside) = (tombs.scene.file("local"), tombs.scene.file("local.aside"));
    std::fs::rename(&root, &aside).expect("moved aside");
    let program = tombs.scene.program().await;
    let named = ["`local`", &root.display().to_string(), "mounted"].map(str::to_owned);
    let named = named.each_ref().map(String::as_str);
    program.run(&BLOB_GC).await.expect(9).says(&named);
    std::fs::rename(&aside, &root).expect("moved back");
    let local: Vec<_> = there
        .iter()
        .filter(|tomb| tomb.object.0 == "local")
        .collect();
    assert!(
        local.len() < there.len(),
        "other locations were there to be worked on"
    );
    tombs.only_left(&local).await;
    program.run(&BLOB_GC).await.expect(0);
    tombs.only_left(&[]).await;
}

#[tokio::test]
async fn an_object_that_is_gone_already_is_done_and_not_audited() {
    let _shared = shared_or_skip!();
    let tombs = Tombs::new().await;
    let gone = tombs.single(0).await;
    let file = tombs.scene.file(&gone.object.0).join(&gone.object.1);
    std::fs::remove_file(file).expect("the object is there");
    let before = tombs.scene.files();
    let audit = tombs.scene.file("audit.jsonl");
    let arguments = [&BLOB_GC[..], &["--audit", audit.to_str().expect("a name")]].concat();
    let ended = tombs.scene.program().await.run(&arguments).await.expect(0);
    assert!(ended.stdout.contains("1 already gone"), "{}", ended.stdout);
    tombs.only_left(&[]).await;
    let removed = before.len() - tombs.scene.files().len();
    let audited = audit_of(&audit);
    assert_eq!(audited.len(), removed);
    assert!(audited.iter().all(|line| line.digest != gone.digest));
}

#[tokio::test]
async fn keeps_and_reports_an_object_whose_digest_is_no_sha256() {
    let _shared = shared_or_skip!();
    let tombs = Tombs::new().await;
    let odd = tombs.single(0).await;
    let upper = odd.digest.to_uppercase().replace("SHA256", "sha256");
    tombs
        .scene
        .execute(&format!(
            "update quayhand_tombstone set digest = null, digest_text = '{upper}' \
          where 'sha256:' || encode(digest, 'hex') = '{}'",
            odd.digest
        ))
        .await;
    let ended = tombs.scene.program().await.run(&BLOB_GC).await.expect(0);
    ended.says(&["without a usable digest"]);
    assert_eq!(tombs.count().await, 1, "its tombstone stays");
    assert!(
        tombs.scene.files().contains(&odd.object),
        "its object stays"
    );
    tombs.only_left(&[]).await;
}

#[tokio::test]
async fn honours_the_grace_unless_told_to_take_all() {
    let _shared = shared_or_skip!();
    let tombs = Tombs::new().await;
    let program = tombs.scene.program().await;
    let whole = tombs.scene.whole().await;
    program.run(&["job", "run", "blob_gc"]).await.expect(0);
    tombs.scene.is_unchanged(&whole).await;

    let age = "update quayhand_tombstone set created_at = created_at - interval '61 minutes' \
               where id % 2 = 0";
    tombs.scene.execute(age).await;
    let young = "select count(*) from quayhand_tombstone where id % 2 = 1";
    let young = tombs.scene.number(young).await;
    program.run(&["job", "run", "blob_gc"]).await.expect(0);
    assert_eq!(tombs.count().await, young, "the old ones go");
    assert!(young > 10);
    program.run(&BLOB_GC).await.expect(0);
    tombs.only_left(&[]).await;
}

#[tokio::test]
async fn judges_age_by_the_time_it_is_given() {
    let _shared = shared_or_skip!();
    let tombs = Tombs::new().await;
    let age = "update quayhand_tombstone set created_at = created_at - interval '61 minutes'";
    tombs.scene.execute(age).await;
    let program = tombs.scene.program().await;
    let whole = tombs.scene.whole().await;
    let half_an_hour_ago = (chrono::Utc::now() - chrono::TimeDelta::minutes(30)).to_rfc3339();
    let as_of = ["job", "run", "blob_gc", "--as-of", &half_an_hour_ago];
    program.run(&as_of).await.expect(0);
    tombs.scene.is_unchanged(&whole).await;
    program.run(&["job", "run", "blob_gc"]).await.expect(0);
    tombs.only_left(&[]).await;
}

#[tokio::test]
async fn removes_no_more_than_it_may() {
    let _shared = shared_or_skip!();
    let tombs = Tombs::new().await;
    let before = tombs.scene.files().len();
    let own = tombs
        .scene
        .write("own.toml", "[gc]\nmax_objects_per_run = 7\n");
    let program = tombs.scene.program().await.file("--config", &own);
    program
        .run(&BLOB_GC)
        .await
        .expect(9)
        .says(&["7 objects", "cap"]);
    assert_eq!(tombs.scene.files().len(), before - 7);
}

#[tokio::test]
async fn names_an_object_that_a_push_has_seen_before_it_went() {
    let _shared = shared_or_skip!();
    let tombs = Tombs::new().await;
    let lost = tombs.single(0).await;
    let (location, path) = &lost.object;
    let program = tombs.scene.program().await;
    program.run(&BLOB_GC).await.expect(0);
    let rows = [&*row_of(&lost.digest), &placed(location)].join(";");
    tombs.scene.execute(&rows).await;

    let ended = program.run(&BLOB_GC).await.expect(9);
    let place = format!(
        "storage location `{location}`: the object of {}",
        lost.digest
    );
    let repository = "select u.username || '/' || r.name from repository r
                        join \"user\" u on u.id = r.namespace_user_id
                       where r.id = (select min(id) from repository)";
    let repository = tombs.scene.texts(repository).await.remove(0);
    ended.says(&["1 missing", &place, &repository, path]);
    let whole = tombs.scene.whole().await;
    let dry = [&BLOB_GC[..], &["--dry-run"]].concat();
    let shown = program.run(&dry).await.expect(0).stdout;
    assert!(!shown.contains(&lost.digest[7..]), "{shown}");
    tombs.scene.is_unchanged(&whole).await;
    let problem = format!("in `{location}` is missing: there is no `{path}`");
    let found = program.run(&["verify"]).await.expect(1).stdout;
    assert!(found.contains(&problem), "{found}");

    let file = tombs.scene.file(location).join(path);
    std::fs::write(file, "its bytes").expect("the object is restored");
    program.run(&BLOB_GC).await.expect(0);
    let found = program.run(&["verify"]).await.stdout;
    assert!(!found.contains(&problem), "{found}");
}

/// Writes the statement that places the blob of [`row_of`], and the one that holds it.
fn placed(location: &str) -> String {
    format!(
        "insert into imagestorageplacement (storage_id, location_id) \
         select s.id, l.id from imagestorage s, imagestoragelocation l \
         where s.uuid = 'pushed-again' and l.name = '{location}'; \
         insert into uploadedblob (repository_id, blob_id, uploaded_at, expires_at) \
         select (select min(id) from repository), id, now(), now() + interval '1 hour' \
         from imagestorage where uuid = 'pushed-again'"
    )
}
