//! Owns the values of `[jobs.KIND]`: each may be left out, and some are written in words.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use quayhand_queue::{KeyBy, Limit, Rate, UniqueMode};
use serde_json::Value;

use super::setting::{Setting, duration, found, shown};

/// What a file asks for; `None` (an empty text in the file): whatever holds without it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked<T>(pub Option<T>);

impl<T: Copy> Asked<T> {
    /// Replaces a value by what is asked for, if anything is.
    pub(super) fn lay_over(self, value: &mut T) {
        if let Some(asked) = self.0 {
            *value = asked;
        }
    }
}

impl<T: Setting + Default> Setting for Asked<T> {
    fn read(&mut self, value: &Value) -> Result<(), String> {
        self.0 = match value {
            Value::Null => None,
            Value::String(text) if text.is_empty() => None,
            value => {
                let mut asked = T::default();
                asked.read(value)?;
                Some(asked)
            }
        };
        Ok(())
    }

    fn write(&self) -> Value {
        self.0.as_ref().map_or(Value::Null, Setting::write)
    }
}

/// The most that a limit or a rate may say: more is none.
const MOST: u32 = 1_000_000;
/// The shortest and the longest time of a rate.
const SHORTEST_PER: Duration = Duration::from_secs(1);
const LONGEST_PER: Duration = Duration::from_hours(24);
/// The longest name of a field or of a shared limit, in bytes.
const LONGEST_NAME_BYTES: usize = 64;

/// As in a file: `4 by kind`, `1 by tenant`, `2 by argument:repository_id`, `8 by name:disk`, or
/// `off`.
impl Setting for Option<Limit> {
    fn read(&mut self, value: &Value) -> Result<(), String> {
        let form = "expected a number and what shares it, such as \"4 by kind\", or \"off\"";
        *self = optional(value, form, |text| {
            let (most, by) = text.split_once(" by ").ok_or("")?;
            let (most, by) = (number(most)?, key_by(by)?);
            Ok(Limit { most, by })
        })?;
        Ok(())
    }

    fn write(&self) -> Value {
        self.map_or_else(
            || "off".into(),
            |limit| format!("{} by {}", limit.most, limit.by).into(),
        )
    }
}

/// As in a file: `100 per 1m by kind`, or `off`.
impl Setting for Option<Rate> {
    fn read(&mut self, value: &Value) -> Result<(), String> {
        let form = "expected a number, a time and what shares them, such as \
                    \"100 per 1m by kind\", or \"off\"";
        *self = optional(value, form, |text| {
            let (many, by) = text.split_once(" by ").ok_or("")?;
            let (most, per) = many.split_once(" per ").ok_or("")?;
            let (most, by) = (number(most)?, key_by(by)?);
            let per = duration(per).ok_or("")?;
            if !(SHORTEST_PER..=LONGEST_PER).contains(&per) {
                let (least, most) = (shown(&SHORTEST_PER), shown(&LONGEST_PER));
                return Err(format!(
                    "counts per {}; {least} to {most} are possible",
                    shown(&per)
                ));
            }
            Ok(Rate { most, per, by })
        })?;
        Ok(())
    }

    fn write(&self) -> Value {
        self.map_or_else(
            || "off".into(),
            |rate| format!("{} per {} by {}", rate.most, shown(&rate.per), rate.by).into(),
        )
    }
}

/// Reads a text that may be `off`; an empty error of `read` stands for "not of this form".
fn optional<T>(
    value: &Value,
    form: &str,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    match value.as_str() {
        Some("off") => Ok(None),
        Some(text) => read(text).map(Some).map_err(|what| match what.as_str() {
            "" => format!("is {}; {form}", found(value)),
            what => format!("is {} and {what}", found(value)),
        }),
        None => Err(format!("is {}; {form}", found(value))),
    }
}

fn number(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(0) => Err("would let no job run; \"off\" means any number".to_owned()),
        Ok(most) if most <= MOST => Ok(most),
        Ok(_) => Err(format!("is more than {MOST}; \"off\" means any number")),
        Err(_) => Err(String::new()),
    }
}

