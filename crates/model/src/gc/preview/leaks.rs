//! What collecting leaks would delete.
use std::collections::{BTreeMap, BTreeSet};

use super::{Doomed, DoomedObject, Preview};
use crate::{Conn, DbError, gc::LeakKind};

/// Computes what collecting these leaked rows would delete, as [`preview`](super::preview) does
/// for garbage: call it inside
/// [`Db::read_only_transaction`](crate::Db::read_only_transaction).
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn preview_leaks(
    conn: &mut Conn,
    leaks: &BTreeMap<LeakKind, Vec<i64>>,
) -> Result<(Vec<Doomed>, Vec<DoomedObject>), DbError> {
    let ids = |kind| leaks.get(&kind).map_or(&[][..], Vec::as_slice);
    let mut preview = Preview {
        conn,
        rows: BTreeSet::new(),
        label_drops: BTreeMap::new(),
        blob_drops: BTreeMap::new(),
    };
    let from = ids(LeakKind::Manifest);
    let gone = preview.manifests_from(from, &BTreeMap::new()).await?;
    preview.below_manifests(&gone).await?;
    for id in ids(LeakKind::Label) {
        preview.doom("label", *id);
    }
    for id in ids(LeakKind::Blob) {
        preview.blob_drops.entry(*id).or_default();
    }
    preview.labels().await?;
    let objects = preview.blobs().await?;
    Ok((preview.rows.into_iter().collect(), objects))
}
