//! What expires: tags past recovery and uploads past their time.
use super::{
    NOW_TEXT, Rule, State,
    manifests::Context,
    state::{Tag, User},
};
use crate::property::registry::{LONGEST_WINDOW_S, NOW_MS};

impl State {
    /// Collects the garbage of every repository that may be collected.
    pub(super) fn expire(&mut self) {
        let ids: Vec<_> = self.repositories.keys().copied().collect();
        for repository in ids {
            if let Some(owner) = self.owner_of_collected(repository) {
                self.collect_repository(repository, &owner);
            }
        }
    }

    /// Returns the owner of a repository that is collected: one that is not marked for
    /// deletion, of an owner who is not disabled.
    pub(super) fn owner_of_collected(&self, repository: i64) -> Option<User> {
        let repository = &self.repositories[&repository];
        let owner = self.users.get(&repository.owner?)?;
        let enabled = owner.enabled || !self.mode.has(Rule::DisabledOwnersKeep);
        (repository.state != 3 && enabled).then(|| owner.clone())
    }

    fn collect_repository(&mut self, repository: i64, owner: &User) {
        let mut context = Context::default();
        while let Some(tag) = self.next_garbage(repository, owner) {
            context.manifests.extend(self.tags[&tag].manifest);
            self.delete_tag(tag);
        }
        while let Some(upload) = self.next_expired_upload(repository) {
            context
                .blobs
                .extend(self.uploads.remove(&upload).map(|upload| upload.blob));
        }
        self.run(context);
    }

    fn next_garbage(&self, repository: i64, owner: &User) -> Option<i64> {
        let garbage = |(id, tag): &(&i64, &Tag)| {
            tag.repository == repository
                && self.is_past_recovery(tag, owner)
                && !self.is_spared(**id, tag)
        };
        self.tags.iter().find(garbage).map(|(id, _)| *id)
    }

    fn is_past_recovery(&self, tag: &Tag, owner: &User) -> bool {
        let Some(end_ms) = tag.end_ms else {
            return false;
        };
        let is_absurd = !(0..=LONGEST_WINDOW_S).contains(&owner.window_s);
        let window_s = if !self.mode.has(Rule::WindowsAreWaitedFor) {
            0
        } else if is_absurd && self.mode.has(Rule::AbsurdWindowsKeep) {
            LONGEST_WINDOW_S
        } else {
            owner.window_s
        };
        let age_ms = i128::from(NOW_MS) - i128::from(end_ms);
        let window_ms = i128::from(window_s) * 1000;
        if self.mode.has(Rule::TheBoundaryIsPast) {
            age_ms >= window_ms
        } else {
            age_ms > window_ms
        }
    }

    fn is_spared(&self, id: i64, tag: &Tag) -> bool {
        let immutable =
            tag.immutable && self.mode.immutable_stays && self.mode.has(Rule::ImmutableTagsStay);
        let linked = self
            .tags
            .iter()
            .any(|(other, tag)| *other != id && tag.linked == Some(id));
        immutable || linked && self.mode.has(Rule::LinkedTagsStay)
    }

    /// Deletes a tag, its notes, and the statistics of its name, whosever they are by now.
    pub(super) fn delete_tag(&mut self, id: i64) {
        let tag = self.tags.remove(&id).unwrap();
        self.notes.retain(|_, of| *of != id);
        let lives_on = self.tags.values().any(|other| {
            other.repository == tag.repository && other.name == tag.name && other.end_ms.is_none()
        });
        if self.mode.has(Rule::StatisticsGoByName) || !lives_on {
            self.tag_pulls
                .retain(|_, of| *of != (tag.repository, tag.name.clone()));
        }
    }

    fn next_expired_upload(&self, repository: i64) -> Option<i64> {
        let now = self.mode.has(Rule::UploadsExpireNow);
        let found = self.uploads.iter().find(|(_, upload)| {
            // Times in one form are in the order of their texts, infinite ones too.
            let expired = upload.expires_at.as_str() < NOW_TEXT
                || now && upload.expires_at.as_str() == NOW_TEXT;
            upload.repository == repository && expired
        });
        found.map(|(id, _)| *id)
    }
}
