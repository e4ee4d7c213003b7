//! Drives the purge of repositories and namespaces: batch after batch, until the row itself
//! can go, or until it is clear what is in the way.
mod namespace;
mod wait;

use std::time::Duration;

use futures::future::BoxFuture;
use quayhand_model::{
    Conn, DbError,
    gc::{self, Rules},
    purge::{self, Ending},
};
use quayhand_queue::{Done, JobError};

use wait::{Halt, PATIENCE, Wait};

use crate::{
    Ctx, Step,
    collector::{self, chain},
    large_lock::LargeLock,
};

/// Rows besides the content that one transaction deletes.
const ROWS: u32 = 1_000;
/// Tries of one transaction that conflicts with other writers, each half as large.
const TRIES: u32 = 6;
/// What is in the way when a row cannot be locked.
const HELD: &str = "another transaction holds it";

/// Purges what is marked, under Quay's lock around purges.
pub(crate) struct Purger<'a> {
    ctx: &'a Ctx,
    rules: Rules,
    lock: LargeLock,
    done: Done,
    left: Vec<String>,
}

impl<'a> Purger<'a> {
    /// Starts a purger, which holds the lock until [`Purger::finish`].
    ///
    /// # Errors
    ///
    /// As [`LargeLock::take`].
    pub(crate) async fn start(ctx: &'a Ctx) -> Result<Self, JobError> {
        Ok(Self {
            ctx,
            rules: collector::rules(ctx),
            lock: LargeLock::take(ctx).await?,
            done: Done::default(),
            left: Vec::new(),
        })
    }

    /// Tells whether the run was asked to stop.
    pub(crate) fn is_stopped(&self) -> bool {
        self.ctx.stop.is_cancelled()
    }

    /// Purges one repository, if it is marked for deletion. What is in the way is noted.
    ///
    /// # Errors
    ///
    /// When nothing can go on: the database or Redis is out of reach.
    pub(crate) async fn repository(&mut self, id: i64) -> Result<(), JobError> {
        let ended = self.purge_repository(id).await;
        self.note(ended, "repository", id)
    }

    /// Purges one namespace, if its marker is due, its repositories first.
    ///
    /// # Errors
    ///
    /// As [`Purger::repository`].
    pub(crate) async fn namespace(&mut self, id: i64) -> Result<(), JobError> {
        let ended = self.purge_namespace(id).await;
        self.note(ended, "namespace", id)
    }

    /// Releases the lock and tells what was done.
    ///
    /// # Errors
    ///
    /// `ended`, or [`JobError::Partial`] when something was left.
    pub(crate) async fn finish(self, ended: Result<(), JobError>) -> Result<Done, JobError> {
        let (stopped, mut left) = (self.is_stopped(), self.left);
        self.lock.release().await;
        ended?;
        if stopped {
            left.push("stopped before the end; what was done stays done".to_owned());
        }
        if left.is_empty() {
            return Ok(self.done);
        }
        Err(JobError::Partial {
            done: self.done,
            left,
        })
    }

    fn note(&mut self, ended: Result<(), Halt>, what: &str, id: i64) -> Result<(), JobError> {
        self.ctx.options.progress.report(&Step {
            done: &self.done,
            handled: self.done.of("repositories") + self.done.of("namespaces"),
            total: 0,
        });
        match ended {
            Ok(()) => Ok(()),
            Err(Halt::Job(error)) => Err(error),
            Err(Halt::Stuck(reason)) => {
                self.left.push(format!("{what} {id}: {reason}"));
                Ok(())
            }
        }
    }

    async fn purge_repository(&mut self, id: i64) -> Result<(), Halt> {
        let mut wait = Wait::default();
        while !self.is_stopped() {
            let content = self.purge_content(id).await?;
            let changed = content + self.drop_rows(Rest::OfRepository(id)).await?;
            if self.is_stopped() {
                break;
            }
            let rules = self.rules.clone();
            let ended = self
                .attempt(1, move |tx, _| {
                    let rules = rules.clone();
                    Box::pin(async move { purge::finish_repository(tx, id, &rules).await })
                })
                .await?;
            if self
                .settle(ended, "repositories", changed, &mut wait)
                .await?
            {
                break;
            }
        }
        Ok(())
    }

