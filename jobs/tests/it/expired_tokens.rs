//! `expired_tokens`: what Quay deletes, and nothing while a setting keeps it.
use std::time::Duration;

use quayhand_jobs::{Settings, expired_tokens::ExpiredTokens};
use quayhand_queue::{Done, Job, JobError};
use quayhand_testkit::{golden::Golden, registry::RegistrySpec, shared_or_skip};

use crate::scene::Scene;

const JOB: ExpiredTokens = ExpiredTokens {};

/// Makes tokens of the first user: so many that expired two days ago, one that expired an hour
/// ago and one that never expires.
async fn with_tokens(expired: u32) -> Scene {
    let scene = Scene::generated(&RegistrySpec::small(1)).await;
    let insert = format!(
        "insert into appspecificauthtoken
             (user_id, uuid, title, created, expiration, token_name, token_secret)
         select (select min(id) from \"user\"), n::text, 't', now(), at, 'name' || n, ''
           from (select n, (now() at time zone 'utc') - interval '2 days' as at
                   from generate_series(1, {expired}) n
                 union all
                 select 1000000, (now() at time zone 'utc') - interval '1 hour'
                 union all
                 select 1000001, null) t"
    );
    scene.execute(&insert).await;
    scene
}

#[tokio::test]
async fn leaves_what_quay_left() {
    let _shared = shared_or_skip!();
    let scene = Scene::golden("tokens").await;
    let before = scene.rows().await;
    let (dry, shown) = scene.dry();
    assert_eq!(JOB.run(&dry).await.unwrap().of("tokens"), 3);
    assert_eq!(scene.rows().await, before, "a dry run changes nothing");

    let done = JOB.run(&scene.ctx).await.unwrap();
    let after = scene.rows().await;
    let quay = Golden::open("tokens").unwrap().rows_after().unwrap();
    assert_eq!(after, quay);
    let gone = before.difference(&after).cloned().collect();
    assert_eq!(shown.rows(), gone, "the dry run showed exactly what went");
    assert_eq!(done, Done::default().count("tokens", 3));
    assert_eq!(JOB.run(&scene.ctx).await.unwrap().of("tokens"), 0);
}

#[tokio::test]
async fn works_in_batches_and_keeps_what_has_not_expired_for_long() {
    let scene = with_tokens(2_500).await;
    let (dry, shown) = scene.dry();
    assert_eq!(JOB.run(&dry).await.unwrap().of("tokens"), 2_500);
    assert_eq!(shown.rows().len(), 2_500);
    assert_eq!(JOB.run(&scene.ctx).await.unwrap().of("tokens"), 2_500);
    let left = "select count(*) from appspecificauthtoken";
    assert_eq!(scene.number(left).await, 2);
}

#[tokio::test]
async fn a_token_that_its_owner_changes_waits_for_the_next_run() {
    let scene = with_tokens(2).await;
    let owner = scene.server.connect(&scene.database).await.unwrap();
    let hold = "begin; select from appspecificauthtoken where token_name = 'name1' for update";
    owner.batch_execute(hold).await.unwrap();
    assert_eq!(JOB.run(&scene.ctx).await.unwrap().of("tokens"), 1);
    owner.batch_execute("rollback").await.unwrap();
    assert_eq!(JOB.run(&scene.ctx).await.unwrap().of("tokens"), 1);
}

#[tokio::test]
async fn stops_between_batches() {
    let mut scene = with_tokens(1_500).await;
    let stop = scene.ctx.stop.clone();
    scene.ctx.options.progress = quayhand_jobs::Progress::new(move |_| stop.cancel());
    let Err(JobError::Partial { done, .. }) = JOB.run(&scene.ctx).await else {
        panic!("it did not stop");
    };
    assert_eq!(done.of("tokens"), 1_000);
}

#[tokio::test]
async fn deletes_nothing_while_a_setting_keeps_it() {
    let mut scene = with_tokens(1).await;
    let keeping: [fn(&mut Settings); 4] = [
        |s| s.app_specific_tokens = false,
        |s| s.expired_token_window = None,
        |s| s.read_only = true,
        |s| s.account_recovery_mode = true,
    ];
    for keep in keeping {
        scene.set(|settings| *settings = Settings::default());
        scene.set(keep);
        let refused = JOB.run(&scene.ctx).await;
        assert!(matches!(refused, Err(JobError::Refused { .. })));
    }
    scene.set(|settings| *settings = Settings::default());
    scene.ctx.gate.close("an unknown foreign key");
    assert!(JOB.run(&scene.ctx).await.is_err());
    scene.ctx.gate.open();
    scene.set(|settings| settings.expired_token_window = Some(Duration::from_hours(72)));
    assert_eq!(JOB.run(&scene.ctx).await.unwrap().of("tokens"), 0);
    scene.set(|settings| settings.expired_token_window = Some(Duration::from_hours(24)));
    let gone = JOB.run(&scene.ctx).await.unwrap();
    assert_eq!(gone.of("tokens"), 1, "the twin: it does run");
}
