//! A wrong clock for one process.

use std::{fs, io, path::Path, process::Command};

use crate::{TestkitError, error::io_error};

/// The variable that tells a process how many seconds its clock is ahead.
const SHIFT_VARIABLE: &str = "CLOCK_SHIFT_S";

/// Builds what makes a process's time of day wrong by `shift_s` seconds, in a folder; returns the
/// environment that the process needs. Its steady clock stays right. Cost: one run of `cc`.
///
/// # Errors
/// When there is no C compiler, or the folder cannot be written.
pub fn wrong_clock(
    folder: &Path,
    shift_s: i64,
) -> Result<[(&'static str, String); 2], TestkitError> {
    let (source, library) = (folder.join("clock.c"), folder.join("clock.so"));
    fs::write(&source, include_str!("clock.c")).map_err(io_error("write", &source))?;
    compile(&source, &library).map_err(io_error("compile", &source))?;
    let library = library.display().to_string();
    Ok([
        ("LD_PRELOAD", library),
        (SHIFT_VARIABLE, shift_s.to_string()),
    ])
}

fn compile(source: &Path, library: &Path) -> io::Result<()> {
    let mut cc = Command::new("cc");
    let cc = cc.args(["-shared", "-fPIC", "-o"]).arg(library).arg(source);
    let output = cc.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(
        String::from_utf8_lossy(&output.stderr).into_owned(),
    ))
}
