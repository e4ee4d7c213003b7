//! Purging deleted repositories and namespaces: it always ends, costs nobody else a row, and
//! whoever writes meanwhile is neither waited for nor ended.
mod namespace;
pub(crate) mod place;
mod referrers;
mod repository;
mod robots;
