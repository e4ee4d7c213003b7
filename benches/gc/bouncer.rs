//! `PgBouncer` in transaction mode in front of the server.
use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    process::{Child, Command, Stdio},
    time::Duration,
};

use quayhand_testkit::{PostgresServer, wait_for};
use tempfile::TempDir;

const PROGRAMS: [&str; 2] = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"];
const PORT: u16 = 6432;

/// A running bouncer for every database of a server.
pub(crate) struct Bouncer {
    process: Child,
    folder: TempDir,
}

impl Bouncer {
    /// Starts one on a socket of its own; `None` when it is not installed.
    pub(crate) async fn start(server: &PostgresServer) -> Option<Self> {
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
             [pgbouncer]\nunix_socket_dir = {socket}\nlisten_port = {PORT}\n\
             logfile = {socket}/log\nauth_type = any\npool_mode = transaction\n\
             default_pool_size = 8\n",
            server.folder().display(),
            server.port(),
        );
        let file = folder.path().join("pgbouncer.ini");
        fs::write(&file, settings).unwrap();
        // It refuses to run as root; the user of the server is never root.
        let owner = fs::metadata(server.folder()).unwrap();
        let (uid, gid) = (owner.uid(), owner.gid());
        chown(folder.path(), Some(uid), Some(gid)).unwrap();
        let mut command = Command::new(program);
        command.arg("--quiet").arg(&file).uid(uid).gid(gid);
        let process = command.stdin(Stdio::null()).spawn().unwrap();
        let bouncer = Self { process, folder };
        let socket = bouncer.folder.path().join(format!(".s.PGSQL.{PORT}"));
        let deadline = Duration::from_secs(10);
        wait_for("PgBouncer", deadline, async || {
            socket.exists().then_some(())
        })
        .await;
        Some(bouncer)
    }

    /// Returns the URL of a database behind it.
    pub(crate) fn url(&self, database: &str) -> String {
        let folder = self.folder.path().display();
        format!("postgresql://quayhand@/{database}?host={folder}&port={PORT}")
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
