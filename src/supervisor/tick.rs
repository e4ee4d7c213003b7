//! Computes when schedules are due. Pure: every host comes to the same ticks by itself.
//!
//! Around a change to or from daylight saving time: a fixed time of day that does not exist (02:30
//! on the day the clock jumps from 02:00 to 03:00) ticks at the first minute that does; one that
//! comes twice ticks the first time only. What repeats within the day (`*/30`) follows the wall
//! clock: nothing in the hour that is left out, twice in the hour that comes twice.
use std::{str::FromStr as _, time::Duration};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;
use quayhand_queue::Schedule;

use crate::config::{TimeZone, When};

/// Ticks that are looked at to find out whether a jitter fits between them.
const CHECKED_TICKS: usize = 100;
/// 2024-01-01: where that look begins.
const CHECKED_FROM_MS: i64 = 1_704_067_200_000;

/// When a kind is enqueued by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// When it ticks.
    pub when: When,
    /// Whose wall clock a cron expression is about.
    pub time_zone: TimeZone,
    /// Ticks are late by up to this time, each by its own fixed part of it. Zero: on time.
    pub jitter: Duration,
}

/// On time, in UTC.
impl From<Schedule> for Timing {
    fn from(schedule: Schedule) -> Self {
        Self {
            when: schedule.into(),
            time_zone: TimeZone::default(),
            jitter: Duration::ZERO,
        }
    }
}

/// A schedule that was checked, ready to be asked for its ticks.
///
/// A tick is a point in time in milliseconds since the Unix epoch.
#[derive(Clone, Debug)]
pub(crate) struct Timetable {
    kind: String,
    ticks: Ticks,
    jitter_ms: i64,
}

#[derive(Clone, Debug)]
enum Ticks {
    /// At every whole multiple of this many milliseconds since the epoch; at least 1.
    Every(i64),
    /// By a cron expression on the wall clock of a time zone.
    Cron(Box<Cron>, Tz),
}

/// Says which schedule cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// An interval of zero, or one that no clock can count.
    #[error("the schedule of `{kind}` repeats every {interval:?}: choose at least 1 ms")]
    Interval {
        /// The job's kind.
        kind: String,
        /// What was asked for.
        interval: Duration,
    },
    /// A cron expression of another form.
    #[error("the schedule of `{kind}` is no cron expression of five fields: `{expression}`")]
    Cron {
        /// The job's kind.
        kind: String,
        /// What was asked for.
        expression: String,
        /// What does not fit.
        source: croner::errors::CronError,
    },
    /// A jitter that lets one tick overtake another.
    #[error(
        "the jitter {jitter:?} of the schedule of `{kind}` reaches its next tick: choose a shorter one"
    )]
    Jitter {
        /// The job's kind.
        kind: String,
        /// What was asked for.
        jitter: Duration,
    },
}

impl Timetable {
    /// Checks the schedule of a kind.
    ///
    /// # Errors
    ///
    /// An interval of zero, an expression that is not of five fields, a jitter as long as the time
    /// between two ticks.
    pub(crate) fn new(kind: &str, timing: &Timing) -> Result<Self, ScheduleError> {
        let ticks = match &timing.when {
            When::Every(interval) => match i64::try_from(interval.as_millis()) {
                Ok(ms @ 1..) => Ticks::Every(ms),
                _ => {
                    return Err(ScheduleError::Interval {
                        kind: kind.to_owned(),
                        interval: *interval,
                    });
                }
            },
            When::Cron(expression) => match Cron::from_str(expression) {
                Ok(cron) => Ticks::Cron(Box::new(cron), timing.time_zone.0),
                Err(source) => {
                    return Err(ScheduleError::Cron {
                        kind: kind.to_owned(),
                        expression: expression.clone(),
                        source,
                    });
                }
            },
        };
        let jitter_ms = i64::try_from(timing.jitter.as_millis()).unwrap_or(i64::MAX);
        if jitter_ms > 0 && !ticks.leave(jitter_ms) {
            return Err(ScheduleError::Jitter {
                kind: kind.to_owned(),
                jitter: timing.jitter,
            });
        }
        Ok(Self {
            kind: kind.to_owned(),
            ticks,
            jitter_ms,
        })
    }

