//! The connection to a Redis: deadlines on everything, and a fresh connection after each
//! failure on the wire.
//!
//! `apalis_redis::connect` hands out a manager with a time-out of 500 ms, which keeps a
//! connection on which nothing answers any more, and never tries again after a refused
//! password. So its `Client` is used, with a slot of our own for the one connection.
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use apalis_redis::{Client, RedisError};
use redis::{AsyncConnectionConfig, FromRedisValue, aio::MultiplexedConnection};

use crate::{QueueError, server};

/// Longest times on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// Until a connection stands.
    pub connect: Duration,
    /// Until a command is answered; a blocking wait has its own.
    pub command: Duration,
}

impl Default for Deadlines {
    /// Five seconds each.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            command: Duration::from_secs(5),
        }
    }
}

/// Stands for one Redis server; cheap to clone, all clones share one connection.
///
/// Commands of all clones go down that connection side by side. It is opened at the first
/// use and again after a failure; a command whose connection fails is not sent twice.
#[derive(Clone)]
pub struct Redis {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    place: String,
    deadlines: Deadlines,
    current: Mutex<Current>,
    opening: tokio::sync::Mutex<()>,
}

/// The connection in use; the number grows with each new one.
#[derive(Default)]
struct Current {
    number: u64,
    connection: Option<MultiplexedConnection>,
}

impl Redis {
    /// Connects, and so finds out at once when host, port or password are wrong.
    /// [`Deadlines::default`] hold.
    ///
    /// `url` is `redis://[user:password@]host:port/database`, `rediss://` for TLS (checked
    /// against the system's certificates), or `unix:///path`. Takes at most 5 s.
    ///
    /// # Errors
    ///
    /// [`QueueError::Url`], [`QueueError::Unreachable`], [`QueueError::Credentials`].
    pub async fn connect(url: &str) -> Result<Self, QueueError> {
        let redis = Self::open(url)?;
        redis.ping().await?;
        Ok(redis)
    }

    /// Finds out whether the server answers. One round trip.
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
        Self::open_within(url, Deadlines::default())
    }

    /// Prepares a connection with deadlines of its own.
    ///
    /// # Errors
    ///
    /// [`QueueError::Url`].
    pub fn open_within(url: &str, deadlines: Deadlines) -> Result<Self, QueueError> {
        let (client, place) = server::of(url)?;
        Ok(Self::of(client, place, deadlines))
    }

    fn of(client: Client, place: String, deadlines: Deadlines) -> Self {
        Self {
            inner: Arc::new(Inner {
                client,
                place,
                deadlines,
                current: Mutex::default(),
                opening: tokio::sync::Mutex::default(),
            }),
        }
    }

    /// Returns a handle to the same server with a connection of its own, not yet open.
    ///
    /// A connection lives on the runtime that opened it; a thread that must not depend on
    /// another's runtime takes its own.
    #[must_use]
    pub fn separate(&self) -> Self {
        let inner = &self.inner;
        Self::of(inner.client.clone(), inner.place.clone(), inner.deadlines)
    }

    /// Host and port (or the socket's path), for messages.
    pub fn place(&self) -> &str {
        &self.inner.place
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
        self.run(verb, async |mut connection| {
            command.query_async(&mut connection).await
        })
        .await
    }

    /// Runs a script that may be repeated without harm: once more when the connection had
    /// broken while nothing used it (the server was restarted).
    pub(crate) async fn harmless_script<T: FromRedisValue>(
        &self,
        verb: &'static str,
        script: &redis::ScriptInvocation<'_>,
    ) -> Result<T, QueueError> {
        let had_connection = self.current().is_some();
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
        self.run(verb, async |mut connection| {
            script.invoke_async(&mut connection).await
        })
        .await
    }

    /// Sends a pipeline in one round trip.
    pub(crate) async fn pipeline<T: FromRedisValue>(
        &self,
        verb: &'static str,
        pipeline: &redis::Pipeline,
    ) -> Result<T, QueueError> {
        self.run(verb, async |mut connection| {
            pipeline.query_async(&mut connection).await
        })
        .await
    }

    /// Opens a connection that nobody else uses, for commands that block up to `block`.
    pub(crate) async fn blocking(
        &self,
        block: Duration,
    ) -> Result<MultiplexedConnection, QueueError> {
        let answer_within = block + Duration::from_secs(1);
        self.dial(answer_within)
            .await
            .map_err(|e| QueueError::of("connect", self.place(), e))
    }

    async fn run<T>(
        &self,
        verb: &'static str,
        call: impl AsyncFnOnce(MultiplexedConnection) -> Result<T, RedisError>,
    ) -> Result<T, QueueError> {
        let failed = |e| QueueError::of(verb, self.place(), e);
        let (number, connection) = self.connection().await.map_err(failed)?;
        let outcome = call(connection).await;
        if let Err(error) = &outcome
            && breaks_the_connection(error)
        {
            self.discard(number);
        }
        outcome.map_err(failed)
    }

    /// Returns the open connection, or opens one; those who come meanwhile wait for it.
    async fn connection(&self) -> Result<(u64, MultiplexedConnection), RedisError> {
        if let Some(open) = self.current() {
            return Ok(open);
        }
        let opening = async {
            let _one_at_a_time = self.inner.opening.lock().await;
            if let Some(open) = self.current() {
                return Ok(open);
            }
            let connection = self.dial(self.inner.deadlines.command).await?;
            let mut current = self.lock();
            current.number += 1;
            current.connection = Some(connection.clone());
            Ok((current.number, connection))
        };
        tokio::time::timeout(self.inner.deadlines.connect, opening)
            .await
            .unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
    }

    async fn dial(&self, answer_within: Duration) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.inner.deadlines.connect))
            .set_response_timeout(Some(answer_within));
        self.inner
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await
    }

    fn current(&self) -> Option<(u64, MultiplexedConnection)> {
        let current = self.lock();
        let connection = current.connection.clone()?;
        Some((current.number, connection))
    }

    fn discard(&self, number: u64) {
        let mut current = self.lock();
        if current.number == number {
            current.connection = None;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Current> {
        // Nothing that can panic runs under this lock.
        self.inner
            .current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Redis").field(&self.inner.place).finish()
    }
}

/// Says whether a connection is of no more use: it is gone, nothing answers on it, or its
/// server became a replica.
pub(crate) fn breaks_the_connection(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_unrecoverable_error()
        || matches!(error.code(), Some("READONLY" | "MASTERDOWN"))
}
