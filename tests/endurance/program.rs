//! The shipped program as a process, which a test may kill at any moment.

use std::{
    fs::File,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::process::{Child, Command};

/// Longest time that one run may take on a busy machine.
const DEADLINE: Duration = Duration::from_mins(2);
/// How often a job may say that it did only a part.
const TRIES: u32 = 5;
/// What `kill -9` sends.
const KILL: i32 = 9;

/// How the program is told what to work on; of the test's own environment it sees nothing.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) config: PathBuf,
    pub(crate) database_url: String,
    pub(crate) redis_url: String,
    /// The storage, in the form of Quay's `DISTRIBUTED_STORAGE_CONFIG`.
    pub(crate) storage: String,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A program that runs; dropping it kills it.
pub(crate) struct Running(Child);

impl Program {
    /// Runs it to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Ended {
        let mut command = self.command(arguments);
        let output = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output();
        let output = tokio::time::timeout(DEADLINE, output).await;
        let output = output.unwrap_or_else(|_| panic!("`quayhand {arguments:?}` does not end"));
        let output = output.unwrap();
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs a job on everything, again while it says that it did only a part: on a busy machine the
    /// time under the locks may run out.
    pub(crate) async fn finish(&self, job: &str) {
        const PARTLY: i32 = 9;
        let arguments = ["job", "run", job, "--all"];
        for _ in 0..TRIES {
            let ended = self.run(&arguments).await;
            if ended.code != Some(PARTLY) {
                ended.expect(0);
                return;
            }
        }
        self.run(&arguments).await.expect(0);
    }

    /// Starts it; its standard error is added to the file `log`.
    pub(crate) fn start(&self, arguments: &[&str], log: &Path) -> Running {
        let log = File::options().create(true).append(true).open(log).unwrap();
        let mut command = self.command(arguments);
        Running(command.stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quayhand"));
        command.arg("--config").arg(&self.config).args(arguments);
        command
            .env_clear()
            .env("QUAYHAND_DATABASE_URL", &self.database_url)
            .env("QUAYHAND_REDIS_URL", &self.redis_url)
            .env("QUAYHAND_STORAGE", &self.storage);
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }
}

impl Running {
    /// Kills it without warning and waits until it is gone.
    pub(crate) async fn kill(mut self) {
        self.0.kill().await.unwrap();
        let status = self.0.wait().await.unwrap();
        assert_eq!(status.signal(), Some(KILL), "it ended by itself: {status}");
    }

    /// Says whether it runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Ended {
    /// Insists on an exit code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        let Self { stdout, stderr, .. } = &self;
        assert_eq!(self.code, Some(code), "stdout: {stdout}\nstderr: {stderr}");
        self
    }
}
