//! Rows that nothing leads to.
use super::{Check, Invariant, Page, Violation};
use crate::{
    Conn, DbError,
    gc::{self, LeakKind},
};

/// Looks for leaks of the kind that the check is about.
pub(super) async fn page(conn: &mut Conn, check: Check, after: i64) -> Result<Page, DbError> {
    let (kind, what) = match check {
        Check::LeakedBlobs => (LeakKind::Blob, "blob"),
        Check::LeakedLabels => (LeakKind::Label, "label"),
        _ => (LeakKind::Manifest, "manifest"),
    };
    let found = gc::find_leaks(conn, kind, after).await?;
    let leak = |id| Violation {
        invariant: Invariant::Leaks,
        subject: format!("{what} {id}"),
        problem: "is left behind: nothing leads to it".to_owned(),
    };
    Ok(Page {
        rows: found.ids.len() as u64,
        next: found.next,
        violations: found.ids.into_iter().map(leak).collect(),
    })
}
