//! Tab-separated files whose fields may be escaped as nothing else than they are.

use std::{path::Path, process::Command};

use crate::{TestkitError, error::io_error, program};

/// One line of a file, with what an error message needs to point at it.
#[derive(Debug)]
pub(super) struct Line {
    fields: Vec<String>,
    place: String,
}

impl Line {
    /// Returns a field, counted from 0.
    pub(super) fn text(&self, index: usize) -> Result<String, TestkitError> {
        let field = self.fields.get(index).cloned();
        field.ok_or_else(|| self.unusable(index, "is missing"))
    }

    /// Returns a field as a number.
    pub(super) fn number(&self, index: usize) -> Result<i64, TestkitError> {
        let number = self.text(index)?.parse();
        number.map_err(|_| self.unusable(index, "is no whole number"))
    }

    /// Returns a field as a truth value, `True` or `False`.
    pub(super) fn flag(&self, index: usize) -> Result<bool, TestkitError> {
        match self.text(index)?.as_str() {
            "True" => Ok(true),
            "False" => Ok(false),
            _ => Err(self.unusable(index, "is neither True nor False")),
        }
    }

    fn unusable(&self, index: usize, reason: &str) -> TestkitError {
        TestkitError::BadInput {
            what: self.place.clone(),
            reason: format!("field {index} {reason}"),
        }
    }
}

/// Reads all lines of a file; `.gz` is unpacked by `gzip`.
///
/// # Errors
/// When the file cannot be read or unpacked.
pub(super) fn read(file: &Path) -> Result<Vec<Line>, TestkitError> {
    let is_packed = file.extension().is_some_and(|extension| extension == "gz");
    let text = if is_packed {
        unpack(file)?
    } else {
        std::fs::read_to_string(file).map_err(io_error("read", file))?
    };
    let lines = text.lines().enumerate();
    Ok(lines
        .map(|(index, line)| Line {
            fields: line.split('\t').map(str::to_owned).collect(),
            place: format!("{} line {}", file.display(), index + 1),
        })
        .collect())
}

/// Unpacks a text file.
fn unpack(file: &Path) -> Result<String, TestkitError> {
    let gzip = program::find("gzip", "gzip")?;
    let output = Command::new(gzip)
        .args(["--decompress", "--stdout"])
        .arg(file)
        .output()
        .map_err(io_error("unpack", file))?;
    if !output.status.success() {
        return Err(TestkitError::ProgramFailed {
            program: "gzip",
            action: format!("unpack `{}`", file.display()),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        });
    }
    String::from_utf8(output.stdout).map_err(|error| TestkitError::BadInput {
        what: file.display().to_string(),
        reason: error.to_string(),
    })
}
