//! Death at every step, and long use: the shipped program, killed again and again.
//!
//! - `barrier.rs`: holds the program at a statement; `program.rs`: runs and kills it
//! - `place.rs`: a registry and its storage, and what must be true of them
//! - `death/`: `kill -9` at every step of every job; then everything is as if nothing had happened
//! - `soak/`: pushers and pullers against two daemons that collect all the time
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by ending"
)]
#![expect(clippy::print_stdout, reason = "tests print the figures they saw")]

mod barrier;
mod death;
mod place;
mod program;
mod soak;
