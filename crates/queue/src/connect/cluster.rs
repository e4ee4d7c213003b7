//! A Redis Cluster: which node has which queue.
//!
//! All keys of a queue carry one hash tag, so a queue lives on one node and every call on it
//! goes there, over that node's one connection. A node that does not have it answers where it
//! is; nothing was done then, so the call is made again there. A call whose connection broke is
//! made once only, as with a single server: whether it had its effect is the caller's question.
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use apalis_redis::RedisError;
use redis::{ConnectionAddr, ConnectionInfo, ErrorKind, FromRedisValue, ServerErrorKind};

use super::{Link, Settings, link::Call};
use crate::server;

/// How often one call follows an answer to another node.
const MOST_MOVES: u32 = 5;

/// Stands for all nodes; cheap to clone, all clones share the connections.
#[derive(Clone)]
pub(super) struct Cluster {
    inner: Arc<Inner>,
}

struct Inner {
    /// How nodes are reached whose address an answer names.
    model: ConnectionInfo,
    settings: Settings,
    /// The configured nodes; any of them knows all others.
    seeds: Vec<Link>,
    nodes: Mutex<Nodes>,
}

#[derive(Default)]
struct Nodes {
    by_place: HashMap<String, Link>,
    by_tag: HashMap<String, Link>,
    /// Counts up when a seed failed, so that the next one is asked.
    seed: usize,
}

