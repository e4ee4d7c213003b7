//! Owns [`Setting`]: how a value of each type is read, written and shown.

use std::{path::PathBuf, time::Duration};

use serde_json::Value;

/// A value that a configuration can hold. Every source is brought into JSON's form first.
pub(super) trait Setting {
    /// Takes the value over, or says what it is and what was expected, without showing secrets.
    fn read(&mut self, value: &Value) -> Result<(), String>;

    /// Returns the value in the form that [`read`](Self::read) takes, secrets included; null for
    /// none.
    fn write(&self) -> Value;

    /// Returns the value as it may be shown.
    fn show(&self) -> String {
        match self.write() {
            Value::Null => String::new(),
            value => value.to_string(),
        }
    }
}

/// Describes a value that is no secret.
pub(super) fn found(value: &Value) -> String {
    match value {
        Value::Null => "empty (null)".to_owned(),
        Value::Bool(value) => format!("`{value}`"),
        Value::Number(value) => format!("the number `{value}`"),
        Value::String(text) => format!("the text `{}`", shorten(text)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a table".to_owned(),
    }
}

/// Cuts a text that is too long for a message.
fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    short
}

impl Setting for bool {
    fn read(&mut self, value: &Value) -> Result<(), String> {
        let wrong = || format!("is {}; expected true or false", found(value));
        *self = value.as_bool().ok_or_else(wrong)?;
        Ok(())
    }

    fn write(&self) -> Value {
        (*self).into()
    }
}

/// Reads a whole number that fits the type.
fn number<T: TryFrom<u64>>(value: &Value) -> Result<T, String> {
    let fitting = value.as_u64().and_then(|number| T::try_from(number).ok());
    fitting.ok_or_else(|| format!("is {}; expected a whole number from 0", found(value)))
}

/// Whole numbers of several sizes.
macro_rules! numbers {
    ($($type:ty),+) => {$(
        impl Setting for $type {
            fn read(&mut self, value: &Value) -> Result<(), String> {
                *self = number(value)?;
                Ok(())
            }

            fn write(&self) -> Value {
                (*self).into()
            }
        }
    )+};
}

numbers!(u32, u64, usize);

impl Setting for i8 {
    fn read(&mut self, value: &Value) -> Result<(), String> {
        let wrong = || {
            format!(
                "is {}; expected a whole number from -128 to 127",
                found(value)
            )
        };
        let fitting = value
            .as_i64()
            .and_then(|number| Self::try_from(number).ok());
        *self = fitting.ok_or_else(wrong)?;
        Ok(())
    }

    fn write(&self) -> Value {
        (*self).into()
    }
}

/// The units of a duration, the largest first, in milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

impl Setting for Duration {
    fn read(&mut self, value: &Value) -> Result<(), String> {
        let wrong = || {
            let form = "expected a whole number with ms, s, m, h or d, such as \"30s\"";
            format!("is {}; {form}", found(value))
        };
        *self = value.as_str().and_then(duration).ok_or_else(wrong)?;
        Ok(())
    }

    fn write(&self) -> Value {
        let ms = u64::try_from(self.as_millis()).unwrap_or(u64::MAX);
        let (unit, length_ms) = match ms {
            0 => ("s", 1_000),
            _ => UNITS
                .into_iter()
                .find(|(_, length)| ms % length == 0)
                .unwrap_or(("ms", 1)),
        };
        format!("{}{unit}", ms / length_ms).into()
    }
}

