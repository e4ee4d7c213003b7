//! A generator of registries: any size, the same for the same seed, loaded in seconds.
//!
//! - `mod.rs`: what is asked for ([`RegistrySpec`]) and what was made ([`RegistryCounts`])
//! - `load.rs`: generating into a database and a storage folder
//! - `builder.rs`: the state while generating; `namespaces.rs`, `repositories.rs`, `blobs.rs`,
//!   `manifests.rs` and `tags.rs` each fill their tables
//! - `rows.rs`: tables as text for `copy`; `enums.rs`: ids of names; `random.rs`: the dice
//!
//! What it makes is what a registry in use looks like: users and organizations, few large and many
//! small repositories, images on shared base layers, multi-architecture lists, signatures that name
//! a subject, tags that live, tags that may be restored and tags past that. Manifests and blobs have
//! true digests: a blob's file holds the bytes that its name is the digest of.

mod blobs;
mod builder;
mod enums;
mod load;
mod manifests;
mod namespaces;
mod random;
mod repositories;
mod rows;
mod tags;

use std::ops::RangeInclusive;

pub use load::load;

/// Says what registry to generate. Fractions lie between 0 and 1.
#[derive(Debug, Clone)]
pub struct RegistrySpec {
    /// Starts the dice: the same seed and spec give the same registry, but for the times.
    pub seed: u64,
    /// What every user name and every blob's content begins with; two registries in one database
    /// need different ones.
    pub prefix: String,
    /// How many users; at least 1.
    pub users: u32,
    /// How many organizations; each has an admin, a creator and a member team.
    pub organizations: u32,
    /// How many robots each user and organization has.
    pub robots_per_namespace: u32,
    /// How many repositories, dealt to users and organizations alike.
    pub repositories: u32,
    /// How many tag rows in all, alive or not; repositories get unequal shares.
    pub tags: u32,
    /// The share of tags that ended longer ago than their namespace's window: garbage.
    pub garbage_fraction: f64,
    /// The share of tags that ended within their namespace's window: they can be restored. In a
    /// namespace whose window is zero such tags are alive instead.
    pub dead_fraction: f64,
    /// The share of alive tags that are immutable.
    pub immutable_fraction: f64,
    /// The share of tags that point at the manifest of the tag before them.
    pub shared_manifest_fraction: f64,
    /// The share of manifests that are lists of two images.
    pub list_fraction: f64,
    /// The share of images that have a signature, which names them as its subject.
    pub referrer_fraction: f64,
    /// The share of images that another repository has as well, with the same digest.
    pub copied_fraction: f64,
    /// The share of manifests with labels, with pull statistics, and (images only) with a scan.
    pub annotated_fraction: f64,
    /// How many layers are shared all over the registry; at least 4.
    pub base_layers: u32,
    /// The share of repositories with uploaded blobs: one fresh, one expired.
    pub uploads_fraction: f64,
    /// The share of blobs stored in the old layout, by uuid.
    pub legacy_fraction: f64,
    /// How many bytes a blob has; at least 64.
    pub blob_bytes: RangeInclusive<u64>,
    /// The storage locations; the first holds every blob, every third blob lies in all of them.
    /// A name that the database does not have is added.
    pub locations: Vec<String>,
    /// Whether PostgreSQL checks foreign keys while loading; it takes three times as long.
    pub checks_foreign_keys: bool,
}

impl RegistrySpec {
    /// Asks for 20 repositories and 400 tags, foreign keys checked: for tests. Cost: about 0.3 s.
    pub fn small(seed: u64) -> Self {
        Self {
            seed,
            prefix: String::new(),
            users: 8,
            organizations: 4,
            robots_per_namespace: 1,
            repositories: 20,
            tags: 400,
            garbage_fraction: 0.4,
            dead_fraction: 0.1,
            immutable_fraction: 0.02,
            shared_manifest_fraction: 0.35,
            list_fraction: 0.05,
            referrer_fraction: 0.05,
            copied_fraction: 0.03,
            annotated_fraction: 0.3,
            base_layers: 12,
            uploads_fraction: 0.3,
            legacy_fraction: 0.01,
            blob_bytes: 64..=512,
            locations: vec!["local".to_owned()],
            checks_foreign_keys: true,
        }
    }

    /// Asks for 2,000 repositories and 100,000 tags, all blobs at their digests: for the demo.
    pub fn demo(seed: u64) -> Self {
        Self {
            users: 200,
            organizations: 100,
            repositories: 2_000,
            tags: 100_000,
            base_layers: 100,
            legacy_fraction: 0.0,
            checks_foreign_keys: false,
            ..Self::small(seed)
        }
    }
}

/// Says what was generated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistryCounts {
    /// Users that are neither organizations nor robots.
    pub users: u64,
    /// Organizations.
    pub organizations: u64,
    /// Robots.
    pub robots: u64,
    /// Repositories.
    pub repositories: u64,
    /// Tag rows of every kind.
    pub tags: u64,
    /// Tags past their namespace's window: a collector takes exactly these.
    pub garbage_tags: u64,
    /// Tags that ended within their namespace's window.
    pub dead_tags: u64,
    /// Manifest rows, lists and signatures included.
    pub manifests: u64,
    /// Manifests that are lists.
    pub manifest_lists: u64,
    /// Manifests that name a subject.
    pub referrers: u64,
    /// Blobs.
    pub blobs: u64,
    /// What the blobs hold, in bytes, each counted once.
    pub blob_bytes: u64,
    /// Placements: objects that storage should have.
    pub placements: u64,
    /// Uploaded blobs that protect their blob.
    pub fresh_uploads: u64,
    /// Uploaded blobs whose time is over.
    pub expired_uploads: u64,
    /// Rows of all tables.
    pub rows: u64,
    /// Files written, 0 without a storage folder.
    pub files: u64,
}
