//! `quayhand dead`: what was given up, why, and what becomes of it.
use std::time::Duration;

use clap::{Args, Subcommand};
use quayhand_queue::{Queue, Shown, State, Store};

use super::{
    App, Failure, confirm, job,
    output::{self, Format},
    waiting::{self, Which},
};

/// Jobs that go back or away in one call.
const BATCH: usize = 100;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Lists dead jobs with the error that killed them
    List {
        #[command(flatten)]
        which: Which,
        /// Jobs at most
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Shows one dead job: its payload and what is kept of its attempts
    Show {
        /// Id of the job
        id: String,
    },
    /// Puts dead jobs back in line, with all their attempts
    Retry(Many),
    /// Throws dead jobs away
    Discard(Many),
}

/// Some dead jobs by their ids, or all that fit.
#[derive(Args)]
pub(crate) struct Many {
    /// Ids of jobs; without any, all that fit the filters
    ids: Vec<String>,
    #[command(flatten)]
    which: Which,
    /// Jobs a second at most
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    #[command(flatten)]
    sure: confirm::Sure,
}

pub(crate) async fn run(app: &App, command: Command) -> Result<(), Failure> {
    match command {
        Command::List { which, limit } => {
            let (store, now_ms) = (app.store().await?, waiting::now_ms());
            let dead = find(&store, &which, limit).await?;
            job::print(app.format, &dead, now_ms)
        }
        Command::Show { id } => {
            let store = app.store().await?;
            let found = waiting::locate(&store, &id).await?;
            match found.filter(|(_, job)| job.state == State::Dead) {
                Some((queue, job)) => job::show_one(app.format, &store, &queue, &job).await,
                None => Err(Failure::failed(format!(
                    "no dead job is `{}`; `quayhand dead list` lists them",
                    output::plain(&id)
                ))),
            }
        }
        Command::Retry(many) => settle(app, &many, Fate::Retry).await,
        Command::Discard(many) => settle(app, &many, Fate::Discard).await,
    }
}

/// What becomes of dead jobs.
#[derive(Clone, Copy)]
enum Fate {
    Retry,
    Discard,
}

/// Finds dead jobs that fit, `most` of them.
async fn find(store: &Store, which: &Which, most: usize) -> Result<Vec<(Queue, Shown)>, Failure> {
    job::search(store, which, Some(State::Dead), most).await
}

async fn settle(app: &App, many: &Many, fate: Fate) -> Result<(), Failure> {
    let store = app.store().await?;
    let found = chosen(&store, many).await?;
    let (what, would, done) = match fate {
        Fate::Retry => ("put back", "would_retry", "retried"),
        Fate::Discard => ("throw away", "would_discard", "discarded"),
    };
    let jobs = found.len() as u64;
    if jobs == 0 {
        return confirm::report(app.format, done, 0);
    }
    if !many.sure.goes_on(&format!("{what} {jobs} dead jobs"))? {
        job::print(app.format, &found, waiting::now_ms())?;
        if app.format == Format::Human {
            confirm::report(app.format, would, jobs)?;
        }
        return Ok(());
    }
    let settled = settle_all(&store, &found, many.rate, fate).await?;
    confirm::report(app.format, done, settled)
}

/// Finds the jobs that are meant; an id that is none is an error before anything is done.
async fn chosen(store: &Store, many: &Many) -> Result<Vec<(Queue, Shown)>, Failure> {
    if many.ids.is_empty() {
        return find(store, &many.which, usize::MAX).await;
    }
    let mut found = Vec::new();
    for id in &many.ids {
        match waiting::locate(store, id).await? {
            Some((queue, job)) if job.state == State::Dead => found.push((queue, job)),
            Some((_, job)) => {
                return Err(Failure::failed(format!(
                    "job `{id}` is {}, not dead",
                    job.state
                )));
            }
            None => return Err(waiting::absent(id)),
        }
    }
    Ok(found)
}

/// Settles jobs no faster than `rate` a second; returns how many were still dead.
async fn settle_all(
    store: &Store,
    found: &[(Queue, Shown)],
    rate: u32,
    fate: Fate,
) -> Result<u64, Failure> {
    let batch = BATCH.min(rate as usize);
    let mut pace = tokio::time::interval(Duration::from_secs(1) * u32_of(batch) / rate);
    let mut settled = 0;
    for same_queue in found.chunk_by(|(one, _), (other, _)| one == other) {
        for jobs in same_queue.chunks(batch) {
            pace.tick().await;
            let ids: Vec<_> = jobs.iter().map(|(_, job)| job.id.as_str()).collect();
            let queue = &jobs[0].0;
            let answers = match fate {
                Fate::Retry => store.retry_dead(queue, &ids).await?,
                Fate::Discard => store.discard_dead(queue, &ids).await?,
            };
            settled += answers.iter().filter(|was_dead| **was_dead).count() as u64;
        }
    }
    Ok(settled)
}

fn u32_of(batch: usize) -> u32 {
    u32::try_from(batch).unwrap_or(u32::MAX)
}
