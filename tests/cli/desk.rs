//! An operator's desk: the program, a Redis of its own, and a worker's hands.

use std::time::Duration;

use quayhand_queue::{
    Client, Fetch, Finish, Kept, Outcome, Placement, Queue, RawJob, Redis, RedisStore, Store,
    WorkerId,
};
use quayhand_testkit::{RedisServer, registry::RegistrySpec};
use serde_json::Value;

use crate::{program::Quayhand, scene::Scene, tombs::own_redis};

pub(crate) const GC: Queue = Queue::new("gc");

/// A Redis of our own, the program on it, and a worker's hands.
pub(crate) struct Desk {
    pub(crate) server: RedisServer,
    pub(crate) program: Quayhand,
    pub(crate) store: Store,
    pub(crate) worker: WorkerId,
}

impl Desk {
    pub(crate) async fn new() -> Self {
        let server = own_redis().await;
        let redis = Redis::connect(&server.url()).await.expect("Redis");
        Self {
            program: Quayhand::default().env("QUAYHAND_REDIS_URL", server.url()),
            store: RedisStore::new(redis).into(),
            worker: WorkerId::new("host"),
            server,
        }
    }

    /// A desk whose program knows a database as well.
    pub(crate) async fn with_database() -> (Self, Scene) {
        let scene = Scene::generated("cli_desk", &RegistrySpec::small(17)).await;
        let desk = Self::new().await;
        let program = scene.program().await;
        let program = program.env("QUAYHAND_REDIS_URL", desk.server.url());
        (Self { program, ..desk }, scene)
    }

    /// Makes Redis lose everything.
    pub(crate) async fn flush_all(&self) {
        let redis = Redis::connect(&self.server.url()).await.expect("Redis");
        let mut flush = redis::cmd("FLUSHALL");
        let flushed = redis.command::<String>("FLUSHALL", flush.arg("SYNC"));
        assert_eq!(flushed.await.expect("it forgets"), "OK");
    }

    /// Puts a job into a queue under an id.
    pub(crate) async fn put_as(&self, kind: &str, id: &str, payload: &str) {
        let registry = quayhand_jobs::registry();
        let entry = registry.get(kind).expect("a kind");
        let placement = Placement {
            id: Some(id.to_owned()),
            ..Placement::default()
        };
        let job = RawJob::of(entry, payload.to_owned());
        let receipt = Client::new(self.store.clone())
            .enqueue_raw(job, placement)
            .await;
        assert!(receipt.expect("enqueued").is_new);
    }

    pub(crate) async fn says(&self, arguments: &[&str]) -> String {
        self.program.run(arguments).await.expect(0).stdout
    }

    pub(crate) async fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let arguments = [arguments, &["--format", "json"]].concat();
        self.program.run(&arguments).await.expect(0).json()
    }

    /// Enqueues the collection of a repository; returns the job's id.
    pub(crate) async fn put(&self, repository_id: u32) -> String {
        let payload = format!("{{\"repository_ids\": [{repository_id}]}}");
        let id = self.says(&["enqueue", "tag_expiry", &payload]).await;
        id.trim_end().to_owned()
    }

    /// Takes jobs as a worker does, and settles them all one way.
    pub(crate) async fn take(&self, outcome: Option<Outcome>) -> Vec<String> {
        self.take_and_keep(outcome, None).await
    }

    /// As [`Self::take`], with a record of the attempt.
    pub(crate) async fn take_and_keep(
        &self,
        outcome: Option<Outcome>,
        kept: Option<Kept>,
    ) -> Vec<String> {
        let fetch = Fetch {
            worker: &self.worker,
            number: 1,
            most: 10,
            lease: Duration::from_mins(1),
            rules: &[],
            suspects: 1000,
        };
        let fetched = self.store.fetch(&GC, &fetch).await.expect("a fetch");
        let jobs = fetched.jobs.iter();
        let ids = jobs.clone().map(|job| job.lease.id.to_string()).collect();
        if let Some(outcome) = outcome {
            let finishes: Vec<_> = jobs
                .map(|job| Finish {
                    lease: job.lease.clone(),
                    outcome: outcome.clone(),
                    kept: kept.clone().map(Box::new),
                })
                .collect();
            self.store.finish(&GC, &finishes).await.expect("a finish");
        }
        ids
    }

    pub(crate) async fn kill(&self, ids: usize) -> Vec<String> {
        for repository_id in 0..ids {
            self.put(u32::try_from(repository_id).expect("a few")).await;
        }
        let reason = "no \u{1b}[2J luck".to_owned();
        self.take(Some(Outcome::Dead { reason })).await
    }
}
