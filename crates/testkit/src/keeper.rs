//! The keeper: a small shell process that owns a server and its folder and outlives nobody.
//!
//! It is the server's parent, so the pid it ends is never somebody else's. Its standard input is a
//! pipe from us: when this process returns, panics, is interrupted or killed, the kernel closes the
//! pipe, and the keeper ends the server and removes the folder.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use rustix::process::{Pid, Signal};

use crate::{TestkitError, error::io_error, program};

/// The longest path of a Unix socket, less its final zero byte.
const SOCKET_PATH_BYTES: usize = 107;
/// The longest name a server puts into its folder as a socket.
const SOCKET_NAME: &str = "/.s.PGSQL.65535.lock";
/// How many lines of a log an error carries.
const LOG_TAIL_LINES: usize = 15;

/// A folder and at most one running server in it; dropping it removes both.
#[derive(Debug)]
pub(crate) struct Keeper {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    folder: PathBuf,
    pid: Option<Pid>,
}

impl Keeper {
    /// Makes a folder under the temporary folder and a keeper that will run `start` in it.
    ///
    /// `files` are written into the folder first; `start` is a shell script that must `exec` the
    /// server. Everything belongs to the unprivileged user when we are root. `last_signal` ends
    /// the server when this process is gone.
    ///
    /// # Errors
    /// When the folder cannot be made or no shell can be run.
    pub(crate) fn new(
        prefix: &str,
        start: &dyn Fn(&Path) -> String,
        files: &[(&str, String)],
        last_signal: &str,
    ) -> Result<Self, TestkitError> {
        let account = program::server_account()?;
        let folder = tempfile::Builder::new()
            .prefix(prefix)
            .tempdir_in(short_temporary_folder())
            .map_err(io_error("create a folder in", short_temporary_folder()))?;
        let path = folder.path();
        write_files(path, &start(path), files)?;
        if let Some(account) = account {
            hand_over(path, account)?;
        }
        let mut child = keeper_command(path, last_signal, account)
            .spawn()
            .map_err(io_error("run the shell", "sh"))?;
        let (Some(orders), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            unreachable!("both ends were asked for as pipes");
        };
        Ok(Self {
            child,
            orders: Some(orders),
            answers: BufReader::new(answers),
            folder: folder.keep(), // from here on the keeper removes it
            pid: None,
        })
    }

    /// Starts the server; it may not answer yet.
    ///
    /// # Errors
    /// When the keeper is gone.
    pub(crate) fn start(&mut self) -> Result<Pid, TestkitError> {
        let answer = self.order("start")?;
        let pid = answer.trim().parse().ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| TestkitError::BadInput {
            what: "the answer of a server's keeper".to_owned(),
            reason: format!("`{answer}` is no process id"),
        })?;
        self.pid = Some(pid);
        Ok(pid)
    }

    /// Ends the server with a signal (`KILL`, `QUIT`, `TERM`) and waits until it is gone.
    ///
    /// Does nothing when it does not run.
    ///
    /// # Errors
    /// When the keeper is gone.
    pub(crate) fn end(&mut self, signal: &str) -> Result<(), TestkitError> {
        self.order(&format!("end {signal}"))?;
        self.pid = None;
        Ok(())
    }

    /// Sends a signal to the server and returns at once.
    ///
    /// # Errors
    /// When the server does not run.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), TestkitError> {
        let failed = io_error("signal the server in", &self.folder);
        let Some(pid) = self.pid.filter(|_| self.runs()) else {
            return Err(failed(std::io::ErrorKind::NotFound.into()));
        };
        rustix::process::kill_process(pid, signal).map_err(|errno| failed(errno.into()))
    }

    /// Tells whether the server's process exists and has not ended.
    pub(crate) fn runs(&self) -> bool {
        self.state()
            .is_some_and(|state| !matches!(state, 'Z' | 'X'))
    }

    /// The kernel's letter for what the server's process does: `T` stopped, `Z` ended.
    pub(crate) fn state(&self) -> Option<char> {
        let pid = self.pid?.as_raw_nonzero();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The state follows the command's name, which ends with the last bracket.
        let (_, rest) = stat.rsplit_once(')')?;
        rest.trim_start().chars().next()
    }

    /// The server's process id while it has one.
    pub(crate) fn pid(&self) -> Option<Pid> {
        self.pid
    }

    /// The server's folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the error of a server that did not come up, with the end of its log.
    pub(crate) fn not_started(
        &self,
        server: &'static str,
        reason: impl Into<String>,
    ) -> TestkitError {
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        TestkitError::NotStarted {
            server,
            reason: reason.into(),
            log_tail: lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n"),
        }
    }

    /// Gives the keeper an order and reads its one line of answer.
    fn order(&mut self, order: &str) -> Result<String, TestkitError> {
        let failed = io_error("order the keeper of", &self.folder);
        let mut answer = String::new();
        let spoken = match self.orders.as_mut() {
            Some(orders) => writeln!(orders, "{order}").and_then(|()| orders.flush()),
            None => Err(std::io::ErrorKind::BrokenPipe.into()),
        };
        let heard = spoken.and_then(|()| self.answers.read_line(&mut answer));
        match heard {
            Ok(0) => Err(failed(std::io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(answer),
            Err(error) => Err(failed(error)),
        }
    }
}

impl Drop for Keeper {
    /// Ends the server, waits until it and its folder are gone.
    fn drop(&mut self) {
        drop(self.orders.take());
        // A keeper that cannot be waited for has ended already.
        let _ended = self.child.wait();
    }
}

/// Writes the start script, the keeper's and the other files of a server.
fn write_files(folder: &Path, start: &str, files: &[(&str, String)]) -> Result<(), TestkitError> {
    let start = ("start", start.to_owned());
    let keeper = ("keeper", include_str!("keeper.sh").to_owned());
    for (name, content) in files.iter().chain([&start, &keeper]) {
        let file = folder.join(name);
        fs::write(&file, content).map_err(io_error("write", &file))?;
    }
    Ok(())
}

/// Makes the unprivileged user the owner of the folder; the files in it stay readable for all.
fn hand_over(folder: &Path, account: program::Account) -> Result<(), TestkitError> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
        .and_then(|()| chown(folder, Some(account.uid), Some(account.gid)))
        .map_err(io_error("give away the folder", folder))
}

/// Builds the keeper's command: own process group (Ctrl-C reaches the group of the terminal), a
/// small environment (a `PGDATA` or `PGPORT` of the user's shell has no business here).
fn keeper_command(folder: &Path, last_signal: &str, account: Option<program::Account>) -> Command {
    let mut command = Command::new("sh");
    command
        .arg(folder.join("keeper"))
        .arg(folder)
        .arg(last_signal)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0);
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
    command
}

/// Picks the folder for servers' folders: the machine's temporary folder, or `/tmp` when that one
/// is too deep for a socket's path or closed to other users.
fn short_temporary_folder() -> PathBuf {
    let folder = std::env::temp_dir();
    let name_bytes = "/quayhand-xx-123456".len() + SOCKET_NAME.len();
    let is_short = folder.as_os_str().len() + name_bytes <= SOCKET_PATH_BYTES;
    let is_open = folder.ancestors().all(|ancestor| {
        ancestor
            .metadata()
            .is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0)
    });
    if is_short && (is_open || !rustix::process::geteuid().is_root()) {
        folder
    } else {
        PathBuf::from("/tmp")
    }
}
