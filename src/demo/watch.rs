//! Live progress of the demo, until nothing is left to collect.
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use quayhand_jobs::{Ctx, blob_gc::BlobGc};
use quayhand_jobs::{queues, tag_expiry_sweep::TagExpirySweep};
use quayhand_model::{
    census::{self, Census},
    gc::{self, Rules},
};

use super::{daemon::Daemon, report::say, scene::Scene};
use crate::cli::Failure;

/// The demo gives up after this time.
const PATIENCE: Duration = Duration::from_mins(20);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(500);

/// Waits until the daemon has collected everything, showing how far it is.
pub(super) async fn until_collected(
    scene: &Scene,
    daemon: &Daemon,
    tags: u64,
) -> Result<(), Failure> {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
        bar.set_style(style);
    }
    let started = Instant::now();
    let mut said = Instant::now();
    loop {
        if started.elapsed() > PATIENCE {
            let last = daemon.last_words();
            return Err(Failure::failed(format!(
                "the daemon did not finish:\n{last}"
            )));
        }
        let (now, left) = look(scene).await?;
        let text = describe(&now, tags, left);
        bar.set_message(text.clone());
        bar.tick();
        if bar.is_hidden() && said.elapsed() > Duration::from_secs(5) {
            said = Instant::now();
            say(&text)?;
        }
        if left == 0 && now.tombstones == 0 && is_idle(scene).await? && now.permissions > 0 {
            bar.finish_and_clear();
            return Ok(());
        }
        nudge(scene, left, now.tombstones).await?;
        tokio::time::sleep(LOOK).await;
    }
}

/// Asks for the next step as soon as it makes sense, instead of waiting for the schedules.
async fn nudge(scene: &Scene, left: usize, tombstones: u64) -> Result<(), Failure> {
    if !is_idle(scene).await? {
        return Ok(());
    }
    if left > 0 {
        scene.client.enqueue::<Ctx, _>(&TagExpirySweep {}).await?;
    } else if tombstones > 0 {
        scene.client.enqueue::<Ctx, _>(&BlobGc {}).await?;
    }
    Ok(())
}

async fn look(scene: &Scene) -> Result<(Census, usize), Failure> {
    let rules = Rules::default();
    scene
        .db
        .scope(async |conn| {
            let now = census::count(conn).await?;
            let left = gc::candidates(conn, &rules, 100_000).await?;
            Ok((now, left.len()))
        })
        .await
}

async fn is_idle(scene: &Scene) -> Result<bool, Failure> {
    for queue in queues::ALL {
        let counts = scene.client.store().counts(&queue).await?;
        if counts.ready + counts.leased > 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

fn describe(now: &Census, tags: u64, left: usize) -> String {
    format!(
        "{} of {tags} tags gone, {left} repositories to go, {} objects to remove",
        tags.saturating_sub(now.tags),
        now.tombstones,
    )
}
