//! Everything works behind `PgBouncer` in transaction mode, and leaves no trace in its sessions.
use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    process::{Child, Command, Stdio},
    time::Duration,
};

use quayhand_model::{Db, DbConfig, DbError, configure, schedule};
use quayhand_testkit::wait_for;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};

use super::{DEADLINE, Lab, claim, ping};

const SHORT: Duration = Duration::from_millis(200);
const PROGRAMS: [&str; 2] = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"];

/// A bouncer in front of a lab's server, with two connections to it.
struct Bouncer {
    process: Child,
    folder: TempDir,
    database: String,
}

impl Bouncer {
    /// Starts one on a socket of its own; `None` when it is not installed.
    async fn start(lab: &Lab) -> Option<Self> {
        let installed = |path: &&str| fs::exists(path).unwrap_or(false);
        let Some(program) = PROGRAMS.into_iter().find(installed) else {
            println!("SKIPPED: the package `pgbouncer` is not installed");
            return None;
        };
        let folder = tempfile::Builder::new()
            .prefix("qh-pgb-")
            .tempdir_in("/tmp")
            .unwrap();
        let socket = folder.path().display();
        let settings = format!(
            "[databases]\n* = host={} port={} user=quayhand\n\
             [pgbouncer]\nunix_socket_dir = {socket}\nlogfile = {socket}/log\n\
             auth_type = any\npool_mode = transaction\ndefault_pool_size = 2\n",
            lab.server.folder().display(),
            lab.server.port(),
        );
        let file = folder.path().join("pgbouncer.ini");
        fs::write(&file, settings).unwrap();
        // It refuses to run as root; the user of the server is never root.
        let owner = fs::metadata(lab.server.folder()).unwrap();
        let (uid, gid) = (owner.uid(), owner.gid());
        chown(folder.path(), Some(uid), Some(gid)).unwrap();
        let mut command = Command::new(program);
        command
            .arg("--quiet")
            .arg(&file)
            .uid(uid)
            .gid(gid)
            .stdin(Stdio::null());
        let process = command.spawn().unwrap();
        let database = lab.database.clone();
        let bouncer = Self {
            process,
            folder,
            database,
        };
        wait_for("PgBouncer", DEADLINE, async || bouncer.connect().await.ok()).await;
        Some(bouncer)
    }

    fn url(&self) -> String {
        let (folder, database) = (self.folder.path().display(), &self.database);
        format!("postgresql://quayhand@/{database}?host={folder}&port=6432")
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

impl Drop for Bouncer {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

#[tokio::test]
async fn transactions_carry_their_limits_and_sessions_keep_none() {
    let lab = Lab::new().await;
    let Some(bouncer) = Bouncer::start(&lab).await else {
        return;
    };
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
    let Some(bouncer) = Bouncer::start(&lab).await else {
        return;
    };
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
    let Some(bouncer) = Bouncer::start(&lab).await else {
        return;
    };
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
