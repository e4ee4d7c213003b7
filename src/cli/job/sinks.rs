//! Where a run's results go: the audit, the list of a dry run, the summary.
use std::{fs::OpenOptions, path::Path, time::Instant};

use quayhand_jobs::{Audit, Doomed, Preview};
use quayhand_queue::{Done, JobError};

use crate::cli::{
    Failure,
    output::{self, Format},
};

pub(super) fn open_audit(path: &Path) -> Result<Audit, Failure> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    match file {
        Ok(file) => Ok(Audit::new(std::io::BufWriter::new(file))),
        Err(error) => Err(Failure::usage(format!(
            "audit file `{}`: {error}; nothing was removed",
            path.display()
        ))),
    }
}

/// Prints what would go: on standard output, a line each, and nothing else there.
pub(super) fn preview(format: Format) -> Preview {
    Preview::new(move |doomed| {
        let printed = match (format, doomed) {
            (Format::Json, doomed) => output::json(doomed),
            (Format::Human, Doomed::Row { table, id }) => output::line(&format!("{table}\t{id}")),
            (Format::Human, Doomed::Object { location, path }) => {
                output::line(&format!("{location}\t{path}"))
            }
            (Format::Human, Doomed::MultipartUpload { location, path }) => {
                output::line(&format!("{location}\tmultipart upload of {path}"))
            }
            (
                Format::Human,
                Doomed::Role {
                    table,
                    user_id,
                    place_id,
                    before,
                    after,
                },
            ) => {
                let (before, after) = (before.unwrap_or("none"), after.unwrap_or("none"));
                output::line(&format!(
                    "{table}\t{user_id}\t{place_id}\t{before} -> {after}"
                ))
            }
        };
        // A reader that went away has seen enough; the run changes nothing anyway.
        drop(printed);
    })
}

/// Says what was done: after a dry run on standard error, which the list leaves free.
pub(super) fn report(
    format: Format,
    kind: &str,
    done: &Result<Result<Done, JobError>, Failure>,
    started: Instant,
    dry_run: bool,
) -> Result<(), Failure> {
    let Ok(Ok(done) | Err(JobError::Partial { done, .. })) = done else {
        return Ok(());
    };
    let seconds = started.elapsed().as_secs_f64();
    if dry_run {
        #[expect(clippy::print_stderr, reason = "standard output is the list alone")]
        {
            eprintln!("{kind}: a dry run: {done} ({seconds:.1} s); nothing was changed");
        }
        return Ok(());
    }
    match format {
        Format::Human => output::line(&format!("{kind}: {done} ({seconds:.1} s)")),
        Format::Json => output::json(&serde_json::json!({
            "kind": kind,
            "counts": done.counts,
            "seconds": seconds,
        })),
    }
}
