//! What lost its last tag: manifests, and the labels and blobs below them.
use std::collections::BTreeSet;

use super::{Rule, State};

/// What a run has come by.
#[derive(Default)]
pub(super) struct Context {
    pub(super) manifests: BTreeSet<i64>,
    pub(super) labels: BTreeSet<i64>,
    pub(super) blobs: BTreeSet<i64>,
}

impl State {
    /// Collects what the context holds and nothing uses, until a pass changes nothing.
    pub(super) fn run(&mut self, mut context: Context) {
        self.discover(&mut context);
        context
            .manifests
            .retain(|id| self.manifests.contains_key(id));
        loop {
            let before = (
                context.manifests.len(),
                context.blobs.len(),
                self.labels.len(),
            );
            for manifest in context.manifests.clone() {
                if !self.is_used(manifest) {
                    self.delete_manifest(manifest);
                    context.manifests.remove(&manifest);
                }
            }
            self.collect_labels(&context.labels);
            self.collect_blobs(&mut context.blobs);
            if before
                == (
                    context.manifests.len(),
                    context.blobs.len(),
                    self.labels.len(),
                )
            {
                return;
            }
        }
    }

    /// Adds what lists contain, and the labels and blobs of all of it.
    fn discover(&self, context: &mut Context) {
        loop {
            let found: Vec<_> = self
                .children
                .values()
                .filter(|edge| context.manifests.contains(&edge.from))
                .map(|edge| edge.to)
                .filter(|child| !context.manifests.contains(child))
                .collect();
            if found.is_empty() {
                break;
            }
            context.manifests.extend(found);
        }
        for edge in self.manifest_labels.values() {
            if context.manifests.contains(&edge.from) {
                context.labels.insert(edge.to);
            }
        }
        for edge in self.manifest_blobs.values() {
            if context.manifests.contains(&edge.from) {
                context.blobs.insert(edge.to);
            }
        }
    }

    fn is_used(&self, id: i64) -> bool {
        let manifest = &self.manifests[&id];
        let tagged = self.tags.values().any(|tag| {
            let protects = tag.end_ms.is_none() || self.mode.has(Rule::DeadTagsProtect);
            tag.manifest == Some(id) && protects
        });
        let listed = self.children.values().any(|edge| edge.to == id);
        let named = self.manifests.values().any(|referrer| {
            let home = referrer.repository == manifest.repository
                || !self.mode.has(Rule::ReferrersHoldAtHome);
            home && referrer.subject.as_ref() == Some(&manifest.digest)
        });
        tagged
            || listed && self.mode.has(Rule::ListsHold)
            || named && self.mode.has(Rule::ReferrersHold)
    }

    /// Deletes a manifest with all that hangs on it, and brings the totals up to date.
    pub(super) fn delete_manifest(&mut self, id: i64) {
        self.manifest_labels.retain(|_, edge| edge.from != id);
        self.children.retain(|_, edge| edge.from != id);
        let blobs = self.manifest_blobs.values().filter(|edge| edge.from == id);
        let blobs: Vec<_> = blobs.map(|edge| edge.to).collect();
        self.manifest_blobs.retain(|_, edge| edge.from != id);
        let repository = self.manifests[&id].repository;
        self.settle_totals(repository, &blobs);
        self.scans.retain(|_, of| *of != id);
        let manifest = self.manifests.remove(&id).unwrap();
        let of = (repository, manifest.digest);
        self.manifest_pulls.retain(|_, pulled| *pulled != of);
    }

    fn collect_labels(&mut self, candidates: &BTreeSet<i64>) {
        for label in candidates {
            let used = self.manifest_labels.values().any(|edge| edge.to == *label);
            if !used || !self.mode.has(Rule::LabelsAreShared) {
                self.labels.remove(label);
            }
        }
    }
}
