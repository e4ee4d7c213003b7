//! The registry's tables and the functions over them: the only crate that holds SQL.
//!
//! Modules are named as the domain names them. Every function takes a [`Conn`], which only
//! the guard in [`db`] hands out.
pub mod census;
pub mod clock;
pub mod db;
pub mod drift;
pub mod gc;
pub mod migrate;
pub mod outbox;
pub mod pause;
pub mod permission;
pub mod pressure;
pub mod purge;
pub mod removed;
pub mod repository;
pub mod schedule;
pub mod sighting;
pub mod team;
pub mod token;
pub mod tombstone;
pub mod upload;
pub mod user;
pub mod verify;

pub use db::{Conn, Db, DbConfig, DbError, configure};
