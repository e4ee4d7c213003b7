//! What holds jobs of a kind back: limits on how many run, and on how many start.
use std::{fmt, time::Duration};

use sha2::{Digest as _, Sha256};

/// Longest value that stands in a gate's name as it is, in bytes.
const LONGEST_VALUE_BYTES: usize = 128;

/// Says which jobs share something: a limit, a rate, a unique key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyBy {
    /// All of the kind.
    Kind,
    /// Those of the kind with the same tenant.
    Tenant,
    /// Those of the kind with the same value of this field of the payload: a text, a number or a
    /// truth value. Where it is missing, or is anything else, they share one key.
    Argument(&'static str),
    /// All jobs of the queue, of whatever kind, with this name.
    Name(&'static str),
}

impl KeyBy {
    /// Returns the value that jobs share.
    pub(crate) fn value(self, tenant: &str, payload: &str) -> String {
        let value = match self {
            Self::Kind => String::new(),
            Self::Tenant => tenant.to_owned(),
            Self::Name(name) => format!("={name}"),
            Self::Argument(field) => argument(payload, field),
        };
        if value.len() > LONGEST_VALUE_BYTES {
            return hash(&value, 20);
        }
        value
    }

    /// Names the gate of a job: `limit:<kind>:<value>`, or `limit:=<name>`.
    pub(crate) fn gate(self, sort: &str, kind: &str, tenant: &str, payload: &str) -> String {
        let value = self.value(tenant, payload);
        match self {
            Self::Name(_) => format!("{sort}:{value}"),
            _ => format!("{sort}:{kind}:{value}"),
        }
    }
}

/// As the script `fetch` and the configuration spell it: `kind`, `tenant`, `argument:FIELD`,
/// `name:NAME`.
impl fmt::Display for KeyBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind => f.write_str("kind"),
            Self::Tenant => f.write_str("tenant"),
            Self::Argument(field) => write!(f, "argument:{field}"),
            Self::Name(name) => write!(f, "name:{name}"),
        }
    }
}

/// Returns the first bytes of a text's SHA-256 in hex.
pub(crate) fn hash(text: &str, bytes: usize) -> String {
    use std::fmt::Write as _;
    let mut hex = String::with_capacity(2 * bytes);
    for byte in Sha256::digest(text).iter().take(bytes) {
        // A string takes everything.
        let _infallible = write!(hex, "{byte:02x}");
    }
    hex
}

fn argument(payload: &str, field: &str) -> String {
    let payload: serde_json::Value = serde_json::from_str(payload).unwrap_or_default();
    match payload.get(field) {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(value @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_))) => {
            value.to_string()
        }
        _ => String::new(),
    }
}

/// Bounds how many jobs run at a time, over all hosts.
///
/// What runs is counted by its leases: a host that dies frees its places when they end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// How many; 0 is read as no limit.
    pub most: u32,
    /// Which jobs share the places.
    pub by: KeyBy,
}

/// Bounds how many jobs start in a time, over all hosts: `most` at once after a pause, then one
/// each `per / most`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many; 0 is read as any.
    pub most: u32,
    /// In which time; at least 1 ms.
    pub per: Duration,
    /// Which jobs share the rate.
    pub by: KeyBy,
}

/// What a fetch must know of a kind: sent with it, so that who enqueues need not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The kind.
    pub kind: String,
    /// How many run.
    pub limit: Option<Limit>,
    /// How many start.
    pub rate: Option<Rate>,
}

impl Rule {
    /// Returns the rule of a kind; `None` when nothing holds it back.
    pub fn of(kind: &str, policy: &crate::Policy) -> Option<Self> {
        let limit = policy.limit.filter(|limit| limit.most > 0);
        let rate = policy.rate.filter(|rate| rate.most > 0);
        (limit.is_some() || rate.is_some()).then(|| Self {
            kind: kind.to_owned(),
            limit,
            rate,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_are_named_by_what_jobs_share() {
        let gate = |by: KeyBy| by.gate("limit", "k", "42", r#"{"n":7,"on":true,"s":"x","l":[1]}"#);
        assert_eq!(gate(KeyBy::Kind), "limit:k:");
        assert_eq!(gate(KeyBy::Tenant), "limit:k:42");
        assert_eq!(gate(KeyBy::Argument("n")), "limit:k:7");
        assert_eq!(gate(KeyBy::Argument("on")), "limit:k:true");
        assert_eq!(gate(KeyBy::Argument("s")), "limit:k:x");
        assert_eq!(gate(KeyBy::Argument("l")), "limit:k:");
        assert_eq!(gate(KeyBy::Argument("none")), "limit:k:");
        assert_eq!(gate(KeyBy::Name("disk")), "limit:=disk");
        let long = KeyBy::Tenant.gate("rate", "k", &"t".repeat(500), "{}");
        assert_eq!(long.len(), "rate:k:".len() + 40);
    }
}
