//! Size totals of repositories and namespaces that lose a manifest.
use super::{
    Rule, State,
    state::{Table, Total},
};

impl State {
    /// Brings totals up to date when a manifest with these blobs has just left a repository.
    pub(super) fn settle_totals(&mut self, repository: i64, blobs: &[i64]) {
        let owner = self.repositories[&repository].owner;
        if self.mode.subtracts {
            self.subtract(repository, owner, blobs);
        } else if self.mode.resets {
            let any = !self.mode.has(Rule::TotalsAreBegun);
            reset(&mut self.repository_totals, Some(repository), any);
            reset(&mut self.namespace_totals, owner, any);
        }
    }

    fn subtract(&mut self, repository: i64, owner: Option<i64>, blobs: &[i64]) {
        let Some(namespace) = owner else { return };
        let user = &self.users[&namespace];
        if !user.enabled || user.robot {
            return;
        }
        for blob in blobs {
            let bytes = self
                .blobs
                .get(blob)
                .and_then(|blob| blob.bytes)
                .unwrap_or(0);
            let any = !self.mode.has(Rule::TotalsAreBegun);
            let shared = self.mode.has(Rule::NamespacesShareBlobs);
            if !self.namespace_has(namespace, *blob) || !shared {
                subtract(&mut self.namespace_totals, namespace, bytes, any);
            }
            if !self.repository_has(repository, *blob) {
                subtract(&mut self.repository_totals, repository, bytes, any);
            }
        }
    }

    fn namespace_has(&self, namespace: i64, blob: i64) -> bool {
        let mut repositories = self.repositories.iter();
        repositories.any(|(id, one)| one.owner == Some(namespace) && self.repository_has(*id, blob))
    }

    fn repository_has(&self, repository: i64, blob: i64) -> bool {
        self.manifest_blobs
            .values()
            .any(|edge| edge.to == blob && self.manifests[&edge.from].repository == repository)
    }
}

fn reset(totals: &mut Table<Total>, of: Option<i64>, any: bool) {
    for total in totals.values_mut() {
        if Some(total.of) == of && (total.started_ms.is_some() || any) {
            total.bytes = 0;
            total.started_ms = None;
            total.complete = false;
        }
    }
}

fn subtract(totals: &mut Table<Total>, of: i64, bytes: i64, any: bool) {
    for total in totals.values_mut() {
        if total.of == of && (total.complete || any) {
            total.bytes -= bytes;
        }
    }
}
