//! The systemd units, as systemd itself reads them.
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// Score times ten that the daemon's unit may have at most.
const THRESHOLD: &str = "15";

const UNITS: [&str; 2] = ["quayhand.service", "quayhand-migrate.service"];

fn units() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd")
}

/// Copies the units with the path of the built program, as a package would install them.
fn installed() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in UNITS {
        let unit = install(&units().join(name), &folder.path().join(name));
        assert!(
            unit.contains("/usr/bin/quayhand "),
            "{name} names the program"
        );
    }
    folder
}

/// Copies one file, with the path of the built program; returns it as it was.
fn install(from: &Path, to: &Path) -> String {
    let unit = fs::read_to_string(from).unwrap();
    let built = unit.replace("/usr/bin/quayhand", env!("CARGO_BIN_EXE_quayhand"));
    fs::write(to, built).unwrap();
    unit
}

/// Runs `systemd-analyze`; `None` when it is not installed.
fn analyze(arguments: &[&str], file: &Path) -> Option<(bool, String)> {
    let output = match Command::new("systemd-analyze")
        .args(arguments)
        .arg(file)
        .output()
    {
        Ok(output) => output,
        Err(error) => {
            println!("SKIPPED: systemd-analyze cannot be run: {error}");
            return None;
        }
    };
    let text = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8(text).unwrap()))
}

#[test]
fn systemd_accepts_the_units() {
    let folder = installed();
    for name in UNITS {
        let Some((accepted, said)) = analyze(&["verify", "--man=no"], &folder.path().join(name))
        else {
            return;
        };
        let about_us: Vec<_> = said
            .lines()
            .filter(|line| line.contains("quayhand"))
            .collect();
        assert!(accepted && about_us.is_empty(), "{name}: {said}");
    }
}

#[test]
fn the_units_are_hardened() {
    let folder = installed();
    for name in UNITS {
        let threshold = format!("--threshold={THRESHOLD}");
        let arguments = ["security", "--offline=yes", "--no-pager", &threshold];
        let Some((accepted, said)) = analyze(&arguments, &folder.path().join(name)) else {
            return;
        };
        println!("{name}: {}", said.lines().last().unwrap_or_default().trim());
        assert!(accepted, "{said}");
    }
}

#[test]
fn every_drop_in_and_the_user_are_accepted() {
    let folder = installed();
    let target = folder.path().join("quayhand.service.d");
    fs::create_dir(&target).unwrap();
    for entry in fs::read_dir(units().join("quayhand.service.d")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let name = name.strip_suffix(".example").unwrap_or(&name).to_owned();
        install(&entry.path(), &target.join(name));
    }
    let Some((accepted, said)) = analyze(
        &["verify", "--man=no"],
        &folder.path().join("quayhand.service"),
    ) else {
        return;
    };
    let about_us: Vec<_> = said
        .lines()
        .filter(|line| line.contains("quayhand"))
        .collect();
    assert!(accepted && about_us.is_empty(), "{said}");
    let sysusers = fs::read_to_string(units().join("quayhand.sysusers")).unwrap();
    let unit = fs::read_to_string(units().join("quayhand.service")).unwrap();
    assert!(unit.contains("\nUser=quayhand\n") && sysusers.contains("\nu quayhand "));
}
