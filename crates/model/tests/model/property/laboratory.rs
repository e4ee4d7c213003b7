//! A database that takes one registry after the other, and the collector at work on it.
mod purges;

use std::collections::BTreeSet;

use futures::future::join_all;
use quayhand_model::{
    Conn, Db, DbConfig, DbError, configure,
    gc::{self, Collected, DoomedObject, LeakKind, Rules, Work},
    purge::{self, Loss},
};
use quayhand_testkit::PostgresServer;
use tokio_postgres::Client;

use super::{
    plan::{Plan, Stage},
    registry::Registry,
    snapshot::{Key, Reader, Snapshot},
};
use crate::{scratch, sweep};

/// Tries of a batch that conflicts with another.
const TRIES: u32 = 6;
/// Transactions after which a purge is taken for one that makes no progress.
const MANY: u32 = 1_000;

// Whatever hangs on a registry's first tables goes with them.
const EMPTY: &str = r#"
    select 'truncate "user", quotanamespacesize, imagestorage, label, '
           || string_agg(relname, ', ') || ' cascade'
      from pg_class
     where relnamespace = 'public'::regnamespace and relkind = 'r'
       and relname like 'quayhand\_%' and relname not like '%\_migrations'"#;

pub(super) struct Laboratory {
    db: Db,
    client: Client,
    reader: Reader,
    /// Empties the database.
    empty: String,
}

/// What was announced to go: rows, and objects afterwards.
pub(super) struct Announced {
    pub(super) rows: BTreeSet<Key>,
    pub(super) objects: Vec<DoomedObject>,
}

impl Laboratory {
    pub(super) async fn new() -> Self {
        let server = PostgresServer::shared().await.unwrap();
        let database = scratch::standalone(server, "property").await;
        let client = server.connect(&database).await.unwrap();
        let reader = Reader::new(&client).await;
        let empty = client.query_one(EMPTY, &[]).await.unwrap().get(0);
        Self {
            db: configure(DbConfig::new(server.url(&database))).unwrap(),
            client,
            reader,
            empty,
        }
    }

    /// Makes a registry in the emptied database.
    pub(super) async fn load(&self, registry: &Registry) -> Result<Snapshot, String> {
        self.client.batch_execute(&self.empty).await.unwrap();
        let loaded = self.client.batch_execute(&registry.statements()).await;
        loaded.map_err(|error| format!("no registry: {error:?}"))?;
        Ok(self.read().await)
    }

    pub(super) async fn read(&self) -> Snapshot {
        self.reader.read(&self.client).await
    }

    /// Passes a stage.
    pub(super) async fn pass(&self, stage: Stage, plan: &Plan) -> Result<(), DbError> {
        match stage {
            Stage::Expiry => self.expire(plan).await?,
            Stage::Repositories => self.purge_repositories(plan).await?,
            Stage::Namespaces => self.purge_namespaces(plan).await?,
            Stage::Leaks => self.sweep_leaks(plan).await?,
            Stage::Together => {
                let purge = async {
                    self.purge_repositories(plan).await?;
                    self.purge_namespaces(plan).await
                };
                let (expired, purged) = tokio::join!(self.expire(plan), purge);
                expired.and(purged)?;
            }
        }
        self.settle_totals().await
    }

    /// Collects what expires, until a pass over all candidates changes nothing.
    async fn expire(&self, plan: &Plan) -> Result<(), DbError> {
        let rules = &plan.rules();
        loop {
            let hands = plan.deal(sweep::candidates(&self.db, rules).await);
            let hands = hands.iter().map(|lists| self.exhaust(lists, plan));
            let mut rows = 0;
            for hand in join_all(hands).await {
                rows += hand?;
            }
            rows += self.settle_rechecks(rules).await?;
            if rows == 0 {
                return Ok(());
            }
        }
    }

