//! Jobs of the outbox and of ticks: none is lost with Redis, none runs twice but where a process
//! died.
mod deaths;
mod kills;
mod losses;
mod pauses;

use std::time::Duration;

use quayhand_jobs::Outbox;
use quayhand_model::{Db, DbConfig, DbError, configure};
use quayhand_queue::{Job, Placement};
use quayhand_testkit::wait_for;

use crate::{testd::TestCtx, world::World};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

impl World {
    /// The database of this world, as a web tier has it.
    fn db(&self) -> Db {
        configure(DbConfig::new(&self.database_url)).unwrap()
    }

    /// The way in, as a web tier has it.
    fn outbox(&self) -> Outbox {
        Outbox::new(self.db(), Some(self.client.clone()))
    }

    /// Commits jobs to the outbox and does not hand them over, as a web tier that dies then.
    async fn commit_only<J: Job<TestCtx>>(&self, jobs: impl IntoIterator<Item = J>) {
        let jobs: Vec<_> = jobs
            .into_iter()
            .map(|job| (job, Placement::default()))
            .collect();
        let db = self.db();
        let written = db.transaction(async |tx| {
            let written = Outbox::write::<TestCtx, J>(tx, &jobs).await;
            Ok::<_, DbError>(written.unwrap())
        });
        assert_eq!(written.await.unwrap().ids().count(), jobs.len());
    }

    /// Makes Redis lose everything.
    async fn flush_all(&self) {
        let client = redis::Client::open(self.redis.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let () = redis::cmd("FLUSHALL")
            .query_async(&mut connection)
            .await
            .unwrap();
    }

    /// Counts rows.
    async fn count(&self, of: &str) -> i64 {
        let count = format!("select count(*) from {of}");
        self.ledger.query_one(&count, &[]).await.unwrap().get(0)
    }

    /// Waits until so many rows are left.
    async fn rows(&self, of: &str, expected: i64) {
        wait_for(&format!("{expected} of {of}"), PATIENCE, async || {
            (self.count(of).await == expected).then_some(())
        })
        .await;
    }
}
