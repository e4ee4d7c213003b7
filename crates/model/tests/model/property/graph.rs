//! A random repository of a few manifests.
use std::collections::BTreeSet;

use proptest::{collection, option, prelude::*};

/// Where a tag is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Alive,
    EndsLater,
    Restorable,
    /// Past recovery, the boundary included.
    Garbage,
}

#[derive(Clone, Debug)]
pub(super) struct Tag {
    pub(super) manifest: Option<usize>,
    pub(super) life: Life,
    pub(super) immutable: bool,
    /// A tag before this one that this one is linked to.
    pub(super) linked: Option<usize>,
}

/// A repository, by places: the n-th manifest, tag, blob ...
#[derive(Clone, Debug)]
pub(super) struct Graph {
    /// The subject of each manifest: a manifest of the repository, itself included.
    pub(super) subjects: Vec<Option<usize>>,
    /// Lists and what they contain; cycles too.
    pub(super) children: BTreeSet<(usize, usize)>,
    pub(super) tags: Vec<Tag>,
    /// For each blob whether it has an object.
    pub(super) placed: Vec<bool>,
    /// Manifests and their blobs.
    pub(super) blobs: BTreeSet<(usize, usize)>,
    /// Uploads of blobs, and whether they are expired.
    pub(super) uploads: Vec<(usize, bool)>,
    /// Blobs that another repository has as well.
    pub(super) foreign: BTreeSet<usize>,
    /// Manifests and their labels.
    pub(super) labels: BTreeSet<(usize, usize)>,
}

/// Labels a graph has; all of them exist, used or not.
pub(super) const LABELS: usize = 3;

impl Graph {
    pub(super) fn any() -> impl Strategy<Value = Self> {
        (1..7_usize, 1..5_usize).prop_flat_map(|(manifests, blobs)| {
            let manifest = 0..manifests;
            let blob = 0..blobs;
            (
                collection::vec(option::weighted(0.3, manifest.clone()), manifests),
                collection::btree_set((manifest.clone(), manifest.clone()), 0..6),
                tags(manifests),
                collection::vec(prop::bool::weighted(0.8), blobs),
                collection::btree_set((manifest.clone(), blob.clone()), 0..10),
                collection::vec((blob.clone(), any::<bool>()), 0..4),
                collection::btree_set(blob, 0..2),
                collection::btree_set((manifest, 0..LABELS), 0..6),
            )
                .prop_map(
                    |(subjects, children, tags, placed, blobs, uploads, foreign, labels)| {
                        Self {
                            subjects,
                            children,
                            tags,
                            placed,
                            blobs,
                            uploads,
                            foreign,
                            labels,
                        }
                        .with_links_or_subjects()
                    },
                )
        })
    }

    /// Takes the subjects away where tags are linked.
    ///
    /// A tag that another one is linked to goes a pass later. If its manifest names a subject
    /// whose own tag went before, that one stays; with Quay too it depends on the order.
    fn with_links_or_subjects(mut self) -> Self {
        if self.tags.iter().any(|tag| tag.linked.is_some()) {
            self.subjects.fill(None);
        }
        self
    }
}

fn tags(manifests: usize) -> impl Strategy<Value = Vec<Tag>> {
    let life = prop_oneof![
        1 => Just(Life::Alive),
        1 => Just(Life::EndsLater),
        1 => Just(Life::Restorable),
        6 => Just(Life::Garbage),
    ];
    let tag = (
        option::weighted(0.95, 0..manifests),
        life,
        prop::bool::weighted(0.2),
        option::weighted(0.08, any::<prop::sample::Index>()),
    );
    collection::vec(tag, 0..9).prop_map(|tags| {
        let link = |(at, (manifest, life, immutable, linked)): (
            usize,
            (_, _, _, Option<prop::sample::Index>),
        )| Tag {
            manifest,
            life,
            immutable,
            linked: linked.map(|of| of.index(at + 1)),
        };
        tags.into_iter().enumerate().map(link).collect()
    })
}
