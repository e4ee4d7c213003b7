//! The connection to a Redis: deadlines on everything, and a fresh connection after each
//! failure on the wire.
//!
//! `apalis_redis::connect` hands out a manager with a time-out of 500 ms, which keeps a
//! connection on which nothing answers any more, and never tries again after a refused
//! password. So its `Client` is used, with a slot of our own for the one connection.
mod cluster;
mod link;
mod settings;

use std::{sync::Arc, time::Duration};

use apalis_redis::RedisError;
use redis::{FromRedisValue, aio::MultiplexedConnection};

pub use self::settings::{Deadlines, Settings, Tls};
use self::{cluster::Cluster, link::Call};
pub(crate) use self::{
    cluster::is_between_nodes,
    link::{Link, breaks_the_connection},
};
use crate::{
    Queue, QueueError,
    server::{self, Target},
};

/// Stands for one Redis server, or for a Redis Cluster; cheap to clone, all clones share one
/// connection a server.
///
/// Commands of all clones go down that connection side by side. It is opened at the first
/// use and again after a failure; a command whose connection fails is not sent twice.
#[derive(Clone)]
pub struct Redis {
    reach: Reach,
    /// The hash tag of the keys that calls are about; chooses the node of a cluster.
    tag: Arc<str>,
}

#[derive(Clone)]
enum Reach {
    Server(Link),
    Cluster(Cluster),
}

impl Redis {
    /// Connects, and so finds out at once when host, port or password are wrong.
    /// [`Settings::default`] hold.
    ///
    /// `url` is `redis://[user:password@]host:port/database`, `rediss://` for TLS (checked
    /// against the system's certificates), or `unix:///path`; `redis-cluster://` or
    /// `rediss-cluster://` for a cluster of which one node is named, and others by
    /// `?node=host:port`. Takes at most 5 s a node.
    ///
    /// # Errors
    ///
    /// [`QueueError::Url`], [`QueueError::Unreachable`], [`QueueError::Credentials`].
    pub async fn connect(url: &str) -> Result<Self, QueueError> {
        let redis = Self::open(url)?;
        redis.ping().await?;
        Ok(redis)
    }

    /// Finds out whether the server answers; of a cluster, any of its configured nodes. One
    /// round trip.
    ///
    /// # Errors
    ///
    /// As [`Self::command`].
    pub async fn ping(&self) -> Result<(), QueueError> {
        self.command::<String>("PING", &redis::cmd("PING")).await?;
        Ok(())
    }

    /// Prepares a connection without opening it; the first command does.
    ///
    /// # Errors
    ///
    /// [`QueueError::Url`].
    pub fn open(url: &str) -> Result<Self, QueueError> {
        Self::open_with(url, &Settings::default())
    }

    /// Prepares a connection with deadlines of its own.
    ///
    /// # Errors
    ///
    /// [`QueueError::Url`].
    pub fn open_within(url: &str, deadlines: Deadlines) -> Result<Self, QueueError> {
        let tls = Tls::default();
        Self::open_with(url, &Settings { deadlines, tls })
    }

    /// Prepares a connection with settings of its own.
    ///
    /// # Errors
    ///
    /// [`QueueError::Url`], also when a certificate cannot be read.
    pub fn open_with(url: &str, settings: &Settings) -> Result<Self, QueueError> {
        let unusable = |error: RedisError| QueueError::Url {
            reason: error.to_string(),
        };
        let reach = match server::target(url)? {
            Target::Server(info) => Reach::Server(server::link(*info, settings).map_err(unusable)?),
            Target::Cluster(nodes) => {
                let cluster = Cluster::new(nodes, settings).map_err(unusable)?;
                Reach::Cluster(cluster)
            }
        };
        Ok(Self {
            reach,
            tag: Arc::from(""),
        })
    }

    /// Returns a handle whose calls are about one queue: of a cluster, the node that has it.
    pub(crate) fn at(&self, queue: &Queue) -> Self {
        match &self.reach {
            Reach::Server(_) => self.clone(),
            Reach::Cluster(cluster) => Self {
                reach: Reach::Cluster(cluster.clone()),
                tag: Arc::from(queue.as_str()),
            },
        }
    }

    /// Returns a handle to the same server with a connection of its own, not yet open.
    ///
    /// A connection lives on the runtime that opened it; a thread that must not depend on
    /// another's runtime takes its own.
    #[must_use]
    pub fn separate(&self) -> Self {
        let reach = match &self.reach {
            Reach::Server(link) => Reach::Server(link.separate()),
            Reach::Cluster(cluster) => Reach::Cluster(cluster.separate()),
        };
        let tag = self.tag.clone();
        Self { reach, tag }
    }

