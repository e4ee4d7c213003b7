//! A private Redis server that exists as long as the value that stands for it.

mod cluster;
mod options;

use std::{fmt::Write as _, net::Ipv4Addr, path::Path, time::Duration};

use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::OnceCell,
};

use crate::{TestkitError, keeper::Keeper, port, program};
pub use cluster::RedisCluster;
use options::{ADMINISTRATOR, settings};
pub use options::{RedisOptions, RedisTls};

/// How long a new server may take until it answers.
const START_DEADLINE: Duration = Duration::from_secs(20);
/// How often a start is tried when somebody else has the port.
const START_TRIES: u32 = 5;
/// How many numbered databases a server has.
pub const REDIS_DATABASES: u32 = 1024;

/// A running throw-away Redis; dropping it ends the server and removes its folder.
///
/// The same happens when the process ends in any other way. It has no memory limit and saves no
/// snapshots.
#[derive(Debug)]
pub struct RedisServer {
    keeper: Keeper,
    port: u16,
    tls_port: Option<u16>,
    login: Login,
}

/// Whom the server lets in.
#[derive(Debug, Clone)]
enum Login {
    Anybody,
    Password(String),
    /// The users of an ACL file; we look by one of our own.
    Users,
}

impl RedisServer {
    /// Starts a server without password that forgets when it ends. Cost: about 20 ms.
    ///
    /// # Errors
    /// A missing program names its package; a server that does not come up shows its log.
    pub async fn start() -> Result<Self, TestkitError> {
        Self::start_with(&RedisOptions::default()).await
    }

