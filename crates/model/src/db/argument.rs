//! One connection argument under libpq's name.
use std::{str::FromStr, time::Duration};

use tokio_postgres::config::{ChannelBinding, Config, LoadBalanceHosts, TargetSessionAttrs};

use super::DbError;

/// Arguments of Quay's own pool, and of libpq those that change nothing here.
const IGNORED: [&str; 11] = [
    "autocommit",
    "autorollback",
    "client_encoding",
    "fallback_application_name",
    "gssencmode",
    "max_connections",
    "sslcompression",
    "sslsni",
    "stale_timeout",
    "threadlocals",
    "timeout",
];

const SESSIONS: [(&str, TargetSessionAttrs); 3] = [
    ("any", TargetSessionAttrs::Any),
    ("read-write", TargetSessionAttrs::ReadWrite),
    ("read-only", TargetSessionAttrs::ReadOnly),
];

const BINDINGS: [(&str, ChannelBinding); 3] = [
    ("disable", ChannelBinding::Disable),
    ("prefer", ChannelBinding::Prefer),
    ("require", ChannelBinding::Require),
];

const BALANCES: [(&str, LoadBalanceHosts); 2] = [
    ("disable", LoadBalanceHosts::Disable),
    ("random", LoadBalanceHosts::Random),
];

/// Says where an argument was written.
#[derive(Clone, Copy)]
pub(super) enum Origin {
    Url,
    Args,
}

/// A connection argument.
pub(super) struct Argument<'a> {
    pub(super) origin: Origin,
    pub(super) key: &'a str,
    pub(super) value: &'a str,
}

impl Argument<'_> {
    /// Puts the argument into `target`; user, password, host, port and database only where
    /// nothing is said yet.
    pub(super) fn apply(&self, target: &mut Config) -> Result<(), DbError> {
        if self.apply_identity(target)? || self.apply_network(target)? {
            return Ok(());
        }
        match self.key {
            "options" => target.options(self.value),
            "application_name" => target.application_name(self.value),
            "target_session_attrs" => target.target_session_attrs(self.choose(&SESSIONS)?),
            "channel_binding" => target.channel_binding(self.choose(&BINDINGS)?),
            "load_balance_hosts" => target.load_balance_hosts(self.choose(&BALANCES)?),
            key if IGNORED.contains(&key) => target,
            _ => return Err(self.bad("is not one that this program understands")),
        };
        Ok(())
    }

    /// Takes what says where to go as whom; what is said already stands.
    fn apply_identity(&self, target: &mut Config) -> Result<bool, DbError> {
        match self.key {
            "user" if target.get_user().is_none() => {
                target.user(self.value);
            }
            "password" if target.get_password().is_none() => {
                target.password(self.value);
            }
            "dbname" if target.get_dbname().is_none() => {
                target.dbname(self.value);
            }
            "host" if target.get_hosts().is_empty() => {
                for host in self.value.split(',') {
                    target.host(host);
                }
            }
            "hostaddr" if target.get_hostaddrs().is_empty() => {
                for address in self.value.split(',') {
                    target.hostaddr(self.read(address, "an IP address")?);
                }
            }
            "port" if target.get_ports().is_empty() => {
                for port in self.value.split(',') {
                    target.port(self.read(port, "a port")?);
                }
            }
            "user" | "password" | "dbname" | "host" | "hostaddr" | "port" => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Takes times and counts of the network. Times are whole seconds as in libpq, but for
    /// `tcp_user_timeout`; zero or less leaves the default.
    fn apply_network(&self, target: &mut Config) -> Result<bool, DbError> {
        let set: fn(&mut Config, u64) -> &mut Config = match self.key {
            "connect_timeout" => |to, s| to.connect_timeout(Duration::from_secs(s)),
            "tcp_user_timeout" => |to, ms| to.tcp_user_timeout(Duration::from_millis(ms)),
            "keepalives" => |to, _| to.keepalives(true),
            "keepalives_idle" => |to, s| to.keepalives_idle(Duration::from_secs(s)),
            "keepalives_interval" => |to, s| to.keepalives_interval(Duration::from_secs(s)),
            "keepalives_count" => {
                |to, count| to.keepalives_retries(u32::try_from(count).unwrap_or(u32::MAX))
            }
            _ => return Ok(false),
        };
        match self.count()? {
            Some(count) => set(target, count),
            None if self.key == "keepalives" => target.keepalives(false),
            None => target,
        };
        Ok(true)
    }

    /// Reads a whole number; `None` for zero or less.
    fn count(&self) -> Result<Option<u64>, DbError> {
        let number: i64 = self.read(self.value, "a whole number")?;
        Ok(u64::try_from(number).ok().filter(|number| *number > 0))
    }

    fn read<T: FromStr>(&self, value: &str, what: &str) -> Result<T, DbError> {
        let read = value.trim().parse();
        read.map_err(|_| self.bad(&format!("is `{value}`, which is not {what}")))
    }

    /// Picks what the value names.
    pub(super) fn choose<T: Copy>(&self, known: &[(&str, T)]) -> Result<T, DbError> {
        let found = known.iter().find(|(name, _)| *name == self.value);
        found.map(|(_, choice)| *choice).ok_or_else(|| {
            let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
            let (value, names) = (self.value, names.join(", "));
            self.bad(&format!("is `{value}`, which is not one of {names}"))
        })
    }

    pub(super) fn bad(&self, problem: &str) -> DbError {
        DbError::Config {
            setting: match self.origin {
                Origin::Url => "url",
                Origin::Args => "args",
            },
            problem: format!("argument `{}` {problem}", self.key),
        }
    }
}
