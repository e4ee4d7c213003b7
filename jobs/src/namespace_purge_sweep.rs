//! Finds deleted namespaces whose time has come and hands them to `namespace_purge`.
//!
//! Deletes nothing itself. The marker in `deletednamespace` decides, and the queue item it
//! names says when; a marker whose queue item was lost, which Quay would keep for ever, is
//! found as well. Running it twice is safe: equal jobs are not queued side by side.
use quayhand_queue::Placement;

use crate::{
    handing::hand_out,
    namespace_purge::{self, NamespacePurge},
    prelude::*,
};

/// Namespaces one sweep hands out; the next sweep goes on.
const AT_MOST: u32 = 10_000;

/// See the [module](self).
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamespacePurgeSweep {}

impl Job<Ctx> for NamespacePurgeSweep {
    const KIND: &'static str = "namespace_purge_sweep";
    const ABOUT: &'static str = "Finds deleted namespaces and enqueues `namespace_purge` for them";
    const QUEUE: Queue = queues::DEFAULT;
    const SOURCE: Source = Source::Derivable;
    const POLICY: Policy = USUAL.unique_for(Duration::from_mins(10));
    const SCHEDULE: Option<Schedule> = Some(Schedule::Every(Duration::from_mins(1)));

    async fn run(&self, ctx: &Ctx) -> Result<Done, JobError> {
        namespace_purge::check(ctx)?;
        let due = namespace_purge::due(ctx, 0, AT_MOST).await?;
        let done = Done::default().count("namespaces", due.len() as u64);
        let jobs: Vec<_> = due.into_iter().map(job).collect();
        hand_out(ctx, &jobs, done).await
    }

    fn scheduled() -> Option<Self> {
        Some(Self {})
    }
}

/// Makes the job of one namespace, which is the tenant.
fn job(id: i64) -> (NamespacePurge, Placement) {
    let job = NamespacePurge {
        namespace_ids: vec![id],
    };
    let placement = Placement {
        tenant: id.to_string(),
        ..Placement::default()
    };
    (job, placement)
}
