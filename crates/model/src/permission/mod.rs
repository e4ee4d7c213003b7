//! Who may do what: roles computed from the registry's own grants, and the questions they
//! answer.
//!
//! Quay keeps grants to users and to teams; what a user may do is their union, and the
//! highest role wins. [`Plan`] computes that union into two tables of our own and writes
//! only what differs, [`effective`] and its neighbours read them:
//!
//! - `quayhand_permission`, a row a user and repository: the highest role granted to the
//!   user by name or through any team;
//! - `quayhand_namespace_permission`, a row a user and namespace: what holds in the whole
//!   namespace, because a row for each administrator and repository would be too many.
//!   Admin is the person who owns the namespace and whoever is in a team of the
//!   organization with the role `admin`; creator is whoever is in one with `creator`.
//!
//! What the tables hold is what was granted, and nothing that can change without a grant:
//!
//! - A disabled user keeps the rows and is refused on read, so that enabling needs no work.
//! - A robot has what it was granted itself, nothing from its owner, and owns nothing. An
//!   organization owns its namespace but never logs in: it has no row as an owner.
//! - A repository marked for deletion has no rows, and is refused on read meanwhile. The
//!   repositories of a deleted namespace go the same way: until they are marked, Quay's
//!   grants on them stand, and so do the rows.
//! - Public visibility, the other states and superusers (a matter of configuration) are
//!   applied on read.
mod access;
mod change;
mod difference;
mod lock;
mod plan;
mod scope;
mod visible;

use std::fmt;

pub use access::{Superuser, Viewer, can, can_push, effective, namespace_role};
pub use change::{Change, Place, Written};
pub use plan::{Batch, Plan, Position, Previewed};
pub use scope::Scope;
pub use visible::{Visible, visible_repositories};

/// What somebody may do with a repository; each role includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Pull and list.
    Read,
    /// Push.
    Write,
    /// Change settings and grants, delete.
    Admin,
}

/// What somebody may do in a whole namespace; each role includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NamespaceRole {
    /// Create repositories.
    Creator,
    /// Everything, with every repository.
    Admin,
}

impl Role {
    /// Reads the number in our table; one that is unknown grants nothing.
    fn from_code(code: i64) -> Option<Self> {
        match code {
            1 => Some(Self::Read),
            2 => Some(Self::Write),
            3 => Some(Self::Admin),
            _ => None,
        }
    }

    /// Returns Quay's name of the role.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

impl NamespaceRole {
    /// Reads the number in our table; one that is unknown grants nothing.
    fn from_code(code: i64) -> Option<Self> {
        match code {
            1 => Some(Self::Creator),
            3 => Some(Self::Admin),
            _ => None,
        }
    }

    /// Returns Quay's name of the role.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creator => "creator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for NamespaceRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
