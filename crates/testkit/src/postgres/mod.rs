//! A private PostgreSQL server that exists as long as the value that stands for it.
//!
//! - `mod.rs`: starting and stopping it
//! - `database.rs`: making databases in it, connecting to them, running SQL files
//! - `replica.rs`: a second server that follows it

mod database;
mod replica;

use std::{collections::BTreeSet, fmt::Write as _, path::Path, time::Duration};

use tokio::sync::{Mutex, OnceCell};

use crate::{TestkitError, keeper::Keeper, port, program};

/// The superuser of every throw-away server.
pub const POSTGRES_USER: &str = "quayhand";
/// The superuser's password; TCP connections need it, socket connections do not.
pub const POSTGRES_PASSWORD: &str = "quayhand";

/// How long a new server may take until it answers; `initdb` has most of it.
const START_DEADLINE: Duration = Duration::from_mins(1);
/// How often a start is tried when somebody else takes the port first.
const START_TRIES: u32 = 5;

/// Says what a throw-away PostgreSQL gives up for speed, and what it is told besides.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// Whether commits wait for the disk. Without it a crash of the *machine* may lose data; a
    /// crash of the server's processes does not.
    pub fsync: bool,
    /// Further settings as in `postgresql.conf`, name and value; later ones win.
    pub settings: Vec<(String, String)>,
}

impl Default for PostgresOptions {
    /// A server that writes like a real one.
    fn default() -> Self {
        Self {
            fsync: true,
            settings: Vec::new(),
        }
    }
}

/// A running throw-away PostgreSQL; dropping it ends the server and removes its folder.
///
/// The same happens when the process ends in any other way. It listens on a free port of
/// 127.0.0.1, with password, and on a socket in its folder, without.
#[derive(Debug)]
pub struct PostgresServer {
    keeper: Keeper,
    port: u16,
    /// Names of the templates that are complete.
    templates: Mutex<BTreeSet<String>>,
}

impl PostgresServer {
    /// Starts a server with `fsync` on. Cost: about a second.
    ///
    /// # Errors
    /// A missing program names its package; a server that does not come up shows its log.
    pub async fn start() -> Result<Self, TestkitError> {
        Self::start_with(&PostgresOptions::default()).await
    }

    /// Starts a server that never waits for the disk. Cost: about a second.
    ///
    /// # Errors
    /// As [`PostgresServer::start`].
    pub async fn fast() -> Result<Self, TestkitError> {
        let fsync = false;
        Self::start_with(&PostgresOptions {
            fsync,
            ..PostgresOptions::default()
        })
        .await
    }

