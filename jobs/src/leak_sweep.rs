//! Finds what nothing leads to any more, and takes it when it was seen twice.
//!
//! A crash, a lost lock or a defect of old leaves things behind that no other job ever meets:
//! manifests without a tag, a list or a referrer; blobs and labels without a manifest; objects
//! in storage without a row. Once a day this job looks at everything. What it sees it writes
//! down (`quayhand_sighting`); what an earlier run had seen too, at least a day ago, goes: rows
//! through the collector, with all its locks and judgements, and objects by a tombstone, which
//! `blob_gc` judges once more under the digest's lock. What was seen once only stays.
//!
//! Repositories that are marked for deletion are another job's; those of disabled owners,
//! placeholders of the proxy cache and files that are no blob's are left alone. Running it
//! twice is safe: the second run finds the same or less.
mod objects;
mod rows;

use std::collections::{BTreeMap, BTreeSet};

use model::{
    gc::{LeakKind, Rules},
    sighting::Since,
};

use crate::{Step, collector, prelude::*};

/// See the [module](self).
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeakSweep {}

impl Job<Ctx> for LeakSweep {
    const KIND: &'static str = "leak_sweep";
    const ABOUT: &'static str = "Takes rows and objects that nothing leads to, once seen twice";
    const QUEUE: Queue = queues::GC;
    const SOURCE: Source = Source::Derivable;
    // It lists all of storage, page by page.
    const POLICY: Policy = USUAL
        .timeout(Duration::from_hours(12))
        .unique_for(Duration::from_hours(24));
    const SCHEDULE: Option<Schedule> = Some(Schedule::Every(Duration::from_hours(24)));

    async fn run(&self, ctx: &Ctx) -> Result<Done, JobError> {
        let mut sweep = Sweep::begin(ctx).await?;
        for kind in LeakKind::ALL {
            sweep.rows(kind).await?;
        }
        sweep.show_rows().await?;
        sweep.objects().await?;
        sweep.into_result()
    }

    fn scheduled() -> Option<Self> {
        Some(Self {})
    }

    fn all(ctx: &Ctx) -> Option<BoxFuture<'_, Result<Done, JobError>>> {
        Some(Box::pin(Self {}.run(ctx)))
    }
}

/// One run over everything.
struct Sweep<'a> {
    ctx: &'a Ctx,
    rules: Rules,
    since: Since,
    done: Done,
    /// What a dry run has found to go.
    doomed: BTreeMap<LeakKind, Vec<i64>>,
    left: BTreeSet<String>,
}

impl<'a> Sweep<'a> {
    /// Starts a sweep, if content may be deleted now.
    ///
    /// Sightings are always written down by the database's clock. Another time, when one was
    /// given, only decides how old a sighting is: it can not make one older than it is.
    async fn begin(ctx: &'a Ctx) -> Result<Self, JobError> {
        collector::check(ctx)?;
        let sweep_ms = ctx.db.scope(model::clock::now_ms).await?;
        let judged_ms = ctx.options.as_of_ms.unwrap_or(sweep_ms);
        let grace_ms = i64::try_from(ctx.settings.leak_grace.as_millis()).unwrap_or(i64::MAX);
        Ok(Self {
            ctx,
            rules: collector::rules(ctx),
            since: Since {
                sweep_ms,
                cut_ms: judged_ms.saturating_sub(grace_ms),
            },
            done: Done::default(),
            doomed: BTreeMap::new(),
            left: BTreeSet::new(),
        })
    }

    fn is_dry(&self) -> bool {
        self.ctx.options.preview.is_some()
    }

    /// Says whether the run has time and room for more. An operator is told why it ended; the
    /// daemon's next run goes on.
    fn may_go_on(&mut self) -> bool {
        let ended = if self.ctx.stop.is_cancelled() {
            "stopped before the end; what was done stays done"
        } else if self.removed() >= self.ctx.settings.max_objects_per_run {
            "the cap on objects per run was reached"
        } else {
            return true;
        };
        if self.ctx.options.by_hand {
            self.left.insert(ended.to_owned());
        }
        false
    }

    /// Counts what this run has taken so far.
    fn removed(&self) -> u64 {
        let counts = ["manifests", "blobs", "labels", BURIED];
        counts.iter().map(|count| self.done.of(count)).sum()
    }

    fn report(&self) {
        self.ctx.options.progress.report(&Step {
            done: &self.done,
            handled: self.removed(),
            total: 0,
        });
    }

    fn into_result(self) -> Result<Done, JobError> {
        if self.left.is_empty() {
            return Ok(self.done);
        }
        Err(JobError::Partial {
            done: self.done,
            left: self.left.into_iter().collect(),
        })
    }
}

/// Counts objects without a row that `blob_gc` may remove.
const BURIED: &str = "objects buried";
