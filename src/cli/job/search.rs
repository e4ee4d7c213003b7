//! Finding jobs in the queues, and printing what was found.
use std::collections::HashSet;

use quayhand_queue::{Queue, Shown, State, Store};

use crate::cli::{
    Failure,
    output::{self, Format},
    waiting::{self, Which},
};

/// Jobs that were found.
#[derive(Default)]
pub(crate) struct Hits {
    /// Those that are shown.
    pub(crate) jobs: Vec<(Queue, Shown)>,
    /// How many fit, as far as they were looked at.
    pub(crate) all: usize,
    /// Whether there may be more.
    pub(crate) is_cut: bool,
}

impl Hits {
    /// Says on standard error that more jobs fit than are shown.
    pub(crate) fn tell_more(&self) {
        let (shown, all) = (self.jobs.len(), self.all);
        if self.is_cut {
            output::note(&format!(
                "{shown} jobs are shown, and more fit: `--limit` shows more"
            ));
        } else if all > shown {
            output::note(&format!(
                "{shown} of {all} jobs are shown: `--limit` shows more"
            ));
        }
    }
}

/// Finds jobs that fit, `most` of them. Where `counts_all`, goes on to count the others.
pub(crate) async fn search(
    store: &Store,
    which: &Which,
    state: Option<State>,
    most: usize,
    counts_all: bool,
) -> Result<Hits, Failure> {
    let filter = which.filter(state);
    let (mut hits, mut seen) = (Hits::default(), HashSet::new());
    for queue in which.queues()? {
        let mut cursor = None;
        loop {
            let page = store.find(&queue, &filter, cursor.as_deref()).await?;
            for job in page.jobs {
                // A page may show a job that an earlier one had.
                if !seen.insert((queue.clone(), job.id.clone())) {
                    continue;
                }
                if hits.jobs.len() < most {
                    hits.jobs.push((queue.clone(), job));
                } else if !counts_all {
                    hits.is_cut = true;
                    return Ok(hits);
                }
                hits.all += 1;
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
    }
    Ok(hits)
}

/// Prints jobs, the oldest first.
pub(crate) fn print(format: Format, jobs: &[(Queue, Shown)], now_ms: u64) -> Result<(), Failure> {
    let mut sorted: Vec<_> = jobs.iter().collect();
    sorted.sort_by_key(|(_, job)| (job.state.as_str(), job.at_ms, job.id.clone()));
    if format == Format::Json {
        return sorted
            .iter()
            .try_for_each(|(queue, job)| output::json(&waiting::fields(queue, job)));
    }
    let rows: Vec<_> = sorted
        .iter()
        .map(|(queue, job)| waiting::row(queue, job, now_ms))
        .collect();
    output::table(&waiting::HEADINGS, &rows)
}
