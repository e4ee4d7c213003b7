//! Owns the reading of `USER_EVENTS_REDIS`: the arguments of Quay's Redis client as an address.
//!
//! What decides *which* server is meant must be understood: locks taken on another one than Quay's
//! would fence nothing.

use std::fmt::Write;

use crate::config::yaml::{Entry, Node};

/// Quay's default for `USER_EVENTS_REDIS`, `{host: localhost}`.
pub(super) const DEFAULT_URL: &str = "redis://localhost:6379/0";

/// Said when only the old name is there: Quay's user events follow it, its locks may not.
pub(super) const OLD_NAME: &str = "is absent and only the old USER_EVENTS_REDIS_HOSTNAME is there, \
     so it is not certain which server holds Quay's locks; write `USER_EVENTS_REDIS: {host: ...}` \
     or name the server in our file as `redis.locks_url`, `redis.queue_url` and `redis.cache_url`";

/// Arguments that change how a connection behaves but not where it leads.
const HARMLESS: &[&str] = &[
    "charset",
    "client_name",
    "decode_responses",
    "encoding",
    "encoding_errors",
    "errors",
    "health_check_interval",
    "max_connections",
    "protocol",
    "retry_on_error",
    "retry_on_timeout",
    "single_connection_client",
];

/// Our keys for the files that encryption needs, and the arguments that name them.
pub(super) const CERTIFICATES: [(&str, &str); 3] = [
    ("redis.tls_ca_certs", "ssl_ca_certs"),
    ("redis.tls_certfile", "ssl_certfile"),
    ("redis.tls_keyfile", "ssl_keyfile"),
];

/// Reads the path that an argument names; `None` without it.
///
/// # Errors
/// Names the argument that is no path.
pub(super) fn path(node: &Node, argument: &str) -> Option<Result<String, String>> {
    let Node::Map(entries) = node else {
        return None;
    };
    let entry = entries.iter().find(|entry| entry.key == argument)?;
    let read =
        text(&entry.node).map_err(|what| format!("has an argument `{argument}` that {what}"));
    read.transpose()
}

/// The arguments that matter, with Quay's defaults.
struct Server {
    host: String,
    port: u16,
    db: u16,
    username: Option<String>,
    password: Option<String>,
    tls: bool,
}

/// Builds the address.
///
/// # Errors
/// Names the argument that is unknown or cannot be interpreted, without its value.
pub(super) fn url(node: &Node) -> Result<String, String> {
    let entries = match node {
        Node::Map(entries) => entries,
        Node::Odd(what) => return Err(what.clone()),
        _ => return Err("is not a mapping such as {host: localhost, port: 6379}".to_owned()),
    };
    let mut server = Server {
        host: "localhost".to_owned(),
        port: 6379,
        db: 0,
        username: None,
        password: None,
        tls: false,
    };
    for entry in entries {
        server
            .set(entry)
            .map_err(|what| format!("has an argument `{}` that {what}", entry.key))?;
    }
    Ok(server.url())
}

impl Server {
    /// Takes one argument over.
    fn set(&mut self, entry: &Entry) -> Result<(), String> {
        match entry.key.as_str() {
            "host" => self.host = host(&entry.node)?,
            "port" => self.port = number(&entry.node)?,
            "db" => self.db = number(&entry.node)?,
            "username" => self.username = text(&entry.node)?,
            "password" => self.password = text(&entry.node)?,
            "ssl" => self.tls = super::plain_flag(&entry.node)? == true,
            other if other.starts_with("ssl_") || other.starts_with("socket_") => {}
            other if HARMLESS.contains(&other) => {}
            _ => {
                let way_out = "name the server in our own file as `redis.locks_url`, \
                               `redis.queue_url` and `redis.cache_url` instead";
                return Err(format!("is not understood; {way_out}"));
            }
        }
        Ok(())
    }

    /// Writes the address, encoding what an address may not hold.
    fn url(&self) -> String {
        let scheme = if self.tls { "rediss" } else { "redis" };
        let username = self.username.as_deref().map(encode).unwrap_or_default();
        let user = match &self.password {
            Some(password) => format!("{username}:{}@", encode(password)),
            None if username.is_empty() => String::new(),
            None => format!("{username}@"),
        };
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        format!("{scheme}://{user}{host}:{}/{}", self.port, self.db)
    }
}

/// Reads a host name or address.
fn host(node: &Node) -> Result<String, String> {
    let valid = |host: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        !host.is_empty() && host.chars().all(allowed)
    };
    match node {
        Node::Text(host) if valid(host) => Ok(host.clone()),
        _ => Err("is not a host name or address".to_owned()),
    }
}

/// Reads a small whole number, in quotes or not.
fn number(node: &Node) -> Result<u16, String> {
    let number = match node {
        Node::Int(number) => u16::try_from(*number).ok(),
        Node::Text(text) => text.parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| "is not a whole number from 0 to 65535".to_owned())
}

/// Reads a text, or a number that stands for its digits; null and empty are none.
fn text(node: &Node) -> Result<Option<String>, String> {
    match node {
        Node::Null => Ok(None),
        Node::Text(text) if text.is_empty() => Ok(None),
        Node::Text(text) => Ok(Some(text.clone())),
        Node::Int(number) => Ok(Some(number.to_string())),
        Node::Odd(what) => Err(what.clone()),
        _ => Err("is not a text; put it in quotes".to_owned()),
    }
}

/// Encodes a user name or password for an address.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            let _ = write!(encoded, "%{byte:02X}"); // writing to a String cannot fail
        }
    }
    encoded
}
