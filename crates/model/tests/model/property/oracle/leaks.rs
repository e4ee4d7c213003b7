//! What nothing leads to: manifests, blobs and labels that no tag held any more when a run
//! came by.
use super::{State, manifests::Context};

impl State {
    /// Collects everything that nothing holds, again and again until nothing changes. Manifests
    /// of a disabled owner and of a repository that is marked for deletion stay.
    pub(super) fn sweep_leaks(&mut self) {
        let context = Context {
            manifests: self.manifests_looked_at(),
            labels: self.labels.clone(),
            blobs: self.blobs.keys().copied().collect(),
        };
        self.run(context);
    }

    fn manifests_looked_at(&self) -> std::collections::BTreeSet<i64> {
        let collected = |repository| self.owner_of_collected(repository).is_some();
        let manifests = self.manifests.iter();
        let mine = manifests.filter(|(_, manifest)| collected(manifest.repository));
        mine.map(|(id, _)| *id).collect()
    }
}
