//! Jobs on real servers.
#![expect(clippy::print_stdout, reason = "tests print what they measured")]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by ending"
)]

mod expired_tokens;
mod fairness;
mod handing;
mod leak_sweep;
mod pace;
mod permission_recompute;
mod races;
mod scene;
mod upload_cleanup;
