//! `quayhand enqueue`: hands a job to the daemon.
use std::time::Duration;

use clap::Args as ClapArgs;
use quayhand_jobs::{Options, registry};
use quayhand_queue::{Client, Placement, RawJob};

use super::{
    App, Failure, job,
    output::{self, Format},
};

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
    let registry = registry();
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
    let client = Client::new(app.store().await?);
    let placement = Placement::after(Duration::from_secs(args.delay_s));
    let receipt = client
        .enqueue_raw(RawJob::of(entry, payload), placement)
        .await?;
    match app.format {
        Format::Json => output::json(&serde_json::json!({
            "id": receipt.id,
            "new": receipt.is_new,
        })),
        Format::Human if !receipt.is_new => output::line(&format!(
            "an equal job waits or runs already: {}",
            receipt.id
        )),
        Format::Human => output::line(&receipt.id),
    }
}
