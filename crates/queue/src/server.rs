//! Which server, or which cluster, a URL names.
use apalis_redis::{Client, RedisError};
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

use crate::{
    QueueError,
    connect::{Link, Settings},
};

/// What a URL names.
pub(crate) enum Target {
    /// One server.
    Server(Box<ConnectionInfo>),
    /// Some nodes of a cluster, at least one.
    Cluster(Vec<ConnectionInfo>),
}

/// Reads a URL.
///
/// # Errors
///
/// [`QueueError::Url`], without the URL itself, which may hold a password.
pub(crate) fn target(url: &str) -> Result<Target, QueueError> {
    let cluster = url
        .strip_prefix("redis-cluster://")
        .map(|rest| ("redis", rest))
        .or_else(|| Some(("rediss", url.strip_prefix("rediss-cluster://")?)));
    match cluster {
        Some((scheme, rest)) => nodes(scheme, rest).map(Target::Cluster),
        None => info(url).map(|info| Target::Server(Box::new(info))),
    }
}

/// Prepares the connection to one server.
///
/// # Errors
///
/// A certificate that cannot be read.
pub(crate) fn link(info: ConnectionInfo, settings: &Settings) -> Result<Link, RedisError> {
    let place = place_of(info.addr());
    let client = if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
        provide_tls();
        Client::build_with_tls(info, settings.tls.certificates())?
    } else {
        Client::open(info)?
    };
    Ok(Link::new(client, place, settings.deadlines))
}

/// Reads the nodes of a cluster: `[user:password@]host:port[/][?node=host:port]..`.
fn nodes(scheme: &str, rest: &str) -> Result<Vec<ConnectionInfo>, QueueError> {
    let unusable = |reason: String| QueueError::Url { reason };
    let (first, query) = rest.split_once('?').unwrap_or((rest, ""));
    let first = info(&format!("{scheme}://{first}"))?;
    if first.redis_settings().db() != 0 {
        let reason = "a cluster has no numbered databases";
        return Err(unusable(reason.to_owned()));
    }
    let mut nodes = vec![first.clone()];
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let Some(address) = pair.strip_prefix("node=") else {
            let reason = "a cluster's URL knows no parameter but `node=host:port`";
            return Err(unusable(reason.to_owned()));
        };
        let other = info(&format!("{scheme}://{address}"))?;
        nodes.push(first.clone().set_addr(other.addr().clone()));
    }
    Ok(nodes)
}

fn info(url: &str) -> Result<ConnectionInfo, QueueError> {
    url.into_connection_info().map_err(|error| QueueError::Url {
        reason: error.to_string(),
    })
}

/// Makes sure that TLS has its cryptography: the program's choice, else ring.
fn provide_tls() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // An error means that another thread was faster.
        let _provided = rustls::crypto::ring::default_provider().install_default();
    }
}

fn place_of(address: &ConnectionAddr) -> String {
    match address {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
            format!("{host}:{port}")
        }
        ConnectionAddr::Unix(path) => path.display().to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(url: &str) -> Vec<String> {
        match target(url).unwrap() {
            Target::Server(info) => vec![place_of(info.addr())],
            Target::Cluster(nodes) => nodes.iter().map(|info| place_of(info.addr())).collect(),
        }
    }

    #[test]
    fn a_cluster_is_named_by_one_node_or_more() {
        let one = "redis-cluster://user:secret@a:7000";
        assert_eq!(places(one), ["a:7000"]);
        let three = "rediss-cluster://:secret@a:7000/?node=b:7001&node=c";
        assert_eq!(places(three), ["a:7000", "b:7001", "c:6379"]);
        let Target::Cluster(nodes) = target(three).unwrap() else {
            panic!("it names a cluster");
        };
        for node in nodes {
            assert_eq!(node.redis_settings().password(), Some("secret"));
            assert!(matches!(node.addr(), ConnectionAddr::TcpTls { .. }));
        }
    }

    #[test]
    fn says_what_a_clusters_url_may_not_hold_and_no_password() {
        for url in [
            "redis-cluster://:secret@a:7000/3",
            "redis-cluster://:secret@a:7000?nodes=b",
            "redis-cluster://:secret@a:7000?node=b:port",
            "redis-cluster://:secret@",
        ] {
            let error = target(url).err().expect(url).to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_url_without_cluster_names_one_server() {
        assert_eq!(places("redis://a:7000/3"), ["a:7000"]);
        assert_eq!(places("unix:///run/redis.sock"), ["/run/redis.sock"]);
    }
}
