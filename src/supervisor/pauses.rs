//! Pauses outlive Redis: the database has the record of them, and what workers go by is put back
//! before anything is enqueued and before a pool takes its first job.
use std::collections::BTreeSet;

use quayhand_model::{
    Db, DbError,
    pause::{self, Paused},
};
use quayhand_queue::{Queue, QueueError, Registry, Store, Target};

use super::queues;

/// Pauses again what the database says is paused in the queues of a registry and the queue does not
/// know. One statement when nothing was lost and nothing is paused, a call more for each pause.
///
/// # Errors
///
/// When either server fails; what was put back stays.
pub(super) async fn put_back<C, E>(registry: &Registry<C>, db: &Db, store: &Store) -> Result<(), E>
where
    C: Send + Sync + 'static,
    E: From<DbError> + From<QueueError>,
{
    let queues = queues(registry);
    let mut put = Vec::new();
    for paused in db.scope(pause::list).await? {
        let Some((queue, target)) = read(&queues, &paused) else {
            continue;
        };
        if store
            .pause(&queue, &target, &paused.by, &paused.why)
            .await?
        {
            tracing::warn!(%queue, "`{target}` of queue `{queue}` is paused again: Redis had lost it");
            put.push((queue, target, paused));
        }
    }
    if put.is_empty() {
        return Ok(());
    }
    // Somebody may have resumed between the look and the pause: first here, then in Redis.
    let still = db.scope(pause::list).await?;
    for (queue, target, paused) in put {
        if !still.contains(&paused) {
            store.resume(&queue, &target).await?;
        }
    }
    Ok(())
}

/// Reads what is paused; `None` for a queue that is not ours.
fn read(queues: &BTreeSet<Queue>, paused: &Paused) -> Option<(Queue, Target)> {
    let queue = queues.iter().find(|queue| queue.as_str() == paused.queue)?;
    // The table holds nothing else.
    Some((queue.clone(), paused.target.parse().ok()?))
}