impl Cluster {
    /// Prepares the connections to the configured nodes, at least one, without opening any.
    pub(super) fn new(nodes: Vec<ConnectionInfo>, settings: &Settings) -> Result<Self, RedisError> {
        let model = nodes[0].clone();
        let link = |info| server::link(info, settings);
        let inner = Inner {
            seeds: nodes.into_iter().map(link).collect::<Result<_, _>>()?,
            settings: settings.clone(),
            nodes: Mutex::default(),
            model,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Returns the same cluster with connections of its own, not yet open.
    pub(super) fn separate(&self) -> Self {
        let inner = Inner {
            model: self.inner.model.clone(),
            settings: self.inner.settings.clone(),
            seeds: self.seeds().iter().map(Link::separate).collect(),
            nodes: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The configured nodes.
    pub(super) fn seeds(&self) -> &[Link] {
        &self.inner.seeds
    }

    /// Returns the node that has the keys with this hash tag, as far as is known, else a seed
    /// that answers.
    pub(super) async fn node(&self, tag: &str) -> Result<Link, (Link, RedisError)> {
        let mut tries = 0;
        loop {
            let known = self.lock().by_tag.get(tag).cloned();
            let link = known.unwrap_or_else(|| self.seed());
            match link.open().await {
                Ok(()) => return Ok(link),
                // Nothing was sent yet, so another node may be asked.
                Err(error) => {
                    self.forget(tag);
                    tries += 1;
                    if tries > self.seeds().len() {
                        return Err((link, error));
                    }
                }
            }
        }
    }

    /// Makes one call on the node that has the keys with this hash tag.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        tag: &str,
        call: Call<'_>,
    ) -> Result<T, (Link, RedisError)> {
        let mut moves = 0;
        loop {
            let link = self.node(tag).await?;
            match link.run(call).await {
                Ok(answer) => return Ok(answer),
                Err(error) if moves < MOST_MOVES && self.learn(tag, &link, &error) => moves += 1,
                Err(error) => return Err((link, error)),
            }
        }
    }

    /// Takes from an error where the keys are; tells whether the call can be made again there.
    pub(super) fn learn(&self, tag: &str, asked: &Link, error: &RedisError) -> bool {
        if error.kind() == ErrorKind::Server(ServerErrorKind::Moved) {
            let address = error.redirect_node().map(|(address, _slot)| address);
            let node = address.and_then(|address| self.node_at(address, asked));
            let is_known = node.is_some();
            if let Some(node) = node {
                self.lock().by_tag.insert(tag.to_owned(), node);
            }
            return is_known;
        }
        // Its node may be gone, and another one may have its keys next time.
        if super::breaks_the_connection(error) || is_between_nodes(error) {
            self.forget(tag);
        }
        false
    }

    /// Finds or prepares the connection to a node by the address that an answer names.
    fn node_at(&self, address: &str, asked: &Link) -> Option<Link> {
        let (host, port) = address.rsplit_once(':')?;
        let asked_host = asked.place().rsplit_once(':').map(|(host, _)| host);
        // Without a host it is the one that answered, on another port.
        let host = if host.is_empty() { asked_host? } else { host };
        let info = moved_to(&self.inner.model, host, port.parse().ok()?)?;
        let link = server::link(info, &self.inner.settings).ok()?;
        let mut nodes = self.lock();
        let by_place = nodes.by_place.entry(link.place().to_owned());
        Some(by_place.or_insert(link).clone())
    }

    fn seed(&self) -> Link {
        let at = self.lock().seed;
        self.seeds()[at % self.seeds().len()].clone()
    }

    fn forget(&self, tag: &str) {
        let mut nodes = self.lock();
        nodes.by_tag.remove(tag);
        nodes.seed = nodes.seed.wrapping_add(1);
    }

    fn lock(&self) -> MutexGuard<'_, Nodes> {
        // Nothing that can panic runs under this lock.
        self.inner
            .nodes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says whether the keys are on their way to another node, or nobody has them at the moment.
/// Nothing was done; soon it can be.
pub(crate) fn is_between_nodes(error: &RedisError) -> bool {
    use ServerErrorKind::{Ask, ClusterDown, MasterDown, Moved, TryAgain};
    matches!(
        error.kind(),
        ErrorKind::Server(Ask | ClusterDown | MasterDown | Moved | TryAgain)
    )
}

/// Returns how to reach a node at another address with the same credentials and encryption.
fn moved_to(model: &ConnectionInfo, host: &str, port: u16) -> Option<ConnectionInfo> {
    let host = host.trim_matches(['[', ']']).to_owned();
    let address = match model.addr() {
        ConnectionAddr::Tcp(..) => ConnectionAddr::Tcp(host, port),
        ConnectionAddr::TcpTls {
            insecure,
            tls_params,
            ..
        } => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        },
        _ => return None,
    };
    Some(model.clone().set_addr(address))
}

#[cfg(test)]
mod tests {
    use redis::{IntoConnectionInfo, Value};

    use super::*;

    fn cluster() -> Cluster {
        let nodes = ["redis://u:p@127.0.0.1:7000", "redis://u:p@127.0.0.1:7001"];
        let nodes: Vec<_> = nodes.map(|url| url.into_connection_info().unwrap()).into();
        Cluster::new(nodes, &Settings::default()).unwrap()
    }

    fn answer(line: &str) -> RedisError {
        let value = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        match value {
            Value::ServerError(error) => error.into(),
            other => panic!("{other:?} is no error"),
        }
    }

    #[test]
    fn follows_an_answer_to_another_node() {
        let cluster = cluster();
        let asked = cluster.seed();
        assert!(cluster.learn("gc", &asked, &answer("MOVED 866 10.0.0.7:7002")));
        assert_eq!(cluster.lock().by_tag["gc"].place(), "10.0.0.7:7002");
        assert!(cluster.learn("gc", &asked, &answer("MOVED 866 :7005")));
        assert_eq!(cluster.lock().by_tag["gc"].place(), "127.0.0.1:7005");
    }

    #[test]
    fn does_not_follow_while_keys_are_on_their_way() {
        let cluster = cluster();
        let asked = cluster.seed();
        for line in ["ASK 866 10.0.0.7:7002", "TRYAGAIN soon", "CLUSTERDOWN no"] {
            assert!(!cluster.learn("gc", &asked, &answer(line)), "{line}");
            assert!(is_between_nodes(&answer(line)), "{line}");
        }
        assert!(!cluster.learn("gc", &asked, &answer("MOVED 866 nowhere")));
        assert!(!is_between_nodes(&answer("NOPERM no")));
    }

    #[test]
    fn the_next_seed_is_asked_after_a_failure() {
        let cluster = cluster();
        let first = cluster.seed().place().to_owned();
        cluster.forget("gc");
        assert_ne!(cluster.seed().place(), first);
        cluster.forget("gc");
        assert_eq!(cluster.seed().place(), first);
    }
}
