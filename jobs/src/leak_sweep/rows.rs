//! Leaked manifests, blobs and labels.
use model::{
    gc::{self, Collected, LeakKind},
    sighting,
};

use super::Sweep;
use crate::{
    collector::{chain, count, is_outage},
    loss,
    prelude::*,
};

/// Ids of one batch.
const BATCH: usize = 500;

impl Sweep<'_> {
    /// Looks at every row of a kind; takes what is due.
    pub(super) async fn rows(&mut self, kind: LeakKind) -> Result<(), JobError> {
        let mut after = Some(0);
        while let Some(from) = after {
            if !self.may_go_on() {
                return Ok(());
            }
            let find = async |conn: &mut model::Conn| gc::find_leaks(conn, kind, from).await;
            let page = self.ctx.db.scope(find).await?;
            after = page.next;
            if page.ids.is_empty() {
                continue;
            }
            self.done.add("leaks seen", page.ids.len() as u64);
            let due = self.sight(kind, &page.ids).await?;
            if self.is_dry() {
                self.doomed.entry(kind).or_default().extend(due);
            } else {
                self.take(kind, due).await?;
            }
            self.report();
        }
        if !self.is_dry() {
            let sweep_ms = self.since.sweep_ms;
            let forget =
                async |conn: &mut model::Conn| sighting::forget_unseen(conn, kind, sweep_ms).await;
            self.ctx.db.scope(forget).await?;
        }
        Ok(())
    }

    /// Writes down that these were seen, unless nothing may be changed; returns those that an
    /// earlier sweep had seen, long ago enough.
    async fn sight(&self, kind: LeakKind, ids: &[i64]) -> Result<Vec<i64>, JobError> {
        let (since, dry) = (self.since, self.is_dry());
        let sight = async |conn: &mut model::Conn| {
            if !dry {
                sighting::note(conn, kind, ids, since.sweep_ms).await?;
            }
            sighting::due(conn, kind, ids, since).await
        };
        Ok(self.ctx.db.scope(sight).await?)
    }

    /// Collects these, batch by batch, and again while that frees others of them: a subject
    /// goes after its referrer.
    async fn take(&mut self, kind: LeakKind, due: Vec<i64>) -> Result<(), JobError> {
        loop {
            let before = self.removed();
            for batch in due.chunks(BATCH) {
                if !self.may_go_on() {
                    return Ok(());
                }
                self.take_batch(kind, batch).await?;
            }
            if due.len() <= BATCH || self.removed() == before {
                return Ok(());
            }
        }
    }

    /// Collects one batch, halving it around a row that fails until that one stands alone.
    async fn take_batch(&mut self, kind: LeakKind, batch: &[i64]) -> Result<(), JobError> {
        let mut lists = vec![batch];
        while let Some(list) = lists.pop() {
            match self.collect(kind, list).await {
                Ok(collected) => count(&mut self.done, &collected),
                Err(error) if is_outage(&error) => return Err(error.into()),
                Err(error) if list.len() == 1 => {
                    let row = format!("{} {}: {}", kind.table(), list[0], chain(&error));
                    self.left.insert(row);
                }
                Err(_) => {
                    let (front, back) = list.split_at(list.len() / 2);
                    lists.extend([back, front]);
                }
            }
        }
        Ok(())
    }

    async fn collect(&self, kind: LeakKind, ids: &[i64]) -> Result<Collected, model::DbError> {
        let rules = &self.rules;
        let collect = async |tx: &mut model::Conn| {
            let collected = gc::collect_leaks(tx, kind, ids, rules).await?;
            sighting::forget_gone(tx, kind, ids).await?;
            Ok(collected)
        };
        self.ctx.db.transaction(collect).await
    }

    /// Shows what a dry run found, with everything that hangs below.
    pub(super) async fn show_rows(&mut self) -> Result<(), JobError> {
        let doomed = &self.doomed;
        let compute = async |tx: &mut model::Conn| gc::preview_leaks(tx, doomed).await;
        let found = self.ctx.db.read_only_transaction(compute).await?;
        self.done += loss::show(self.ctx, found);
        Ok(())
    }
}
