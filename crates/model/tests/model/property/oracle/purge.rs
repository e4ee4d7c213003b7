//! What goes with a repository that is marked for deletion: everything of it, whatever its
//! age, its immutability and what refers to it from inside. With a deleted namespace all its
//! repositories go, and what hangs on its row.
use super::{Rule, State, manifests::Context};

impl State {
    /// Purges every repository that is marked for deletion.
    pub(super) fn purge_repositories(&mut self) {
        let marked = self.repositories.iter().filter(|(_, one)| one.state == 3);
        let marked: Vec<_> = marked.map(|(id, _)| *id).collect();
        for repository in marked {
            self.purge_repository(repository);
        }
    }

    /// Purges every namespace that was deleted.
    pub(super) fn purge_namespaces(&mut self) {
        let markers = self
            .others
            .iter()
            .filter(|(key, _)| key.0 == "deletednamespace");
        for namespace in markers.filter_map(|(_, of)| of.user).collect::<Vec<_>>() {
            let repositories = self.repositories.iter();
            let mine = repositories.filter(|(_, one)| one.owner == Some(namespace));
            for repository in mine.map(|(id, _)| *id).collect::<Vec<_>>() {
                self.purge_repository(repository);
            }
            self.namespace_totals
                .retain(|_, total| total.of != namespace);
            self.others.retain(|_, of| of.user != Some(namespace));
            self.users.remove(&namespace);
        }
    }

    fn purge_repository(&mut self, id: i64) {
        let mut context = Context::default();
        let tags = self.tags.iter().filter(|(_, tag)| tag.repository == id);
        let tags: Vec<_> = tags.map(|(id, _)| *id).collect();
        for tag in tags {
            let keeps = !self.mode.has(Rule::PurgesTakeImmutable);
            if !(keeps && self.tags[&tag].immutable) {
                self.delete_tag(tag);
            }
        }
        let uploads = self
            .uploads
            .iter()
            .filter(|(_, upload)| upload.repository == id);
        context.blobs.extend(uploads.map(|(_, upload)| upload.blob));
        self.uploads.retain(|_, upload| upload.repository != id);
        let manifests = self
            .manifests
            .iter()
            .filter(|(_, one)| one.repository == id);
        for manifest in manifests.map(|(id, _)| *id).collect::<Vec<_>>() {
            let below = |edge: &&super::state::Edge| edge.from == manifest;
            let labels = self.manifest_labels.values().filter(below);
            context.labels.extend(labels.map(|edge| edge.to));
            let blobs = self.manifest_blobs.values().filter(below);
            context.blobs.extend(blobs.map(|edge| edge.to));
            self.children.retain(|_, edge| edge.to != manifest);
            self.delete_manifest(manifest);
        }
        self.run(context);
        self.repository_totals.retain(|_, total| total.of != id);
        self.tag_pulls.retain(|_, of| of.0 != id);
        self.manifest_pulls.retain(|_, of| of.0 != id);
        self.others.retain(|_, of| of.repository != Some(id));
        self.repositories.remove(&id);
    }
}
