//! Owns what a file may say about a schedule: when it ticks, in which time zone, how far spread.

use std::{fmt, str::FromStr, time::Duration};

use chrono_tz::Tz;
use croner::Cron;
use quayhand_queue::Schedule;
use serde_json::Value;

use super::setting::{Setting, found};

/// Section `[schedules.KIND]`: when one kind is enqueued by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KindSchedule {
    /// When it ticks. `None` (an empty text in the file): as the kind itself says, the sweeps every `gc.sweep_interval`.
    pub when: Option<When>,
    /// Whose wall clock a cron expression is about.
    pub time_zone: TimeZone,
    /// Ticks are late by up to this time, each by its own fixed part of it. 0: they are on time.
    pub jitter: Duration,
}

/// Says when a schedule ticks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// At every whole multiple of this interval since the Unix epoch, whatever the time zone.
    Every(Duration),
    /// By a cron expression of five fields that was checked.
    Cron(String),
}

impl From<Schedule> for When {
    fn from(schedule: Schedule) -> Self {
        match schedule {
            Schedule::Every(interval) => Self::Every(interval),
            Schedule::Cron(expression) => Self::Cron(expression.to_owned()),
        }
    }
}

/// As in a file: `every 1h`, `cron 30 3 * * *`.
impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every(interval) => {
                let text = interval.write();
                write!(f, "every {}", text.as_str().unwrap_or_default())
            }
            Self::Cron(expression) => write!(f, "cron {expression}"),
        }
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(interval) = text.strip_prefix("every ") {
            let mut every = Duration::ZERO;
            every.read(&interval.into())?;
            if every < Duration::from_secs(1) {
                return Err("repeats too often; expected at least `every 1s`".to_owned());
            }
            return Ok(Self::Every(every));
        }
        let Some(expression) = text.strip_prefix("cron ") else {
            let form = "expected `every` and a duration or `cron` and five fields";
            return Err(format!("is {}; {form}", found(&text.into())));
        };
        match Cron::from_str(expression) {
            Ok(_) if expression.split_whitespace().count() == 5 => {
                Ok(Self::Cron(expression.to_owned()))
            }
            Ok(_) => Err(format!(
                "is no cron expression of five fields: `{expression}`"
            )),
            Err(error) => Err(format!("is no cron expression: `{expression}`: {error}")),
        }
    }
}

impl Setting for Option<When> {
    fn read(&mut self, value: &Value) -> Result<(), String> {
        *self = match value {
            Value::Null => None,
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => Some(text.parse()?),
            value => return Err(format!("is {}; expected a text", found(value))),
        };
        Ok(())
    }

    fn write(&self) -> Value {
        self.as_ref().map(ToString::to_string).into()
    }
}

/// A time zone of the IANA database. The database is part of the program, so that all hosts come to
/// the same ticks, whatever their systems know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeZone(pub(crate) Tz);

impl Default for TimeZone {
    fn default() -> Self {
        Self(Tz::UTC)
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

impl FromStr for TimeZone {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let zone = name.parse().map(Self);
        zone.map_err(|_| format!("is no time zone: `{name}`; expected one like `Europe/Berlin`"))
    }
}

impl Setting for TimeZone {
    fn read(&mut self, value: &Value) -> Result<(), String> {
        let Some(name) = value.as_str() else {
            return Err(format!("is {}; expected a text", found(value)));
        };
        *self = name.parse()?;
        Ok(())
    }

    fn write(&self) -> Value {
        self.to_string().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in [
            "every 90s",
            "every 1d",
            "cron 30 3 * * *",
            "cron */5 8-17 * * MON-FRI",
        ] {
            assert_eq!(text.parse::<When>().unwrap().to_string(), text);
        }
        for zone in ["UTC", "Europe/Berlin", "America/St_Johns"] {
            assert_eq!(zone.parse::<TimeZone>().unwrap().to_string(), zone);
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (wrong, said) in [
            ("1h", "expected `every`"),
            ("every 1", "such as \"30s\""),
            ("every 0s", "at least `every 1s`"),
            ("cron 30 3 * *", "no cron expression"),
            ("cron 0 30 3 * * *", "of five fields"),
            ("cron 61 3 * * *", "no cron expression"),
            ("cron @daily", "of five fields"),
        ] {
            let error = wrong.parse::<When>().unwrap_err();
            assert!(error.contains(said), "{wrong}: {error}");
        }
        let error = "Berlin".parse::<TimeZone>().unwrap_err();
        assert!(error.contains("`Berlin`"), "{error}");
    }
}
