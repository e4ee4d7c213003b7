//! Size totals while content goes: quota management on, off, and off with invalidation.

use std::collections::BTreeSet;

use quayhand_testkit::{
    golden::{QuotaRow, quota_rows},
    shared_or_skip,
};
use serde::Deserialize;

use crate::{golden::agrees_with_quay, program::Quayhand, quay_config::QuayConfig, scene::Scene};

const STATE: &str = "seed7-quota";
const TAG_EXPIRY: [&str; 4] = ["job", "run", "tag_expiry", "--all"];
const REPOSITORY_PURGE: [&str; 4] = ["job", "run", "repository_purge", "--all"];
const LEAK_SWEEP: [&str; 4] = ["job", "run", "leak_sweep", "--all"];

/// Brings the complete totals to what a recount gives.
const RECOUNT: &str = r"
    update quotarepositorysize q
       set size_bytes = (select coalesce(sum(image_size), 0) from imagestorage where id in
               (select blob_id from manifestblob where repository_id = q.repository_id))
     where backfill_complete;
    update quotanamespacesize q
       set size_bytes = (select coalesce(sum(image_size), 0) from imagestorage where id in
               (select blob_id from manifestblob mb join repository r on r.id = mb.repository_id
                 where r.namespace_user_id = q.namespace_user_id))
     where backfill_complete";

/// A line of `verify`.
#[derive(Deserialize)]
struct Violation {
    invariant: String,
    subject: String,
    problem: String,
}

/// The program with quota management on, as Quay's own file says it.
async fn managing(scene: &Scene) -> QuayConfig {
    QuayConfig::of(scene)
        .await
        .with("FEATURE_QUOTA_MANAGEMENT", "yes")
}

async fn totals(scene: &Scene) -> BTreeSet<QuotaRow> {
    let totals = quota_rows(scene.server, &scene.database).await;
    totals.expect("totals")
}

/// Insists that the complete totals equal a recount, by `quayhand verify`.
async fn totals_are_true(scene: &Scene, program: &Quayhand) {
    let found: Vec<Violation> = program.run(&["verify", "--format=json"]).await.json();
    let wrong = found.iter().filter(|line| line.invariant == "I11");
    let wrong: Vec<_> = wrong.map(|line| (&line.subject, &line.problem)).collect();
    assert!(wrong.is_empty(), "wrong totals: {wrong:?}");
    let complete = "select count(*) from quotarepositorysize where backfill_complete";
    assert!(
        scene.number(complete).await > 10,
        "there is something to compare"
    );
}

#[tokio::test]
async fn subtracts_what_quay_subtracts() {
    let _shared = shared_or_skip!();
    let scene = Scene::golden(STATE).await;
    let program = managing(&scene).await.program(&scene);
    agrees_with_quay(&scene, &program, STATE).await;
}

#[tokio::test]
async fn our_own_file_says_it_as_well() {
    let _shared = shared_or_skip!();
    let scene = Scene::golden(STATE).await;
    let text = "[registry]\nfeature_quota_management = true\n";
    let program = scene
        .program()
        .await
        .file("--config", &scene.write("own.toml", text));
    agrees_with_quay(&scene, &program, STATE).await;
}

#[tokio::test]
async fn totals_equal_a_recount_after_every_job() {
    let _shared = shared_or_skip!();
    let scene = Scene::golden(STATE).await;
    let own = scene.write("own.toml", "[gc]\nleak_grace = \"0s\"\n");
    let program = managing(&scene)
        .await
        .program(&scene)
        .file("--config", &own);
    // Some manifests have lost their tags in a crash.
    scene
        .execute(&format!(
            "{RECOUNT}; with lost as (select id from tag where lifetime_end_ms is null limit 40)
             delete from tag where id in (select id from lost)
                and not exists (select 1 from tagnotificationsuccess where tag_id = tag.id)"
        ))
        .await;
    totals_are_true(&scene, &program).await;
    let mut before = totals(&scene).await;
    for job in [&TAG_EXPIRY, &REPOSITORY_PURGE] {
        program.run(job).await.expect(0);
        totals_are_true(&scene, &program).await;
        assert!(totals(&scene).await != before, "{job:?} changes totals");
        before = totals(&scene).await;
    }
    program.run(&LEAK_SWEEP).await.expect(0);
    assert_eq!(totals(&scene).await, before, "seen once, nothing goes");
    program.run(&LEAK_SWEEP).await.expect(0);
    assert!(totals(&scene).await != before, "the sweep changes totals");
    totals_are_true(&scene, &program).await;
}

