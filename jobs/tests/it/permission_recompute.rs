//! `permission_recompute`: does it, does nothing twice, shows it only, stops when told.
use std::sync::{Arc, Mutex};

use quayhand_jobs::{
    Ctx, Doomed, Gate, Locking, Options, Pace, Preview, Progress, Settings,
    permission_recompute::PermissionRecompute,
};
use quayhand_model::{DbConfig, configure, migrate};
use quayhand_queue::{Done, Job, JobError};
use quayhand_testkit::{PostgresServer, unique_name};
use tokio_util::sync::CancellationToken;

/// A registry in which `u1` owns a repository that `u2` may write, and what a job needs.
struct Registry {
    server: &'static PostgresServer,
    database: String,
    ctx: Ctx,
}

impl Registry {
    async fn new(people: u32) -> Self {
        let server = PostgresServer::shared().await.unwrap();
        let database = unique_name("job");
        server.create_database(&database).await.unwrap();
        let db = configure(DbConfig::new(server.url(&database))).unwrap();
        migrate::up(&db, None).await.unwrap();
        let text = format!(
            "insert into \"user\" (username, email, verified, organization, robot, invoice_email,
                 invalid_login_attempts, last_invalid_login, removed_tag_expiration_s, enabled)
             select 'u' || n, 'u' || n, true, false, false, false, 0, now(), 0, true
               from generate_series(1, {people}) as n;
             insert into repository
                 (namespace_user_id, name, visibility_id, badge_token, kind_id, trust_enabled, state)
             select u.id, 'app', v.id, '', k.id, false, 0
               from \"user\" u, visibility v, repositorykind k
              where u.username = 'u1' and v.name = 'private' and k.name = 'image';
             insert into repositorypermission (user_id, repository_id, role_id)
             select u.id, r.id, role.id from \"user\" u, repository r, role
              where u.username = 'u2' and role.name = 'write'"
        );
        server.execute(&database, &text).await.unwrap();
        let ctx = Ctx {
            db,
            storage: None,
            locks: Locking::Standalone,
            client: None,
            settings: Arc::new(Settings::default()),
            gate: Gate::shut("this job deletes nothing and does not ask"),
            pace: Pace::default(),
            stop: CancellationToken::new(),
            options: Options::default(),
            concurrency: 1,
        };
        Self {
            server,
            database,
            ctx,
        }
    }

    async fn run(&self) -> Result<Done, JobError> {
        PermissionRecompute::All.run(&self.ctx).await
    }

    /// Counts the rows of both tables.
    async fn rows(&self) -> i64 {
        let client = self.server.connect(&self.database).await.unwrap();
        let text = "select (select count(*) from quayhand_permission)
                         + (select count(*) from quayhand_namespace_permission)";
        client.query_one(text, &[]).await.unwrap().get(0)
    }

    async fn id(&self, query: &str) -> i64 {
        let client = self.server.connect(&self.database).await.unwrap();
        client
            .query_one(query, &[])
            .await
            .unwrap()
            .get::<_, i32>(0)
            .into()
    }
}

#[tokio::test]
async fn writes_what_differs_and_nothing_the_second_time() {
    let registry = Registry::new(3).await;
    let done = registry.run().await.unwrap();
    assert_eq!(done, Done::default().count("users", 3).count("granted", 4));
    assert_eq!(registry.rows().await, 4);
    let again = PermissionRecompute::all(&registry.ctx)
        .unwrap()
        .await
        .unwrap();
    assert_eq!(again, Done::default().count("users", 3));
}

#[tokio::test]
async fn computes_one_repository() {
    let registry = Registry::new(3).await;
    assert_eq!(registry.run().await.unwrap().of("granted"), 4);
    let delete = "update repository set state = 3";
    registry
        .server
        .execute(&registry.database, delete)
        .await
        .unwrap();
    let id = registry.id("select id from repository").await;
    let job = PermissionRecompute::for_repository(id).unwrap();
    let done = job.run(&registry.ctx).await.unwrap();
    assert_eq!(done, Done::default().count("users", 1).count("revoked", 1));
    assert_eq!(registry.rows().await, 3);
}

#[tokio::test]
async fn a_dry_run_shows_every_role_and_writes_none() {
    let mut registry = Registry::new(3).await;
    let shown = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&shown);
    registry.ctx.options.preview = Some(Preview::new(move |doomed| {
        assert!(matches!(doomed, Doomed::Role { .. }));
        lines
            .lock()
            .unwrap()
            .push(serde_json::to_string(doomed).unwrap());
    }));
    let done = registry.run().await.unwrap();
    assert_eq!(done, Done::default().count("users", 3).count("granted", 4));
    assert_eq!(registry.rows().await, 0, "nothing was written");
    let writer = registry
        .id("select id from \"user\" where username = 'u2'")
        .await;
    let repository = registry.id("select id from repository").await;
    let first = format!(
        r#"{{"table":"quayhand_permission","user_id":{writer},"place_id":{repository},"before":null,"after":"write"}}"#
    );
    let shown = shown.lock().unwrap();
    assert_eq!(shown.len(), 4);
    assert_eq!(shown[0], first);
}

#[tokio::test]
async fn stops_between_batches_and_keeps_what_it_wrote() {
    let mut registry = Registry::new(1_200).await;
    let stop = registry.ctx.stop.clone();
    registry.ctx.options.progress = Progress::new(move |step| {
        assert_eq!((step.handled, step.total), (500, 1_200));
        stop.cancel();
    });
    let Err(JobError::Partial { done, left }) = registry.run().await else {
        panic!("it did not stop");
    };
    assert_eq!(
        done,
        Done::default().count("users", 500).count("granted", 501)
    );
    assert_eq!(left.len(), 1);
    assert_eq!(registry.rows().await, 501);
    registry.ctx.stop = CancellationToken::new();
    registry.ctx.options.progress = Progress::default();
    let rest = registry.run().await.unwrap();
    assert_eq!(rest.of("granted"), 700, "the rest and no more");
}

#[tokio::test]
async fn writes_nothing_into_a_registry_that_must_not_be_written() {
    let mut registry = Registry::new(3).await;
    registry.ctx.settings = Arc::new(Settings {
        read_only: true,
        ..Settings::default()
    });
    let Err(JobError::Refused { reason }) = registry.run().await else {
        panic!("it was not refused");
    };
    assert!(reason.contains("REGISTRY_STATE"), "{reason}");
    assert_eq!(registry.rows().await, 0);
}
