//! Enqueuing what must not be lost: through the database where Redis alone is not enough.
//!
//! A job whose kind is [`Source::Outbox`] gets a row in the transaction of its cause, by
//! [`Outbox::write`], and is put into the queue after the commit, by [`Outbox::hand_over`]; should
//! the process die in between, the daemon's relay does it. Any job gets a row when Redis does not
//! take it: the relay enqueues it when Redis is back.
use quayhand_model::{
    Conn, Db, DbError,
    outbox::{self, ID_PREFIX, NewRow},
};
use quayhand_queue::{Client, Entry, Job, Placement, QueueError, RawJob, Receipt, Source, chain};

/// Enqueues jobs through the database and Redis together. Cheap to clone.
#[derive(Clone)]
pub struct Outbox {
    db: Db,
    client: Option<Client>,
}

/// Jobs that a transaction wrote; after its commit, give them to [`Outbox::hand_over`].
#[derive(Clone, Debug)]
#[must_use = "hand the jobs over after the commit, or they wait for the relay's next sweep"]
pub struct Written {
    jobs: Vec<(RawJob<'static>, Placement)>,
}

impl Written {
    /// Lists the ids of the jobs.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.jobs
            .iter()
            .filter_map(|(_, placement)| placement.id.as_deref())
    }
}

/// Says where an enqueued job is now.
#[derive(Debug)]
pub enum Sent {
    /// In the queue.
    Queued(Receipt),
    /// In the outbox alone: Redis did not take it, and it is enqueued when Redis is back.
    Kept {
        /// Its id.
        id: String,
        /// Why Redis did not take it; `None` when none is configured.
        why: Option<QueueError>,
    },
}

impl Sent {
    /// Returns the id of the job that will do the work.
    pub fn id(&self) -> &str {
        match self {
            Self::Queued(receipt) => &receipt.id,
            Self::Kept { id, .. } => id,
        }
    }
}

/// Says why a job is in neither place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The job cannot be enqueued by anybody.
    #[error(transparent)]
    Job(QueueError),
    /// The database did not take it, and Redis was not asked or did not either.
    #[error("the job could not be written to the outbox{}", also(.redis.as_ref()))]
    Database {
        /// Why Redis did not take it; `None` when it was not asked.
        redis: Option<QueueError>,
        /// Why the database did not take it.
        source: DbError,
    },
}

fn also(redis: Option<&QueueError>) -> String {
    redis.map_or_else(String::new, |error| format!(", and {}", chain(error)))
}

impl Outbox {
    /// Makes the way in; without a `client` every job goes through the database.
    pub fn new(db: Db, client: Option<Client>) -> Self {
        Self { db, client }
    }

    /// Writes jobs into the outbox, in the caller's transaction: they come and go with it. A
    /// placement's id is replaced. One statement.
    ///
    /// # Errors
    ///
    /// [`SendError::Job`] for a job that is no JSON; [`SendError::Database`] if the database
    /// refuses, also a payload over 256 KiB.
    pub async fn write<C: Sync, J: Job<C>>(
        conn: &mut Conn,
        jobs: &[(J, Placement)],
    ) -> Result<Written, SendError> {
        let mut written = Vec::with_capacity(jobs.len());
        for (job, placement) in jobs {
            let raw = RawJob::encode(job, const { &J::QUEUE }).map_err(SendError::Job)?;
            written.push((raw, with_own_id(placement.clone())));
        }
        insert(conn, &written).await.map_err(unwritten(None))?;
        Ok(Written { jobs: written })
    }

    /// Puts jobs into the queue after the commit of their transaction; tells whether all are there.
    /// Where not, the relay enqueues them within its sweep: nothing else is to be done.
    pub async fn hand_over(&self, written: Written) -> bool {
        let mut all = true;
        let mut rest = written.jobs;
        while let Some((first, _)) = rest.first() {
            let queue = first.queue;
            let (batch, others) = rest.into_iter().partition(|(job, _)| job.queue == queue);
            rest = others;
            let batch: Vec<_> = batch;
            let (kind, jobs) = (batch[0].0.kind, batch.len());
            let Some(client) = &self.client else {
                return false;
            };
            if let Err(error) = client.enqueue_all_raw(queue, batch).await {
                note_kept(kind, jobs, &error);
                all = false;
            }
        }
        all
    }

