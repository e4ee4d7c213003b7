//! The two sets of migrations and the files they consist of.
use std::fmt;
use std::str::FromStr;

use sqlx::migrate::{Migration, Migrator};

use super::MigrateError;

static REGISTRY: Migrator = sqlx::migrate!("../../migrations/postgres/registry");
static QUAYHAND: Migrator = sqlx::migrate!("../../migrations/postgres/quayhand");

/// A set of migrations that is numbered and noted by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Set {
    /// The tables of a registry, as Quay has them; never where Quay's own migrations are.
    Registry,
    /// Our own tables, all named `quayhand_*`.
    Quayhand,
}

impl Set {
    /// Both sets, in the order in which they are applied.
    pub const ALL: [Self; 2] = [Self::Registry, Self::Quayhand];

    /// Returns the name: the folder of its files and the value of `--set`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Quayhand => "quayhand",
        }
    }

    /// Returns the table that notes what of this set was applied.
    #[must_use]
    pub fn table(self) -> &'static str {
        match self {
            Self::Registry => "quayhand_registry_migrations",
            Self::Quayhand => "quayhand_migrations",
        }
    }

    /// Lists the files that build something, by ascending number.
    pub(super) fn ups(self) -> impl DoubleEndedIterator<Item = &'static Migration> {
        let all = self.migrator().migrations.iter();
        all.filter(|migration| migration.migration_type.is_up_migration())
    }

    /// Finds the file that builds, by its number.
    pub(super) fn up(self, version: i64) -> Option<&'static Migration> {
        self.ups().find(|migration| migration.version == version)
    }

    /// Finds the file that takes back, by its number.
    pub(super) fn down(self, version: i64) -> Option<&'static Migration> {
        let mut all = self.migrator().migrations.iter();
        all.find(|file| file.migration_type.is_down_migration() && file.version == version)
    }

    fn migrator(self) -> &'static Migrator {
        match self {
            Self::Registry => &REGISTRY,
            Self::Quayhand => &QUAYHAND,
        }
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Set {
    type Err = MigrateError;

    fn from_str(name: &str) -> Result<Self, MigrateError> {
        let found = Self::ALL.into_iter().find(|set| set.name() == name);
        found.ok_or_else(|| MigrateError::UnknownSet {
            name: name.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_migration_can_be_taken_back_and_runs_in_a_transaction() {
        for set in Set::ALL {
            assert!(set.ups().count() > 0, "{set} has files");
            for (expected, up) in (1..).zip(set.ups()) {
                assert_eq!(up.version, expected, "{set} is numbered without gaps");
                let down = set.down(up.version).expect("a down file");
                assert_eq!(down.description, up.description, "the files of one step");
                assert!(!up.no_tx && !down.no_tx, "{set} {expected} opts out");
            }
        }
    }

    #[test]
    fn our_own_set_names_no_table_of_quay() {
        for migration in QUAYHAND.iter() {
            let lines = migration.sql.as_str().lines();
            let statements = lines.filter(|line| !line.trim_start().starts_with("--"));
            let sql = statements.collect::<Vec<_>>().join(" ");
            for made in ["create table ", "drop table ", "alter table ", " on "] {
                for (at, _) in sql.match_indices(made) {
                    let name = &sql[at + made.len()..];
                    assert!(name.starts_with("quayhand_"), "{made}{name:.30}");
                }
            }
            assert!(
                !sql.contains("references"),
                "no foreign key leads out of our tables"
            );
        }
    }

    #[test]
    fn a_set_is_found_by_its_name_alone() {
        assert_eq!("registry".parse::<Set>().ok(), Some(Set::Registry));
        let error = "quay".parse::<Set>().expect_err("no such set").to_string();
        assert_eq!(
            error,
            "no set of migrations is called `quay`: there are `registry` and `quayhand`"
        );
    }
}
