//! Purging what an owner deleted: repositories that are marked for deletion (Quay's state 3)
//! and namespaces with a marker in `deletednamespace`.
//!
//! A purge is many short transactions, each of which looks at the mark again under a lock,
//! and goes by id, never by a name: a name may have a new owner already. The mark itself
//! goes in the last transaction, together with the row it is about, so that a purge which
//! was broken off is always found again.
//!
//! - `repository.rs`: finding marked repositories, their last transaction
//! - `repository_rows.rs`: the tables that hang on a repository
//! - `due.rs`: when a deleted namespace may be purged
//! - `namespace.rs`: preparing one, its last transaction
//! - `namespace_rows.rs`: the tables that hang on a user
//! - `robot.rs`: which robots belong to a deleted namespace
//! - `preview.rs`: what a purge would delete
mod due;
mod namespace;
mod namespace_rows;
mod preview;
mod repository;
mod repository_rows;
mod robot;
mod rows;

pub use due::{DeletedNamespace, due_namespaces};
pub use namespace::{NamespaceState, finish_namespace, prepare_namespace};
pub use namespace_rows::drop_namespace_rows;
pub use preview::{Loss, preview_namespaces, preview_repositories};
pub use repository::{MarkedRepository, finish_repository, marked_repositories};
pub use repository_rows::drop_repository_rows;
pub use robot::drop_robots;

/// Says how an attempt to delete the last row of a purge ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The row and its marker are gone.
    Purged,
    /// There was nothing to do: no such row, or it is not marked.
    NotMarked,
    /// Another transaction holds the row; nothing was changed.
    Busy,
    /// Rows are left that have to go first, by their table.
    Left(Vec<String>),
}
