//! Where the database is: reads Quay's `DB_URI` and `DB_CONNECTION_ARGS`.
use std::time::Duration;

use tokio_postgres::config::{Config, Host};
use url::form_urlencoded;

use super::{
    DbConfig, DbError,
    argument::{Argument, Origin},
    tls::{Tls, TlsSettings},
};

/// Where a server listens unless told otherwise.
const DEFAULT_PORT: u16 = 5432;
/// Where Debian's servers put their socket.
const DEFAULT_SOCKET: &str = "/var/run/postgresql";
const EXPECTED: &str = "expected postgresql://user:password@host:port/database";
const ENCODE: &str = "`:`, `@`, `?` and `%` in a user or password must be percent-encoded";

/// A checked address: what to dial, and how to call it in messages.
pub(super) struct Address {
    pub(super) target: Config,
    /// The same with the other choice of encryption, for `sslmode` allow and prefer.
    pub(super) fallback: Option<Config>,
    pub(super) tls: Tls,
    /// Hosts, ports and database; never the password.
    pub(super) server: String,
}

impl Address {
    /// Reads the URL and the arguments; touches neither network nor files.
    pub(super) fn parse(config: &DbConfig) -> Result<Self, DbError> {
        let (base, query) = split(&config.url)?;
        let mut target = read_base(base)?;
        let mut tls = TlsSettings::default();
        // Later ones win, but what the URL itself says stands.
        let given = query_arguments(query);
        let args = config.args.iter().map(|(k, v)| (k.clone(), v.clone()));
        let given = given.map(|pair| (Origin::Url, pair));
        for (origin, (key, value)) in given.chain(args.map(|pair| (Origin::Args, pair))) {
            let argument = Argument {
                origin,
                key: &key,
                value: &value,
            };
            if !tls.take(&argument)? {
                argument.apply(&mut target)?;
            }
        }
        fill_in(&mut target, config.connect_timeout);
        let over_sockets = target
            .get_hosts()
            .iter()
            .all(|host| matches!(host, Host::Unix(_)));
        let (tls, mode, other_mode) = tls.settle(over_sockets)?;
        let fallback = other_mode.map(|mode| target.clone().ssl_mode(mode).clone());
        target.ssl_mode(mode);
        Ok(Self {
            server: label(&target),
            target,
            fallback,
            tls,
        })
    }
}

/// Checks the scheme; returns what is before the query, and the query.
fn split(url: &str) -> Result<(&str, &str), DbError> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(bad(EXPECTED));
    };
    match scheme.split('+').next().unwrap_or_default() {
        "postgresql" | "postgres" => {}
        "mysql" | "mariadb" => return Err(bad("MySQL and MariaDB are not supported yet")),
        "sqlite" => return Err(bad("SQLite is not supported; a registry needs PostgreSQL")),
        _ => return Err(bad(EXPECTED)),
    }
    let (base, query) = rest.split_once('?').unwrap_or((rest, ""));
    // What follows a raw `@` in a password would look like the host's name, which messages
    // show. A raw `/` is no trouble, neither here nor in Quay.
    let (_, host) = base.split_once('@').unwrap_or_default();
    if host.contains('@') || (query.contains('@') && !base.contains('@')) {
        return Err(bad(ENCODE));
    }
    Ok((base, query))
}

fn read_base(base: &str) -> Result<Config, DbError> {
    let read: Result<Config, _> = format!("postgresql://{base}").parse();
    read.map_err(|_| bad(&format!("{EXPECTED}; {ENCODE}")))
}

/// Reads a query as libpq does: a plus sign is a plus sign.
fn query_arguments(query: &str) -> impl Iterator<Item = (String, String)> {
    let query = query.replace('+', "%2B");
    let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    pairs.into_iter()
}

/// Fills in what nobody said.
fn fill_in(target: &mut Config, connect_timeout: Duration) {
    if target.get_hosts().is_empty() && target.get_hostaddrs().is_empty() {
        target.host_path(DEFAULT_SOCKET);
    }
    if target.get_connect_timeout().is_none() {
        target.connect_timeout(connect_timeout);
    }
    if target.get_application_name().is_none() {
        target.application_name("quayhand");
    }
}

/// Writes `host:port/database`; several hosts are separated by commas.
fn label(target: &Config) -> String {
    let named = target.get_hosts().iter().map(|host| match host {
        Host::Tcp(name) if name.contains(':') => format!("[{name}]"),
        Host::Tcp(name) => name.clone(),
        Host::Unix(folder) => folder.display().to_string(),
    });
    let mut hosts: Vec<_> = named.collect();
    if hosts.is_empty() {
        hosts = target
            .get_hostaddrs()
            .iter()
            .map(ToString::to_string)
            .collect();
    }
    let ports = target.get_ports();
    let hosts = hosts.iter().enumerate().map(|(at, host)| {
        let port = ports.get(at).or(ports.first()).unwrap_or(&DEFAULT_PORT);
        format!("{host}:{port}")
    });
    let hosts: Vec<_> = hosts.collect();
    // Without a name the server takes the user's.
    let database = target
        .get_dbname()
        .or(target.get_user())
        .unwrap_or_default();
    format!("{}/{database}", hosts.join(","))
}

fn bad(problem: &str) -> DbError {
    DbError::Config {
        setting: "url",
        problem: problem.to_owned(),
    }
}

#[cfg(test)]
mod tests;
