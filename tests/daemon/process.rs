//! A daemon as a process: started, signalled, waited for, its log read.
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use quayhand_testkit::wait_for;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A running process; dropping it kills it.
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
}

/// One event of a log.
#[derive(Clone, Debug)]
pub(crate) struct Event(Value);

impl Event {
    /// The text.
    pub(crate) fn message(&self) -> &str {
        self.0["message"].as_str().unwrap_or_default()
    }

    /// A field of the event; null when it has none of that name.
    pub(crate) fn field(&self, name: &str) -> &Value {
        &self.0[name]
    }

    /// A field of the innermost span around the event.
    pub(crate) fn span(&self, name: &str) -> &Value {
        &self.0["span"][name]
    }

    /// The level, in capitals.
    pub(crate) fn level(&self) -> &str {
        self.0["level"].as_str().unwrap_or_default()
    }
}

impl Daemon {
    /// Starts a program; its standard error goes to the file `log`.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Self {
        let file = File::create(log).unwrap();
        let command = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file);
        Self {
            child: command.spawn().unwrap(),
            log: log.to_owned(),
        }
    }

    /// The process id.
    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid()).unwrap(), signal).unwrap();
    }

    /// Tells whether it runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Kills it without warning and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it ends by itself.
    pub(crate) async fn ended(&mut self, deadline: Duration) -> ExitStatus {
        let log = self.log.clone();
        let what = format!("the end of the daemon with log {}", log.display());
        wait_for(&what, deadline, async || self.child.try_wait().unwrap()).await
    }

    /// Sends TERM and expects it to end well; returns how long that took.
    pub(crate) async fn stop(mut self) -> Duration {
        let started = Instant::now();
        self.signal(Signal::TERM);
        let status = self.ended(Duration::from_mins(1)).await;
        assert_eq!(status.code(), Some(0), "{}", self.text());
        started.elapsed()
    }

    /// Waits for an event that fits.
    pub(crate) async fn event(&self, what: &str, fits: impl Fn(&Event) -> bool) -> Event {
        self.event_within(what, Duration::from_secs(30), fits).await
    }

    /// Waits for an event that fits, at most so long.
    pub(crate) async fn event_within(
        &self,
        what: &str,
        deadline: Duration,
        fits: impl Fn(&Event) -> bool,
    ) -> Event {
        let what = format!("{what} in the log {}", self.log.display());
        wait_for(&what, deadline, async || {
            self.events().into_iter().find(&fits)
        })
        .await
    }

    /// Waits for an event with this text in its message.
    pub(crate) async fn says(&self, text: &str) -> Event {
        self.event(text, |event| event.message().contains(text))
            .await
    }

    /// Waits until so many jobs of a kind run, and no other: one that is leased may not have begun,
    /// and what is scheduled runs once at the start.
    pub(crate) async fn runs(&self, kind: &str, jobs: usize) {
        for scheduled in ["ran `sweep`", "ran `ticked`"] {
            self.says(scheduled).await;
        }
        let what = format!("a dump of {jobs} running jobs of `{kind}` and no other");
        wait_for(&what, Duration::from_secs(20), async || {
            self.signal(Signal::USR1);
            let events = self.events();
            let begins = |event: &Event| event.message() == "dump: begins";
            let last = events.iter().rposition(begins)?;
            let mut listed = events[last + 1..].iter().take(jobs);
            let is_of_kind = |event: &Event| {
                *event.field("job.kind") == kind && !event.field("age_ms").is_null()
            };
            let all = *events[last].field("running") == jobs && listed.len() == jobs;
            (all && listed.all(is_of_kind)).then_some(())
        })
        .await;
    }

    /// Reads the log as events; other lines are left out.
    pub(crate) fn events(&self) -> Vec<Event> {
        let text = self.text();
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok().map(Event))
            .collect()
    }

    /// Reads the log.
    pub(crate) fn text(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}
