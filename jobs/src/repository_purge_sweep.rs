//! Finds repositories that are marked for deletion and hands them to `repository_purge`.
//!
//! Deletes nothing itself. The state of the repository alone decides: one whose marker or
//! queue item was lost, which Quay would keep for ever, is found as well. Running it twice
//! is safe: equal jobs are not queued side by side.
use quayhand_model::purge::{self, MarkedRepository};
use quayhand_queue::Placement;

use crate::{
    handing::hand_out,
    prelude::*,
    repository_purge::{self, RepositoryPurge},
};

/// Repositories one sweep hands out; the next sweep goes on.
const AT_MOST: u32 = 10_000;
/// Repositories of one job, all of one namespace.
const TOGETHER: usize = 100;

/// See the [module](self).
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepositoryPurgeSweep {}

impl Job<Ctx> for RepositoryPurgeSweep {
    const KIND: &'static str = "repository_purge_sweep";
    const ABOUT: &'static str =
        "Finds repositories marked for deletion and enqueues `repository_purge` for them";
    const QUEUE: Queue = queues::DEFAULT;
    const SOURCE: Source = Source::Derivable;
    const POLICY: Policy = USUAL.unique_for(Duration::from_mins(10));
    const SCHEDULE: Option<Schedule> = Some(Schedule::Every(Duration::from_mins(1)));

    async fn run(&self, ctx: &Ctx) -> Result<Done, JobError> {
        repository_purge::check(ctx)?;
        let db = &ctx.db;
        let mut marked = db
            .scope(async |conn| purge::marked_repositories(conn, 0, AT_MOST).await)
            .await?;
        marked.sort_by_key(|repository| (repository.namespace_id, repository.id));
        let jobs: Vec<_> = marked
            .chunk_by(|a, b| a.namespace_id == b.namespace_id)
            .flat_map(|of_one| of_one.chunks(TOGETHER))
            .map(job)
            .collect();
        let done = Done::default().count("repositories", marked.len() as u64);
        hand_out(ctx, &jobs, done).await
    }

    fn scheduled() -> Option<Self> {
        Some(Self {})
    }
}

/// Makes the job of repositories of one namespace, which is the tenant.
fn job(list: &[MarkedRepository]) -> (RepositoryPurge, Placement) {
    let job = RepositoryPurge {
        repository_ids: list.iter().map(|repository| repository.id).collect(),
    };
    let tenant = list
        .first()
        .map(|repository| repository.namespace_id.to_string());
    let placement = Placement {
        tenant: tenant.unwrap_or_default(),
        ..Placement::default()
    };
    (job, placement)
}