#[tokio::test]
async fn leaves_totals_that_are_not_counted_to_the_backfill() {
    let _shared = shared_or_skip!();
    let scene = Scene::golden(STATE).await;
    let program = managing(&scene).await.program(&scene);
    // Every third has been started, every third is missing, the others are complete.
    scene
        .execute(&format!(
            "{RECOUNT};
             update quotarepositorysize set backfill_complete = false, size_bytes = 7
              where repository_id % 3 = 0;
             update quotanamespacesize set backfill_complete = false, size_bytes = 7
              where namespace_user_id % 3 = 0;
             delete from quotarepositorysize where repository_id % 3 = 1;
             delete from quotanamespacesize where namespace_user_id % 3 = 1"
        ))
        .await;
    let unfinished = async || -> BTreeSet<_> {
        let rows = totals(&scene).await.into_iter();
        rows.filter(|row| !row.complete).collect()
    };
    let (all, before) = (totals(&scene).await, unfinished().await);
    assert!(before.iter().filter(|row| row.started).count() > 5);
    program.run(&TAG_EXPIRY).await.expect(0);
    assert_eq!(unfinished().await, before, "the backfill's rows stay");
    assert!(
        totals(&scene).await != all,
        "the twin: complete ones shrink"
    );
    let ids = |rows: &BTreeSet<QuotaRow>| -> Vec<_> {
        rows.iter().map(|row| (row.table.clone(), row.id)).collect()
    };
    assert_eq!(
        ids(&totals(&scene).await),
        ids(&all),
        "no row comes or goes"
    );
    totals_are_true(&scene, &program).await;
}

/// Lets no total change any more.
const FREEZE: &str = "
    create function frozen() returns trigger language plpgsql as
        $$ begin raise exception 'totals are frozen'; end $$;
    create trigger frozen before update on quotanamespacesize
        for each row execute function frozen()";

#[tokio::test]
async fn a_total_that_cannot_change_stops_the_batch_unless_told_otherwise() {
    let _shared = shared_or_skip!();
    let whole = Scene::golden(STATE).await;
    managing(&whole)
        .await
        .program(&whole)
        .run(&TAG_EXPIRY)
        .await
        .expect(0);
    let scene = Scene::golden(STATE).await;
    let config = managing(&scene).await;
    let of_namespaces = async || -> BTreeSet<_> {
        let rows = totals(&scene).await.into_iter();
        rows.filter(|row| row.table == "quotanamespacesize")
            .collect()
    };
    scene.execute(&format!("{RECOUNT};{FREEZE}")).await;
    let before = of_namespaces().await;
    let program = config.program(&scene);
    let stopped = program.run(&TAG_EXPIRY).await.expect(9);
    stopped.says(&["repository ", "totals are frozen"]);
    totals_are_true(&scene, &program).await;
    let left = scene.rows().await;
    assert!(
        left.len() > whole.rows().await.len(),
        "and so does its garbage"
    );

    let anyway = config.with("FEATURE_QUOTA_SUPPRESS_FAILURES", "yes");
    anyway.program(&scene).run(&TAG_EXPIRY).await.expect(0);
    assert_eq!(scene.rows().await, whole.rows().await, "told to, all goes");
    assert_eq!(of_namespaces().await, before, "and the totals stay wrong");
}

/// Collects while somebody holds every total; nothing waits, and nothing is lost.
async fn collect_while_held(scene: &Scene, program: &Quayhand) {
    let before = totals(scene).await;
    let pusher = scene.server.connect(&scene.database).await;
    let pusher = pusher.expect("connects");
    let hold = "begin; select 1 from quotanamespacesize for update;
                select 1 from quotarepositorysize for update";
    pusher.batch_execute(hold).await.expect("the locks");
    program.run(&TAG_EXPIRY).await.expect(0);
    assert_eq!(totals(scene).await, before, "no total changes");
    pusher.batch_execute("commit").await.expect("commits");
    let held = "select count(*) from quayhand_total_change";
    assert!(scene.number(held).await > 20, "it is written down");
    totals_are_true(scene, program).await;
}

#[tokio::test]
async fn a_total_that_is_held_is_changed_later() {
    let _shared = shared_or_skip!();
    let quick = Scene::golden(STATE).await;
    let program = managing(&quick).await.program(&quick);
    quick.execute(RECOUNT).await;
    program.run(&TAG_EXPIRY).await.expect(0);
    let expected = totals(&quick).await;
    for counted_anew in [false, true] {
        let scene = Scene::golden(STATE).await;
        let program = managing(&scene).await.program(&scene);
        scene.execute(RECOUNT).await;
        collect_while_held(&scene, &program).await;
        if counted_anew {
            let anew = "update quotarepositorysize set backfill_start_ms = 1600000000000
                         where backfill_complete;
                        update quotanamespacesize set backfill_start_ms = 1600000000000
                         where backfill_complete";
            scene.execute(&format!("{anew};{RECOUNT}")).await;
        }
        program.run(&TAG_EXPIRY).await.expect(0);
        assert_eq!(totals(&scene).await, expected, "{counted_anew}");
        totals_are_true(&scene, &program).await;
        let left = "select count(*) from quayhand_total_change";
        assert_eq!(scene.number(left).await, 0);
    }
}
