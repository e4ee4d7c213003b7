//! `quayhand verify`: looks for what breaks an invariant, and changes nothing.
mod objects;

use std::process::ExitCode;

use clap::Args as ClapArgs;
use quayhand_jobs::{Progress, Step};
use quayhand_model::{
    Db, drift,
    verify::{Check, Invariant, Violation, expected_rows},
};
use quayhand_queue::Done;
use quayhand_storage::Storage;

use super::{
    App, Failure,
    output::{self, Format},
    progress::Bar,
};
use crate::exit::Exit;

/// How to look.
#[derive(ClapArgs)]
#[command(after_help = "\
Invariants:
  I1   no manifest refers to a blob row that is gone
  I2   every blob that is referred to is in storage, at its size (--hash: at its digest)
  I4   no live tag, list or referrer names a manifest that is gone
  I7   nothing that a tag protects waits to be removed
  I8   nothing is left that nothing leads to: manifests, blobs, labels, objects
  I10  what was postponed is looked at again
  I11  size totals equal a recount
  (I3, I5, I6 and I9 are about what happens, not about what is there: tests hold them.)

On a registry in use, what is in flight may be reported; it is gone when asked again.
Exits with 1 when something breaks an invariant.")]
pub(crate) struct Args {
    /// Reads every object and compares its digest
    #[arg(long)]
    hash: bool,
    /// Takes referrers whose subject is not there for good: OCI lets them come first
    #[arg(long)]
    allow_missing_subjects: bool,
}

/// Looks at everything, prints a line for each violation, and says how many there were.
pub(crate) async fn run(app: &App, args: &Args) -> Result<ExitCode, Failure> {
    let db = app.db()?;
    // Says how to make our tables when they are missing; a difference is `doctor`'s to tell.
    drop(db.scope(drift::check).await?);
    let storage = app.storage()?;
    let checks: Vec<_> = Check::ALL
        .into_iter()
        .filter(|check| !(*check == Check::Subjects && args.allow_missing_subjects))
        .collect();
    let expected = db
        .scope(async |conn| expected_rows(conn, &checks, storage.is_some()).await)
        .await?;
    let bar = Bar::start("verify");
    let mut report = Report {
        format: app.format,
        progress: bar.progress(),
        expected,
        done: Done::default(),
        violations: 0,
    };
    let looked = everything(app, args, &db, &checks, storage.as_ref(), &mut report).await;
    bar.finish();
    looked?;
    report.conclude()
}

async fn everything(
    app: &App,
    args: &Args,
    db: &Db,
    checks: &[Check],
    storage: Option<&Storage>,
    report: &mut Report,
) -> Result<(), Failure> {
    for check in checks {
        rows(app, db, *check, report).await?;
    }
    let Some(storage) = storage else {
        skipped("no storage is configured: objects were not looked at");
        return Ok(());
    };
    let mut objects = objects::Objects {
        db,
        storage,
        hash: args.hash,
        report,
    };
    objects.placed().await?;
    objects.listed().await
}

/// Goes through one table.
async fn rows(app: &App, db: &Db, check: Check, report: &mut Report) -> Result<(), Failure> {
    let grace = app.config.gc.tombstone_grace;
    let mut after = Some(0);
    while let Some(from) = after {
        let page = db
            .scope(async |conn| check.page(conn, from, grace).await)
            .await?;
        report.looked_at("rows", page.rows);
        for violation in &page.violations {
            report.violation(violation)?;
        }
        after = page.next;
    }
    Ok(())
}

/// Prints what is found, and counts.
struct Report {
    format: Format,
    progress: Progress,
    /// What there will be, as far as the database knows.
    expected: u64,
    done: Done,
    violations: u64,
}

impl Report {
    fn looked_at(&mut self, what: &'static str, count: u64) {
        self.done.add(what, count);
        let handled = self.done.of("rows") + self.done.of("objects");
        // Statistics lag behind; without any there is no end to show.
        let total = match self.expected {
            0 => 0,
            expected => expected.max(handled),
        };
        self.progress.report(&Step {
            done: &self.done,
            handled,
            total,
        });
    }

    fn violation(&mut self, violation: &Violation) -> Result<(), Failure> {
        self.violations += 1;
        let Violation {
            invariant,
            subject,
            problem,
        } = violation;
        match self.format {
            Format::Human => output::line(&format!("{invariant:<4} {subject} {problem}")),
            Format::Json => output::json(&serde_json::json!({
                "invariant": invariant.as_str(),
                "subject": subject,
                "problem": problem,
            })),
        }
    }

    /// Reports an object.
    fn object(
        &mut self,
        invariant: Invariant,
        subject: String,
        problem: String,
    ) -> Result<(), Failure> {
        self.violation(&Violation {
            invariant,
            subject,
            problem,
        })
    }

    /// Says how many there were; standard output holds nothing but the list when it is JSON.
    fn conclude(&self) -> Result<ExitCode, Failure> {
        let count = self.violations;
        if self.format == Format::Human {
            let plural = if count == 1 { "" } else { "s" };
            output::line(&format!(
                "verify: {count} violation{plural}; looked at {}",
                self.done
            ))?;
        }
        Ok(if count == 0 {
            ExitCode::SUCCESS
        } else {
            Exit::Failed.into()
        })
    }
}

/// Says on standard error what was not looked at.
#[expect(clippy::print_stderr, reason = "standard output is the list alone")]
fn skipped(what: &str) {
    eprintln!("quayhand: {what}");
}
