//! Writes to the log what is going on: pools, running jobs, leases, locks, schedules.
use std::sync::Arc;

use quayhand_jobs::Gate;
use quayhand_model::{Db, outbox};
use quayhand_queue::{Client, Envelope, PoolStatus, Queue};

use super::{
    pool::Steering,
    running::{RunningJob, RunningJobs},
};

/// What a dump looks at.
pub(crate) struct Scene {
    pub(crate) pools: Vec<Arc<Steering>>,
    pub(crate) running: RunningJobs,
    pub(crate) client: Client,
    pub(crate) db: Db,
    pub(crate) gate: Gate,
    /// The kinds of this build.
    pub(crate) kinds: Vec<&'static str>,
    /// Locks that jobs hold now.
    pub(crate) locks: Vec<String>,
}

impl Scene {
    /// Writes the dump. What Redis has to say may take a few seconds when it is out of reach.
    pub(crate) async fn dump(self) {
        let jobs = self.running.list();
        let gate = self.gate.reason().unwrap_or_else(|| "open".to_owned());
        let database_connections = self.db.connections();
        tracing::info!(
            running = jobs.len(),
            database_connections,
            gate,
            "dump: begins"
        );
        for job in &jobs {
            dump_job(job);
        }
        for lock in &self.locks {
            tracing::info!(lock, "dump: lock `{lock}` is held");
        }
        for pool in &self.pools {
            dump_pool(pool, &self.client).await;
        }
        dump_outbox(&self.db, &self.kinds).await;
        tracing::info!("dump: ends");
    }
}

fn dump_job(job: &RunningJob) {
    let Envelope {
        kind,
        id,
        attempt,
        tenant,
        ..
    } = &*job.envelope;
    let age = job.started.elapsed();
    let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(
        job.kind = kind,
        job.id = id,
        job.attempt = attempt,
        job.queue = %job.queue,
        job.tenant = tenant,
        age_ms,
        "dump: job `{kind}` runs for {age:.1?}"
    );
}

async fn dump_pool(steering: &Steering, client: &Client) {
    let queue = steering.queue();
    let Some((worker, status)) = steering.status() else {
        tracing::info!(%queue, "dump: pool `{queue}` is being started again");
        return;
    };
    let PoolStatus {
        slots,
        running,
        is_quiet,
        last_turn,
        failing,
    } = status;
    let failing = failing.map(|(since, error)| format!("for {since:.0?}: {error}"));
    tracing::info!(
        %queue,
        worker,
        slots,
        leased_here = running,
        is_quiet,
        last_turn_ms = u64::try_from(last_turn.as_millis()).unwrap_or(u64::MAX),
        failing,
        "dump: pool `{queue}` runs {running} of {slots}"
    );
    dump_queue(queue, client).await;
}

async fn dump_outbox(db: &Db, kinds: &[&str]) {
    match db
        .scope(async |conn| outbox::census(conn, kinds).await)
        .await
    {
        Ok(census) => tracing::info!(
            waiting = census.waiting,
            unknown = census.unknown,
            relayed = census.relayed,
            dead = census.dead,
            oldest_s = census.oldest_open.as_secs(),
            "dump: outbox"
        ),
        Err(error) => tracing::info!("dump: the outbox cannot be read: {error}"),
    }
}

async fn dump_queue(queue: &Queue, client: &Client) {
    match client.store().counts(queue).await {
        Ok(counts) => tracing::info!(
            %queue,
            ready = counts.ready,
            delayed = counts.delayed,
            leased = counts.leased,
            dead = counts.dead,
            "dump: queue `{queue}`"
        ),
        Err(error) => tracing::info!(%queue, "dump: queue `{queue}` does not answer: {error}"),
    }
}
