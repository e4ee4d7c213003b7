//! A progress bar on a terminal, and what a job has to warn of beside it.
use std::{
    io::{self, IsTerminal as _, Write},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use quayhand_jobs::Progress;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use super::output::Format;

/// Shows how far a run is on standard error, while that is a terminal.
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// Starts a bar under the kind's name.
    pub(crate) fn start(kind: &str) -> Self {
        let bar = ProgressBar::new_spinner();
        bar.set_prefix(kind.to_owned());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {elapsed} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Self(bar)
    }

    /// Shows warnings and errors on standard error from now on, or what `RUST_LOG` asks for;
    /// the bar makes room for them.
    pub(crate) fn show_warnings(&self, format: Format) {
        let bar = self.0.clone();
        let filter = EnvFilter::builder().with_default_directive(LevelFilter::WARN.into());
        let lines = tracing_subscriber::fmt()
            .with_env_filter(filter.from_env_lossy())
            .with_writer(move || Beside(bar.clone()));
        let set_up = match format {
            Format::Json => lines.json().flatten_event(true).try_init(),
            Format::Human => lines
                .with_ansi(io::stderr().is_terminal())
                .with_target(false)
                .without_time()
                .try_init(),
        };
        // An error means that this process has a log already, which is as good.
        drop(set_up);
    }

    /// Returns what the job reports to.
    pub(crate) fn progress(&self) -> Progress {
        let bar = self.0.clone();
        Progress::new(move |step| {
            let known = step.total > 0 && bar.length() != Some(step.total);
            if known {
                bar.set_length(step.total);
                let template = "{spinner} {prefix} [{bar:30}] {percent}% eta {eta} {msg}";
                if let Ok(style) = ProgressStyle::with_template(template) {
                    bar.set_style(style);
                }
            }
            bar.set_position(step.handled);
            bar.set_message(step.done.to_string());
        })
    }

    /// Takes the bar off the screen.
    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}

/// Standard error while a bar is on it.
struct Beside(ProgressBar);

impl Write for Beside {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write(text))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
