//! Putting jobs in, one by one and in bulk, and what Redis needs to keep them.
use std::time::Instant;

use super::{
    Size,
    figures::{median, whole},
    report::{Report, Target},
    stage::Stage,
    way::{Sender, Way},
};

/// The bare bulk push goes so much faster at most.
const BULK_RATIO: f64 = 0.5;

/// What one run came to: jobs a second, bytes a job.
#[derive(Clone, Copy)]
struct Figures {
    single: f64,
    bulk: f64,
    bytes: f64,
}

pub(crate) async fn measure(stage: &mut Stage, size: &Size, report: &mut Report) {
    let mut figures = Way::ALL.map(|way| (way, Vec::new()));
    for _ in 0..size.runs {
        for (way, figures) in &mut figures {
            figures.push(run(stage, *way, size.jobs).await);
        }
    }
    let middle = |way: Way, figure: fn(&Figures) -> f64| {
        let (_, runs) = figures.iter().find(|(known, _)| *known == way).unwrap();
        median(runs.iter().map(figure))
    };
    println!("\nenqueue: {} jobs in bulk", whole(f64::from(size.jobs)));
    println!(
        "{:<24} {:>12} {:>12} {:>12}  bulk, of the bare push",
        "", "one by one/s", "in bulk/s", "bytes/job"
    );
    for way in Way::ALL {
        let bulk = middle(way, |run| run.bulk);
        let ratio = bulk / middle(Way::Hand, |run| run.bulk);
        let ratio = match way {
            Way::Unused => {
                let what = format!("bulk enqueue, {way}, of the bare push");
                report.judge(&what, ratio, "", Target::AtLeast(BULK_RATIO))
            }
            _ => format!("{ratio:.2}"),
        };
        println!(
            "{way:<24} {:>12} {:>12} {:>12}  {ratio}",
            whole(middle(way, |run| run.single)),
            whole(bulk),
            whole(middle(way, |run| run.bytes)),
        );
    }
}

async fn run(stage: &mut Stage, way: Way, jobs: u32) -> Figures {
    stage.clear().await;
    let mut sender = Sender::new(stage, way).await;
    let singles = jobs / 10;
    let started = Instant::now();
    for n in 0..singles {
        sender.push(n).await;
    }
    let single = f64::from(singles) / started.elapsed().as_secs_f64();
    stage.clear().await;
    let before = used(stage).await;
    let started = Instant::now();
    sender.push_all(jobs).await;
    let bulk = f64::from(jobs) / started.elapsed().as_secs_f64();
    let bytes = (used(stage).await - before) / f64::from(jobs);
    stage.clear().await;
    Figures {
        single,
        bulk,
        bytes,
    }
}

async fn used(stage: &mut Stage) -> f64 {
    stage.figure("memory", "used_memory").await
}
