//! What an attempt says of itself reaches whoever asks, while it runs and after.
use std::time::Duration;

use quayhand_queue::{Ending, Placement};
use quayhand_testkit::wait_for;

use crate::{
    testd::kinds::{A, Talks},
    world::World,
};

#[tokio::test(flavor = "multi_thread")]
async fn an_attempts_progress_and_lines_are_kept() {
    let world = World::new().await;
    let mut settings = world.settings();
    settings.log_level = "error".to_owned();
    let mut daemon = world.launch(&settings);
    let id = "talks".to_owned();
    let placement = Placement {
        id: Some(id.clone()),
        ..Placement::default()
    };
    let job = world.client.enqueue_placed(&Talks {}, placement).await;
    assert!(job.unwrap().is_new);
    wait_for("its progress", Duration::from_secs(20), async || {
        let shown = world.store().get(&A, &id).await.unwrap()?;
        (shown.progress == "half").then_some(())
    })
    .await;
    daemon.signal(rustix::process::Signal::TERM);
    daemon.ended(Duration::from_mins(1)).await;
    let history = world.store().history(&A, &id).await.unwrap();
    let [past] = &history[..] else {
        panic!("one attempt: {history:?}")
    };
    assert_eq!((past.outcome, past.attempt), (Ending::GiveBack, 1));
    assert!(past.at_ms > 1_700_000_000_000 && past.took_ms.is_some_and(|ms| ms > 0));
    let lines = past.lines.join("\n");
    println!("{lines}");
    assert_eq!(past.lines.len(), 2, "{lines}");
    assert!(past.lines[0].ends_with(" WARN an object is missing object=17"));
    assert!(
        past.lines[1].contains("INFO `talks` was stopped"),
        "{lines}"
    );
    assert_eq!(daemon.text(), "", "and the log itself says errors alone");
}
