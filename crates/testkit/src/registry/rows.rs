//! Rows as text for `copy`, one buffer a table.

use std::io::Write as _;

/// One column of one row.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cell<'a> {
    /// No value.
    Null,
    /// Any whole number.
    Int(i64),
    /// A truth value.
    Bool(bool),
    /// A text, escaped on the way.
    Text(&'a str),
    /// A time in epoch milliseconds, written as a timestamp in UTC.
    Time(i64),
}

/// The new rows of a table; each gets the next id.
#[derive(Debug)]
pub(super) struct Table {
    /// The table's name.
    pub(super) name: &'static str,
    /// Its columns but for `id`, separated by commas.
    pub(super) columns: &'static str,
    /// The id of the next row.
    pub(super) next_id: i64,
    /// How many rows there are.
    pub(super) rows: u64,
    /// The rows in the text form of `copy`.
    pub(super) text: Vec<u8>,
}

impl Table {
    /// Adds a row, whose cells are those of `columns`, and returns its id.
    pub(super) fn add(&mut self, cells: &[Cell<'_>]) -> i64 {
        debug_assert_eq!(
            cells.len(),
            self.columns.split(',').count(),
            "{}",
            self.name
        );
        let id = self.next_id;
        self.next_id += 1;
        self.rows += 1;
        put_number(&mut self.text, id);
        for cell in cells {
            self.text.push(b'\t');
            self.put(*cell);
        }
        self.text.push(b'\n');
        id
    }

    fn put(&mut self, cell: Cell<'_>) {
        match cell {
            Cell::Null => self.text.extend_from_slice(b"\\N"),
            Cell::Int(number) => put_number(&mut self.text, number),
            Cell::Bool(value) => self.text.push(if value { b't' } else { b'f' }),
            Cell::Text(text) => put_text(&mut self.text, text),
            Cell::Time(time_ms) => self.text.extend_from_slice(timestamp(time_ms).as_bytes()),
        }
    }
}

impl<'a> Cell<'a> {
    /// A text, or none.
    pub(super) fn text(text: Option<&'a str>) -> Self {
        text.map_or(Self::Null, Self::Text)
    }

    /// A number, or none.
    pub(super) fn int(number: Option<i64>) -> Self {
        number.map_or(Self::Null, Self::Int)
    }

    /// A size, which in tests is far from the end of `bigint`.
    pub(super) fn size(bytes: u64) -> Self {
        Self::Int(i64::try_from(bytes).unwrap_or(i64::MAX))
    }
}

fn put_number(text: &mut Vec<u8>, number: i64) {
    // A vector takes everything.
    let _infallible = write!(text, "{number}");
}

/// Escapes what `copy` takes for the end of a cell, of a row, or for an escape.
fn put_text(text: &mut Vec<u8>, cell: &str) {
    if !cell
        .bytes()
        .any(|byte| matches!(byte, b'\\' | b'\t' | b'\n' | b'\r'))
    {
        text.extend_from_slice(cell.as_bytes());
        return;
    }
    for byte in cell.bytes() {
        match byte {
            b'\\' => text.extend_from_slice(b"\\\\"),
            b'\t' => text.extend_from_slice(b"\\t"),
            b'\n' => text.extend_from_slice(b"\\n"),
            b'\r' => text.extend_from_slice(b"\\r"),
            other => text.push(other),
        }
    }
}

/// Writes a time as PostgreSQL reads it.
///
/// Counts days from 0000-03-01, so that the leap day is the last of a year, in eras of 400 years.
fn timestamp(time_ms: i64) -> String {
    let (days, ms) = (
        time_ms.div_euclid(86_400_000),
        time_ms.rem_euclid(86_400_000),
    );
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = era * 400 + year + next_year;
    let (hours, minutes) = (ms / 3_600_000, ms / 60_000 % 60);
    let (seconds, ms) = (ms / 1_000 % 60, ms % 1_000);
    format!("{year:04}-{month:02}-{day:02} {hours:02}:{minutes:02}:{seconds:02}.{ms:03}")
}

#[cfg(test)]
mod tests {
    use super::{Cell, Table, timestamp};

    #[test]
    fn writes_rows_as_copy_reads_them() {
        let mut table = Table {
            name: "thing",
            columns: "a,b,c,d",
            next_id: 5,
            rows: 0,
            text: Vec::new(),
        };
        let cells = [
            Cell::Null,
            Cell::Text("a\tb\\"),
            Cell::Bool(true),
            Cell::int(Some(-1)),
        ];
        assert_eq!(table.add(&cells), 5);
        assert_eq!(table.add(&[Cell::text(None); 4]), 6);
        let text = String::from_utf8(table.text).unwrap();
        assert_eq!(text, "5\t\\N\ta\\tb\\\\\tt\t-1\n6\t\\N\t\\N\t\\N\t\\N\n");
        assert_eq!(table.rows, 2);
    }

    #[test]
    fn writes_times() {
        assert_eq!(timestamp(0), "1970-01-01 00:00:00.000");
        assert_eq!(timestamp(1_767_225_600_000), "2026-01-01 00:00:00.000");
        assert_eq!(timestamp(1_709_251_199_999), "2024-02-29 23:59:59.999");
        assert_eq!(timestamp(-1), "1969-12-31 23:59:59.999");
    }
}
