//! Enqueues the jobs of schedules. Every host computes the ticks; a row in the database decides
//! which host enqueues, so there is no leader, and after downtime each entry fires once.
//!
//! The database's clock says what is due. Between ticks the daemon holds no connection; while the
//! database or Redis is out of reach it tries again with growing pauses, warning once.
mod outage;
mod progress;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use quayhand_model::{Db, DbError, clock, schedule};
use quayhand_queue::{Client, Placement, QueueError, RawJob, Registry, Schedule};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::{
    pulse::Heartbeat,
    tick::{ScheduleError, Timetable, job_id},
};

use outage::Outage;
use progress::Progress;

/// Longest sleep between two looks at the clock.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);
/// Silence after which the scheduler counts as stuck: checkout and statement time-outs and Redis's
/// deadlines fit in.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_mins(3);
/// Ticks of each entry that stay in the table.
const KEEP_TICKS: u32 = 100;
/// Rows that one clean-up removes at most.
const PRUNE_AT_MOST: u32 = 1000;
/// Rounds with a tick between two clean-ups.
const PRUNE_EVERY: u32 = 100;

/// When each kind is enqueued; kinds without a schedule are absent.
pub(crate) type Timetables = BTreeMap<&'static str, Timetable>;

/// Checks the schedules of all kinds of a registry, those of `overrides` instead of their own.
///
/// # Errors
///
/// The first schedule that cannot be kept.
pub(crate) fn timetables<C: Send + Sync + 'static>(
    registry: &Registry<C>,
    overrides: &BTreeMap<String, Schedule>,
) -> Result<Timetables, ScheduleError> {
    let mut timetables = Timetables::new();
    for entry in registry.iter() {
        if let Some(own) = entry.schedule {
            let schedule = overrides.get(entry.kind).copied().unwrap_or(own);
            timetables.insert(entry.kind, Timetable::new(entry.kind, schedule)?);
        }
    }
    Ok(timetables)
}

/// What the scheduler works with.
pub(crate) struct Scheduler<C> {
    pub(crate) registry: Arc<Registry<C>>,
    pub(crate) db: Db,
    pub(crate) client: Client,
    /// The timetables in force; a reload sends others.
    pub(crate) timetables: watch::Receiver<Timetables>,
    /// Told when the database is back after an outage.
    pub(crate) reconnected: Arc<Notify>,
    pub(crate) heartbeat: Arc<Heartbeat>,
    pub(crate) stop: CancellationToken,
}

/// Why a round did not succeed.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error(transparent)]
    Database(#[from] DbError),
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// The database's clock, as known from one look at it.
#[derive(Clone, Copy)]
struct Clock {
    read_ms: i64,
    at: Instant,
}

impl Clock {
    fn now_ms(self) -> i64 {
        let passed = i64::try_from(self.at.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.read_ms.saturating_add(passed)
    }
}

impl<C> Clone for Scheduler<C> {
    fn clone(&self) -> Self {
        Self {
            registry: Arc::clone(&self.registry),
            db: self.db.clone(),
            client: self.client.clone(),
            timetables: self.timetables.clone(),
            reconnected: Arc::clone(&self.reconnected),
            heartbeat: Arc::clone(&self.heartbeat),
            stop: self.stop.clone(),
        }
    }
}

impl<C: Send + Sync + 'static> Scheduler<C> {
    /// Enqueues what is due until it is stopped.
    pub(crate) async fn run(mut self) {
        let mut progress = Progress::default();
        let mut outage = Outage::new();
        let mut clock = None;
        while !self.stop.is_cancelled() {
            self.heartbeat.beat();
            let timetables = self.timetables.borrow_and_update().clone();
            let pause = match self.round(&timetables, &mut progress, &mut clock).await {
                Ok(()) => {
                    self.note_success(&mut outage);
                    let now = clock.map_or(0, Clock::now_ms);
                    progress.until_next(&timetables, now).min(LONGEST_SLEEP)
                }
                Err(error) => outage.failed(&error),
            };
            let stop = self.stop.clone();
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
                changed = self.timetables.changed() => if changed.is_err() { return },
            }
        }
    }

    fn note_success(&self, outage: &mut Outage) {
        if outage.ended() {
            self.reconnected.notify_one();
        }
    }

    /// Claims what is due, enqueues what is ours, marks it. Touches nothing when nothing is due.
    async fn round(
        &self,
        timetables: &Timetables,
        progress: &mut Progress,
        clock: &mut Option<Clock>,
    ) -> Result<(), RoundError> {
        let is_due = clock.is_none_or(|clock| !progress.due(timetables, clock.now_ms()).is_empty());
        if is_due {
            *clock = Some(self.claim(timetables, progress).await?);
        }
        if progress.ours.is_empty() {
            return Ok(());
        }
        for (kind, tick) in &progress.ours {
            self.enqueue(kind, *tick).await?;
        }
        self.mark(progress).await
    }

    /// Asks the database for its clock and for every due tick.
    async fn claim(
        &self,
        timetables: &Timetables,
        progress: &mut Progress,
    ) -> Result<Clock, RoundError> {
        let (clock, answers) = self
            .db
            .scope(async |conn| {
                let clock = Clock {
                    read_ms: clock::now_ms(conn).await?,
                    at: Instant::now(),
                };
                let mut answers = Vec::new();
                for (kind, tick) in progress.due(timetables, clock.read_ms) {
                    answers.push((kind, tick, schedule::claim(conn, kind, tick).await?));
                }
                Ok::<_, DbError>((clock, answers))
            })
            .await?;
        for (kind, tick, claim) in answers {
            progress.note(kind, tick, claim);
        }
        Ok(clock)
    }

    async fn enqueue(&self, kind: &str, tick: i64) -> Result<(), QueueError> {
        let Some(entry) = self.registry.get(kind) else {
            return Ok(());
        };
        let Some(payload) = entry.scheduled() else {
            tracing::error!("`{kind}` has a schedule but no payload for it; nothing is enqueued");
            return Ok(());
        };
        let id = Some(job_id(kind, tick));
        let placement = Placement {
            id,
            ..Placement::default()
        };
        let receipt = self
            .client
            .enqueue_raw(RawJob::of(entry, payload), placement)
            .await?;
        if receipt.is_new {
            tracing::debug!(
                job.kind = kind,
                job.id = receipt.id,
                "enqueued a scheduled job"
            );
        } else {
            tracing::debug!(
                job.kind = kind,
                job.id = receipt.id,
                "the work of a scheduled job is queued already"
            );
        }
        Ok(())
    }

    async fn mark(&self, progress: &mut Progress) -> Result<(), RoundError> {
        let ours = progress.ours.clone();
        progress.rounds = progress.rounds.wrapping_add(1);
        let prune = progress.rounds % PRUNE_EVERY == 1;
        self.db
            .scope(async |conn| {
                for (kind, tick) in &ours {
                    schedule::mark_enqueued(conn, kind, *tick).await?;
                }
                if prune {
                    schedule::prune(conn, KEEP_TICKS, PRUNE_AT_MOST).await?;
                }
                Ok::<_, DbError>(())
            })
            .await?;
        progress.settled.extend(ours);
        progress.ours.clear();
        Ok(())
    }
}