/// Writes a duration as a file has it, without quotes.
pub(crate) fn shown(duration: &Duration) -> String {
    match duration.write() {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// A duration that may be switched off: `"off"`, or Quay's null.
impl Setting for Option<Duration> {
    fn read(&mut self, value: &Value) -> Result<(), String> {
        *self = match value {
            Value::Null => None,
            Value::String(word) if word == "off" => None,
            value => {
                let mut duration = Duration::ZERO;
                duration
                    .read(value)
                    .map_err(|what| format!("{what}, or \"off\""))?;
                Some(duration)
            }
        };
        Ok(())
    }

    fn write(&self) -> Value {
        self.map_or_else(|| "off".into(), |duration| duration.write())
    }
}

/// The longest time a setting may have: a hundred years. More overflows somewhere.
const LONGEST_MS: u64 = 100 * 365 * 86_400_000;

/// Reads `30s`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, length_ms) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    number
        .parse::<u64>()
        .ok()?
        .checked_mul(length_ms)
        .filter(|ms| *ms <= LONGEST_MS)
        .map(Duration::from_millis)
}

impl Setting for Vec<String> {
    fn read(&mut self, value: &Value) -> Result<(), String> {
        let wrong = || format!("is {}; expected a list of texts", found(value));
        let texts = value.as_array().ok_or_else(wrong)?.iter();
        *self = texts
            .map(|text| text.as_str().map(str::to_owned).ok_or_else(wrong))
            .collect::<Result<_, _>>()?;
        Ok(())
    }

    fn write(&self) -> Value {
        self.clone().into()
    }
}

/// A path; null and the empty text mean none.
impl Setting for Option<PathBuf> {
    fn read(&mut self, value: &Value) -> Result<(), String> {
        *self = match value {
            Value::Null => None,
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => Some(text.into()),
            other => return Err(format!("is {}; expected a path", found(other))),
        };
        Ok(())
    }

    fn write(&self) -> Value {
        let path = self.as_ref().map(|path| path.to_string_lossy());
        path.map_or(Value::Null, |path| path.into_owned().into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read<T: Setting + Default>(value: &Value) -> Result<T, String> {
        let mut setting = T::default();
        setting.read(value).map(|()| setting)
    }

    #[test]
    fn reads_durations_with_a_unit_only() {
        assert_eq!(read(&json!("0s")), Ok(Duration::ZERO));
        assert_eq!(read(&json!("250ms")), Ok(Duration::from_millis(250)));
        assert_eq!(read(&json!("10m")), Ok(Duration::from_mins(10)));
        assert_eq!(read(&json!("2d")), Ok(Duration::from_hours(48)));
        let overflow = format!("{}d", u64::MAX);
        for wrong in [
            "", "s", "30", "-1s", "1.5s", "1 s", "1S", "1w", "１s", &overflow,
        ] {
            assert!(read::<Duration>(&json!(wrong)).is_err(), "{wrong:?}");
        }
        assert!(
            read::<Duration>(&json!(30))
                .unwrap_err()
                .contains("such as \"30s\"")
        );
    }

    #[test]
    fn a_duration_may_be_switched_off_and_never_by_mistake() {
        assert_eq!(read(&json!("off")), Ok(None::<Duration>));
        assert_eq!(read(&Value::Null), Ok(None::<Duration>));
        assert_eq!(read(&json!("1d")), Ok(Some(Duration::from_hours(24))));
        assert_eq!(None::<Duration>.write(), json!("off"));
        for wrong in [json!(""), json!("never"), json!(false), json!(0)] {
            assert!(read::<Option<Duration>>(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn shows_durations_in_the_largest_exact_unit() {
        assert_eq!(Duration::from_secs(90).show(), "\"90s\"");
        assert_eq!(Duration::from_mins(2).show(), "\"2m\"");
        assert_eq!(Duration::ZERO.show(), "\"0s\"");
    }

    #[test]
    fn refuses_values_of_another_type() {
        assert!(read::<bool>(&json!("true")).is_err());
        assert!(read::<bool>(&json!(1)).is_err());
        assert!(read::<u32>(&json!(-1)).is_err());
        assert!(read::<u32>(&json!(1.5)).is_err());
        assert!(read::<u32>(&json!(u64::MAX)).is_err());
        assert!(read::<Vec<String>>(&json!(["a", 1])).is_err());
        assert!(read::<Vec<String>>(&json!("a")).is_err());
    }

    proptest! {
        #[test]
        fn durations_survive_the_round_trip(ms in 0..=LONGEST_MS) {
            let duration = Duration::from_millis(ms);
            prop_assert_eq!(read(&duration.write()), Ok(duration));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = duration(&text);
        }
    }
}
