//! A streaming replica of a throw-away PostgreSQL.

use std::path::Path;

use super::{POSTGRES_USER, PostgresServer};
use crate::{TestkitError, port, program};

impl PostgresServer {
    /// Settings without which a fast server has no replicas.
    pub const REPLICATED: [(&str, &str); 2] = [("wal_level", "replica"), ("max_wal_senders", "4")];

    /// Starts a replica that follows this server by streaming, and returns when it answers.
    ///
    /// The server must have been started with [`PostgresServer::REPLICATED`] or with `fsync`. Cost:
    /// about two seconds.
    ///
    /// # Errors
    /// As [`PostgresServer::start`].
    pub async fn replica(&self) -> Result<Self, TestkitError> {
        let backup = program::find("pg_basebackup", "postgresql-client")?;
        let postgres = program::find("postgres", "postgresql")?;
        let port = port::free()?;
        let script = |folder: &Path| follow_script(&backup, &postgres, self, folder);
        Self::launch(&script, format!("port = {port}\n"), port).await
    }
}

/// Writes the script that copies a server's data folder and becomes a server that follows it.
fn follow_script(
    backup: &Path,
    postgres: &Path,
    primary: &PostgresServer,
    folder: &Path,
) -> String {
    let (backup, postgres) = (backup.display(), postgres.display());
    let (from, port) = (primary.folder().display(), primary.port());
    let folder = folder.display();
    format!(
        "cd '{folder}' || exit 1\n\
         if ! [ -d data ]; then\n\
         '{backup}' --pgdata=data --host='{from}' --port={port} --username={POSTGRES_USER} \\\n\
         --write-recovery-conf --wal-method=stream --checkpoint=fast --no-sync || exit 1\n\
         cat settings >>data/postgresql.conf\n\
         fi\n\
         exec '{postgres}' -D data -c unix_socket_directories='{folder}' -c hba_file=access\n"
    )
}
