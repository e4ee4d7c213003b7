//! One connection argument under libpq's name.
use std::{net::IpAddr, str::FromStr, time::Duration};

use tokio_postgres::config::{ChannelBinding, Config, Host, TargetSessionAttrs};

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

/// Says where an argument was written.
#[derive(Clone, Copy)]
pub(super) enum Origin {
    Url,
    Args,
}

/// What the URL and the arguments said so far.
pub(super) struct Draft {
    /// Everything but the hosts.
    pub(super) config: Config,
    pub(super) hosts: Vec<Host>,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) ports: Vec<u16>,
}

/// A connection argument.
pub(super) struct Argument<'a> {
    pub(super) origin: Origin,
    pub(super) key: &'a str,
    pub(super) value: &'a str,
}

impl Argument<'_> {
    /// Puts the argument into `draft`; user, password, host, port and database only where
    /// nothing is said yet.
    pub(super) fn apply(&self, draft: &mut Draft) -> Result<(), DbError> {
        if self.apply_identity(draft)? || self.apply_network(draft)? {
            return Ok(());
        }
        let config = &mut draft.config;
        match self.key {
            "options" => config.options(self.value),
            "application_name" => config.application_name(self.value),
            "target_session_attrs" => config.target_session_attrs(self.choose(&SESSIONS)?),
            "channel_binding" => config.channel_binding(self.choose(&BINDINGS)?),
            key if IGNORED.contains(&key) => config,
            _ => return Err(self.bad("is not one that this program understands")),
        };
        Ok(())
    }

    /// Takes what says where to go as whom; what is said already stands.
    fn apply_identity(&self, draft: &mut Draft) -> Result<bool, DbError> {
        let config = &mut draft.config;
        match self.key {
            "user" if config.get_user().is_none() => {
                config.user(self.value);
            }
            "password" if config.get_password().is_none() => {
                config.password(self.value);
            }
            "dbname" if config.get_dbname().is_none() => {
                config.dbname(self.value);
            }
            "host" if draft.hosts.is_empty() => {
                draft.hosts.extend(self.value.split(',').map(host));
            }
            "hostaddr" => draft.addresses = self.read_list("an IP address")?,
            "port" if draft.ports.is_empty() => draft.ports = self.read_list("a port")?,
            "user" | "password" | "dbname" | "host" | "port" => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Takes times and counts of the network. Times are whole seconds as in libpq, but for
    /// `tcp_user_timeout`; zero or less leaves the default.
    fn apply_network(&self, draft: &mut Draft) -> Result<bool, DbError> {
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
            Some(count) => set(&mut draft.config, count),
            None if self.key == "keepalives" => draft.config.keepalives(false),
            None => &mut draft.config,
        };
        Ok(true)
    }

    /// Reads a whole number; `None` for zero or less.
    fn count(&self) -> Result<Option<u64>, DbError> {
        let number: i64 = self.read(self.value, "a whole number")?;
        Ok(u64::try_from(number).ok().filter(|number| *number > 0))
    }

    fn read_list<T: FromStr>(&self, what: &str) -> Result<Vec<T>, DbError> {
        self.value
            .split(',')
            .map(|value| self.read(value, what))
            .collect()
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
                Origin::Args => "connection_args",
            },
            problem: format!("argument `{}` {problem}", self.key),
        }
    }
}

/// Tells a socket's folder from a host's name.
fn host(value: &str) -> Host {
    match value.strip_prefix('/') {
        Some(_) => Host::Unix(value.into()),
        None => Host::Tcp(value.to_owned()),
    }
}
