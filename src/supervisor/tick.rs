//! Computes when schedules are due. Pure: every host comes to the same ticks by itself.
use std::{str::FromStr as _, time::Duration};

use chrono::{DateTime, Utc};
use croner::Cron;
use quayhand_queue::Schedule;

/// A schedule that was checked, ready to be asked for its ticks.
///
/// A tick is a point in time in milliseconds since the Unix epoch.
#[derive(Clone, Debug)]
pub(crate) enum Timetable {
    /// At every whole multiple of this many milliseconds since the epoch; at least 1.
    Every(i64),
    /// By a cron expression, in UTC.
    Cron(Box<Cron>),
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
}

impl Timetable {
    /// Checks the schedule of a kind.
    ///
    /// # Errors
    ///
    /// An interval of zero, an expression that is not of five fields.
    pub(crate) fn new(kind: &str, schedule: Schedule) -> Result<Self, ScheduleError> {
        let kind = || kind.to_owned();
        match schedule {
            Schedule::Every(interval) => match i64::try_from(interval.as_millis()) {
                Ok(ms @ 1..) => Ok(Self::Every(ms)),
                _ => Err(ScheduleError::Interval {
                    kind: kind(),
                    interval,
                }),
            },
            Schedule::Cron(expression) => match Cron::from_str(expression) {
                Ok(cron) => Ok(Self::Cron(Box::new(cron))),
                Err(source) => {
                    let expression = expression.to_owned();
                    Err(ScheduleError::Cron {
                        kind: kind(),
                        expression,
                        source,
                    })
                }
            },
        }
    }

    /// Returns the latest tick that is not after `now_ms`: the one that is due, however many
    /// passed before it. `None` when there was none.
    pub(crate) fn latest(&self, now_ms: i64) -> Option<i64> {
        match self {
            Self::Every(ms) => Some(now_ms - now_ms.rem_euclid(*ms)),
            Self::Cron(cron) => {
                let second = whole_second(now_ms)?;
                let tick = cron.find_previous_occurrence(&second, true).ok()?;
                Some(tick.timestamp_millis())
            }
        }
    }

    /// Returns the first tick after `now_ms`; `None` when there will be none.
    pub(crate) fn next(&self, now_ms: i64) -> Option<i64> {
        match self {
            Self::Every(ms) => (now_ms - now_ms.rem_euclid(*ms)).checked_add(*ms),
            Self::Cron(cron) => {
                let second = whole_second(now_ms)?;
                let tick = cron.find_next_occurrence(&second, false).ok()?;
                Some(tick.timestamp_millis())
            }
        }
    }
}

/// Cron knows seconds only: a tick at a full second is due during all of it.
fn whole_second(now_ms: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(now_ms.div_euclid(1000), 0)
}

/// Returns the id of the job of one tick: the same on every host, and again after a crash.
pub(crate) fn job_id(kind: &str, tick_ms: i64) -> String {
    format!("{kind}@{tick_ms}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 86_400_000;

    fn every(interval: Duration) -> Timetable {
        Timetable::new("sweep", Schedule::Every(interval)).unwrap()
    }

    fn ms(time: &str) -> i64 {
        DateTime::parse_from_rfc3339(time)
            .unwrap()
            .timestamp_millis()
    }

    #[test]
    fn intervals_are_whole_multiples_since_the_epoch() {
        let minute = every(Duration::from_mins(1));
        assert_eq!(minute.latest(119_999), Some(60_000));
        assert_eq!(minute.latest(120_000), Some(120_000));
        assert_eq!(minute.next(120_000), Some(180_000));
        assert_eq!(minute.latest(-1), Some(-60_000), "a clock before 1970");
    }

    #[test]
    fn after_downtime_only_the_latest_tick_is_due() {
        let minute = every(Duration::from_mins(1));
        assert_eq!(minute.latest(DAY_MS + 5), Some(DAY_MS));
        let daily = Timetable::new("daily", Schedule::Cron("30 3 * * *")).unwrap();
        assert_eq!(
            daily.latest(ms("2026-03-04T12:00:00Z")),
            Some(ms("2026-03-04T03:30:00Z"))
        );
    }

    #[test]
    fn cron_is_in_utc_and_due_at_its_very_second() {
        let daily = Timetable::new("daily", Schedule::Cron("30 3 * * *")).unwrap();
        let tick = ms("2026-03-04T03:30:00Z");
        assert_eq!(daily.latest(tick), Some(tick));
        assert_eq!(daily.latest(tick + 999), Some(tick));
        assert_eq!(daily.latest(tick - 1), Some(tick - DAY_MS));
        assert_eq!(daily.next(tick), Some(tick + DAY_MS));
        assert_eq!(daily.next(tick - 1), Some(tick));
    }

    #[test]
    fn a_schedule_that_cannot_be_kept_is_refused() {
        let zero = Timetable::new("sweep", Schedule::Every(Duration::ZERO)).unwrap_err();
        assert!(zero.to_string().contains("`sweep`"));
        let words = Timetable::new("sweep", Schedule::Cron("every night")).unwrap_err();
        assert!(words.to_string().contains("`every night`"));
    }

    #[test]
    fn one_tick_has_one_job_id() {
        assert_eq!(job_id("blob_gc", 60_000), "blob_gc@60000");
    }
}
