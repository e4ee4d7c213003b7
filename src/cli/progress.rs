//! A progress bar on a terminal; nothing anywhere else.
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use quayhand_jobs::Progress;

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
