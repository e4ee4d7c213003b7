//! Why a purge ends before its end, and how long it waits before that.
use std::time::{Duration, Instant};

use quayhand_model::DbError;
use quayhand_queue::JobError;

use crate::{
    Ctx,
    collector::{chain, is_outage},
};

/// How long a purge waits for what another transaction holds.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Pause before looking again.
const PAUSE: Duration = Duration::from_millis(200);

/// Why a purge ends before its end.
pub(super) enum Halt {
    /// Something is in the way of this one; others may go on.
    Stuck(String),
    /// Nothing goes on now.
    Job(JobError),
}

impl From<DbError> for Halt {
    fn from(error: DbError) -> Self {
        if is_outage(&error) {
            Self::Job(error.into())
        } else {
            Self::Stuck(chain(&error))
        }
    }
}

/// How long nothing has changed.
#[derive(Default)]
pub(super) struct Wait(Option<Instant>);

impl Wait {
    /// Waits a little, unless something changed since the last time or it is enough.
    pub(super) async fn pause(
        &mut self,
        ctx: &Ctx,
        changed: u64,
        reason: &str,
    ) -> Result<(), Halt> {
        if changed > 0 {
            self.0 = None;
            return Ok(());
        }
        let since = *self.0.get_or_insert_with(Instant::now);
        if since.elapsed() > PATIENCE {
            return Err(Halt::Stuck(reason.to_owned()));
        }
        tokio::select! {
            () = ctx.stop.cancelled() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
        Ok(())
    }
}
