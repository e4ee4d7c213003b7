//! Owns the log: its form, its level, and where it goes.
//!
//! Everything is written to standard error or, under systemd, to the journal with its fields;
//! standard output belongs to the commands. The level can change while running.
use std::{
    env,
    io::{self, IsTerminal as _},
    os::unix::fs::MetadataExt as _,
};

use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    layer::SubscriberExt as _,
    reload,
    util::{SubscriberInitExt as _, TryInitError},
};

use super::lines;
use crate::config::{Log, LogFormat, LogLevel};

/// Replaces the configured level by directives such as `info,quayhand_queue=debug`.
const FILTER_VARIABLE: &str = "RUST_LOG";
/// Set by systemd to the device and inode of the pipe to the journal.
const JOURNAL_VARIABLE: &str = "JOURNAL_STREAM";

/// Says why the log could not be set up or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// `RUST_LOG` holds something else than directives.
    #[error(
        "environment variable `{FILTER_VARIABLE}` is no log filter: {0}; write `info` or `info,quayhand_queue=debug`"
    )]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// A log is set up in this process already.
    #[error("the log is set up already")]
    Twice(#[from] TryInitError),
    /// The log is gone: the process is ending.
    #[error("the log's level cannot change any more")]
    Gone(#[from] reload::Error),
}

/// Stands for the log of this process; cheap to clone.
#[derive(Clone)]
pub struct Telemetry {
    filter: reload::Handle<EnvFilter, Registry>,
}

/// Where log lines go, and in which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sink {
    Journal,
    Human,
    Json,
}

impl Telemetry {
    /// Sets up the log of this process, once; panics go to it as well.
    ///
    /// # Errors
    ///
    /// [`TelemetryError::Filter`] and [`TelemetryError::Twice`].
    pub fn init(log: Log) -> Result<Self, TelemetryError> {
        let (filter, handle) = reload::Layer::new(filter(log.level)?);
        let sink = sink(log.format, journal_is_stderr(), io::stderr().is_terminal());
        // The level is that of the log alone: records of attempts have their lines at any.
        let log = layer(sink).with_filter(filter);
        let registry = tracing_subscriber::registry().with(log);
        registry.with(lines::layer()).try_init()?;
        std::panic::set_hook(Box::new(log_panic));
        Ok(Self { filter: handle })
    }

    /// Changes the level from now on; `RUST_LOG` goes before it as at the start.
    ///
    /// # Errors
    ///
    /// [`TelemetryError::Filter`], [`TelemetryError::Gone`].
    pub fn set_level(&self, level: LogLevel) -> Result<(), TelemetryError> {
        self.filter.reload(filter(level)?)?;
        Ok(())
    }
}

/// Lets our own events through from `level` on; those of libraries only from `warn` on, because
/// their `info` is not written for operators.
fn filter(level: LogLevel) -> Result<EnvFilter, TelemetryError> {
    let directives = match env::var(FILTER_VARIABLE) {
        Ok(directives) if !directives.trim().is_empty() => directives,
        _ => default_directives(level),
    };
    Ok(EnvFilter::builder().parse(directives)?)
}

fn default_directives(level: LogLevel) -> String {
    let libraries = match level {
        LogLevel::Error => "error",
        LogLevel::Trace => "debug",
        _ => "warn",
    };
    format!("{libraries},quayhand={}", level.as_str())
}

fn sink(format: LogFormat, journal: bool, terminal: bool) -> Sink {
    match format {
        LogFormat::Human => Sink::Human,
        LogFormat::Auto if journal => Sink::Journal,
        LogFormat::Auto if terminal => Sink::Human,
        LogFormat::Auto | LogFormat::Json => Sink::Json,
    }
}

fn layer<S>(sink: Sink) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    match sink {
        Sink::Journal => match tracing_journald::layer() {
            Ok(journal) => journal.boxed(),
            // The journal still gets the lines from standard error.
            Err(_) => lines.with_ansi(false).without_time().boxed(),
        },
        Sink::Human => lines.with_ansi(io::stderr().is_terminal()).boxed(),
        Sink::Json => lines.json().flatten_event(true).boxed(),
    }
}

/// Writes a panic as one event, in the form of every other, with the attempt it happened in.
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let text = panic.payload_as_str().unwrap_or("no text");
    let place = panic.location().map(ToString::to_string);
    tracing::error!(place, "panicked: {text}");
}

/// Tells whether standard error is the pipe to the journal that systemd made; a parent under
/// systemd that redirected it passes the variable on all the same.
fn journal_is_stderr() -> bool {
    let Ok(stream) = env::var(JOURNAL_VARIABLE) else {
        return false;
    };
    let own = std::fs::metadata("/proc/self/fd/2");
    own.is_ok_and(|own| stream == format!("{}:{}", own.dev(), own.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_means_journal_then_terminal_then_json() {
        let auto = |journal, terminal| sink(LogFormat::Auto, journal, terminal);
        assert_eq!(auto(true, true), Sink::Journal);
        assert_eq!(auto(false, true), Sink::Human);
        assert_eq!(auto(false, false), Sink::Json);
        assert_eq!(sink(LogFormat::Human, true, false), Sink::Human);
        assert_eq!(sink(LogFormat::Json, true, true), Sink::Json);
    }

    #[test]
    fn every_level_makes_a_filter_that_lets_us_speak() {
        let levels = [
            LogLevel::Error,
            LogLevel::Warn,
            LogLevel::Info,
            LogLevel::Debug,
            LogLevel::Trace,
        ];
        for level in levels {
            let directives = default_directives(level);
            let filter = EnvFilter::builder().parse(&directives).unwrap();
            assert!(
                filter
                    .to_string()
                    .contains(&format!("quayhand={}", level.as_str()))
            );
        }
    }
}
