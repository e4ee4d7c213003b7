//! Drives the batch engine to the end, on one connection or several.
use std::ops::AddAssign;

use futures::future::join_all;
use quayhand_model::{
    Conn, Db, DbError,
    gc::{self, Collected, Rules, Work},
};

/// Repositories a sweep looks at in one pass.
const PASS: u32 = 100_000;

/// What a sweep came to.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    /// Batches that were sent, empty ones too.
    pub(crate) batches: u64,
    /// Rows deleted, by what they are.
    pub(crate) tags: u64,
    pub(crate) uploads: u64,
    pub(crate) manifests: u64,
    pub(crate) labels: u64,
    pub(crate) blobs: u64,
    pub(crate) tombstones: u64,
    /// Things that somebody held.
    pub(crate) postponed: u64,
    pub(crate) statements: u64,
}

impl Sweep {
    /// Counts the rows of the tables that [`Collected`] tells about.
    pub(crate) fn rows(&self) -> u64 {
        self.tags + self.uploads + self.manifests + self.labels + self.blobs
    }
}

impl AddAssign<&Collected> for Sweep {
    fn add_assign(&mut self, batch: &Collected) {
        self.batches += 1;
        self.tags += batch.tags;
        self.uploads += batch.uploads;
        self.manifests += batch.manifests;
        self.labels += batch.labels;
        self.blobs += batch.blobs;
        self.tombstones += batch.tombstones;
        self.postponed += batch.postponed;
        self.statements += batch.statements;
    }
}

impl AddAssign<Self> for Sweep {
    fn add_assign(&mut self, other: Self) {
        self.batches += other.batches;
        self.tags += other.tags;
        self.uploads += other.uploads;
        self.manifests += other.manifests;
        self.labels += other.labels;
        self.blobs += other.blobs;
        self.tombstones += other.tombstones;
        self.postponed += other.postponed;
        self.statements += other.statements;
    }
}

/// Collects all candidates on one connection until a pass changes nothing.
pub(crate) async fn everything(db: &Db, rules: &Rules, at_most: u32) -> Sweep {
    side_by_side(db, rules, at_most, 1).await
}

/// Collects all candidates, dealt to `lanes` connections, until a pass changes nothing.
pub(crate) async fn side_by_side(db: &Db, rules: &Rules, at_most: u32, lanes: usize) -> Sweep {
    let mut swept = Sweep::default();
    loop {
        let found = candidates(db, rules).await;
        let mut pass = Sweep::default();
        let hands = (0..lanes).map(|lane| {
            let hand: Vec<_> = found.iter().skip(lane).step_by(lanes).copied().collect();
            async move { exhaust(db, rules, &hand, at_most).await.unwrap() }
        });
        for hand in join_all(hands).await {
            pass += hand;
        }
        let idle = pass.rows() == 0;
        swept += pass;
        if idle {
            settle_totals(db).await;
            return swept;
        }
    }
}

/// Changes the totals that batches held from each other.
async fn settle_totals(db: &Db) {
    let settle = async |tx: &mut Conn| gc::settle_totals(tx, 1_000).await;
    while db.transaction(settle).await.unwrap() {}
}

/// Names the repositories with garbage, in the order of their turns.
pub(crate) async fn candidates(db: &Db, rules: &Rules) -> Vec<i64> {
    let found = db.scope(async |conn| gc::candidates(conn, rules, PASS).await);
    let found = found.await.unwrap();
    found.iter().map(|one| one.repository_id).collect()
}

/// Collects one list of repositories, batch after batch, until a batch is not full.
pub(crate) async fn exhaust(
    db: &Db,
    rules: &Rules,
    repositories: &[i64],
    at_most: u32,
) -> Result<Sweep, DbError> {
    let mut swept = Sweep::default();
    let mut carried = Vec::new();
    while !repositories.is_empty() {
        let work = Work {
            repositories,
            carried: &carried,
            at_most,
        };
        let batch = db
            .transaction(async |tx| gc::collect_batch(tx, work, rules).await)
            .await?;
        swept += &batch;
        if !batch.more {
            break;
        }
        carried = batch.carried;
    }
    Ok(swept)
}
