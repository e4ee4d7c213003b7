//! TERM: nothing lost, no attempt spent, exit code 0; a second one ends it at once.
use std::time::{Duration, Instant};

use quayhand_queue::State;
use rustix::process::Signal;

use crate::{
    testd::kinds::{A, Hang, MarkB, QUEUES, Stubborn},
    world::World,
};

#[tokio::test(flavor = "multi_thread")]
async fn term_during_jobs_loses_none_and_spends_no_attempt() {
    let world = World::new().await;
    let mut settings = world.settings().slots("a", 6);
    settings.drain_timeout = Duration::from_secs(1);
    let hanging: Vec<_> = (0..10).map(|id| Hang { id }).collect();
    let short: Vec<_> = (100..300).map(|id| MarkB { id, ms: 50 }).collect();
    world.client.enqueue_all(&hanging).await.unwrap();
    world.client.enqueue_all(&short).await.unwrap();
    let daemon = world.daemon(&settings).await;
    world.leased(&A, 6).await;
    world.marked(20, Duration::from_secs(30)).await;
    let took = daemon.stop().await;

    let done = u64::try_from(world.marks().await.len()).unwrap();
    let (mut left, mut spent) = (0, 0);
    for queue in QUEUES {
        let jobs = world
            .store()
            .list(&queue, State::Ready, 0, 1000)
            .await
            .unwrap();
        left += u64::try_from(jobs.len()).unwrap();
        spent += jobs
            .iter()
            .filter(|job| job.envelope.as_ref().unwrap().attempt > 0)
            .count();
    }
    println!(
        "F23 TERM during jobs: target exit code 0, lost 0 of 210, attempts spent 0, with 1 s of \
         patience within 5 s; seen 0, {}, {spent}, {took:.1?}",
        210 - i64::try_from(done + left).unwrap()
    );
    assert_eq!((done + left, spent), (210, 0));
    assert_eq!(
        world.unfinished().await,
        left,
        "what is left is ready, and nowhere else"
    );
    assert!(took < Duration::from_secs(5), "{took:?}");

    settings.hurry = true;
    let daemon = world.daemon(&settings).await;
    world.marked(210, Duration::from_secs(30)).await;
    daemon.stop().await;
    let marks = world.marks().await;
    assert_eq!(
        (marks.len(), marks.iter().all(|mark| mark.attempt == 1)),
        (210, true)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_never_stops_is_dropped_and_goes_back() {
    let world = World::new().await;
    let mut settings = world.settings();
    settings.drain_timeout = Duration::ZERO;
    world.client.enqueue(&Stubborn {}).await.unwrap();
    let daemon = world.daemon(&settings).await;
    daemon
        .event("the attempt", |event| {
            event.message().contains("`stubborn`")
        })
        .await;
    // By now its own time-out has ended it once: it is dead. The next one meets the drain.
    world.client.enqueue(&Stubborn {}).await.unwrap();
    world.leased(&A, 1).await;
    let took = daemon.stop().await;
    println!("F23 TERM with a job that never stops: target within 10 s, seen {took:.1?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    let counts = world.store().counts(&A).await.unwrap();
    assert_eq!((counts.leased, counts.ready + counts.dead), (0, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_term_ends_it_at_once() {
    let world = World::new().await;
    world.client.enqueue(&Hang { id: 1 }).await.unwrap();
    let mut daemon = world.daemon(&world.settings()).await;
    world.leased(&A, 1).await;
    daemon.says("ran `ticked`").await;
    daemon.signal(Signal::TERM);
    daemon.says("jobs run and have").await;
    assert!(daemon.is_running());
    let started = Instant::now();
    daemon.signal(Signal::TERM);
    let status = daemon.ended(Duration::from_secs(5)).await;
    println!(
        "F23 second TERM: target at once, seen {:.0?} (exit code {:?})",
        started.elapsed(),
        status.code()
    );
    assert_eq!(status.code(), Some(1));
    let counts = world.store().counts(&A).await.unwrap();
    assert_eq!(counts.leased, 1, "its lease ends by itself");
}
