//! Asking once more, right before the work, whether locks are still held.
use super::{Hold, Locks, lock_key};
use crate::QueueError;

impl Locks {
    /// Returns those of the locks that are still ours, in their order; the others have ended
    /// or were taken over. One round trip.
    ///
    /// A Redis that stopped, or that forgot its keys, no longer fences anybody: who creates a
    /// blob then goes on without a lock at once. Ask right before what the locks protect.
    ///
    /// # Errors
    ///
    /// When Redis fails; nobody knows then who holds them.
    pub async fn confirm_many<'h>(&self, holds: &'h [Hold]) -> Result<Vec<&'h Hold>, QueueError> {
        if holds.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = redis::pipe();
        for hold in holds {
            pipeline.cmd("GET").arg(lock_key(hold.name()));
        }
        let tokens: Vec<Option<String>> = self.redis.pipeline("confirm a lock", &pipeline).await?;
        let pairs = holds.iter().zip(tokens);
        Ok(pairs
            .filter_map(|(hold, token)| (token.as_deref() == Some(hold.token())).then_some(hold))
            .collect())
    }
}
