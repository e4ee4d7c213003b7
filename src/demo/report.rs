//! What the demo prints.
use super::count::{Check, Figures};
use crate::cli::{Failure, output};

/// Says what happens next.
pub(super) fn say(text: &str) -> Result<(), Failure> {
    output::line(&format!("-- {text}"))
}

/// Prints the table at the end; tells whether every check held.
pub(super) fn table(
    before: &Figures,
    after: &Figures,
    checks: &[Check],
    seconds: f64,
) -> Result<bool, Failure> {
    let row = |what: &str, before: u64, after: u64| {
        let gone = before.saturating_sub(after);
        let numbers = [before, after, gone].map(|n| n.to_string());
        std::iter::once(what.to_owned()).chain(numbers).collect()
    };
    let rows: Vec<Vec<String>> = vec![
        row("tags", before.census.tags, after.census.tags),
        row("manifests", before.census.manifests, after.census.manifests),
        row("blobs", before.census.blobs, after.census.blobs),
        row("files", before.files, after.files),
        row("bytes", before.bytes, after.bytes),
    ];
    output::line("")?;
    output::table(&["", "BEFORE", "AFTER", "GONE"], &rows)?;
    output::line("")?;
    let rows: Vec<Vec<String>> = checks
        .iter()
        .map(|check| {
            let mark = if check.broken == 0 { "ok" } else { "BROKEN" };
            let looked_at = match check.looked_at {
                0 => String::new(),
                n => format!("of {n}"),
            };
            let broken = check.broken.to_string();
            vec![mark.to_owned(), check.rule.clone(), broken, looked_at]
        })
        .collect();
    output::table(&["", "INVARIANT", "BROKEN", ""], &rows)?;
    let good = checks.iter().filter(|check| check.broken == 0).count();
    output::line("")?;
    output::line(&format!(
        "{good} of {} invariants hold; {} permission rows computed; {seconds:.1} seconds",
        checks.len(),
        after.census.permissions,
    ))?;
    Ok(good == checks.len())
}