    /// Starts a server as `options` say.
    ///
    /// # Errors
    /// As [`RedisServer::start`].
    pub async fn start_with(options: &RedisOptions) -> Result<Self, TestkitError> {
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
    /// Tests keep apart by [`unique_name`](crate::unique_name) in their keys, or by one of its
    /// [`REDIS_DATABASES`] databases. It ends shortly after the process; do not kill or pause it.
    ///
    /// # Errors
    /// As [`RedisServer::start`]; the next call tries again.
    pub async fn shared() -> Result<&'static Self, TestkitError> {
        static SHARED: OnceCell<RedisServer> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// Returns the server's URL, with the password when it has one; database 0.
    pub fn url(&self) -> String {
        self.database_url(0)
    }

    /// Returns the URL of one of its numbered databases, 0 to [`REDIS_DATABASES`] - 1.
    pub fn database_url(&self, database: u32) -> String {
        let port = self.port;
        let login = match &self.login {
            Login::Anybody => String::new(),
            Login::Password(password) => format!(":{}@", escaped(password)),
            Login::Users => format!("{ADMINISTRATOR}:{ADMINISTRATOR}@"),
        };
        format!("redis://{login}127.0.0.1:{port}/{database}")
    }

    /// Returns the URL for one of the users of [`RedisOptions::users`]; database 0.
    pub fn url_as(&self, user: &str, password: &str) -> String {
        let (user, password) = (escaped(user), escaped(password));
        format!("redis://{user}:{password}@127.0.0.1:{}/0", self.port)
    }

    /// Returns the URL of the encrypted port, by the name `localhost`; `None` without
    /// [`RedisOptions::tls`].
    pub fn tls_url(&self) -> Option<String> {
        let port = self.tls_port?;
        Some(format!("rediss://localhost:{port}/0"))
    }

    /// The server's port on 127.0.0.1; the same after a restart.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id of the server, `None` while it is killed.
    pub fn pid(&self) -> Option<i32> {
        self.keeper.pid().map(|pid| pid.as_raw_nonzero().get())
    }

    /// Ends the server and removes its folder.
    pub fn stop(self) {
        drop(self);
    }

    /// Kills the server without warning and waits until it is gone; folder and port stay.
    ///
    /// # Errors
    /// When the server's keeper is gone.
    pub fn kill(&mut self) -> Result<(), TestkitError> {
        self.keeper.end("KILL")
    }

    /// Starts the server again on the same port and folder, killing it first when it runs.
    ///
    /// # Errors
    /// As [`RedisServer::start`]; also when somebody else took the port meanwhile.
    pub async fn restart(&mut self) -> Result<(), TestkitError> {
        self.kill()?;
        self.keeper.start()?;
        self.wait_until_it_answers().await
    }

    /// Stops the server's process where it is: connections stay open, nothing is answered.
    ///
    /// Returns when it has stopped.
    ///
    /// # Errors
    /// When the server does not run.
    pub async fn pause(&self) -> Result<(), TestkitError> {
        self.keeper.signal(Signal::STOP)?;
        while self.keeper.runs() && self.keeper.state() != Some('T') {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Lets a paused server go on.
    ///
    /// # Errors
    /// When the server does not run.
    pub fn resume(&self) -> Result<(), TestkitError> {
        self.keeper.signal(Signal::CONT)
    }

    /// Makes the folder, starts a server in it and waits until it answers.
    async fn try_start(options: &RedisOptions) -> Result<Self, TestkitError> {
        let redis = program::find("redis-server", "redis-server")?;
        let port = port::free()?;
        let tls_port = options.tls.as_ref().map(|_| port::free()).transpose()?;
        let bus_port = options.cluster.then(port::free).transpose()?;
        let script = |folder: &Path| {
            let (folder, redis) = (folder.display(), redis.display());
            format!("cd '{folder}' || exit 1\nexec '{redis}' settings\n")
        };
        let mut files = options.files();
        files.push(("settings", settings(options, port, tls_port, bus_port)));
        let mut keeper = Keeper::new("quayhand-rd-", &script, &files, "KILL")?;
        keeper.start()?;
        let server = Self {
            keeper,
            port,
            tls_port,
            login: options.login(),
        };
        server.wait_until_it_answers().await?;
        Ok(server)
    }

    /// Waits until the process that we started, and no other, answers on the port.
    async fn wait_until_it_answers(&self) -> Result<(), TestkitError> {
        let failed = |reason| Err(self.keeper.not_started("Redis", reason));
        let polling = async {
            while !self.answers().await {
                if !self.keeper.runs() {
                    return failed("the process ended");
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Ok(())
        };
        let outcome = tokio::time::timeout(START_DEADLINE, polling).await;
        outcome.unwrap_or_else(|_| failed("it does not answer"))
    }

    /// Sends commands as somebody who may do everything; returns all answers as they came.
    async fn say(&self, commands: &[&[&str]]) -> std::io::Result<String> {
        let mut request = match &self.login {
            Login::Anybody => String::new(),
            Login::Password(password) => command(&["AUTH", password]),
            Login::Users => command(&["AUTH", ADMINISTRATOR, ADMINISTRATOR]),
        };
        for words in commands {
            request.push_str(&command(words));
        }
        request.push_str(&command(&["QUIT"]));
        ask(self.port, request.as_bytes()).await
    }

    /// Asks the server on the port for its process id and whether it has loaded its data.
    async fn answers(&self) -> bool {
        let Some(pid) = self.keeper.pid() else {
            return false;
        };
        let Ok(answer) = self.say(&[&["INFO"]]).await else {
            return false;
        };
        let (pid, loaded) = (format!("process_id:{}", pid.as_raw_nonzero()), "loading:0");
        [pid.as_str(), loaded]
            .iter()
            .all(|expected| answer.lines().any(|line| line == *expected))
    }
}

/// Escapes a password for a URL: everything but ASCII letters and digits.
fn escaped(password: &str) -> String {
    let mut text = String::new();
    for byte in password.bytes() {
        if byte.is_ascii_alphanumeric() {
            text.push(char::from(byte));
        } else {
            // A string takes everything.
            let _infallible = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// Writes a command as Redis reads it on the wire.
fn command(words: &[&str]) -> String {
    let mut text = format!("*{}\r\n", words.len());
    for word in words {
        // A string takes everything.
        let _infallible = write!(text, "${}\r\n{word}\r\n", word.len());
    }
    text
}

/// Sends a request and reads everything up to the end of the connection.
async fn ask(port: u16, request: &[u8]) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.write_all(request).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
