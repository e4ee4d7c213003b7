//! Finds repositories with garbage and hands them to `tag_expiry`.
//!
//! Deletes nothing itself. Every minute it asks the database which repositories hold tags
//! past recovery or expired uploads, oldest first and fair over namespaces, and enqueues
//! `tag_expiry` jobs. Running it twice is safe: equal jobs are not queued side by side, and
//! a job that finds nothing left ends at once. After a loss of Redis this sweep is what
//! brings the work back.
use quayhand_model::gc::{self, Candidate};
use quayhand_queue::Placement;

use crate::{
    collector::{self, Collector},
    handing::hand_out, prelude::*, tag_expiry::TagExpiry,
};

/// Repositories one sweep hands out; the next sweep goes on.
const AT_MOST: u32 = 10_000;

/// See the [module](self).
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagExpirySweep {}

impl Job<Ctx> for TagExpirySweep {
    const KIND: &'static str = "tag_expiry_sweep";
    const ABOUT: &'static str = "Finds repositories with garbage and enqueues `tag_expiry` for them";
    const QUEUE: Queue = queues::DEFAULT;
    const SOURCE: Source = Source::Derivable;
    const POLICY: Policy = USUAL.unique_for(Duration::from_mins(10));
    const SCHEDULE: Option<Schedule> = Some(Schedule::Every(Duration::from_mins(1)));

    async fn run(&self, ctx: &Ctx) -> Result<Done, JobError> {
        let collector = Collector::new(ctx)?;
        let found = collector.candidates(AT_MOST).await?;
        let due = ctx.db.scope(gc::count_due_rechecks).await?;
        let mut jobs: Vec<_> = collector.pack(&found).map(|list| job(&list)).collect();
        if due > 0 {
            let rechecks = TagExpiry {
                rechecks: true,
                ..TagExpiry::default()
            };
            jobs.push((rechecks, Placement::default()));
        }
        let done = Done::default()
            .count("repositories", found.len() as u64)
            .count("rechecks", due);
        hand_out(ctx, &jobs, done).await
    }

    fn scheduled() -> Option<Self> {
        Some(Self {})
    }
}

/// Makes the job of one list; the tenant is the namespace, when it is one.
fn job(list: &[Candidate]) -> (TagExpiry, Placement) {
    let first = list.first().map(|c| c.namespace_id);
    let alone = list.iter().all(|c| Some(c.namespace_id) == first);
    let tenant = first.filter(|_| alone).map(|id| id.to_string());
    let job = TagExpiry {
        repository_ids: collector::ids(list),
        rechecks: false,
    };
    let placement = Placement {
        tenant: tenant.unwrap_or_default(),
        ..Placement::default()
    };
    (job, placement)
}
