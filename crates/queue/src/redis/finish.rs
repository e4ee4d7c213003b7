//! What the script `finish` is told, and what it answers.
//!
//! Most jobs are done and keep no record: of those only ids are sent, grouped by the lease that they
//! share.
use std::time::Duration;

use redis::ScriptInvocation;

use super::{ms, scripts::Verb};
use crate::{Finish, Outcome, Queue, settle::kept};

/// Prepares the call for a batch; returns with it which finish of the batch each of its jobs is.
pub(super) fn call(queue: &Queue, batch: &[Finish]) -> (ScriptInvocation<'static>, Vec<usize>) {
    let (mut order, rest): (Vec<_>, Vec<_>) = (0..batch.len()).partition(|n| is_bare(&batch[*n]));
    let groups: Vec<_> = order
        .chunk_by(|one, next| batch[*one].lease.token == batch[*next].lease.token)
        .collect();
    let mut call = Verb::Finish.on(queue);
    call.arg(groups.len());
    for group in groups {
        call.arg(&*batch[group[0]].lease.token).arg(group.len());
        for n in group {
            call.arg(&batch[*n].lease.id);
        }
    }
    for n in &rest {
        add(&mut call, &batch[*n]);
    }
    order.extend(rest);
    (call, order)
}

/// Tells of each finish of a batch whether it was settled.
pub(super) fn settled(order: &[usize], refused: &[usize]) -> Vec<bool> {
    let mut settled = vec![true; order.len()];
    for place in refused {
        if let Some(n) = place.checked_sub(1).and_then(|place| order.get(place)) {
            settled[*n] = false;
        }
    }
    settled
}

fn is_bare(finish: &Finish) -> bool {
    matches!(finish.outcome, Outcome::Done(_)) && finish.kept.is_none()
}

/// Adds all that can be said of one job.
fn add(call: &mut ScriptInvocation<'_>, finish: &Finish) {
    let (verb, delay, text) = spelled(&finish.outcome);
    let (keep_for, record) = match &finish.kept {
        Some(kept) => (kept.keep_for, kept.written()),
        None => (Duration::ZERO, None),
    };
    call.arg(&finish.lease.id)
        .arg(&*finish.lease.token)
        .arg(verb)
        .arg(ms(delay))
        .arg(kept(text))
        .arg(ms(keep_for))
        .arg(record.unwrap_or_default());
}

/// Spells an outcome as the script reads it: verb, delay, text.
fn spelled(outcome: &Outcome) -> (&'static str, Duration, &str) {
    match outcome {
        Outcome::Done(_) => ("done", Duration::ZERO, ""),
        Outcome::Retry { delay, error } => ("retry", *delay, error),
        Outcome::Dead { reason } => ("dead", Duration::ZERO, reason),
        Outcome::Snooze { delay, reason } => ("snooze", *delay, reason),
        Outcome::GiveBack => ("back", Duration::ZERO, ""),
    }
}
