//! Keeping a lock for longer than its time to live, as long as it is still ours.
use std::time::{Duration, Instant};

use super::{Hold, Locks, lock_key};
use crate::{QueueError, redis::ms};

const RENEW: &str = include_str!("renew.lua");

impl Locks {
    /// Gives a held lock a new time to live from now (at least 1 ms); one round trip.
    ///
    /// Returns `None` when it had ended meanwhile: somebody else may have held it since, and
    /// it is not taken again.
    ///
    /// # Errors
    ///
    /// When Redis fails; the lock then ends by the old or by the new time.
    pub async fn renew(&self, hold: Hold, ttl: Duration) -> Result<Option<Hold>, QueueError> {
        let since = Instant::now();
        let mut pipeline = redis::pipe();
        let call = pipeline.cmd("EVAL").arg(RENEW).arg(1);
        call.arg(lock_key(hold.name()))
            .arg(hold.token())
            .arg(ms(ttl).max(1));
        let ours: Vec<usize> = self.redis.pipeline("renew a lock", &pipeline).await?;
        let is_ours = ours.iter().sum::<usize>() == 1;
        Ok(is_ours.then(|| hold.renewed(since, ttl)))
    }
}
