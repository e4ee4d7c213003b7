//! A random registry, as it is drawn.
//!
//! Things refer to each other by a [`Place`] that is taken modulo how many there are, so that
//! a registry which shrinks stays a registry.
use std::collections::BTreeSet;

/// Which of the things of a sort is meant; more than there are begins anew.
pub(super) type Place = usize;

/// The time at which registries are collected, milliseconds since the epoch.
pub(super) const NOW_MS: i64 = 1_000_000_000_001;
/// Labels a registry has; all of them exist, used or not.
pub(super) const LABELS: usize = 4;
/// The longest window that anybody can have meant.
pub(super) const LONGEST_WINDOW_S: i64 = 9_000_000_000;

#[derive(Clone)]
pub(super) struct Registry {
    pub(super) namespaces: Vec<Namespace>,
    pub(super) repositories: Vec<Repository>,
    pub(super) blobs: Vec<Blob>,
}

#[derive(Clone, Debug)]
pub(super) struct Namespace {
    pub(super) window_s: i64,
    pub(super) enabled: bool,
    pub(super) robot: bool,
    /// Its owner wants it deleted; it is disabled then.
    pub(super) deleted: bool,
    pub(super) total: Option<Total>,
}

/// A size as quota management keeps it.
#[derive(Clone, Debug)]
pub(super) struct Total {
    pub(super) bytes: i64,
    pub(super) started: bool,
    pub(super) complete: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Repository {
    pub(super) owner: Option<Place>,
    pub(super) state: i64,
    pub(super) total: Option<Total>,
    pub(super) manifests: Vec<Manifest>,
    pub(super) tags: Vec<Tag>,
    pub(super) uploads: Vec<Upload>,
    /// Names and digests that have pull statistics, whether they exist or not.
    pub(super) pulled_names: BTreeSet<usize>,
    pub(super) pulled_digests: BTreeSet<usize>,
    /// Whether rows hang on it besides its content.
    pub(super) has_others: bool,
}

/// The n-th manifest of a repository; the n-th of another one has the same digest.
#[derive(Clone, Debug)]
pub(super) struct Manifest {
    pub(super) blobs: BTreeSet<Place>,
    pub(super) children: BTreeSet<Place>,
    pub(super) labels: BTreeSet<usize>,
    /// A digest, whether there is such a manifest or not, its own included.
    pub(super) subject: Option<usize>,
    pub(super) scanned: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Tag {
    pub(super) name: usize,
    pub(super) manifest: Option<Place>,
    pub(super) end: End,
    pub(super) immutable: bool,
    pub(super) hidden: bool,
    pub(super) linked: Option<Place>,
    pub(super) notified: bool,
}

/// When a tag ends, by the clock and by its namespace's window.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Never,
    /// Milliseconds from now.
    Now(i64),
    /// Milliseconds from the last moment that is past recovery.
    Cut(i64),
    /// Quay ends what it refused for want of quota in 1970.
    Epoch,
    BeforeAll,
    AfterAll,
}

#[derive(Clone, Debug)]
pub(super) struct Upload {
    pub(super) blob: Place,
    pub(super) expires: Moment,
}

/// A time as a row has it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moment {
    /// Milliseconds from now.
    Now(i64),
    BeforeAll,
    AfterAll,
}

#[derive(Clone, Debug)]
pub(super) struct Blob {
    pub(super) checksum: Checksum,
    pub(super) content_addressed: bool,
    pub(super) bytes: Option<i64>,
    pub(super) locations: BTreeSet<usize>,
    pub(super) signed: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Checksum {
    Own,
    /// That of another blob, as far as it has one of its own.
    Of(Place),
    EmptyLayer,
    None,
    EmptyText,
    /// In letters that nobody writes a digest in.
    UpperCase,
    /// With a path in it.
    Path,
}

impl Namespace {
    /// Returns when a tag that ends there has its end.
    pub(super) fn end_ms(&self, end: End) -> Option<i64> {
        let window_s = self.window_s.clamp(0, LONGEST_WINDOW_S);
        match end {
            End::Never => None,
            End::Now(ms) => Some(NOW_MS + ms),
            End::Cut(ms) => Some(NOW_MS - window_s * 1000 + ms),
            End::Epoch => Some(0),
            // Room for the lower milliseconds of other tags of the name.
            End::BeforeAll => Some(i64::MIN + 100),
            End::AfterAll => Some(i64::MAX),
        }
    }
}
