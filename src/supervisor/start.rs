//! What must hold before the daemon says that it is ready, and why it did not start.
use quayhand_model::DbError;
use quayhand_queue::{QueueError, Registry, Store};

use super::{
    JobContext, Parts, drift, durability, pauses,
    scheduler::{self, Timetables},
    tick::ScheduleError,
};
use crate::exit::Exit;

/// Says why the daemon did not start. Later on, it outlives the same failures.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The database is out of reach, refuses us, or is not one that we can work on.
    #[error(transparent)]
    Database(#[from] DbError),
    /// Redis is out of reach, or refuses us.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// A schedule cannot be kept.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
}

impl StartError {
    /// Returns the code that the process ends with.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Database(DbError::Schema(_)) => Exit::Schema,
            Self::Database(DbError::Config { .. })
            | Self::Queue(QueueError::Url { .. })
            | Self::Schedule(_) => Exit::Config,
            Self::Database(_) => Exit::Database,
            Self::Queue(_) => Exit::Redis,
        }
    }
}

/// Checks schedules, Redis and the database, in this order, opens the gate if the schema is known,
/// and pauses what Redis should know to be paused. An unknown schema is no error: the other jobs can run.
pub(super) async fn check<C: JobContext>(
    registry: &Registry<C>,
    parts: &Parts<C>,
) -> Result<Timetables, StartError> {
    let timetables = scheduler::timetables(registry, &parts.plan.schedules)?;
    check_queues(registry, parts.client.store()).await?;
    if let Store::Redis(store) = parts.client.store() {
        durability::check(store.redis()).await?;
    }
    let db = parts.db.closing();
    drift::check(&db, &parts.gate).await?;
    // After the check, which finds out whether there is such a table.
    pauses::put_back::<C, StartError>(registry, &db, parts.client.store()).await?;
    Ok(timetables)
}

/// Runs a script on every queue: whoever may not is found out now and not by the first job.
async fn check_queues<C: JobContext>(
    registry: &Registry<C>,
    store: &Store,
) -> Result<(), QueueError> {
    for queue in super::queues(registry) {
        store.counts(&queue).await?;
    }
    Ok(())
}
