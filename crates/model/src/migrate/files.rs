//! New migrations: files of the source tree, never of a running host.
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::{MigrateError, Set};

const FOLDER: &str = "migrations/postgres";

/// Finds the source checkout that a folder is in, going upwards. `None`: it is in none.
#[must_use]
pub fn find_checkout(from: &Path) -> Option<PathBuf> {
    let mut folders = from.ancestors();
    let found = folders.find(|folder| folder.join(FOLDER).is_dir());
    found.map(Path::to_path_buf)
}

/// Writes the two files of a new migration, numbered after the last one, and returns them: the one
/// that builds and the one that takes back. They hold a comment that asks for the text.
///
/// # Errors
///
/// [`MigrateError::Name`] for a name that is no lower-case identifier, [`MigrateError::NoCheckout`]
/// when `checkout` has no folder for the set, [`MigrateError::File`] when a file cannot be written
/// or is there already.
pub fn create(checkout: &Path, set: Set, name: &str) -> Result<[PathBuf; 2], MigrateError> {
    if !is_name(name) {
        return Err(MigrateError::Name {
            name: name.to_owned(),
        });
    }
    let folder = checkout.join(FOLDER).join(set.name());
    if !folder.is_dir() {
        return Err(MigrateError::NoCheckout {
            path: checkout.to_path_buf(),
            set,
        });
    }
    let number = last_number(&folder)? + 1;
    let up = folder.join(format!("{number:04}_{name}.up.sql"));
    let down = folder.join(format!("{number:04}_{name}.down.sql"));
    write_new(&up, "-- What this makes, and what for.\n")?;
    write_new(&down, "-- What goes with it.\n")?;
    Ok([up, down])
}

fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(allowed)
}

/// Returns the highest number of a file in a folder. 0: there is none.
fn last_number(folder: &Path) -> Result<u32, MigrateError> {
    let failed = |source| MigrateError::File {
        path: folder.to_path_buf(),
        source,
    };
    let mut last = 0;
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.split_once('_')?.0.parse().ok());
        last = last.max(number.unwrap_or(0));
    }
    Ok(last)
}

fn write_new(path: &Path, text: &str) -> Result<(), MigrateError> {
    let written = File::create_new(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|source| MigrateError::File {
        path: path.to_path_buf(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkout() -> tempfile::TempDir {
        let checkout = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(checkout.path().join(FOLDER).join("quayhand")).expect("folders");
        checkout
    }

    #[test]
    fn numbers_a_new_migration_after_the_last() {
        let checkout = checkout();
        let first = create(checkout.path(), Set::Quayhand, "outbox").expect("written");
        assert!(first[0].ends_with("migrations/postgres/quayhand/0001_outbox.up.sql"));
        assert!(first[1].ends_with("migrations/postgres/quayhand/0001_outbox.down.sql"));
        let second = create(checkout.path(), Set::Quayhand, "outbox").expect("written");
        assert!(
            second[0].ends_with("0002_outbox.up.sql"),
            "{}",
            second[0].display()
        );
        assert!(
            fs::read_to_string(&second[0])
                .expect("text")
                .starts_with("-- ")
        );
    }

    #[test]
    fn finds_the_checkout_from_a_folder_inside() {
        let checkout = checkout();
        let inside = checkout.path().join("crates/model");
        assert_eq!(find_checkout(&inside).as_deref(), Some(checkout.path()));
        assert_eq!(find_checkout(Path::new("/")), None);
    }

    #[test]
    fn refuses_a_bad_name_and_a_folder_that_is_no_checkout() {
        let checkout = checkout();
        for name in ["", "Outbox", "1st", "a-b", "../x", "a b"] {
            let refused = create(checkout.path(), Set::Quayhand, name);
            assert!(matches!(refused, Err(MigrateError::Name { .. })), "{name}");
        }
        let refused = create(checkout.path(), Set::Registry, "outbox");
        assert!(matches!(refused, Err(MigrateError::NoCheckout { .. })));
    }
}
