//! Tags and lists of one repository that lead into another.
use quayhand_model::gc::{self, LeakKind, Rules};

use crate::{purge::place::Place, sweep};

/// Collects everything, the repositories together or one after the other, and insists that the
/// preview says the same of the manifests.
async fn collect(place: &Place, together: bool) {
    let rules = Rules::default();
    let preview = place
        .db
        .read_only_transaction(async |tx| gc::preview(tx, None, &rules).await);
    let (rows, _) = preview.await.unwrap();
    let doomed = rows.iter().filter(|row| row.table == "manifest").count() as u64;
    let found = sweep::candidates(&place.db, &rules).await;
    let size = if together { found.len() } else { 1 };
    let mut manifests = 0;
    for list in found.chunks(size) {
        let swept = sweep::exhaust(&place.db, &rules, list, 100).await;
        manifests += swept.unwrap().manifests;
    }
    assert_eq!(manifests, doomed, "the preview");
}

#[tokio::test]
async fn a_manifest_of_another_repository_is_not_reached_whoever_shares_the_batch() {
    for together in [true, false] {
        for other_has_garbage in [true, false] {
            let place = Place::new().await;
            let owner = place.user("org", false, "now()").await;
            let one = place.repository(owner, "one").await;
            let other = place.repository(owner, "other").await;
            let list = place.manifest(one, None).await;
            let near = place.manifest(one, None).await;
            let far = place.manifest(other, None).await;
            let beyond = place.manifest(one, None).await;
            place.child(one, list, near).await;
            place.child(one, list, far).await;
            place.child(other, far, beyond).await;
            let tagged = place.manifest(other, None).await;
            place.tag(one, list).await;
            place.tag(one, tagged).await;
            let unrelated = place.manifest(other, None).await;
            if other_has_garbage {
                place.tag(other, unrelated).await;
            }
            place.run("update tag set lifetime_end_ms = 1").await;
            collect(&place, together).await;
            for (manifest, stays) in [
                (list, false),
                (near, false),
                (far, true),
                (beyond, true),
                (tagged, true),
                (unrelated, !other_has_garbage),
            ] {
                let there = place.has("manifest", manifest).await;
                assert_eq!(there, stays, "{manifest}, {together}, {other_has_garbage}");
            }
            let leaks = place
                .db
                .scope(async |conn| gc::find_leaks(conn, LeakKind::Manifest, 0).await);
            let leaks = leaks.await.unwrap().ids;
            assert!(leaks.contains(&far) && leaks.contains(&tagged), "{leaks:?}");
        }
    }
}
