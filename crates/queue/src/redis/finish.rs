//! What the script `finish` is told, and what it answers.
//!
//! Most jobs are done: of those only ids are sent, and records where they are kept, grouped by the
//! lease that they share.
use std::time::Duration;

use redis::ScriptInvocation;

use super::{ms, scripts::Verb};
use crate::{Finish, Outcome, Queue, settle::kept};

/// Prepares the call for a batch; returns with it which finish of the batch each of its jobs is.
pub(super) fn call(queue: &Queue, batch: &[Finish]) -> (ScriptInvocation<'static>, Vec<usize>) {
    let (mut order, rest): (Vec<_>, Vec<_>) =
        (0..batch.len()).partition(|n| matches!(batch[*n].outcome, Outcome::Done(_)));
    order.sort_by(|one, next| batch[*one].lease.token.cmp(&batch[*next].lease.token));
    let groups: Vec<_> = order
        .chunk_by(|one, next| are_alike(&batch[*one], &batch[*next]))
        .collect();
    let mut call = Verb::Finish.on(queue);
    call.arg(groups.len());
    for group in groups {
        add_group(&mut call, batch, group);
    }
    for n in &rest {
        add(&mut call, &batch[*n]);
    }
    order.extend(rest);
    (call, order)
}

/// Says whether two jobs that are done may be told of together.
fn are_alike(one: &Finish, other: &Finish) -> bool {
    one.lease.token == other.lease.token && kept_ms(one) == kept_ms(other)
}

/// Adds jobs that are done.
fn add_group(call: &mut ScriptInvocation<'_>, batch: &[Finish], group: &[usize]) {
    let first = &batch[group[0]];
    let kept_ms = kept_ms(first);
    call.arg(&*first.lease.token).arg(kept_ms).arg(group.len());
    for finish in group.iter().map(|n| &batch[*n]) {
        call.arg(&*finish.lease.id);
        if kept_ms > 0 {
            call.arg(written(finish));
        }
    }
}

/// For how long the record of an attempt is kept; 0: there is none.
fn kept_ms(finish: &Finish) -> u64 {
    finish.kept.as_ref().map_or(0, |kept| ms(kept.keep_for))
}

/// The record of an attempt; empty where there is none.
fn written(finish: &Finish) -> String {
    let kept = finish.kept.as_ref();
    kept.and_then(|kept| kept.written()).unwrap_or_default()
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

/// Adds all that can be said of one job.
fn add(call: &mut ScriptInvocation<'_>, finish: &Finish) {
    let (verb, delay, text) = spelled(&finish.outcome);
    call.arg(&*finish.lease.id)
        .arg(&*finish.lease.token)
        .arg(verb)
        .arg(ms(delay))
        .arg(kept(text))
        .arg(kept_ms(finish))
        .arg(written(finish));
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