    /// Lists the servers that were configured, each as a handle of its own: one, or the named
    /// nodes of a cluster.
    pub fn servers(&self) -> Vec<Self> {
        let links = match &self.reach {
            Reach::Server(link) => std::slice::from_ref(link),
            Reach::Cluster(cluster) => cluster.seeds(),
        };
        let handle = |link: &Link| Self {
            reach: Reach::Server(link.clone()),
            tag: self.tag.clone(),
        };
        links.iter().map(handle).collect()
    }

    /// Host and port (or the socket's path), for messages; of a cluster, the first named node.
    pub fn place(&self) -> &str {
        match &self.reach {
            Reach::Server(link) => link.place(),
            Reach::Cluster(cluster) => cluster.seeds()[0].place(),
        }
    }

    /// Sends one command.
    ///
    /// # Errors
    ///
    /// [`QueueError::Unreachable`] when a deadline passed, or what the server refused.
    pub async fn command<T: FromRedisValue>(
        &self,
        verb: &'static str,
        command: &redis::Cmd,
    ) -> Result<T, QueueError> {
        self.run(verb, Call::Command(command)).await
    }

    /// Runs a script that may be repeated without harm: once more when the connection had
    /// broken while nothing used it (the server was restarted).
    pub(crate) async fn harmless_script<T: FromRedisValue>(
        &self,
        verb: &'static str,
        script: &redis::ScriptInvocation<'_>,
    ) -> Result<T, QueueError> {
        let had_connection = match &self.reach {
            Reach::Server(link) => link.is_open(),
            Reach::Cluster(_) => true,
        };
        let outcome = self.script(verb, script).await;
        match &outcome {
            Err(QueueError::Unreachable { source, .. })
                if had_connection && source.is_connection_dropped() =>
            {
                self.script(verb, script).await
            }
            _ => outcome,
        }
    }

    /// Runs a script by its hash; it is loaded first when the server does not know it.
    pub(crate) async fn script<T: FromRedisValue>(
        &self,
        verb: &'static str,
        script: &redis::ScriptInvocation<'_>,
    ) -> Result<T, QueueError> {
        self.run(verb, Call::Script(script)).await
    }

    /// Sends a pipeline in one round trip.
    pub(crate) async fn pipeline<T: FromRedisValue>(
        &self,
        verb: &'static str,
        pipeline: &redis::Pipeline,
    ) -> Result<T, QueueError> {
        self.run(verb, Call::Pipeline(pipeline)).await
    }

    /// Opens a connection that nobody else uses, for commands that block up to `block`.
    pub(crate) async fn blocking(&self, block: Duration) -> Result<Blocking, QueueError> {
        let (link, opened) = match &self.reach {
            Reach::Server(link) => (link.clone(), Ok(())),
            Reach::Cluster(cluster) => match cluster.node(&self.tag).await {
                Ok(link) => (link, Ok(())),
                Err((link, error)) => (link, Err(error)),
            },
        };
        let failed = |e| QueueError::of("connect", link.place(), e);
        opened.map_err(failed)?;
        let dialed = link.dial(block + Duration::from_secs(1)).await;
        let connection = dialed.map_err(failed)?;
        Ok(Blocking {
            redis: self.clone(),
            link,
            connection,
        })
    }

    async fn run<T: FromRedisValue>(
        &self,
        verb: &'static str,
        call: Call<'_>,
    ) -> Result<T, QueueError> {
        match &self.reach {
            Reach::Server(link) => {
                let outcome = link.run(call).await;
                outcome.map_err(|e| QueueError::of(verb, link.place(), e))
            }
            Reach::Cluster(cluster) => {
                let outcome = cluster.run(&self.tag, call).await;
                outcome.map_err(|(link, e)| QueueError::of(verb, link.place(), e))
            }
        }
    }
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Redis").field(&self.place()).finish()
    }
}

/// A connection that nobody else uses, for a command that blocks.
pub(crate) struct Blocking {
    redis: Redis,
    link: Link,
    connection: MultiplexedConnection,
}

impl Blocking {
    /// Waits in one command. After an error, and when the future was dropped half way, this
    /// connection must not be used again.
    pub(crate) async fn wait(
        &mut self,
        verb: &'static str,
        command: &redis::Cmd,
    ) -> Result<redis::Value, QueueError> {
        let outcome = command.query_async(&mut self.connection).await;
        outcome.map_err(|error| {
            if let Reach::Cluster(cluster) = &self.redis.reach {
                // The next connection goes to the node that has the list now.
                cluster.learn(&self.redis.tag, &self.link, &error);
            }
            QueueError::of(verb, self.link.place(), error)
        })
    }
}
