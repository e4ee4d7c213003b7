//! The daemon and the CLI.
pub mod cli;
pub mod config;
#[cfg(feature = "demo")]
mod demo;
pub mod exit;
pub mod supervisor;
