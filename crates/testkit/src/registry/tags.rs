//! Tags: alive, ended within their window, and past it.

use std::collections::HashSet;

use super::{
    builder::{Builder, DAY_MS, HOUR_MS, Repository},
    manifests::Manifest,
    rows::Cell::{self, Bool, Int, Null, Text, Time},
};

/// How far every time that matters lies from the moment at which it would mean something else.
const MARGIN_MS: i64 = HOUR_MS;

/// When a tag ended or will end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Longer ago than the window.
    Garbage,
    /// Within the window.
    Dead,
    /// Not yet.
    Alive,
}

/// The tags of one repository while they are made.
#[derive(Debug, Default)]
struct Tags {
    /// How many rows there are.
    count: u32,
    /// All ends, each once: a name may have an end only once.
    ends_ms: HashSet<i64>,
    has_latest: bool,
    /// Names with pull statistics.
    counted_names: HashSet<String>,
}

impl Builder {
    /// Fills a repository with exactly `count` tags and the manifests behind them.
    pub(super) fn make_tags(&mut self, repository: &mut Repository, count: u32) {
        let mut tags = Tags::default();
        let mut last: Option<Manifest> = None;
        while tags.count < count {
            let fate = self.throw_fate(repository);
            let shared = last.take();
            let shared = shared.filter(|_| self.random.chance(self.spec.shared_manifest_fraction));
            let (manifest, is_new) = match shared {
                Some(manifest) => (manifest, false),
                None => (self.push(repository), true),
            };
            self.make_visible_tag(repository, &mut tags, &manifest, fate);
            let can_have_referrer = is_new && manifest.is_image && tags.count < count;
            if can_have_referrer && self.random.chance(self.spec.referrer_fraction) {
                let referrer = self.push_referrer(repository, &manifest);
                self.make_referrer_tag(repository, &mut tags, &manifest, &referrer, fate);
            }
            last = Some(manifest);
        }
    }

    fn throw_fate(&mut self, repository: &Repository) -> Fate {
        let (garbage, dead) = (self.spec.garbage_fraction, self.spec.dead_fraction);
        if self.random.chance(garbage) {
            Fate::Garbage
        } else if garbage < 1.0 && self.random.chance(dead / (1.0 - garbage)) {
            // A window of zero has no room for tags that can be restored.
            if repository.window_ms > 2 * MARGIN_MS {
                Fate::Dead
            } else {
                Fate::Alive
            }
        } else {
            Fate::Alive
        }
    }

    /// Tags a manifest: `latest` now and then, at most one of them alive, else with a version.
    fn make_visible_tag(
        &mut self,
        repository: &Repository,
        tags: &mut Tags,
        manifest: &Manifest,
        fate: Fate,
    ) {
        let may_be_latest = fate != Fate::Alive || !tags.has_latest;
        let name = if may_be_latest && self.random.chance(0.25) {
            tags.has_latest |= fate == Fate::Alive;
            "latest".to_owned()
        } else {
            format!("v{}.{}", tags.count / 10, tags.count % 10)
        };
        self.make_tag(repository, tags, manifest, fate, &name, false);
        if self.random.chance(self.spec.annotated_fraction / 2.0) {
            self.count_pulls(repository, tags, manifest, &name);
        }
    }

    /// Tags a signature as its kind is tagged: hidden and for ever next to a tag that lives, by its
    /// subject's digest else.
    fn make_referrer_tag(
        &mut self,
        repository: &Repository,
        tags: &mut Tags,
        subject: &Manifest,
        referrer: &Manifest,
        fate: Fate,
    ) {
        let is_hidden = fate == Fate::Alive;
        let name = if is_hidden {
            format!("$temp-{}", self.random.uuid())
        } else {
            format!("{}.sig", subject.digest.replace(':', "-"))
        };
        self.make_tag(repository, tags, referrer, fate, &name, is_hidden);
    }

    fn make_tag(
        &mut self,
        repository: &Repository,
        tags: &mut Tags,
        manifest: &Manifest,
        fate: Fate,
        name: &str,
        is_hidden: bool,
    ) {
        let end_ms = if is_hidden {
            None
        } else {
            self.throw_end(repository, tags, fate)
        };
        let age = i64::try_from(self.random.within(1..=100)).unwrap_or(1) * DAY_MS;
        let start_ms = end_ms.unwrap_or(self.now_ms).min(self.now_ms - HOUR_MS) - age;
        let is_immutable =
            fate == Fate::Alive && !is_hidden && self.random.chance(self.spec.immutable_fraction);
        self.tables.tag.add(&[
            Text(name),
            Int(repository.id),
            Int(manifest.id),
            Int(start_ms),
            Cell::int(end_ms),
            Bool(is_hidden),
            Bool(false),
            Int(self.enums.tag),
            Null,
            Bool(is_immutable),
        ]);
        tags.count += 1;
        self.counts.tags += 1;
        match fate {
            Fate::Garbage => self.counts.garbage_tags += 1,
            Fate::Dead => self.counts.dead_tags += 1,
            Fate::Alive => {}
        }
    }

    /// Throws when a tag ends, at a time at which no other tag of the repository does.
    fn throw_end(&mut self, repository: &Repository, tags: &mut Tags, fate: Fate) -> Option<i64> {
        let window_began_ms = self.now_ms - repository.window_ms;
        let range_ms = match fate {
            Fate::Garbage => window_began_ms - 60 * DAY_MS..=window_began_ms - 2 * MARGIN_MS,
            Fate::Dead => window_began_ms + MARGIN_MS..=self.now_ms - MARGIN_MS / 2,
            Fate::Alive if self.random.chance(0.03) => {
                self.now_ms + DAY_MS..=self.now_ms + 90 * DAY_MS
            }
            Fate::Alive => return None,
        };
        let width = u64::try_from(range_ms.end() - range_ms.start()).unwrap_or(0);
        let step = i64::try_from(self.random.within(0..=width)).unwrap_or(0);
        let mut end_ms = range_ms.start() + step;
        while !tags.ends_ms.insert(end_ms) {
            end_ms += 1;
        }
        Some(end_ms)
    }

    /// Counts pulls of a name, once.
    fn count_pulls(
        &mut self,
        repository: &Repository,
        tags: &mut Tags,
        manifest: &Manifest,
        name: &str,
    ) {
        if !tags.counted_names.insert(name.to_owned()) {
            return;
        }
        let pulls = self.random.within(1..=5_000);
        self.tables.tagpullstatistics.add(&[
            Int(repository.id),
            Text(name),
            Cell::size(pulls),
            Time(self.now_ms - DAY_MS),
            Text(&manifest.digest),
        ]);
    }
}
