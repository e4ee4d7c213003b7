//! Jobs in the queues, as operators ask for them: one by its id, or those that fit a filter.
use std::time::Duration;

use clap::Args;
use quayhand_jobs::queues;
use quayhand_queue::{Filter, Queue, Shown, Span, State, Store};

use super::{Failure, output};
use crate::config;

/// Which jobs are meant; all of those that are given must fit.
#[derive(Args, Clone)]
pub(crate) struct Which {
    /// Only this queue, as `queue list` names it
    #[arg(long)]
    queue: Option<String>,
    /// Only this kind
    #[arg(long)]
    kind: Option<String>,
    /// Only this tenant
    #[arg(long)]
    tenant: Option<String>,
    /// Only with this value in the payload, itself or one of a list
    #[arg(long = "argument", value_name = "FIELD=VALUE", value_parser = argument)]
    arguments: Vec<(String, String)>,
    /// Only with this text in the last error
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    error: String,
    /// Only what is at least so old, such as 30m or 2d
    #[arg(long, value_name = "DURATION", value_parser = age)]
    older_than: Option<Duration>,
}

impl Which {
    /// Returns the queues to look into.
    pub(crate) fn queues(&self) -> Result<Vec<Queue>, Failure> {
        match &self.queue {
            Some(name) => Ok(vec![queue(name)?]),
            None => Ok(queues::ALL.to_vec()),
        }
    }

    /// Returns the filter, for jobs in one state or in any.
    pub(crate) fn filter(&self, state: Option<State>) -> Filter {
        Filter {
            state,
            kind: self.kind.clone(),
            tenant: self.tenant.clone(),
            arguments: self.arguments.clone(),
            error: self.error.clone(),
            older_than: self.older_than,
        }
    }
}

/// Finds a queue of this build, or names those there are.
pub(crate) fn queue(name: &str) -> Result<Queue, Failure> {
    let known = queues::ALL.into_iter().find(|queue| queue.as_str() == name);
    known.ok_or_else(|| {
        let names: Vec<_> = queues::ALL.iter().map(ToString::to_string).collect();
        Failure::usage(format!(
            "no queue is named `{name}`; the queues are: {}",
            names.join(", ")
        ))
    })
}

/// Reads a state's name, for clap.
pub(crate) fn state(text: &str) -> Result<State, String> {
    let known = State::ALL.into_iter().find(|state| state.as_str() == text);
    known.ok_or_else(|| {
        let names = State::ALL.map(State::as_str).join(", ");
        format!("the states are: {names}")
    })
}

fn argument(text: &str) -> Result<(String, String), String> {
    let (field, value) = text
        .split_once('=')
        .ok_or("write FIELD=VALUE, such as repository_ids=17")?;
    Ok((field.to_owned(), value.to_owned()))
}

fn age(text: &str) -> Result<Duration, String> {
    config::duration(text)
        .ok_or_else(|| "write a whole number with ms, s, m, h or d, such as 2h".to_owned())
}

/// Finds the queue that holds a job, and the job.
pub(crate) async fn locate(store: &Store, id: &str) -> Result<Option<(Queue, Shown)>, Failure> {
    for queue in queues::ALL {
        if let Some(job) = store.get(&queue, id).await? {
            return Ok(Some((queue, job)));
        }
    }
    Ok(None)
}

/// Fails because no queue holds a job.
pub(crate) fn absent(id: &str) -> Failure {
    Failure::failed(format!(
        "no queue holds a job `{}`: it is done, was cancelled, or was never enqueued; \
         `quayhand job find` lists those that wait",
        output::plain(id)
    ))
}

/// The headings of [`row`].
pub(crate) const HEADINGS: [&str; 7] = [
    "STATE",
    "QUEUE",
    "KIND",
    "ID",
    "ATTEMPTS",
    "WHEN",
    "LAST ERROR",
];

/// Shows a job as a row of a table.
pub(crate) fn row(queue: &Queue, job: &Shown, now_ms: u64) -> Vec<String> {
    let (kind, attempts, problem) = match &job.envelope {
        Ok(envelope) => (envelope.kind.as_str(), envelope.attempt, &job.last_error),
        Err(problem) => ("?", 0, problem),
    };
    vec![
        job.state.to_string(),
        queue.to_string(),
        kind.to_owned(),
        job.id.clone(),
        attempts.to_string(),
        when(job, now_ms),
        problem.clone(),
    ]
}

/// Says when a job is due, ends its lease, died or was enqueued, from now.
fn when(job: &Shown, now_ms: u64) -> String {
    let ms = match (job.state, &job.envelope) {
        (State::Ready | State::Blocked, Ok(envelope)) => envelope.enqueued_at_ms,
        _ => job.at_ms,
    };
    match (ms, ms.checked_sub(now_ms)) {
        (0, _) => String::new(),
        (_, Some(left)) => format!("in {}", Span(left)),
        (_, None) => format!("{} ago", Span(now_ms - ms)),
    }
}

/// Shows a job as JSON.
pub(crate) fn fields(queue: &Queue, job: &Shown) -> serde_json::Value {
    let envelope = job.envelope.as_ref().ok();
    serde_json::json!({
        "id": job.id,
        "queue": queue,
        "state": job.state.as_str(),
        "kind": envelope.map(|envelope| envelope.kind.as_str()),
        "version": envelope.map(|envelope| envelope.version),
        "payload": envelope.map(|envelope| &envelope.payload),
        "tenant": envelope.map(|envelope| envelope.tenant.as_str()),
        "priority": envelope.map(|envelope| envelope.priority),
        "attempts": envelope.map(|envelope| envelope.attempt),
        "crashes": envelope.map(|envelope| envelope.crashes),
        "enqueued_at_ms": envelope.map(|envelope| envelope.enqueued_at_ms),
        "at_ms": job.at_ms,
        "last_error": job.last_error,
        "progress": job.progress,
        "unreadable": job.envelope.as_ref().err(),
    })
}

/// Returns this host's clock; only what is shown to people is reckoned by it.
pub(crate) fn now_ms() -> u64 {
    u64::try_from(chrono::Utc::now().timestamp_millis()).unwrap_or_default()
}

/// Names who gives an order, for those who find it later: user and host.
pub(crate) fn operator() -> String {
    let user = ["SUDO_USER", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
    let user = user.unwrap_or_else(|| "somebody".to_owned());
    format!("{user}@{}", crate::supervisor::host())
}
