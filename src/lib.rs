//! The daemon and the CLI.
