//! `quayhand enqueue`: hands a job to the daemon.
use std::time::Duration;

use clap::Args as ClapArgs;
use quayhand_jobs::{Options, outbox::Sent};
use quayhand_queue::{Placement, RawJob};

use super::{App, Failure, job, schedule};

/// What to enqueue, and when it is due.
#[derive(ClapArgs)]
#[command(after_help = "\
Examples:
  quayhand enqueue tag_expiry_sweep
  quayhand enqueue tag_expiry --repository org/app
  quayhand enqueue blob_gc --in 600")]
pub(crate) struct Args {
    /// Kind of job, as `job list` names it
    kind: String,
    /// The job's payload; without one the scheduler's own is taken
    #[arg(value_name = "JSON", conflicts_with = "repository")]
    payload: Option<String>,
    /// Enqueues the job for one repository
    #[arg(long, value_name = "NAMESPACE/NAME")]
    repository: Option<String>,
    /// Seconds until the job is due
    #[arg(long = "in", value_name = "SECONDS", default_value_t = 0)]
    delay_s: u64,
}

pub(crate) async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let registry = app.registry();
    let entry = job::find(&registry, &args.kind)?;
    let payload = match (args.payload, &args.repository) {
        (Some(payload), _) => payload,
        (None, Some(name)) => {
            let ctx = app.ctx(Options::default())?;
            job::for_repository(entry, &ctx, name).await?
        }
        (None, None) => entry.scheduled().ok_or_else(|| {
            let kind = entry.kind;
            Failure::usage(format!(
                "`{kind}` needs a payload; see `quayhand job show {kind}`"
            ))
        })?,
    };
    job::check_payload(entry, &payload)?;
    let placement = Placement::after(Duration::from_secs(args.delay_s));
    if app.config.database.url.is_some() {
        let sent = app.outbox()?.enqueue_raw(entry, payload, placement).await?;
        return schedule::show(app.format, &sent);
    }
    // Without a database there is Redis alone, for kinds that a sweep finds again.
    let client = app.client_of(app.store().await?);
    let receipt = client
        .enqueue_raw(RawJob::of(entry, payload), placement)
        .await?;
    schedule::show(app.format, &Sent::Queued(receipt))
}
