//! Enqueues the jobs of schedules. Every host computes the ticks; a row in the database decides
//! which host enqueues, so there is no leader, and after downtime each entry fires once.
//!
//! The database's clock says what is due. A tick is left out while the job of the one before it has
//! not ended, and while the entry is paused. Between ticks the daemon holds no connection; while the
//! database or Redis is out of reach it tries again with growing pauses, warning once.
mod clock;
mod progress;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use quayhand_model::{
    Db, DbError,
    schedule::{self, End, Tick},
};
use quayhand_queue::{Client, Placement, QueueError, RawJob, Registry};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::{
    outage::Outage,
    pauses,
    pulse::Heartbeat,
    tick::{ScheduleError, Timetable, Timing, job_id},
};

use clock::Clock;
use progress::Progress;

/// Longest sleep between two looks at the clock.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);
/// Longest pause between two tries while a server is out of reach.
const LONGEST_OUTAGE_PAUSE: Duration = Duration::from_secs(30);
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
    overrides: &BTreeMap<String, Timing>,
) -> Result<Timetables, ScheduleError> {
    let mut timetables = Timetables::new();
    for entry in registry.iter() {
        if let Some(own) = entry.schedule {
            let timing = match overrides.get(entry.kind) {
                Some(timing) => Timetable::new(entry.kind, timing)?,
                None => Timetable::new(entry.kind, &own.into())?,
            };
            timetables.insert(entry.kind, timing);
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
        let mut outage = Outage::new("schedules", LONGEST_OUTAGE_PAUSE);
        let mut clock = None;
        while !self.stop.is_cancelled() {
            self.heartbeat.beat();
            let timetables = self.timetables.borrow_and_update().clone();
            let pause = match self.round(&timetables, &mut progress, &mut clock).await {
                Ok(()) => {
                    self.note_success(&mut outage);
                    let now = clock.and_then(Clock::now_ms).unwrap_or_default();
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
        let is_due = clock
            .and_then(Clock::now_ms)
            .is_none_or(|now_ms| !progress.due(timetables, now_ms).is_empty());
        if is_due {
            *clock = Some(self.claim(timetables, progress).await?);
        }
        if progress.ours.is_empty() {
            return Ok(());
        }
        // The tick may be the first that a Redis sees which has lost everything.
        let store = self.client.store();
        pauses::put_back::<C, RoundError>(&self.registry, &self.db, store).await?;
        let mut merged = Vec::new();
        for (kind, tick_ms) in &progress.ours {
            if !self.enqueue(kind, *tick_ms).await? {
                let (entry, tick_ms) = ((*kind).to_owned(), *tick_ms);
                merged.push(Tick { entry, tick_ms });
            }
        }
        self.mark(progress, &merged).await
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
                let (clock, now_ms) = Clock::read(conn).await?;
                let mut answers = Vec::new();
                for (kind, tick) in progress.due(timetables, now_ms) {
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

    /// Enqueues the job of a tick; returns whether the tick has a job of its own. If not, nothing
    /// is to be waited for: an equal job does its work.
    async fn enqueue(&self, kind: &str, tick: i64) -> Result<bool, QueueError> {
        let Some(entry) = self.registry.get(kind) else {
            return Ok(false);
        };
        let Some(payload) = entry.scheduled() else {
            tracing::error!("`{kind}` has a schedule but no payload for it; nothing is enqueued");
            return Ok(false);
        };
        let id = job_id(kind, tick);
        let placement = Placement {
            id: Some(id.clone()),
            ..Placement::default()
        };
        let receipt = self
            .client
            .enqueue_raw(RawJob::of(entry, payload), placement)
            .await?;
        let is_own = receipt.id == id;
        let said = if is_own {
            "enqueued a scheduled job"
        } else {
            "the work of a scheduled job is queued already"
        };
        tracing::debug!(job.kind = kind, job.id = receipt.id, "{said}");
        Ok(is_own)
    }

    async fn mark(&self, progress: &mut Progress, merged: &[Tick]) -> Result<(), RoundError> {
        let ours = progress.ours.clone();
        progress.rounds = progress.rounds.wrapping_add(1);
        let prune = progress.rounds % PRUNE_EVERY == 1;
        self.db
            .scope(async |conn| {
                for (kind, tick) in &ours {
                    schedule::mark_enqueued(conn, kind, *tick).await?;
                }
                if !merged.is_empty() {
                    schedule::end(conn, merged, End::Done).await?;
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
