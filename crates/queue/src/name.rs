//! The name of a queue: checked once, then trusted as part of a Redis key.
use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Names a queue: one pool of workers, one set of Redis keys.
///
/// 1 to 40 of `a`-`z`, `0`-`9` and `_`, the first a letter, so that a name can stand in a
/// Redis hash tag, a metric label and a TOML key as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Queue(Cow<'static, str>);

/// Says which queue name was refused.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no queue name: 1 to 40 of a-z, 0-9 and _, beginning with a letter")]
pub struct BadName(String);

const LONGEST: usize = 40;

impl Queue {
    /// Names a queue in a constant; a bad name does not compile there.
    ///
    /// # Panics
    ///
    /// If the name breaks the rule above.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        assert!(
            is_valid(name.as_bytes()),
            "a queue name is 1 to 40 of a-z, 0-9 and _"
        );
        Self(Cow::Borrowed(name))
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const fn is_valid(name: &[u8]) -> bool {
    if name.is_empty() || name.len() > LONGEST || !name[0].is_ascii_lowercase() {
        return false;
    }
    let mut at = 0;
    while at < name.len() {
        let c = name[at];
        if !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_') {
            return false;
        }
        at += 1;
    }
    true
}

impl FromStr for Queue {
    type Err = BadName;

    fn from_str(name: &str) -> Result<Self, BadName> {
        Self::try_from(name.to_owned())
    }
}

impl TryFrom<String> for Queue {
    type Error = BadName;

    fn try_from(name: String) -> Result<Self, BadName> {
        if is_valid(name.as_bytes()) {
            Ok(Self(Cow::Owned(name)))
        } else {
            Err(BadName(name))
        }
    }
}

impl From<Queue> for String {
    fn from(queue: Queue) -> Self {
        queue.0.into_owned()
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Queue;

    #[test]
    fn accepts_what_fits_a_redis_hash_tag_and_nothing_else() {
        for good in ["gc", "default", "a_1"] {
            assert_eq!(good.parse::<Queue>().unwrap().as_str(), good);
        }
        for bad in ["", "GC", "1gc", "a-b", "a}b", "_a", &"a".repeat(41)] {
            assert!(bad.parse::<Queue>().is_err(), "`{bad}` was accepted");
        }
    }
}
