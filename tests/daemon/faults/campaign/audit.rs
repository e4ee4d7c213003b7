//! Compares what was enqueued, what took effect and what died.
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{LEASE, feed::Answers};
use crate::world::Mark;

/// How long after its effect a job's finish may be on its way.
const LONGEST_FINISH_MS: i64 = 2_000;

/// How long a statement that the victim had sent may go on in the server.
const LONGEST_EFFECT_MS: i64 = 1_000;

/// Who died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Victim {
    Worker,
    Daemon,
    Redis,
}

/// One death, from the blow until its victim was back at work, or gone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crash {
    pub(super) victim: Victim,
    /// The process that it concerns; `None`: all.
    pub(super) pid: Option<i32>,
    pub(super) from_ms: i64,
    pub(super) until_ms: i64,
}

impl Crash {
    /// Tells whether it can have come between a job's effect and its finish. Who waits for a Redis
    /// that comes back within its leases repeats nothing.
    fn explains(&self, first: &Mark, second: &Mark) -> bool {
        if self.victim == Victim::Redis
            && Duration::from_millis((self.until_ms - self.from_ms).unsigned_abs()) < LEASE
        {
            return false;
        }
        self.pid.is_none_or(|pid| pid == first.pid)
            && self.from_ms - LONGEST_FINISH_MS <= first.at_ms
            && first.at_ms <= self.until_ms + LONGEST_EFFECT_MS
            && self.from_ms <= second.at_ms
    }
}

/// What the ledger says.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) acknowledged: usize,
    pub(super) lost: usize,
    pub(super) unknown: usize,
    pub(super) unknown_ran: usize,
    /// Effects that came again because somebody died.
    pub(super) doubles: BTreeMap<Victim, usize>,
    /// What took effect again although nobody died: when, and where.
    pub(super) without_cause: Vec<(Mark, Mark)>,
}

impl Figures {
    /// Reckons; the marks are in the order of their times.
    pub(super) fn of(marks: &[Mark], crashes: &[Crash], answers: &Answers) -> Self {
        let mut by_id = BTreeMap::<i64, Vec<&Mark>>::new();
        for mark in marks {
            by_id.entry(mark.id).or_default().push(mark);
        }
        let ran = |ids: &BTreeSet<i64>| ids.iter().filter(|id| by_id.contains_key(id)).count();
        let acknowledged = answers.acknowledged.len();
        let mut figures = Self {
            acknowledged,
            lost: acknowledged - ran(&answers.acknowledged),
            unknown: answers.unknown.len(),
            unknown_ran: ran(&answers.unknown),
            ..Self::default()
        };
        for marks in by_id.values() {
            for two in marks.windows(2) {
                let cause = crashes.iter().find(|crash| crash.explains(two[0], two[1]));
                match cause {
                    Some(crash) => *figures.doubles.entry(crash.victim).or_default() += 1,
                    None => figures.without_cause.push((*two[0], *two[1])),
                }
            }
        }
        figures
    }

    pub(super) fn print(&self, crashes: &[Crash]) {
        let died = |victim| {
            crashes
                .iter()
                .filter(|crash| crash.victim == victim)
                .count()
        };
        let [worker, daemon, redis] = [Victim::Worker, Victim::Daemon, Victim::Redis];
        println!(
            "F1 kills while jobs flow: target lost 0 of {} over {} kills, seen lost {} \
             (worker tasks {}, daemons {}, Redis {})",
            self.acknowledged,
            crashes.len(),
            self.lost,
            died(worker),
            died(daemon),
            died(redis)
        );
        let doubles = |victim| self.doubles.get(&victim).copied().unwrap_or_default();
        println!(
            "F1 twice without a death: target 0, seen {}; twice with one: worker tasks {}, \
             daemons {}, Redis {}",
            self.without_cause.len(),
            doubles(worker),
            doubles(daemon),
            doubles(redis)
        );
        println!(
            "F5 answers to enqueues: target all acknowledged ran, seen {} of {}; unanswered {}, \
             of which {} ran",
            self.acknowledged - self.lost,
            self.acknowledged,
            self.unknown,
            self.unknown_ran
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(id: i64, pid: i32, at_ms: i64) -> Mark {
        Mark {
            id,
            attempt: 1,
            pid,
            at_ms,
        }
    }

    fn figures(marks: &[Mark]) -> Figures {
        let crash = Crash {
            victim: Victim::Daemon,
            pid: Some(7),
            from_ms: 10_000,
            until_ms: 10_100,
        };
        let answers = Answers {
            acknowledged: [1, 2].into(),
            unknown: [3, 4].into(),
        };
        Figures::of(marks, &[crash], &answers)
    }

    #[test]
    fn what_was_acknowledged_and_has_no_effect_is_lost() {
        let seen = figures(&[mark(1, 7, 1), mark(3, 7, 2)]);
        assert_eq!((seen.acknowledged, seen.lost), (2, 1));
        assert_eq!((seen.unknown, seen.unknown_ran), (2, 1));
    }

    #[test]
    fn a_double_needs_a_death_of_its_own_process_at_its_time() {
        let explained = figures(&[mark(1, 7, 9_990), mark(1, 8, 16_000)]);
        assert_eq!(explained.doubles, [(Victim::Daemon, 1)].into());
        for (pid, first_ms, second_ms) in [
            (8, 9_990, 16_000),  // another process
            (7, 7_000, 16_000),  // its finish was long over
            (7, 9_980, 9_990),   // twice before the death
            (7, 11_200, 16_000), // long after its own death
        ] {
            let seen = figures(&[mark(1, pid, first_ms), mark(1, 9, second_ms)]);
            assert_eq!(seen.without_cause.len(), 1, "{pid} {first_ms} {second_ms}");
        }
    }
}
