//! What the queues tell: who works, what is paused, what died, and whether Redis may forget.
use quayhand_jobs::queues;
use quayhand_queue::{QueueError, Store};

use super::Finding;
use crate::{cli::App, supervisor::look_at_durability};

/// Pauses that one line names.
const MOST_PAUSES: usize = 5;

/// Looks at the queues; nothing while Redis does not answer, which is a finding of its own.
pub(super) async fn look(app: &App) -> Vec<Finding> {
    let Ok(store) = app.store().await else {
        return Vec::new();
    };
    let looked = async {
        Ok::<_, QueueError>(vec![
            durability(&store).await?,
            workers(&store).await?,
            pauses(&store).await?,
            dead(&store).await?,
        ])
    };
    match looked.await {
        Ok(findings) => findings,
        Err(error) => vec![Finding::of("queues", Err(error.into()))],
    }
}

async fn durability(store: &Store) -> Result<Finding, QueueError> {
    let warnings = match store {
        Store::Redis(store) => look_at_durability(store.redis()).await?,
        Store::Memory(_) => Vec::new(),
    };
    let said = if warnings.is_empty() {
        "Redis keeps what it is told".to_owned()
    } else {
        warnings.join("; ")
    };
    Ok(Finding::warned_if(!warnings.is_empty(), "durability", said))
}

/// Counts those that were heard of within a minute.
async fn workers(store: &Store) -> Result<Finding, QueueError> {
    let (mut said, mut is_bad) = (Vec::new(), false);
    for queue in queues::ALL {
        let workers = store.workers(&queue).await?;
        let slots: usize = workers.iter().map(|worker| worker.about.slots).sum();
        let quiet = workers.iter().filter(|worker| worker.about.is_quiet);
        let (all, quiet) = (workers.len(), quiet.count());
        is_bad |= all == quiet || slots == 0;
        let of_them = match quiet {
            0 => String::new(),
            some => format!(", {some} of them quiet"),
        };
        said.push(format!("{queue}: {all} with {slots} slots{of_them}"));
    }
    Ok(Finding::warned_if(is_bad, "workers", said.join("; ")))
}

async fn pauses(store: &Store) -> Result<Finding, QueueError> {
    let mut said = Vec::new();
    for queue in queues::ALL {
        for pause in store.pauses(&queue).await? {
            let why = match pause.note.why.as_str() {
                "" => String::new(),
                why => format!(" ({why})"),
            };
            let by = &pause.note.by;
            said.push(format!("`{}` of `{queue}` by {by}{why}", pause.target));
        }
    }
    if said.is_empty() {
        return Ok(Finding::good("pauses", "nothing is paused"));
    }
    let more = said.len().saturating_sub(MOST_PAUSES);
    said.truncate(MOST_PAUSES);
    if more > 0 {
        said.push(format!("and {more} more: `quayhand queue list`"));
    }
    Ok(Finding::warned_if(true, "pauses", said.join("; ")))
}

async fn dead(store: &Store) -> Result<Finding, QueueError> {
    let (mut said, mut all) = (Vec::new(), 0);
    for queue in queues::ALL {
        let dead = store.counts(&queue).await?.dead;
        all += dead;
        said.push(format!("{queue}: {dead}"));
    }
    Ok(Finding::warned_if(all > 0, "dead jobs", said.join("; ")))
}
