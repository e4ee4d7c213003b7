//! Quay's locks across processes, as Quay's `GlobalLock` (python-redis-lock) spells them on the
//! wire: key `lock:<NAME>` with a token and a time to live, wake-up list `lock-signal:<NAME>`.
//!
//! A lock is a bounded courtesy, not a fence: it ends by itself, and who waits too long may go
//! on without it. Work under it must end well before [`Hold::time_left`] does.
mod confirm;
mod hold;
mod renew;
mod table;

use std::time::{Duration, Instant};

pub use hold::Hold;

use self::table::Table;
use crate::{LONGEST_WAIT, QueueError, Redis, redis::ms};

const RELEASE: &str = include_str!("release.lua");
/// How long locks of a failed call are tried to be released.
const RELEASE_PATIENCE: Duration = Duration::from_secs(1);

/// Takes and releases locks in one Redis, Quay's `USER_EVENTS_REDIS`; cheap to clone.
#[derive(Clone, Debug)]
pub struct Locks {
    redis: Redis,
    held: Table,
}

/// Says why a lock was not acquired.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else holds it, and did until the wait ended.
    #[error("lock `{name}` is held by another process; try again later")]
    Busy {
        /// The lock.
        name: String,
    },
    /// Redis failed: nobody knows who holds it.
    #[error("lock `{name}` could not be asked for")]
    Redis {
        /// The lock.
        name: String,
        /// The failure.
        source: QueueError,
    },
}

impl Locks {
    /// Connects to the Redis that holds the locks.
    ///
    /// # Errors
    ///
    /// As [`Redis::connect`].
    pub async fn connect(url: &str) -> Result<Self, QueueError> {
        Ok(Self::new(Redis::connect(url).await?))
    }

    /// Uses a Redis for locks.
    pub fn new(redis: Redis) -> Self {
        Self {
            redis,
            held: Table::default(),
        }
    }

    /// Lists the locks that this process holds, with their ages, the oldest first.
    pub fn held(&self) -> Vec<(String, Duration)> {
        self.held.list()
    }

    /// Takes those of the locks that are free, without waiting, in one round trip.
    ///
    /// Each ends by itself after `ttl` (at least 1 ms). The holds come in the order of `names`.
    ///
    /// # Errors
    ///
    /// When Redis fails; locks that the lost answer may have taken are released again, or end
    /// by themselves.
    pub async fn try_acquire_many(
        &self,
        names: &[String],
        ttl: Duration,
    ) -> Result<Vec<Hold>, QueueError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let token = ulid::Ulid::generate().to_string();
        let mut pipeline = redis::pipe();
        for name in names {
            let set = pipeline.cmd("SET").arg(lock_key(name)).arg(&token);
            set.arg("NX").arg("PX").arg(ms(ttl).max(1));
        }
        let since = Instant::now();
        let hold = |name: &String| {
            let listed = self.held.add(name, since);
            Hold::new(name.clone(), token.clone(), since, ttl, listed)
        };
        let answers = self
            .redis
            .pipeline::<Vec<Option<String>>>("lock", &pipeline)
            .await;
        match answers {
            Ok(answers) => {
                let taken = names.iter().zip(answers);
                Ok(taken
                    .filter_map(|(name, ok)| ok.map(|_| hold(name)))
                    .collect())
            }
            Err(error) => {
                // Best effort: what stays taken ends by itself.
                let releasing = self.release_many(names.iter().map(hold).collect());
                let _ends = tokio::time::timeout(RELEASE_PATIENCE, releasing).await;
                Err(error)
            }
        }
    }

    /// Takes one lock if it is free; `None` when somebody holds it.
    ///
    /// # Errors
    ///
    /// When Redis fails.
    pub async fn try_acquire(&self, name: &str, ttl: Duration) -> Result<Option<Hold>, QueueError> {
        let names = [name.to_owned()];
        Ok(self.try_acquire_many(&names, ttl).await?.pop())
    }

    /// Takes one lock, waiting for its holder's signal up to `wait`; zero does not wait.
    ///
    /// A hold that ends by its time to live sends no signal; so at the latest after 5 s the
    /// wait looks again.
    ///
    /// # Errors
    ///
    /// [`LockError::Busy`] when it stayed held, [`LockError::Redis`] when Redis failed.
    pub async fn acquire(
        &self,
        name: &str,
        ttl: Duration,
        wait: Duration,
    ) -> Result<Hold, LockError> {
        let failed = |source| LockError::Redis {
            name: name.to_owned(),
            source,
        };
        let until = Instant::now() + wait;
        let mut waiter = None;
        loop {
            if let Some(hold) = self.try_acquire(name, ttl).await.map_err(failed)? {
                return Ok(hold);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(LockError::Busy {
                    name: name.to_owned(),
                });
            }
            let connection = match &mut waiter {
                Some(connection) => connection,
                None => waiter.insert(self.redis.blocking(LONGEST_WAIT).await.map_err(failed)?),
            };
            let longest = left.clamp(Duration::from_millis(1), LONGEST_WAIT);
            let mut pop = redis::cmd("BLPOP");
            pop.arg(signal_key(name)).arg(longest.as_secs_f64());
            let woken = connection.wait("wait for a lock", &pop).await;
            woken.map_err(failed)?;
        }
    }

    /// Releases locks and wakes one waiter of each, in one round trip. Those that have ended
    /// meanwhile are left alone; returns how many were still held.
    ///
    /// # Errors
    ///
    /// When Redis fails; the locks end by themselves.
    pub async fn release_many(&self, holds: Vec<Hold>) -> Result<usize, QueueError> {
        if holds.is_empty() {
            return Ok(0);
        }
        let mut pipeline = redis::pipe();
        for hold in &holds {
            let call = pipeline.cmd("EVAL").arg(RELEASE).arg(2);
            call.arg(lock_key(hold.name()))
                .arg(signal_key(hold.name()))
                .arg(hold.token());
        }
        let released: Vec<usize> = self.redis.pipeline("release a lock", &pipeline).await?;
        Ok(released.iter().sum())
    }

    /// Releases one lock; `false` when it had ended meanwhile, so that somebody else may have
    /// held it too.
    ///
    /// # Errors
    ///
    /// When Redis fails; the lock ends by itself.
    pub async fn release(&self, hold: Hold) -> Result<bool, QueueError> {
        Ok(self.release_many(vec![hold]).await? == 1)
    }
}

fn lock_key(name: &str) -> String {
    format!("lock:{name}")
}

fn signal_key(name: &str) -> String {
    format!("lock-signal:{name}")
}
