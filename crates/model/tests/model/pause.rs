//! What is paused is noted once, with who and why, until it is lifted.
use quayhand_model::{DbError, pause};

use crate::guard::Lab;

#[tokio::test]
async fn a_pause_is_noted_until_it_is_lifted() {
    let lab = Lab::new().await;
    let db = lab.db(|_| {});
    let put = async |target: &str, by: &str| {
        let why = "ä".repeat(300);
        db.scope(async |conn| pause::put(conn, "gc", target, by, &why).await)
            .await
    };
    assert!(put("queue", "ada").await.unwrap());
    assert!(!put("queue", "bob").await.unwrap(), "the first one counts");
    let tenant = format!("tenant:{}", "t".repeat(512));
    assert!(put(&tenant, "a\0b").await.unwrap());
    for wrong in ["", "tenant:", "kinds:x", &format!("{tenant}t")] {
        assert!(
            matches!(put(wrong, "").await, Err(DbError::Statement { .. })),
            "{wrong}"
        );
    }
    let list = || db.scope(pause::list);
    let noted = list().await.unwrap();
    let said: Vec<_> = noted
        .iter()
        .map(|paused| (&*paused.target, &*paused.by, paused.why.len()))
        .collect();
    assert_eq!(said, [("queue", "ada", 512), (&*tenant, "ab", 512)]);
    assert!(noted[0].at_ms > 1_700_000_000_000);
    let lift = || db.scope(async |conn| pause::lift(conn, "gc", "queue").await);
    assert!(lift().await.unwrap());
    assert!(!lift().await.unwrap());
    assert_eq!(list().await.unwrap().len(), 1);
}
