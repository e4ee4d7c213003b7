//! Asking before something is done to many jobs at once.
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use clap::Args;

use super::{
    Failure,
    output::{self, Format},
};

/// Says whether a command only shows, asks first, or goes ahead.
#[derive(Args)]
pub(crate) struct Sure {
    /// Says how many jobs it would be, and changes nothing
    #[arg(long, conflicts_with = "yes")]
    pub(crate) dry_run: bool,
    /// Goes ahead without asking; needed where nobody can be asked
    #[arg(long)]
    yes: bool,
}

impl Sure {
    /// Decides whether to go on, asking whoever sits at the terminal; `false` only with
    /// `--dry-run`.
    ///
    /// # Errors
    ///
    /// When nobody can be asked, or the answer is not yes.
    pub(crate) fn goes_on(&self, what: &str) -> Result<bool, Failure> {
        if self.dry_run {
            return Ok(false);
        }
        if self.yes {
            return Ok(true);
        }
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Err(Failure::usage(format!(
                "this would {what}; say `--yes` to do it, or `--dry-run` to look only"
            )));
        }
        let asked = format!("This will {what}. Go on? [y/N] ");
        let mut answer = String::new();
        let read = io::stderr()
            .write_all(asked.as_bytes())
            .and_then(|()| stdin.lock().read_line(&mut answer));
        read.map_err(|error| Failure::failed(format!("the terminal: {error}")))?;
        match answer.trim() {
            "y" | "Y" | "yes" => Ok(true),
            _ => Err(Failure::failed("nothing was changed")),
        }
    }
}

/// Prints how many jobs it was, or would be.
pub(crate) fn report(format: Format, what: &str, jobs: u64) -> Result<(), Failure> {
    match format {
        Format::Json => output::json(&serde_json::json!({ what: jobs })),
        Format::Human => output::line(&format!("{}: {jobs} jobs", what.replace('_', " "))),
    }
}