    /// Collects lists of repositories one after the other; returns how many rows went.
    async fn exhaust(&self, lists: &[Vec<i64>], plan: &Plan) -> Result<u64, DbError> {
        let (rules, at_most) = (plan.rules(), plan.at_most);
        let mut rows = 0;
        for repositories in lists.iter().filter(|list| !list.is_empty()) {
            let mut carried = Vec::new();
            loop {
                let work = Work {
                    repositories,
                    carried: &carried,
                    at_most,
                };
                let batch = self.attempt(async |tx| gc::collect_batch(tx, work, &rules).await);
                let batch = batch.await?;
                rows += count(&batch);
                if !batch.more {
                    break;
                }
                carried = batch.carried;
            }
        }
        Ok(rows)
    }

    async fn settle_rechecks(&self, rules: &Rules) -> Result<u64, DbError> {
        let settled = self.attempt(async |tx| gc::settle_rechecks(tx, 300, rules).await);
        Ok(count(&settled.await?))
    }

    /// Makes the changes of totals that one connection held while another came by.
    async fn settle_totals(&self) -> Result<(), DbError> {
        while self
            .attempt(async |tx| gc::settle_totals(tx, 300).await)
            .await?
        {}
        Ok(())
    }

    /// Collects what nothing leads to, until a sweep finds nothing.
    async fn sweep_leaks(&self, plan: &Plan) -> Result<(), DbError> {
        let rules = &plan.rules();
        for _ in 0..MANY {
            let mut found = 0;
            for kind in LeakKind::ALL {
                let ids = self.leaks(kind).await?;
                found += ids.len();
                for ids in ids.chunks(plan.at_most as usize) {
                    self.attempt(async |tx| gc::collect_leaks(tx, kind, ids, rules).await)
                        .await?;
                }
            }
            if found == 0 {
                return Ok(());
            }
        }
        Err(DbError::Refused(
            "the same leaks are found for ever".to_owned(),
        ))
    }

    async fn leaks(&self, kind: LeakKind) -> Result<Vec<i64>, DbError> {
        let (mut ids, mut next) = (Vec::new(), Some(0));
        while let Some(after) = next {
            let page = self
                .db
                .scope(async |conn| gc::find_leaks(conn, kind, after).await);
            let page = page.await?;
            ids.extend(page.ids);
            next = page.next;
        }
        Ok(ids)
    }

    /// Runs one transaction, again when it conflicts with another.
    async fn attempt<T>(
        &self,
        work: impl AsyncFn(&mut Conn) -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        let mut tries = 1;
        loop {
            match self.db.transaction(async |tx| work(tx).await).await {
                Err(error) if error.is_contention() && tries < TRIES => tries += 1,
                ended => return ended,
            }
        }
    }

    /// Says what a stage would delete, if that can be asked.
    pub(super) async fn preview(
        &self,
        stage: Stage,
        plan: &Plan,
        now: &Snapshot,
    ) -> Result<Option<Announced>, DbError> {
        let (db, rules) = (&self.db, plan.rules());
        let repositories: Vec<_> = now.table("repository").map(|(id, _)| id).collect();
        let deleted = now.table("deletednamespace");
        let deleted: Vec<_> = deleted.map(|(_, row)| row.int("namespace_id")).collect();
        let loss = db.read_only_transaction(async |tx| match stage {
            Stage::Expiry => gc::preview(tx, None, &rules).await.map(Some),
            Stage::Repositories => purge::preview_repositories(tx, &repositories)
                .await
                .map(Some),
            Stage::Namespaces => purge::preview_namespaces(tx, &deleted).await.map(Some),
            Stage::Together | Stage::Leaks => Ok::<_, DbError>(None),
        });
        Ok(loss.await?.map(announced))
    }
}

fn announced((rows, objects): Loss) -> Announced {
    let rows = rows.into_iter().map(|row| (row.table.to_owned(), row.id));
    Announced {
        rows: rows.collect(),
        objects,
    }
}

fn count(batch: &Collected) -> u64 {
    batch.tags + batch.uploads + batch.manifests + batch.labels + batch.blobs
}