    /// Deletes tags, uploads, manifests, labels and blobs; returns how many rows went.
    async fn purge_content(&mut self, id: i64) -> Result<u64, Halt> {
        let mut changed = 0;
        let at_most = self.ctx.settings.batch_tags.max(1);
        while !self.is_stopped() {
            let rules = self.rules.clone();
            let batch = self
                .attempt(at_most, move |tx, at_most| {
                    let rules = rules.clone();
                    Box::pin(async move { gc::purge_batch(tx, id, at_most, &rules).await })
                })
                .await?;
            let Some(batch) = batch else { break };
            collector::count(&mut self.done, &batch);
            changed += batch.tags + batch.uploads + batch.manifests + batch.labels + batch.blobs;
            if batch.is_empty() || !batch.more {
                break;
            }
        }
        Ok(changed)
    }

    /// Tells whether a purge is at its end; if not, waits for what is in the way.
    async fn settle(
        &mut self,
        ended: Ending,
        what: &str,
        changed: u64,
        wait: &mut Wait,
    ) -> Result<bool, Halt> {
        let reason = match ended {
            Ending::Purged => {
                self.done.add(what, 1);
                return Ok(true);
            }
            Ending::NotMarked => return Ok(true),
            Ending::Busy => HELD.to_owned(),
            Ending::Left(tables) => left_in(&tables),
        };
        wait.pause(self.ctx, changed, &reason).await?;
        Ok(false)
    }

    /// Deletes rows besides content, transaction after transaction; returns how many went.
    async fn drop_rows(&mut self, rest: Rest) -> Result<u64, Halt> {
        let (mut changed, as_of_ms) = (0, self.ctx.options.as_of_ms);
        while !self.is_stopped() {
            let gone = self
                .attempt(ROWS, move |tx, at_most| match rest {
                    Rest::OfRepository(id) => {
                        Box::pin(purge::drop_repository_rows(tx, id, at_most))
                    }
                    Rest::OfNamespace(id) => {
                        Box::pin(purge::drop_namespace_rows(tx, id, at_most, as_of_ms))
                    }
                    Rest::Robots(id) => Box::pin(purge::drop_robots(tx, id, at_most, as_of_ms)),
                })
                .await?;
            self.done.add("other rows", gone);
            changed += gone;
            if gone == 0 {
                break;
            }
        }
        Ok(changed)
    }

    /// Runs one transaction, again and smaller when it conflicts with other writers.
    async fn attempt<T>(
        &mut self,
        mut at_most: u32,
        work: impl for<'c> Fn(&'c mut Conn, u32) -> BoxFuture<'c, Result<T, DbError>> + Sync,
    ) -> Result<T, Halt>
    where
        T: Send,
    {
        let mut tries = 1;
        loop {
            if !self.lock.keep().await.map_err(Halt::Job)? {
                return Err(Halt::Job(JobError::Snooze(PATIENCE)));
            }
            let db = &self.ctx.db;
            match db.transaction(async |tx| work(tx, at_most).await).await {
                Err(error) if error.is_contention() && tries < TRIES => {
                    tracing::debug!(tries, at_most, error = %chain(&error), "purge conflicts");
                    tokio::time::sleep(Duration::from_millis(20) * tries * tries).await;
                    tries += 1;
                    at_most = (at_most / 2).max(1);
                }
                ended => return Ok(ended?),
            }
        }
    }
}

/// The rows that one loop deletes.
#[derive(Clone, Copy)]
enum Rest {
    OfRepository(i64),
    OfNamespace(i64),
    Robots(i64),
}

fn left_in(tables: &[String]) -> String {
    format!(
        "rows are left that something else holds or refers to, in {}",
        tables.join(", ")
    )
}
