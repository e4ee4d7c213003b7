//! The rules of collection, read slowly: plain rows in plain maps, one repository, one tag,
//! one manifest at a time, again and again until nothing changes. Nothing here is clever, and
//! nothing of it is the collector's.
//!
//! Where the collector differs from Quay on purpose (`docs/differences.md`), so does this,
//! and says so:
//!
//! - what expires together is collected together, whatever Quay's order and its chunks of ten;
//! - a repository with an expired upload and no expired tag is visited too;
//! - a window that nobody can have meant, a negative one, counts as 285 years;
//! - a tag that one which stays is linked to stays; Quay's run ends there;
//! - nothing inside a deleted repository keeps anything else of it;
//! - every object that lost a row gets a tombstone; what becomes of it is decided later.
mod blobs;
mod expiry;
mod leaks;
mod manifests;
mod purge;
mod read;
mod rule;
mod state;
mod totals;

pub(super) use rule::{Mode, Rule};
pub(super) use state::State;

use super::plan::Stage;

/// The time of a run, as it is and as a row's JSON text has it.
pub(super) const NOW_TEXT: &str = "2001-09-09T01:46:40.001";

impl State {
    /// Does to the rows what a stage should do to the database.
    pub(super) fn pass(&mut self, stage: Stage) {
        match stage {
            Stage::Expiry => self.expire(),
            Stage::Repositories => self.purge_repositories(),
            Stage::Namespaces => self.purge_namespaces(),
            Stage::Leaks => self.sweep_leaks(),
            // What is left does not depend on the order.
            Stage::Together => {
                self.expire();
                self.purge_repositories();
                self.purge_namespaces();
            }
        }
    }
}
