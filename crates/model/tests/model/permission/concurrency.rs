//! Two recomputes at once: what was seen earlier never lands on what was seen later.
use std::time::Duration;

use futures::future::join_all;
use quayhand_model::{
    Db, DbError,
    permission::{Plan, Scope},
};
use quayhand_testkit::wait_for;
use tokio::sync::oneshot;

use super::{
    Tables,
    oracle::Base,
    recompute,
    registry::{Acme, Registry},
    try_recompute,
};

/// First number of the lock of one user, and of the one that a plan waits for.
const USER: i64 = 0x7168_7075;
const RUNNING: i64 = 0x7168_7072;

/// A recompute of one user that has written and not committed.
struct Paused {
    resume: oneshot::Sender<()>,
    finished: tokio::task::JoinHandle<Result<(), DbError>>,
}

impl Paused {
    async fn before_commit(db: &Db, user: i64) -> Self {
        let db = db.clone();
        let (resume, resumed) = oneshot::channel();
        let (tell, written) = oneshot::channel();
        let finished = tokio::spawn(async move {
            db.transaction(async |tx| {
                let plan = Plan::new(tx, Scope::User(user)).await?;
                let batch = plan.batch(tx, plan.start()).await?;
                tell.send(batch.written.granted).unwrap();
                resumed.await.unwrap();
                Ok::<_, DbError>(())
            })
            .await
        });
        assert!(written.await.unwrap() > 0, "it has seen the grant");
        Self { resume, finished }
    }

    async fn commit(self) {
        self.resume.send(()).unwrap();
        self.finished.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_later_recompute_of_a_user_waits_and_reads_after_it_waited() {
    let acme = Acme::new().await;
    let registry = &acme.registry;
    let earlier = Paused::before_commit(&registry.db, acme.robot).await;
    let (db, scope) = (registry.db.clone(), Scope::User(acme.robot));
    let later = tokio::spawn(async move { try_recompute(&db, scope).await });
    blocked(registry, USER).await;
    // Revoked after the later one began to wait: it must not have read yet.
    registry.run("delete from repositorypermission").await;
    assert!(!later.is_finished());
    earlier.commit().await;
    let written = later.await.unwrap().unwrap();
    assert_eq!(
        written.revoked, 1,
        "it saw the earlier one's row and no grant"
    );
    let tables = Tables::read(&registry.client).await;
    assert!(tables.repositories.is_empty(), "{tables:?}");
}

#[tokio::test]
async fn a_repository_waits_for_a_recompute_that_has_seen_a_grant_revoked_since() {
    type ScopeOf = fn(&Acme) -> Scope;
    let scopes: [ScopeOf; 4] = [
        |a| Scope::Repository(a.app),
        |a| Scope::Organization(a.organization),
        |a| Scope::Team(a.developers),
        |_| Scope::All,
    ];
    for scope in scopes {
        let acme = Acme::new().await;
        let registry = &acme.registry;
        let earlier = Paused::before_commit(&registry.db, acme.robot).await;
        registry.run("delete from repositorypermission").await;
        let (db, scope) = (registry.db.clone(), scope(&acme));
        let later = tokio::spawn(async move { try_recompute(&db, scope).await });
        blocked(registry, RUNNING).await;
        assert!(!later.is_finished());
        earlier.commit().await;
        later.await.unwrap().unwrap();
        let tables = Tables::read(&registry.client).await;
        assert!(tables.repositories.is_empty(), "{scope:?}: {tables:?}");
    }
}

#[tokio::test]
async fn leaves_other_users_alone() {
    let acme = Acme::new().await;
    let registry = &acme.registry;
    let paused = Paused::before_commit(&registry.db, acme.robot).await;
    // Would end in a lock time-out if it waited.
    let written = recompute(&registry.db, Scope::User(acme.developer)).await;
    assert_eq!(written.granted, 3);
    paused.commit().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scopes_that_overlap_never_deadlock_and_end_in_the_same_rows() {
    let acme = Acme::new().await;
    let registry = &acme.registry;
    let base = Base::read(&registry.client).await;
    for round in 0..10 {
        registry
            .run("truncate quayhand_permission, quayhand_namespace_permission")
            .await;
        let mut scopes = vec![
            Scope::All,
            Scope::All,
            Scope::Organization(acme.organization),
        ];
        scopes.extend([Scope::Repository(acme.lib), Scope::Team(acme.developers)]);
        scopes.extend(base.users.iter().map(|user| Scope::User(user.id)));
        let runs = scopes.iter().map(|scope| {
            let (db, scope) = (registry.db.clone(), *scope);
            tokio::spawn(async move { try_recompute(&db, scope).await })
        });
        for (run, scope) in join_all(runs).await.into_iter().zip(&scopes) {
            assert!(run.unwrap().is_ok(), "round {round}: {scope:?}");
        }
        let expected = Tables {
            repositories: base.repository_roles(),
            namespaces: base.namespace_roles(),
        };
        assert_eq!(
            Tables::read(&registry.client).await,
            expected,
            "round {round}"
        );
    }
}

/// Waits until somebody waits for a lock.
async fn blocked(registry: &Registry, class: i64) {
    let client = registry.connect().await;
    let text = "select count(*) from pg_locks
                 where locktype = 'advisory' and classid::bigint = $1 and not granted
                   and database = (select oid from pg_database where datname = current_database())";
    wait_for(
        "a recompute that waits",
        Duration::from_secs(5),
        async || {
            let row = client.query_one(text, &[&class]).await.unwrap();
            (row.get::<_, i64>(0) > 0).then_some(())
        },
    )
    .await;
}
