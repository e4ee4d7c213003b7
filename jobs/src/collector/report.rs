//! What a run over some repositories came to.
use std::collections::VecDeque;

use quayhand_queue::{Done, JobError};

use super::Line;

/// Says what a list came to: what was done, what a longer turn would have done, and the
/// repositories that cannot be collected.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) done: Done,
    pub(crate) rest: VecDeque<Line>,
    pub(crate) broken: Vec<(i64, String)>,
}

impl Report {
    pub(crate) fn merge(&mut self, other: Self) {
        self.done += other.done;
        self.rest.extend(other.rest);
        self.broken.extend(other.broken);
    }

    /// Succeeds when nothing was left.
    pub(crate) fn into_result(self, mut left: Vec<String>) -> Result<Done, JobError> {
        for (repository_id, reason) in self.broken {
            left.push(format!("repository {repository_id}: {reason}"));
        }
        if left.is_empty() {
            return Ok(self.done);
        }
        Err(JobError::Partial {
            done: self.done,
            left,
        })
    }
}