fn key_by(text: &str) -> Result<KeyBy, String> {
    match text.split_once(':') {
        None if text == "kind" => Ok(KeyBy::Kind),
        None if text == "tenant" => Ok(KeyBy::Tenant),
        Some(("argument", field)) => Ok(KeyBy::Argument(name(field)?)),
        Some(("name", shared)) => Ok(KeyBy::Name(name(shared)?)),
        _ => Err("does not say by what: `kind`, `tenant`, `argument:FIELD` or `name:NAME`".into()),
    }
}

/// Checks a name and makes it last as long as the process, equal ones once: policies are copied
/// about freely, and a configuration that is read again names the same few.
fn name(text: &str) -> Result<&'static str, String> {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let is_plain = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
    if text.is_empty() || text.len() > LONGEST_NAME_BYTES || !text.bytes().all(is_plain) {
        let most = LONGEST_NAME_BYTES;
        return Err(format!(
            "names `{text}`; expected 1 to {most} of letters, digits and _"
        ));
    }
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = names.get(text) {
        return Ok(known);
    }
    let kept: &'static str = Box::leak(text.into());
    names.insert(kept);
    Ok(kept)
}

/// Only the two ways that keep every payload: what replaces or delays is the kind's own business.
impl Setting for UniqueMode {
    fn read(&mut self, value: &Value) -> Result<(), String> {
        *self = match value.as_str() {
            Some("running") => Self::WhileQueuedOrRunning,
            Some("queued") => Self::WhileQueued,
            _ => {
                return Err(format!(
                    "is {}; expected `running` or `queued`",
                    found(value)
                ));
            }
        };
        Ok(())
    }

    fn write(&self) -> Value {
        match self {
            Self::WhileQueuedOrRunning => "running",
            Self::WhileQueued => "queued",
            Self::Replace => "replace",
            Self::Debounce => "debounce",
        }
        .into()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read<T: Setting + Default>(text: &str) -> Result<T, String> {
        let mut setting = T::default();
        setting.read(&json!(text)).map(|()| setting)
    }

    #[test]
    fn limits_and_rates_survive_the_round_trip() {
        for text in [
            "off",
            "4 by kind",
            "1 by tenant",
            "2 by argument:id",
            "8 by name:disk",
        ] {
            assert_eq!(read::<Option<Limit>>(text).unwrap().write(), json!(text));
        }
        for text in ["off", "100 per 1m by kind", "1 per 1s by argument:id"] {
            assert_eq!(read::<Option<Rate>>(text).unwrap().write(), json!(text));
        }
        assert_eq!(read::<Asked<Option<Limit>>>("off"), Ok(Asked(Some(None))));
        assert_eq!(read::<Asked<Option<Limit>>>(""), Ok(Asked(None)));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_way_out() {
        for (text, said) in [
            ("4", "such as \"4 by kind\""),
            ("0 by kind", "\"off\" means any number"),
            ("-1 by kind", "such as \"4 by kind\""),
            ("1000001 by kind", "more than 1000000"),
            ("4 by host", "`argument:FIELD`"),
            ("4 by argument:", "names ``"),
            ("4 by argument:a b", "names `a b`"),
        ] {
            let error = read::<Option<Limit>>(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
        for (text, said) in [
            ("4 by kind", "such as \"100 per 1m by kind\""),
            ("4 per 1 by kind", "such as \"100 per 1m by kind\""),
            ("4 per 0s by kind", "1s to 1d are possible"),
            ("4 per 2d by kind", "1s to 1d are possible"),
        ] {
            let error = read::<Option<Rate>>(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
        assert!(read::<UniqueMode>("replace").is_err());
    }

    #[test]
    fn a_name_is_kept_once_however_often_it_is_read() {
        let by = |text| match read::<Option<Limit>>(text).unwrap().unwrap().by {
            KeyBy::Name(name) => name.as_ptr(),
            other => panic!("{other:?}"),
        };
        assert_eq!(by("4 by name:one_disk"), by("9 by name:one_disk"));
    }
}
