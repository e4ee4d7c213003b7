//! A private `PgBouncer` in transaction mode, in front of a private PostgreSQL.
use std::{path::Path, time::Duration};

use crate::{POSTGRES_USER, PostgresServer, TestkitError, keeper::Keeper, program, wait_for};

/// The port in the name of its socket; nothing listens on the network.
const PORT: u16 = 6432;
/// How long it may take until its socket is there.
const START_DEADLINE: Duration = Duration::from_secs(10);

/// A running bouncer for every database of a server; dropping it ends it.
#[derive(Debug)]
pub struct PgBouncer {
    keeper: Keeper,
}

impl PgBouncer {
    /// Starts one that keeps at most `sessions` sessions with each database of the server.
    ///
    /// # Errors
    /// A missing program names its package; one that does not come up shows its log.
    pub async fn start(server: &PostgresServer, sessions: u32) -> Result<Self, TestkitError> {
        let bouncer = program::find("pgbouncer", "pgbouncer")?;
        let script = |folder: &Path| {
            let (folder, bouncer) = (folder.display(), bouncer.display());
            format!("cd '{folder}' || exit 1\nexec '{bouncer}' --quiet settings\n")
        };
        let settings = settings(server, sessions);
        let mut keeper = Keeper::new("quayhand-pb-", &script, &[("settings", settings)], "KILL")?;
        keeper.start()?;
        let socket = keeper.folder().join(format!(".s.PGSQL.{PORT}"));
        let ready = wait_for("PgBouncer", START_DEADLINE, async || {
            (socket.exists() || !keeper.runs()).then_some(())
        });
        ready.await;
        if !keeper.runs() {
            return Err(keeper.not_started("PgBouncer", "it ended"));
        }
        Ok(Self { keeper })
    }

    /// Returns the URL of a database behind it.
    pub fn url(&self, database: &str) -> String {
        let folder = self.keeper.folder().display();
        format!("postgresql://{POSTGRES_USER}@/{database}?host={folder}&port={PORT}")
    }
}

fn settings(server: &PostgresServer, sessions: u32) -> String {
    format!(
        "[databases]\n* = host={} port={} user={POSTGRES_USER}\n\
         [pgbouncer]\nunix_socket_dir = .\nlisten_port = {PORT}\nlogfile = log\n\
         auth_type = any\npool_mode = transaction\ndefault_pool_size = {sessions}\n",
        server.folder().display(),
        server.port(),
    )
}
