//! `quayhand dead`: what was given up, why, and what becomes of it.
use std::time::Duration;

use clap::{Args, Subcommand};
use quayhand_model::Db;
use quayhand_queue::{Queue, Shown, State, Store};

use super::{
    App, Failure, confirm,
    job::{self, Hits},
    output::{self, Format},
    rows::{self, Found},
    waiting::{self, Which},
};
use crate::supervisor::{note_dropped, note_retried, note_retried_again};

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
        Command::List { which, limit } => list(app, &which, limit).await,
        Command::Show { id } => show(app, &id).await,
        Command::Retry(many) => settle(app, &many, Fate::Retry).await,
        Command::Discard(many) => settle(app, &many, Fate::Discard).await,
    }
}

async fn list(app: &App, which: &Which, limit: usize) -> Result<(), Failure> {
    let (store, now_ms) = (app.store().await?, waiting::now_ms());
    let mut hits = find(&store, which, limit).await?;
    match rows::dead(app, &store, which, &hits.jobs).await {
        Ok(kept) => {
            hits.all += kept.len();
            hits.jobs.extend(kept);
            hits.jobs.truncate(limit);
        }
        Err(failure) => output::note(&format!(
            "the outbox was not looked at: {}",
            failure.message()
        )),
    }
    job::print(app.format, &hits.jobs, now_ms)?;
    hits.tell_more();
    Ok(())
}

async fn show(app: &App, id: &str) -> Result<(), Failure> {
    let now_ms = waiting::now_ms();
    match rows::locate(app, id).await? {
        Some(Found::Queued(queue, job)) if job.state == State::Dead => {
            job::show_one(app.format, &app.store().await?, &queue, &job).await
        }
        Some(Found::Kept(row)) if row.dead_ms.is_some() => job::show_row(app.format, &row, now_ms),
        _ => Err(Failure::failed(format!(
            "no dead job is `{}`; `quayhand dead list` lists them",
            output::plain(id)
        ))),
    }
}

/// What becomes of dead jobs.
#[derive(Clone, Copy)]
enum Fate {
    Retry,
    Discard,
}

/// Finds dead jobs of the queues that fit, `most` of them, and counts all.
async fn find(store: &Store, which: &Which, most: usize) -> Result<Hits, Failure> {
    job::search(store, which, Some(State::Dead), most, true).await
}

async fn settle(app: &App, many: &Many, fate: Fate) -> Result<(), Failure> {
    let store = app.store().await?;
    let found = chosen(app, &store, many).await?;
    let (what, would, done) = match fate {
        Fate::Retry => ("put back", "would_retry", "retried"),
        Fate::Discard => ("throw away", "would_discard", "discarded"),
    };
    let jobs = found.len() as u64;
    if jobs == 0 {
        return confirm::report(app.format, done, 0);
    }
    let db = rows::needed_for(app, found.iter().map(|(_, job)| job))?;
    if !many.sure.goes_on(&format!("{what} {jobs} dead jobs"))? {
        job::print(app.format, &found, waiting::now_ms())?;
        if app.format == Format::Human {
            confirm::report(app.format, would, jobs)?;
        }
        return Ok(());
    }
    let settler = Settler { store, db, fate };
    let settled = settler.settle_all(&found, many.rate).await?;
    confirm::report(app.format, done, settled)
}

/// Finds the jobs that are meant; an id that is none is an error before anything is done.
async fn chosen(app: &App, store: &Store, many: &Many) -> Result<Vec<(Queue, Shown)>, Failure> {
    if many.ids.is_empty() {
        let mut found = find(store, &many.which, usize::MAX).await?.jobs;
        let kept = rows::dead(app, store, &many.which, &found).await?;
        found.extend(kept);
        return Ok(found);
    }
    let mut found = Vec::new();
    for id in &many.ids {
        let (queue, job) = match rows::locate(app, id).await? {
            Some(Found::Queued(queue, job)) => (queue, *job),
            Some(Found::Kept(row)) => (rows::OUTBOX, rows::shown(&row, waiting::now_ms())),
            None => return Err(waiting::absent(id)),
        };
        if job.state != State::Dead {
            return Err(Failure::failed(format!(
                "job `{}` is {}, not dead",
                output::plain(id),
                job.state
            )));
        }
        found.push((queue, job));
    }
    Ok(found)
}

/// Decides the fate of jobs, in the database first where they have rows.
struct Settler {
    store: Store,
    db: Option<Db>,
    fate: Fate,
}

impl Settler {
    /// Settles jobs no faster than `rate` a second; returns how many were still dead.
    async fn settle_all(&self, found: &[(Queue, Shown)], rate: u32) -> Result<u64, Failure> {
        let batch = BATCH.min(rate as usize);
        let mut pace = tokio::time::interval(Duration::from_secs(1) * u32_of(batch) / rate);
        let mut settled = 0;
        for same_queue in found.chunk_by(|(one, _), (other, _)| one == other) {
            for jobs in same_queue.chunks(batch) {
                pace.tick().await;
                let queue = &jobs[0].0;
                let jobs: Vec<_> = jobs.iter().map(|(_, job)| job).collect();
                settled += self.settle(queue, &jobs).await?;
            }
        }
        Ok(settled)
    }

    async fn settle(&self, queue: &Queue, jobs: &[&Shown]) -> Result<u64, Failure> {
        let rows = match (&self.db, self.fate) {
            (None, _) => 0,
            (Some(db), Fate::Retry) => note_retried(db, jobs).await?,
            (Some(db), Fate::Discard) => note_dropped(db, jobs).await?,
        };
        if *queue == rows::OUTBOX {
            return Ok(rows);
        }
        let ids: Vec<_> = jobs.iter().map(|job| job.id.as_str()).collect();
        let answers = match self.fate {
            Fate::Retry => self.store.retry_dead(queue, &ids).await?,
            Fate::Discard => self.store.discard_dead(queue, &ids).await?,
        };
        if let (Some(db), Fate::Retry) = (&self.db, self.fate) {
            note_retried_again(db, jobs).await?;
        }
        Ok(answers.iter().filter(|was_dead| **was_dead).count() as u64)
    }
}

fn u32_of(batch: usize) -> u32 {
    u32::try_from(batch).unwrap_or(u32::MAX)
}
