//! How a random registry is drawn: what there is of everything, and how often.
use std::collections::BTreeSet;

use proptest::{collection, option, prelude::*};

use super::registry::{
    Blob, Checksum, End, LABELS, LONGEST_WINDOW_S, Manifest, Moment, Namespace, Registry,
    Repository, Tag, Total, Upload,
};

impl Registry {
    pub(super) fn any() -> impl Strategy<Value = Self> {
        let namespaces = collection::vec(namespace(), 1..4);
        let blobs = collection::vec(blob(), 1..9);
        let repositories = collection::vec(repository(), 1..6);
        (namespaces, blobs, repositories).prop_map(|(namespaces, blobs, repositories)| Self {
            namespaces,
            repositories,
            blobs,
        })
    }
}

fn namespace() -> impl Strategy<Value = Namespace> {
    let usual = prop::sample::select(vec![0, 1, 86_400, 1_209_600]);
    let absurd = vec![
        -1,
        i64::MIN,
        i64::MAX,
        LONGEST_WINDOW_S,
        LONGEST_WINDOW_S + 1,
    ];
    let window_s = prop_oneof![6 => usual, 1 => prop::sample::select(absurd)];
    (window_s, often(0.85), often(0.1), often(0.15), total()).prop_map(
        |(window_s, enabled, robot, deleted, total)| Namespace {
            window_s,
            enabled: enabled && !deleted,
            robot,
            deleted,
            total,
        },
    )
}

fn total() -> impl Strategy<Value = Option<Total>> {
    let total = (0..10_000_i64, often(0.8), often(0.7));
    option::weighted(
        0.8,
        total.prop_map(|(bytes, started, complete)| Total {
            bytes,
            started,
            complete: started && complete,
        }),
    )
}

fn repository() -> impl Strategy<Value = Repository> {
    let state = prop_oneof![5 => Just(0), 1 => 1..3_i64, 1 => Just(4), 2 => Just(3)];
    let head = (option::weighted(0.95, 0..4_usize), state, total());
    let content = (
        collection::vec(manifest(), 0..8),
        collection::vec(tag(), 0..12),
        collection::vec(upload(), 0..4),
    );
    let pulled = || collection::btree_set(0..5_usize, 0..4);
    (head, content, pulled(), pulled(), any::<bool>()).prop_map(
        |(head, content, pulled_names, pulled_digests, has_others)| {
            let ((owner, state, total), (manifests, tags, uploads)) = (head, content);
            Repository {
                owner,
                state,
                total,
                manifests,
                tags,
                uploads,
                pulled_names,
                pulled_digests,
                has_others,
            }
        },
    )
}

fn manifest() -> impl Strategy<Value = Manifest> {
    (
        collection::btree_set(0..8_usize, 0..4),
        prop_oneof![
            2 => Just(BTreeSet::new()),
            1 => collection::btree_set(0..8_usize, 1..3),
        ],
        collection::btree_set(0..LABELS, 0..3),
        option::weighted(0.25, 0..9_usize),
        often(0.3),
    )
        .prop_map(|(blobs, children, labels, subject, scanned)| Manifest {
            blobs,
            children,
            labels,
            subject,
            scanned,
        })
}

fn tag() -> impl Strategy<Value = Tag> {
    let end = prop_oneof![
        2 => Just(End::Never),
        2 => (-2..3_i64).prop_map(End::Now),
        5 => (-3..1_i64).prop_map(End::Cut),
        2 => (1..3_i64).prop_map(End::Cut),
        1 => prop::sample::select(vec![End::Epoch, End::BeforeAll, End::AfterAll]),
    ];
    (
        0..4_usize,
        option::weighted(0.95, 0..8_usize),
        end,
        often(0.2),
        often(0.2),
        option::weighted(0.05, 0..12_usize),
        often(0.2),
    )
        .prop_map(
            |(name, manifest, end, immutable, hidden, linked, notified)| Tag {
                name,
                manifest,
                end,
                immutable,
                hidden,
                linked,
                notified,
            },
        )
}

fn upload() -> impl Strategy<Value = Upload> {
    let expires = prop_oneof![
        6 => (-1..2_i64).prop_map(Moment::Now),
        1 => prop::sample::select(vec![Moment::BeforeAll, Moment::AfterAll]),
    ];
    (0..8_usize, expires).prop_map(|(blob, expires)| Upload { blob, expires })
}

fn blob() -> impl Strategy<Value = Blob> {
    let checksum = prop_oneof![
        10 => Just(Checksum::Own),
        3 => (0..8_usize).prop_map(Checksum::Of),
        1 => Just(Checksum::EmptyLayer),
        1 => Just(Checksum::None),
        1 => Just(Checksum::EmptyText),
        1 => Just(Checksum::UpperCase),
        1 => Just(Checksum::Path),
    ];
    let locations = prop_oneof![
        1 => Just(BTreeSet::new()),
        6 => collection::btree_set(0..2_usize, 1..3),
    ];
    (
        checksum,
        often(0.8),
        option::weighted(0.9, 0..1_000_i64),
        locations,
        often(0.1),
    )
        .prop_map(
            |(checksum, content_addressed, bytes, locations, signed)| Blob {
                checksum,
                content_addressed,
                bytes,
                locations,
                signed,
            },
        )
}

fn often(probability: f64) -> impl Strategy<Value = bool> {
    prop::bool::weighted(probability)
}