    /// Starts a server as `options` say.
    ///
    /// # Errors
    /// As [`PostgresServer::start`].
    pub async fn start_with(options: &PostgresOptions) -> Result<Self, TestkitError> {
        let mut tries = 1;
        loop {
            match Self::try_start(options).await {
                Err(TestkitError::NotStarted { log_tail, .. })
                    if tries < START_TRIES && log_tail.contains("Address already in use") =>
                {
                    tries += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// Returns the one server that all tests of this process share, started at the first call.
    ///
    /// It does not wait for the disk. Tests keep apart by databases of their own. It ends shortly
    /// after the process.
    ///
    /// # Errors
    /// As [`PostgresServer::start`]; the next call tries again.
    pub async fn shared() -> Result<&'static Self, TestkitError> {
        static SHARED: OnceCell<PostgresServer> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::fast).await
    }

    /// Ends the server without ceremony and removes its folder; open connections break.
    pub fn stop(self) {
        drop(self);
    }

    /// The server's port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder that holds the server's socket, data and log.
    pub fn folder(&self) -> &Path {
        self.keeper.folder()
    }

    /// The process id of the server.
    pub fn pid(&self) -> Option<i32> {
        self.keeper.pid().map(|pid| pid.as_raw_nonzero().get())
    }

    /// Returns the URL of one of its databases: TCP, with user and password.
    pub fn url(&self, database: &str) -> String {
        let port = self.port;
        format!("postgresql://{POSTGRES_USER}:{POSTGRES_PASSWORD}@127.0.0.1:{port}/{database}")
    }

    /// Makes the folder, starts a server in it and waits until it answers.
    async fn try_start(options: &PostgresOptions) -> Result<Self, TestkitError> {
        let initdb = program::find("initdb", "postgresql")?;
        let postgres = program::find("postgres", "postgresql")?;
        let port = port::free()?;
        let script = |folder: &Path| start_script(&initdb, &postgres, folder);
        Self::launch(&script, settings(options, port), port).await
    }

    /// Makes a folder, runs a script in it that becomes the server, waits until it answers.
    async fn launch(
        script: &dyn Fn(&Path) -> String,
        settings: String,
        port: u16,
    ) -> Result<Self, TestkitError> {
        let files = [
            ("settings", settings),
            ("access", ACCESS.to_owned()),
            ("password", POSTGRES_PASSWORD.to_owned()),
        ];
        let mut keeper = Keeper::new("quayhand-pg-", script, &files, "QUIT")?;
        keeper.start()?;
        let server = Self {
            keeper,
            port,
            templates: Mutex::new(BTreeSet::new()),
        };
        server.wait_until_it_answers().await?;
        Ok(server)
    }

    /// Waits until the server takes connections on its socket.
    ///
    /// The socket lies in our folder, so it is this server that answers and no other; with its
    /// only TCP address taken the server does not come up at all.
    async fn wait_until_it_answers(&self) -> Result<(), TestkitError> {
        let failed = |reason| Err(self.keeper.not_started("PostgreSQL", reason));
        let polling = async {
            while self.connect("postgres").await.is_err() {
                if !self.keeper.runs() {
                    return failed("the process ended");
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Ok(())
        };
        let outcome = tokio::time::timeout(START_DEADLINE, polling).await;
        outcome.unwrap_or_else(|_| failed("it does not answer"))
    }
}

/// Who may connect: everybody who reaches the socket, and over TCP who knows the password.
const ACCESS: &str =
    "local all all trust\nlocal replication all trust\nhost all all 127.0.0.1/32 md5\n";

/// Writes the script that makes the data folder and becomes the server.
fn start_script(initdb: &Path, postgres: &Path, folder: &Path) -> String {
    let (initdb, postgres, folder) = (initdb.display(), postgres.display(), folder.display());
    format!(
        "cd '{folder}' || exit 1\n\
         if ! [ -d data ]; then\n\
         '{initdb}' --pgdata=data --username={POSTGRES_USER} --pwfile=password --auth=trust \\\n\
         --encoding=UTF8 --locale=C --no-sync --no-instructions || exit 1\n\
         cat settings >>data/postgresql.conf\n\
         fi\n\
         exec '{postgres}' -D data -c unix_socket_directories='{folder}' -c hba_file=access\n"
    )
}

/// Writes the server's settings.
///
/// Dynamic shared memory lies in the data folder, so that even a killed server leaves nothing in
/// `/dev/shm`.
fn settings(options: &PostgresOptions, port: u16) -> String {
    let on_or_off = if options.fsync { "on" } else { "off" };
    let mut text = format!(
        "port = {port}\n\
         listen_addresses = '127.0.0.1'\n\
         max_connections = 200\n\
         deadlock_timeout = '200ms'\n\
         password_encryption = 'md5'\n\
         dynamic_shared_memory_type = 'mmap'\n\
         timezone = 'UTC'\n\
         log_timezone = 'UTC'\n\
         fsync = {on_or_off}\n\
         full_page_writes = {on_or_off}\n"
    );
    if !options.fsync {
        text.push_str("shared_buffers = '256MB'\nwal_level = 'minimal'\nmax_wal_senders = 0\n");
        text.push_str("max_wal_size = '4GB'\nautovacuum_naptime = '10s'\n");
    }
    for (name, value) in &options.settings {
        // A string takes everything.
        let _infallible = writeln!(text, "{name} = '{}'", value.replace('\'', "''"));
    }
    text
}
