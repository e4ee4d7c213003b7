//! The program itself, run as an operator runs it: arguments, environment, exit code.

use std::{
    os::unix::{
        fs::MetadataExt as _,
        process::{CommandExt as _, ExitStatusExt as _},
    },
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use serde::de::DeserializeOwned;
use tokio::process::{Child, Command};

/// Longest time that one run may take on a busy machine; a run that hangs fails its test.
const DEADLINE: Duration = Duration::from_mins(1);

/// The built program with an environment of its own and options before each verb.
#[derive(Clone, Default)]
pub(crate) struct Quayhand {
    environment: Vec<(String, String)>,
    options: Vec<String>,
    folder: Option<PathBuf>,
    user: Option<u32>,
}

impl Quayhand {
    /// Sets a variable; of the test's own environment the program sees nothing.
    pub(crate) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Adds an option that names a file.
    pub(crate) fn file(mut self, option: &str, path: &Path) -> Self {
        self.options
            .extend([option.to_owned(), path.display().to_string()]);
        self
    }

    /// Runs the program in a folder instead of the test's own.
    pub(crate) fn in_folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// Runs the program as somebody else where the test is root, whom no rights of a file bind;
    /// `None` where that user cannot run it.
    pub(crate) fn not_root(mut self, user: u32) -> Option<Self> {
        let own = std::fs::metadata("/proc/self").expect("this process");
        if own.uid() == 0 {
            let mut probe = std::process::Command::new(env!("CARGO_BIN_EXE_quayhand"));
            let probe = probe.arg("--version").uid(user).gid(user).output();
            probe.ok().filter(|ended| ended.status.success())?;
            self.user = Some(user);
        }
        Some(self)
    }

    /// Starts the program and returns while it runs; dropping it kills the program.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quayhand"));
        command.args(&self.options).args(arguments).env_clear();
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(Stdio::piped()).kill_on_drop(true);
        Running {
            child: command.spawn().expect("the program starts"),
            what: arguments.join(" "),
        }
    }

    /// Runs the program to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Ended {
        self.start(arguments).ended().await
    }
}

/// A program that runs.
pub(crate) struct Running {
    child: Child,
    what: String,
}

impl Running {
    /// Sends the program a signal by its name, as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().expect("the program still runs").to_string();
        let sent = std::process::Command::new("kill")
            .args(["-s", name, &pid])
            .status();
        assert!(sent.expect("kill").success(), "kill -s {name} {pid}");
    }

    /// Waits for the end.
    pub(crate) async fn ended(self) -> Ended {
        let what = self.what;
        let output = tokio::time::timeout(DEADLINE, self.child.wait_with_output()).await;
        let Ok(output) = output else {
            panic!("`quayhand {what}` did not end within {DEADLINE:?}")
        };
        let Output {
            status,
            stdout,
            stderr,
        } = output.expect("the program's output");
        let text = |bytes| String::from_utf8(bytes).expect("the program writes UTF-8");
        Ended {
            what,
            code: status.code(),
            signal: status.signal(),
            stdout: text(stdout),
            stderr: text(stderr),
        }
    }
}

/// How a run ended, and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    what: String,
    /// The exit code; `None` when a signal ended the program.
    pub(crate) code: Option<i32>,
    /// The signal that ended the program.
    pub(crate) signal: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// Insists on an exit code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        let Self {
            what,
            stdout,
            stderr,
            ..
        } = &self;
        let ended = self.code;
        assert_eq!(
            ended,
            Some(code),
            "`quayhand {what}`\nstdout: {stdout}\nstderr: {stderr}"
        );
        self
    }

    /// Insists that the words appear on standard error.
    #[track_caller]
    pub(crate) fn says(self, words: &[&str]) -> Self {
        for word in words {
            let Self { what, stderr, .. } = &self;
            assert!(
                stderr.contains(word),
                "`quayhand {what}` does not say `{word}`: {stderr}"
            );
        }
        self
    }

    /// Insists that a secret appears nowhere.
    #[track_caller]
    pub(crate) fn hides(self, secret: &str) -> Self {
        let said = [&self.stdout, &self.stderr];
        assert!(said.iter().all(|text| !text.contains(secret)), "{self:?}");
        self
    }

    /// Reads every line of standard output as JSON.
    #[track_caller]
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Vec<T> {
        let lines = self.stdout.lines();
        let read = |line| {
            serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("{error} in line `{line}` of {}", self.what))
        };
        lines.map(read).collect()
    }
}
