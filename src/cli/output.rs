//! How results reach the terminal: a table for people, JSON for programs.
use std::io::{self, Write};

use clap::ValueEnum;
use serde::Serialize;

use super::Failure;

/// How lists and results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Tables and sentences
    #[default]
    Human,
    /// One JSON value a line
    Json,
}

/// Prints a line on standard output.
///
/// A reader that went away (`| head`) ends the output, not the program with a panic.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    written(writeln!(io::stdout().lock(), "{text}"))
}

/// Prints one value as a line of JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value).map_err(|error| Failure::failed(error.to_string()))?;
    line(&text)
}

/// Characters of a cell that are shown; anybody may have written a text of any length.
const LONGEST_CELL: usize = 200;

/// Prints rows under their headings, every column as wide as its widest cell.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
    let rows: Vec<Vec<_>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| shortened(&plain(cell))).collect())
        .collect();
    let mut widths: Vec<_> = headings.iter().map(|text| text.chars().count()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let headings: Vec<_> = headings.iter().map(|text| (*text).to_owned()).collect();
    line(&spaced(&headings, &widths))?;
    rows.iter().try_for_each(|row| line(&spaced(row, &widths)))
}

/// Shows a text that anybody may have written on one line: a control character could forge lines
/// or move the cursor.
pub(crate) fn plain(text: &str) -> String {
    let shown = |c: char| {
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            c.escape_default().to_string()
        } else {
            c.to_string()
        }
    };
    text.chars().map(shown).collect()
}

/// Cuts a text to what a cell shows; the mark says that there was more.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST_CELL) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// Tells something beside the results, on standard error.
pub(crate) fn note(text: &str) {
    #[expect(clippy::print_stderr, reason = "standard output is the results alone")]
    {
        eprintln!("quayhand: {}", plain(text));
    }
}

fn spaced(cells: &[String], widths: &[usize]) -> String {
    let padded = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{cell:<width$}"));
    padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

fn written(outcome: io::Result<()>) -> Result<(), Failure> {
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{plain, shortened, spaced};

    #[test]
    fn a_text_cannot_forge_a_line_or_move_the_cursor() {
        assert_eq!(plain("a\nb\u{1b}[2Jc\u{2028}"), "a\\nb\\u{1b}[2Jc\\u{2028}");
        assert_eq!(plain("Käse ≠ cheese"), "Käse ≠ cheese");
    }

    #[test]
    fn a_cell_of_any_length_is_cut() {
        assert_eq!(shortened(&"ä".repeat(200)), "ä".repeat(200));
        assert_eq!(shortened(&"ä".repeat(70_000)), "ä".repeat(200) + "…");
    }

    #[test]
    fn columns_line_up_and_lines_end_with_their_text() {
        let row = ["gc".to_owned(), "3".to_owned()];
        assert_eq!(spaced(&row, &[7, 5]), "gc       3");
    }
}
