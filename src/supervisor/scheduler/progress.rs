//! What the scheduler knows between two rounds: which ticks are settled, claimed, foreign.
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use quayhand_model::schedule::{self, Claim};

use super::{LONGEST_SLEEP, Timetables};

/// What is known between two rounds.
#[derive(Default)]
pub(super) struct Progress {
    /// The latest tick of each kind about which nothing is left to do.
    pub(super) settled: BTreeMap<&'static str, i64>,
    /// Ticks that are claimed by us and not yet marked as enqueued.
    pub(super) ours: BTreeMap<&'static str, i64>,
    /// Ticks that another host has claimed: when to ask again, should it have died.
    ask_again: BTreeMap<&'static str, (i64, Instant)>,
    pub(super) rounds: u32,
}

impl Progress {
    /// Lists the latest tick of every kind that nobody is known to have enqueued.
    pub(super) fn due(&self, timetables: &Timetables, now_ms: i64) -> Vec<(&'static str, i64)> {
        let due = timetables.iter().filter_map(|(kind, timetable)| {
            let tick = timetable.latest(now_ms)?;
            let is_settled = self
                .settled
                .get(kind)
                .is_some_and(|settled| *settled >= tick);
            let is_ours = self.ours.get(kind) == Some(&tick);
            let waits = self.ask_again.get(kind);
            let waits = waits.is_some_and(|(of, at)| *of == tick && Instant::now() < *at);
            (!is_settled && !is_ours && !waits).then_some((*kind, tick))
        });
        due.collect()
    }

    pub(super) fn note(&mut self, kind: &'static str, tick: i64, claim: Claim) {
        match claim {
            Claim::Ours => {
                // A tick of ours that was never enqueued is overtaken by this one.
                self.ours.insert(kind, tick);
                self.ask_again.remove(kind);
            }
            Claim::Done | Claim::Skipped | Claim::Paused => {
                self.settled.insert(kind, tick);
                self.ask_again.remove(kind);
            }
            Claim::Theirs => {
                let at = Instant::now() + schedule::RETAKE_AFTER;
                self.ask_again.insert(kind, (tick, at));
            }
            // The clock went back between two statements.
            Claim::Early => {}
        }
    }

    /// Returns the time until something is due again.
    pub(super) fn until_next(&self, timetables: &Timetables, now_ms: i64) -> Duration {
        let ticks = timetables
            .values()
            .filter_map(|timetable| timetable.next(now_ms));
        let ticks = ticks.map(|tick| u64::try_from(tick.saturating_sub(now_ms)).unwrap_or(0));
        let now = Instant::now();
        let asks = self
            .ask_again
            .values()
            .map(|(_, at)| at.saturating_duration_since(now));
        let shortest = ticks.map(Duration::from_millis).chain(asks).min();
        // The clock's fraction of a millisecond must not make a second round.
        shortest.map_or(LONGEST_SLEEP, |pause| pause + Duration::from_millis(1))
    }
}

#[cfg(test)]
mod tests {
    use quayhand_queue::Schedule;

    use super::*;
    use crate::supervisor::tick::Timetable;

    const MINUTE_MS: i64 = 60_000;

    fn minutely() -> Timetables {
        let every = Schedule::Every(Duration::from_mins(1));
        Timetables::from([("sweep", Timetable::new("sweep", &every.into()).unwrap())])
    }

    #[test]
    fn a_tick_is_due_until_it_is_settled() {
        let (mut progress, timetables) = (Progress::default(), minutely());
        let now = 10 * MINUTE_MS + 5;
        assert_eq!(progress.due(&timetables, now), [("sweep", 10 * MINUTE_MS)]);
        progress.note("sweep", 10 * MINUTE_MS, Claim::Early);
        assert_eq!(progress.due(&timetables, now).len(), 1);
        progress.note("sweep", 10 * MINUTE_MS, Claim::Done);
        assert!(progress.due(&timetables, now).is_empty());
        assert_eq!(progress.due(&timetables, now + MINUTE_MS).len(), 1);
        assert!(
            progress.due(&timetables, now - MINUTE_MS).is_empty(),
            "a clock that went back"
        );
    }

    #[test]
    fn our_claim_is_not_claimed_twice() {
        let (mut progress, timetables) = (Progress::default(), minutely());
        progress.note("sweep", MINUTE_MS, Claim::Ours);
        assert!(progress.due(&timetables, MINUTE_MS).is_empty());
        assert_eq!(progress.ours.get("sweep"), Some(&MINUTE_MS));
    }

    #[test]
    fn a_foreign_claim_is_asked_for_again_later() {
        let (mut progress, timetables) = (Progress::default(), minutely());
        progress.note("sweep", MINUTE_MS, Claim::Theirs);
        assert!(progress.due(&timetables, MINUTE_MS).is_empty());
        assert_eq!(
            progress.due(&timetables, 2 * MINUTE_MS).len(),
            1,
            "the next tick is open"
        );
        progress
            .ask_again
            .insert("sweep", (MINUTE_MS, Instant::now()));
        assert_eq!(progress.due(&timetables, MINUTE_MS).len(), 1);
    }

    #[test]
    fn sleeps_until_the_next_tick() {
        let (progress, timetables) = (Progress::default(), minutely());
        let pause = progress.until_next(&timetables, 59_000);
        assert_eq!(pause, Duration::from_millis(1001));
        assert_eq!(
            progress
                .until_next(&Timetables::new(), 0)
                .min(LONGEST_SLEEP),
            LONGEST_SLEEP
        );
    }
}
