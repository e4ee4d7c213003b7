//! `quayhand worker`: who takes jobs.
use std::collections::BTreeMap;

use clap::Subcommand;
use quayhand_jobs::queues;
use quayhand_queue::Span;

use super::{
    App, Failure,
    output::{self, Format},
    waiting,
};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Lists the workers of every queue that were heard of within a minute
    List,
}

pub(crate) async fn run(app: &App, command: Command) -> Result<(), Failure> {
    match command {
        Command::List => list(app).await,
    }
}

async fn list(app: &App) -> Result<(), Failure> {
    let (store, now_ms) = (app.store().await?, waiting::now_ms());
    let mut rows = Vec::new();
    for queue in queues::ALL {
        let workers = store.workers(&queue).await?;
        let by_name: BTreeMap<_, _> = workers
            .iter()
            .map(|worker| (worker.about.worker.as_str(), worker))
            .collect();
        for worker in by_name.into_values() {
            let about = &worker.about;
            if app.format == Format::Json {
                let mut fields = serde_json::json!(about);
                fields["queue"] = queue.to_string().into();
                fields["seen_ms"] = worker.seen_ms.into();
                output::json(&fields)?;
                continue;
            }
            rows.push(vec![
                queue.to_string(),
                about.host.clone(),
                about.pid.to_string(),
                format!("{}/{}", about.running, about.slots),
                if about.is_quiet { "quiet" } else { "" }.to_owned(),
                about.kinds.len().to_string(),
                format!("{} ago", Span(now_ms.saturating_sub(worker.seen_ms))),
                about.worker.clone(),
            ]);
        }
    }
    if app.format == Format::Json {
        return Ok(());
    }
    let headings = [
        "QUEUE", "HOST", "PID", "RUNNING", "", "KINDS", "SEEN", "WORKER",
    ];
    output::table(&headings, &rows)
}
