//! One row that differs from the grants, and the count of many.
use std::ops::AddAssign;

use super::{NamespaceRole, Role};

/// One row that differs from the grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Whose role it is.
    pub user_id: i64,
    /// Where it holds.
    pub place: Place,
    pub(super) before: Option<i64>,
    pub(super) after: Option<i64>,
}

/// Says where a role holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// On a repository, by its id: a row of `quayhand_permission`.
    Repository(i64),
    /// In a namespace, by its id: a row of `quayhand_namespace_permission`.
    Namespace(i64),
}

/// Counts the rows that were written, of both tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows inserted.
    pub granted: u64,
    /// Rows whose role was changed.
    pub changed: u64,
    /// Rows deleted.
    pub revoked: u64,
}

impl Change {
    /// Returns the name of the role in the table; `None` when there is no row.
    #[must_use]
    pub fn before(&self) -> Option<&'static str> {
        self.place.role_name(self.before)
    }

    /// Returns the name of the role by the grants; `None` when there is none.
    #[must_use]
    pub fn after(&self) -> Option<&'static str> {
        self.place.role_name(self.after)
    }
}

impl Place {
    /// Returns the table that holds roles of this sort.
    #[must_use]
    pub fn table(&self) -> &'static str {
        match self {
            Self::Repository(_) => "quayhand_permission",
            Self::Namespace(_) => "quayhand_namespace_permission",
        }
    }

    pub(super) fn id(self) -> i64 {
        match self {
            Self::Repository(id) | Self::Namespace(id) => id,
        }
    }

    fn role_name(self, code: Option<i64>) -> Option<&'static str> {
        match self {
            Self::Repository(_) => code.and_then(Role::from_code).map(Role::as_str),
            Self::Namespace(_) => code
                .and_then(NamespaceRole::from_code)
                .map(NamespaceRole::as_str),
        }
    }
}

impl Written {
    /// Counts all rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.granted + self.changed + self.revoked
    }

    /// Counts the rows that some changes come to.
    #[must_use]
    pub fn of(changes: &[Change]) -> Self {
        let mut written = Self::default();
        for change in changes {
            match (change.before, change.after) {
                (None, _) => written.granted += 1,
                (_, None) => written.revoked += 1,
                _ => written.changed += 1,
            }
        }
        written
    }
}

impl AddAssign for Written {
    fn add_assign(&mut self, other: Self) {
        self.granted += other.granted;
        self.changed += other.changed;
        self.revoked += other.revoked;
    }
}
