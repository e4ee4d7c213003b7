//! One server's connection: opened at the first use, and again after a failure.
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use apalis_redis::{Client, RedisError};
use redis::{
    AsyncConnectionConfig, Cmd, FromRedisValue, Pipeline, ScriptInvocation,
    aio::MultiplexedConnection,
};

use super::Deadlines;

/// What is sent in one round trip.
#[derive(Clone, Copy)]
pub(super) enum Call<'a> {
    /// One command.
    Command(&'a Cmd),
    /// A script by its hash; it is loaded first when the server does not know it.
    Script(&'a ScriptInvocation<'a>),
    /// Several commands.
    Pipeline(&'a Pipeline),
}

impl Call<'_> {
    async fn send<T: FromRedisValue>(
        self,
        mut connection: MultiplexedConnection,
    ) -> Result<T, RedisError> {
        match self {
            Self::Command(command) => command.query_async(&mut connection).await,
            Self::Script(script) => script.invoke_async(&mut connection).await,
            Self::Pipeline(pipeline) => pipeline.query_async(&mut connection).await,
        }
    }
}

/// Stands for one server; cheap to clone, all clones share one connection.
#[derive(Clone)]
pub(crate) struct Link {
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

impl Link {
    /// Prepares a connection without opening it.
    pub(crate) fn new(client: Client, place: String, deadlines: Deadlines) -> Self {
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

    /// Returns the same server with a connection of its own, not yet open.
    pub(super) fn separate(&self) -> Self {
        let inner = &self.inner;
        Self::new(inner.client.clone(), inner.place.clone(), inner.deadlines)
    }

    /// Host and port, or the socket's path.
    pub(super) fn place(&self) -> &str {
        &self.inner.place
    }

    /// Tells whether a connection is open, or was and nobody noticed yet that it broke.
    pub(super) fn is_open(&self) -> bool {
        self.current().is_some()
    }

    /// Opens the connection, unless it is.
    pub(super) async fn open(&self) -> Result<(), RedisError> {
        self.connection().await.map(|_| ())
    }

    /// Makes one call; a connection that it breaks is not used again.
    pub(super) async fn run<T: FromRedisValue>(&self, call: Call<'_>) -> Result<T, RedisError> {
        let (number, connection) = self.connection().await?;
        let outcome = call.send(connection).await;
        if let Err(error) = &outcome
            && breaks_the_connection(error)
        {
            self.discard(number);
        }
        outcome
    }

    /// Opens a connection that nobody else uses.
    pub(super) async fn dial(
        &self,
        answer_within: Duration,
    ) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.inner.deadlines.connect))
            .set_response_timeout(Some(answer_within));
        self.inner
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await
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

/// Says whether a connection is of no more use: it is gone, nothing answers on it, or its
/// server became a replica.
pub(crate) fn breaks_the_connection(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_unrecoverable_error()
        || matches!(error.code(), Some("READONLY" | "MASTERDOWN"))
}
