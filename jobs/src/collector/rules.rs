//! What a run may do, how it counts, and which errors are not about a repository.
use std::time::Duration;

use quayhand_model::{
    DbError,
    gc::{Collected, Quota, Rules},
};
use quayhand_queue::{Done, JobError};

use crate::{Ctx, Settings};

/// Refuses when content must not be deleted now.
///
/// # Errors
///
/// [`JobError::Refused`] that names what forbids it.
pub(crate) fn check(ctx: &Ctx) -> Result<(), JobError> {
    ctx.settings.check_may_delete()?;
    ctx.gate.check()
}

/// Returns the rules of this run.
pub(crate) fn rules(ctx: &Ctx) -> Rules {
    let settings = &ctx.settings;
    Rules {
        immutable_stays: settings.immutable_tags && !settings.immutable_tags_can_expire,
        quota: quota(settings),
        // Never zero: what is held still would be looked at again at once, for ever.
        recheck_after: settings.recheck_after.max(Duration::from_secs(1)),
        as_of_ms: ctx.options.as_of_ms,
        ..Rules::default()
    }
}

/// Says what becomes of size totals, by Quay's three settings.
fn quota(settings: &Settings) -> Quota {
    if settings.quota_management {
        Quota::Subtract {
            suppress_failures: settings.quota_suppress_failures,
        }
    } else if settings.quota_invalidate_totals {
        Quota::Reset
    } else {
        Quota::Keep
    }
}

/// Adds what a batch came to.
pub(crate) fn count(done: &mut Done, batch: &Collected) {
    done.add("batches", u64::from(!batch.is_empty()));
    done.add("tags", batch.tags);
    done.add("uploads", batch.uploads);
    done.add("manifests", batch.manifests);
    done.add("labels", batch.labels);
    done.add("blobs", batch.blobs);
    done.add("tombstones", batch.tombstones);
    done.add("postponed", batch.postponed);
    done.add("totals postponed", batch.totals_postponed);
    done.add("statements", batch.statements);
}

/// Tells whether the database as a whole is the problem, not what it was asked.
pub(crate) fn is_outage(error: &DbError) -> bool {
    match error {
        DbError::Statement {
            code: Some(code), ..
        } => ["08", "53", "57P", "25006"]
            .iter()
            .any(|class| code.starts_with(class)),
        DbError::Row { .. } => false,
        _ => true,
    }
}
