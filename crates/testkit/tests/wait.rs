//! Waiting for conditions, and names.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use quayhand_testkit::{unique_name, wait_for};

#[tokio::test]
async fn returns_what_the_condition_finds() {
    let looks = AtomicU32::new(0);
    let found = wait_for("the third look", Duration::from_secs(10), async || {
        let look = looks.fetch_add(1, Ordering::Relaxed);
        (look == 2).then_some(look)
    })
    .await;
    assert_eq!(found, 2);
}

#[tokio::test]
#[should_panic(expected = "in vain for a cow that flies")]
async fn panics_at_the_deadline_and_names_the_condition() {
    wait_for("a cow that flies", Duration::from_millis(30), async || {
        None::<()>
    })
    .await;
}

#[tokio::test]
#[should_panic(expected = "in vain for an answer")]
async fn ends_a_condition_that_hangs() {
    wait_for("an answer", Duration::from_millis(30), async || {
        std::future::pending::<Option<()>>().await
    })
    .await;
}

#[test]
fn names_are_unique_and_plain() {
    let (first, second) = (unique_name("queue"), unique_name("queue"));
    assert_ne!(first, second);
    assert!(first.starts_with("queue_"));
    assert!(
        first
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    );
}