    /// Returns the latest tick that is due at `now_ms`, however many passed before it. `None` when
    /// there was none.
    pub(crate) fn latest(&self, now_ms: i64) -> Option<i64> {
        let tick = self.ticks.latest(now_ms)?;
        if self.due_ms(tick) <= now_ms {
            return Some(tick);
        }
        // Less than one tick of jitter: the one before is due.
        self.ticks.latest(tick - 1)
    }

    /// Returns when the first tick after `now_ms` is due; `None` when there will be none.
    pub(crate) fn next(&self, now_ms: i64) -> Option<i64> {
        let due = self.ticks.latest(now_ms).map(|tick| self.due_ms(tick));
        if due.is_some_and(|due_ms| due_ms > now_ms) {
            return due;
        }
        self.ticks.next(now_ms).map(|tick| self.due_ms(tick))
    }

    /// Returns when a tick is due: later by its own part of the jitter, the same on all hosts.
    fn due_ms(&self, tick_ms: i64) -> i64 {
        if self.jitter_ms == 0 {
            return tick_ms;
        }
        let part = scattered(&job_id(&self.kind, tick_ms)) % self.jitter_ms.unsigned_abs();
        tick_ms.saturating_add(i64::try_from(part).unwrap_or_default())
    }
}

impl Ticks {
    fn latest(&self, now_ms: i64) -> Option<i64> {
        match self {
            Self::Every(ms) => Some(now_ms - now_ms.rem_euclid(*ms)),
            Self::Cron(cron, zone) => {
                let second = whole_second(now_ms)?.with_timezone(zone);
                let tick = cron.find_previous_occurrence(&second, true).ok()?;
                Some(tick.timestamp_millis())
            }
        }
    }

    fn next(&self, now_ms: i64) -> Option<i64> {
        match self {
            Self::Every(ms) => (now_ms - now_ms.rem_euclid(*ms)).checked_add(*ms),
            Self::Cron(cron, zone) => {
                let second = whole_second(now_ms)?.with_timezone(zone);
                let tick = cron.find_next_occurrence(&second, false).ok()?;
                Some(tick.timestamp_millis())
            }
        }
    }

    /// Tells whether two ticks are more than this time apart, as far as a look at some tells.
    fn leave(&self, jitter_ms: i64) -> bool {
        if let Self::Every(ms) = self {
            return jitter_ms <= *ms;
        }
        let mut last = None;
        let mut at = CHECKED_FROM_MS;
        for _ in 0..CHECKED_TICKS {
            let Some(tick) = self.next(at) else { break };
            if last.is_some_and(|last| tick - last < jitter_ms) {
                return false;
            }
            last = Some(tick);
            at = tick;
        }
        true
    }
}

/// Cron knows seconds only: a tick at a full second is due during all of it.
fn whole_second(now_ms: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(now_ms.div_euclid(1000), 0)
}

/// Spreads texts evenly over all numbers, today and in every later build (FNV-1a, mixed).
fn scattered(text: &str) -> u64 {
    let mut hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ (hash >> 29)
}

/// Returns the id of the job of one tick: the same on every host, and again after a crash.
pub(crate) fn job_id(kind: &str, tick_ms: i64) -> String {
    format!("{kind}@{tick_ms}")
}

/// Reads the tick off the id of a job of a kind; `None` for a job of no tick.
pub(crate) fn tick_of(kind: &str, id: &str) -> Option<i64> {
    id.strip_prefix(kind)?.strip_prefix('@')?.parse().ok()
}

#[cfg(test)]
mod tests;
