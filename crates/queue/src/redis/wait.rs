//! Waiting for work in a blocking pop, on a connection that does nothing else.
use std::time::Duration;

use crate::{LONGEST_WAIT, QueueError, Redis, connect::Blocking};

/// Shortest wait: Redis reads 0 as "for ever".
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// The wait of one worker on one queue.
pub(crate) struct RedisWaiter {
    redis: Redis,
    wake: String,
    connection: Option<Blocking>,
}

impl RedisWaiter {
    pub(super) fn new(redis: Redis, wake: String) -> Self {
        Self {
            redis,
            wake,
            connection: None,
        }
    }

    /// Waits for a wake-up, at most `longest`, and never longer than [`LONGEST_WAIT`].
    ///
    /// Dropping the future closes the connection, and so ends the pop that waits there.
    pub(crate) async fn wait(&mut self, longest: Duration) -> Result<(), QueueError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.redis.blocking(LONGEST_WAIT).await?,
        };
        let longest = longest.clamp(SHORTEST_WAIT, LONGEST_WAIT);
        let mut pop = redis::cmd("BLPOP");
        pop.arg(&self.wake).arg(longest.as_secs_f64());
        connection.wait("wait", &pop).await?;
        self.connection = Some(connection);
        Ok(())
    }
}
