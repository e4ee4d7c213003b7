//! Purging what is marked, transaction after transaction, as the job does.
use quayhand_model::{
    Conn, DbError, gc,
    purge::{self, Ending, NamespaceState},
};

use super::{Laboratory, MANY, Plan};
use crate::property::registry::NOW_MS;

impl Laboratory {
    pub(super) async fn purge_repositories(&self, plan: &Plan) -> Result<(), DbError> {
        let db = &self.db;
        let marked = db.scope(async |conn| purge::marked_repositories(conn, 0, 100).await);
        for repository in marked.await? {
            self.purge_repository(repository.id, plan).await?;
        }
        Ok(())
    }

    async fn purge_repository(&self, id: i64, plan: &Plan) -> Result<(), DbError> {
        let (rules, at_most) = (&plan.rules(), plan.at_most);
        for _ in 0..MANY {
            let batch = self.attempt(async |tx| gc::purge_batch(tx, id, at_most, rules).await);
            if !batch.await?.is_some_and(|batch| batch.more) {
                break;
            }
        }
        let drop = async |tx: &mut Conn| purge::drop_repository_rows(tx, id, at_most).await;
        while self.attempt(drop).await? > 0 {}
        let finish = async |tx: &mut Conn| purge::finish_repository(tx, id, rules).await;
        self.attempt(finish).await.and_then(purged)
    }

    pub(super) async fn purge_namespaces(&self, plan: &Plan) -> Result<(), DbError> {
        let (db, now) = (&self.db, Some(NOW_MS));
        let due = db.scope(async |conn| purge::due_namespaces(conn, 0, 100, now).await);
        for namespace in due.await? {
            self.purge_namespace(namespace.id, plan).await?;
        }
        Ok(())
    }

    async fn purge_namespace(&self, id: i64, plan: &Plan) -> Result<(), DbError> {
        let (at_most, now) = (plan.at_most, Some(NOW_MS));
        let prepare = async |tx: &mut Conn| purge::prepare_namespace(tx, id, at_most, now).await;
        while let NamespaceState::Ready(repositories) = self.attempt(prepare).await? {
            if repositories.is_empty() {
                break;
            }
            for repository in repositories {
                self.purge_repository(repository, plan).await?;
            }
        }
        let drop = async |tx: &mut Conn| purge::drop_namespace_rows(tx, id, at_most, now).await;
        while self.attempt(drop).await? > 0 {}
        let finish = async |tx: &mut Conn| purge::finish_namespace(tx, id, now).await;
        self.attempt(finish).await.and_then(purged)
    }
}

/// Insists that nothing was in the way of a purge.
fn purged(ended: Ending) -> Result<(), DbError> {
    match ended {
        Ending::Purged => Ok(()),
        ended => Err(DbError::Refused(format!("a purge ended as {ended:?}"))),
    }
}
