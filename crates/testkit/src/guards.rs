//! Holds `docs/guards.md` to what the tests saw: its guards are those of the code, its schedules
//! those that ran, and each guard's schedules those that fail without it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// The parts of the page: each is held to the tests of one crate.
const PARTS: [&str; 2] = ["Batches and purges", "Objects"];

/// How one schedule came out, with every guard and with one guard away at a time.
#[derive(Debug, Clone)]
pub struct PlayedSchedule {
    /// The test that plays it.
    pub name: &'static str,
    /// The races it is an example of, such as `R8`; empty for one that has no number.
    pub races: &'static [&'static str],
    /// Who comes first.
    pub first: &'static str,
    /// How it ends with every guard in place.
    pub ends: &'static str,
    /// The guards without which it ends badly.
    pub needs: Vec<String>,
}

/// One part of the page.
#[derive(Debug, Default)]
struct Part {
    /// Guards in their order, each with its schedules and the files it is in.
    guards: Vec<(String, BTreeSet<String>, Vec<String>)>,
    /// Schedules, each with the rest of its row.
    schedules: BTreeMap<String, Vec<String>>,
}

/// Insists that one part of `docs/guards.md` says of guards and schedules exactly what is so, in
/// both directions, and prints the guards with the schedules that fail without them.
///
/// `guards` are the variants of the enumeration `of`, in order; the files of a row must name them
/// as `of::variant`.
///
/// # Panics
/// When the page differs; the message says what to write.
#[expect(clippy::print_stdout, reason = "the table is there to be read")]
pub fn check_guards_page(part: &str, of: &str, guards: &[String], played: &[PlayedSchedule]) {
    let page = page();
    let text = std::fs::read_to_string(&page).unwrap_or_else(|e| panic!("{}: {e}", page.display()));
    let mut parts = parts(&text);
    assert!(
        parts.keys().map(String::as_str).eq(PARTS),
        "its parts are {PARTS:?}"
    );
    let found = parts.remove(part).unwrap_or_default();
    let named: Vec<_> = found.guards.iter().map(|row| row.0.clone()).collect();
    assert_eq!(named, guards, "the guards of `{part}` are those of `{of}`");
    for (guard, schedules, files) in &found.guards {
        let needed = needed_by(guard, played);
        assert!(!needed.is_empty(), "no schedule fails without `{guard}`");
        assert_eq!(*schedules, needed, "the schedules that fail without it");
        assert!(!files.is_empty(), "`{guard}` has no file");
        for file in files {
            check_file(&page, file, &format!("{of}::{guard}"));
        }
        println!("{of}::{guard}: {} fail without it", needed.len());
    }
    check_schedules(part, &found.schedules, played);
}

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guards.md")
}

/// Names the schedules that fail without a guard.
fn needed_by(guard: &str, played: &[PlayedSchedule]) -> BTreeSet<String> {
    let fails = |one: &&PlayedSchedule| one.needs.iter().any(|need| need == guard);
    played
        .iter()
        .filter(fails)
        .map(|one| one.name.to_owned())
        .collect()
}

fn check_file(page: &Path, file: &str, guard: &str) {
    let path = page.with_file_name(file);
    let code = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("`{file}`: {e}"));
    assert!(code.contains(guard), "`{file}` does not name `{guard}`");
}

fn check_schedules(part: &str, rows: &BTreeMap<String, Vec<String>>, played: &[PlayedSchedule]) {
    let mut right = BTreeMap::new();
    for one in played {
        let row = vec![
            one.races.join(" "),
            one.first.to_owned(),
            one.ends.to_owned(),
        ];
        right.insert(one.name.to_owned(), row);
    }
    if *rows != right {
        let rows = right.iter().map(|(name, row)| {
            let cells = row.join(" | ");
            format!("| `{name}` | {cells} |\n")
        });
        panic!(
            "the schedules of `{part}` are\n{}",
            rows.collect::<String>()
        );
    }
}

/// Reads the tables of the page, part by part.
fn parts(text: &str) -> BTreeMap<String, Part> {
    let mut parts = BTreeMap::new();
    let (mut part, mut table) = (None, String::new());
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            part = Some(title.to_owned());
        }
        let Some(row) = line
            .strip_prefix("| ")
            .and_then(|row| row.strip_suffix(" |"))
        else {
            continue;
        };
        let cells: Vec<_> = row.split('|').map(|cell| cell.trim().to_owned()).collect();
        let Some(name) = quoted(&cells[0]).pop() else {
            table.clone_from(&cells[0]);
            continue;
        };
        let title = part.clone().unwrap_or_default();
        let part: &mut Part = parts.entry(title).or_default();
        if table == "guard" {
            let files = cells.last().map(|cell| links(cell)).unwrap_or_default();
            let schedules = quoted(&cells[2]).into_iter().collect();
            part.guards.push((name, schedules, files));
        } else {
            part.schedules.insert(name, cells[1..].to_vec());
        }
    }
    parts
}

/// Returns what stands between backticks.
fn quoted(cell: &str) -> Vec<String> {
    let words = cell.split('`').skip(1).step_by(2);
    words.map(str::to_owned).collect()
}

/// Returns where the links lead.
fn links(cell: &str) -> Vec<String> {
    let ends = cell.split("](").skip(1);
    ends.filter_map(|rest| rest.split_once(')'))
        .map(|(link, _)| link.to_owned())
        .collect()
}
