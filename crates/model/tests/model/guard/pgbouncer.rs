//! Everything works behind `PgBouncer` in transaction mode, and leaves no trace in its sessions.
use std::time::Duration;

use quayhand_model::{Db, DbConfig, DbError, configure, schedule};
use quayhand_testkit::PgBouncer;
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};

use super::{DEADLINE, Lab, claim, ping};

const SHORT: Duration = Duration::from_millis(200);

/// The way to a lab's database through a bouncer with two sessions.
struct Bounced {
    bouncer: PgBouncer,
    database: String,
}

impl Bounced {
    async fn new(lab: &Lab) -> Self {
        Self {
            bouncer: PgBouncer::start(lab.server, 2).await.unwrap(),
            database: lab.database.clone(),
        }
    }

    fn url(&self) -> String {
        self.bouncer.url(&self.database)
    }

    fn db(&self, change: impl FnOnce(&mut DbConfig)) -> Db {
        let mut config = DbConfig::new(self.url());
        config.pgbouncer = true;
        change(&mut config);
        configure(config).unwrap()
    }

    async fn connect(&self) -> Result<Client, tokio_postgres::Error> {
        let (client, connection) = tokio_postgres::connect(&self.url(), NoTls).await?;
        tokio::spawn(connection);
        client.simple_query("select 1").await?;
        Ok(client)
    }
}

#[tokio::test]
async fn transactions_carry_their_limits_and_sessions_keep_none() {
    let lab = Lab::new().await;
    let bouncer = Bounced::new(&lab).await;
    let _holder = lab.hold("a").await;
    let locks = bouncer.db(|config| config.lock_timeout = SHORT);
    let ended = locks.transaction(async |tx| claim(tx, "a").await).await;
    assert_eq!(ended.unwrap_err().code(), Some("55P03"));
    let statements = bouncer.db(|config| {
        config.lock_timeout = Duration::ZERO;
        config.statement_timeout = SHORT;
    });
    let ended = statements
        .transaction(async |tx| claim(tx, "a").await)
        .await;
    assert_eq!(ended.unwrap_err().code(), Some("57014"));
    // Nothing limits a plain scope on the server, so we give up ourselves and stop it there.
    let ended = statements.scope(async |conn| claim(conn, "a").await);
    let ended = tokio::time::timeout(DEADLINE, ended).await;
    assert!(matches!(ended, Ok(Err(DbError::Lost { .. }))), "{ended:?}");
    statements.close().await;
    let sessions = lab.sessions().await;
    assert!(sessions.iter().all(|session| !session.waits_for_lock));
    let (one, other) = (
        bouncer.connect().await.unwrap(),
        bouncer.connect().await.unwrap(),
    );
    for client in [&one, &other] {
        client.batch_execute("begin").await.unwrap();
        let traces =
            "select current_setting('statement_timeout') || current_setting('lock_timeout')
             || current_setting('idle_in_transaction_session_timeout')
             || (select count(*) from pg_prepared_statements)";
        let traces = client.simple_query(traces).await.unwrap();
        let traces = traces.iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(ToOwned::to_owned),
            _ => None,
        });
        assert_eq!(traces.as_deref(), Some("0000"));
    }
}

#[tokio::test]
async fn many_connections_share_two_sessions() {
    let lab = Lab::new().await;
    let bouncer = Bounced::new(&lab).await;
    let db = bouncer.db(|config| config.pool_size = 8);
    let mut tasks = JoinSet::new();
    for task in 0..40 {
        let db = db.clone();
        tasks.spawn(async move {
            let entry = format!("task {task}");
            let job = db.transaction(async |tx| {
                claim(tx, &entry).await?;
                schedule::mark_enqueued(tx, &entry, 0).await?;
                schedule::last_tick(tx, &entry).await
            });
            job.await
        });
    }
    while let Some(done) = tasks.join_next().await {
        assert_eq!(done.unwrap().unwrap(), Some(0));
    }
    assert_eq!(lab.entries().await.len(), 40);
    assert!(lab.sessions().await.len() <= 2);
}

#[tokio::test]
async fn a_cancelled_transaction_stops_behind_it_and_its_session_is_clean() {
    let lab = Lab::new().await;
    let bouncer = Bounced::new(&lab).await;
    let db = bouncer.db(|config| {
        config.pool_size = 1;
        config.lock_timeout = Duration::ZERO;
    });
    let _holder = lab.hold("b").await;
    tokio::select! {
        _pid = lab.until_blocked() => {}
        claimed = db.transaction(async |tx| {
            claim(tx, "a").await?;
            claim(tx, "b").await
        }) => panic!("{claimed:?}"),
    }
    ping(&db).await.unwrap();
    assert!(
        lab.sessions()
            .await
            .iter()
            .all(|session| !session.waits_for_lock)
    );
    lab.run(
        "set lock_timeout = '1s'; insert into quayhand_schedule values ('a', 'epoch', 'claimed')",
    )
    .await;
    db.transaction(async |tx| claim(tx, "c").await)
        .await
        .unwrap();
    assert_eq!(lab.entries().await, ["a", "c"]);
}