    /// Enqueues one job: a derivable one through Redis, and through the database when Redis does
    /// not take it; one that only the caller knows through the database first.
    ///
    /// After an answer of Redis that was lost the job may be in both places and run twice, which
    /// is harmless.
    ///
    /// # Errors
    ///
    /// [`SendError`]: the job is in neither place, or in Redis with its answer lost.
    pub async fn enqueue<C: Sync, J: Job<C>>(
        &self,
        job: &J,
        placement: Placement,
    ) -> Result<Sent, SendError> {
        let raw = RawJob::encode(job, const { &J::QUEUE }).map_err(SendError::Job)?;
        self.send(J::SOURCE, raw, placement).await
    }

    /// Enqueues one job whose payload is JSON already, as [`Self::enqueue`] does.
    ///
    /// # Errors
    ///
    /// As [`Self::enqueue`].
    pub async fn enqueue_raw<C>(
        &self,
        entry: &Entry<C>,
        payload: String,
        placement: Placement,
    ) -> Result<Sent, SendError> {
        self.send(entry.source, RawJob::of(entry, payload), placement)
            .await
    }

    async fn send(
        &self,
        source: Source,
        job: RawJob<'_>,
        placement: Placement,
    ) -> Result<Sent, SendError> {
        if source == Source::Outbox {
            let placement = with_own_id(placement);
            self.keep(&job, &placement, None).await?;
            return Ok(match self.queue(job, placement.clone()).await {
                Ok(receipt) => Sent::Queued(receipt),
                Err(why) => kept(placement, why),
            });
        }
        match self.queue(job.clone(), placement.clone()).await {
            Ok(receipt) => Ok(Sent::Queued(receipt)),
            Err(Some(error)) if error.is_unusable() => Err(SendError::Job(error)),
            Err(why) => {
                let placement = with_own_id(placement);
                let why = self.keep(&job, &placement, why).await?;
                Ok(kept(placement, why))
            }
        }
    }

    /// Writes a job into the outbox, in a transaction of its own; hands `why` back.
    async fn keep(
        &self,
        job: &RawJob<'_>,
        placement: &Placement,
        why: Option<QueueError>,
    ) -> Result<Option<QueueError>, SendError> {
        let rows = [(job.clone(), placement.clone())];
        let kept = self.db.scope(async |conn| insert(conn, &rows).await).await;
        match kept {
            Ok(()) => {
                if let Some(error) = &why {
                    note_kept(job.kind, 1, error);
                }
                Ok(why)
            }
            Err(error) => Err(unwritten(why)(error)),
        }
    }

    /// Puts a job into the queue; `Err(None)` when no Redis is configured.
    async fn queue(
        &self,
        job: RawJob<'_>,
        placement: Placement,
    ) -> Result<Receipt, Option<QueueError>> {
        let client = self.client.as_ref().ok_or(None)?;
        client.enqueue_raw(job, placement).await.map_err(Some)
    }
}

fn kept(placement: Placement, why: Option<QueueError>) -> Sent {
    let id = placement.id.unwrap_or_default();
    Sent::Kept { id, why }
}

fn unwritten(redis: Option<QueueError>) -> impl FnOnce(DbError) -> SendError {
    |source| SendError::Database { redis, source }
}

fn note_kept(kind: &str, jobs: usize, error: &QueueError) {
    tracing::warn!(
        job.kind = kind,
        jobs,
        "{jobs} jobs `{kind}` wait in the outbox: {}",
        chain(error)
    );
}

/// Returns the placement with an id that tells a worker of the row.
fn with_own_id(placement: Placement) -> Placement {
    Placement {
        id: Some(format!("{ID_PREFIX}{}", ulid::Ulid::generate())),
        ..placement
    }
}

async fn insert(conn: &mut Conn, jobs: &[(RawJob<'_>, Placement)]) -> Result<(), DbError> {
    let rows: Vec<_> = jobs
        .iter()
        .map(|(job, placement)| NewRow {
            job_id: placement.id.clone().unwrap_or_default(),
            kind: job.kind.to_owned(),
            version: job.policy.version,
            payload: job.payload.clone(),
            tenant: placement.tenant.clone(),
            priority: placement.priority.unwrap_or(job.policy.priority),
            trace: placement.trace.clone(),
            delay: placement.delay,
        })
        .collect();
    outbox::write(conn, &rows).await.map(drop)
}
