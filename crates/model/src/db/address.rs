//! Where the database is: reads Quay's `DB_URI` and `DB_CONNECTION_ARGS`.
use std::{net::IpAddr, time::Duration};

use tokio_postgres::config::{Config, Host};
use url::form_urlencoded;

use super::{
    DbConfig, DbError,
    argument::{Argument, Draft, Origin},
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
    /// Everything but the hosts.
    pub(super) config: Config,
    /// Where to try, in order. At least one.
    pub(super) places: Vec<Place>,
    pub(super) tls: Tls,
    /// Hosts, ports and database; never the password.
    pub(super) server: String,
    /// Longest time of one attempt at one place.
    pub(super) connect_timeout: Duration,
}

/// One place where a server may listen.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) host: Host,
    /// Spares the look-up of the host's name.
    pub(super) address: Option<IpAddr>,
    pub(super) port: u16,
}

impl Address {
    /// Reads the URL and the arguments; touches neither network nor files.
    pub(super) fn parse(config: &DbConfig) -> Result<Self, DbError> {
        let (base, query) = split(&config.url)?;
        let mut draft = read_base(base)?;
        let mut tls = TlsSettings::default();
        // Later ones win, but what the URL itself says stands.
        let of_url = query_arguments(query).map(|pair| (Origin::Url, pair));
        let args = config.args.iter().map(|(k, v)| (k.clone(), v.clone()));
        for (origin, (key, value)) in of_url.chain(args.map(|pair| (Origin::Args, pair))) {
            let argument = Argument {
                origin,
                key: &key,
                value: &value,
            };
            if !tls.take(&argument)? {
                argument.apply(&mut draft)?;
            }
        }
        let places = places(&draft)?;
        let networked = places
            .iter()
            .any(|place| matches!(place.host, Host::Tcp(_)));
        if draft.config.get_application_name().is_none() {
            draft.config.application_name("quayhand");
        }
        let connect_timeout = draft.config.get_connect_timeout().copied();
        Ok(Self {
            server: label(&draft.config, &places),
            tls: tls.settle(networked)?,
            connect_timeout: connect_timeout.unwrap_or(config.connect_timeout),
            config: draft.config,
            places,
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

/// Reads credentials, hosts, ports and database.
fn read_base(base: &str) -> Result<Draft, DbError> {
    let read: Result<Config, _> = format!("postgresql://{base}").parse();
    let read = read.map_err(|_| bad(&format!("{EXPECTED}; {ENCODE}")))?;
    let mut config = Config::new();
    read.get_user().map(|user| config.user(user));
    read.get_password()
        .map(|password| config.password(password));
    read.get_dbname().map(|database| config.dbname(database));
    Ok(Draft {
        config,
        hosts: read.get_hosts().to_vec(),
        addresses: Vec::new(),
        ports: read.get_ports().to_vec(),
    })
}

/// Reads a query as libpq does: a plus sign is a plus sign.
fn query_arguments(query: &str) -> impl Iterator<Item = (String, String)> {
    let query = query.replace('+', "%2B");
    let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    pairs.into_iter()
}

/// Pairs hosts, addresses and ports as libpq does.
fn places(draft: &Draft) -> Result<Vec<Place>, DbError> {
    let mut hosts = draft.hosts.clone();
    if hosts.is_empty() {
        hosts = draft
            .addresses
            .iter()
            .map(|ip| Host::Tcp(ip.to_string()))
            .collect();
    }
    if hosts.is_empty() {
        hosts.push(Host::Unix(DEFAULT_SOCKET.into()));
    }
    if !draft.addresses.is_empty() && draft.addresses.len() != hosts.len() {
        return Err(bad("there must be as many `hostaddr` as hosts"));
    }
    if draft.ports.len() > 1 && draft.ports.len() != hosts.len() {
        return Err(bad("there must be one port, or as many as hosts"));
    }
    let place = |(at, host)| Place {
        host,
        address: draft.addresses.get(at).copied(),
        port: *draft
            .ports
            .get(at)
            .or(draft.ports.first())
            .unwrap_or(&DEFAULT_PORT),
    };
    Ok(hosts.into_iter().enumerate().map(place).collect())
}

/// Writes `host:port/database`; several hosts are separated by commas.
fn label(config: &Config, places: &[Place]) -> String {
    let name = |place: &Place| match &place.host {
        Host::Tcp(name) if name.contains(':') => format!("[{name}]:{}", place.port),
        Host::Tcp(name) => format!("{name}:{}", place.port),
        Host::Unix(folder) => format!("{}:{}", folder.display(), place.port),
    };
    let names: Vec<_> = places.iter().map(name).collect();
    // Without a name the server takes the user's.
    let database = config
        .get_dbname()
        .or(config.get_user())
        .unwrap_or_default();
    format!("{}/{database}", names.join(","))
}

fn bad(problem: &str) -> DbError {
    DbError::Config {
        setting: "url",
        problem: problem.to_owned(),
    }
}

#[cfg(test)]
mod tests;
