//! Where the program dies.

use crate::barrier::Side;

/// The jobs that bring a registry to its end state, in this order. A leak goes at its second
/// sighting, and its object with the tombstones after that.
pub(super) const STEPS: [&str; 6] = [
    "tag_expiry",
    "upload_cleanup",
    "blob_gc",
    "leak_sweep",
    "leak_sweep",
    "blob_gc",
];
/// How many of the steps come before leaks are looked for.
pub(super) const BEFORE_SWEEPS: usize = 3;

/// A place in the program's work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// Which of [`STEPS`] dies.
    pub(super) step: usize,
    /// How often the place is passed at least: rounds take turns.
    pub(super) turns: usize,
    pub(super) death: Death,
}

/// How the moment is found.
#[derive(Clone, Copy, Debug)]
pub(super) enum Death {
    /// At statements with these texts, the last of them before or after it ran.
    At(Side, &'static [&'static str]),
    /// As soon as an object is gone: the deletes were sent, and their answers are not read yet.
    WithFirstObject,
    /// When some of the objects could be deleted and others not, before the answer is written down.
    WithHalfTheObjects,
    /// When a bucket's server has aborted a multipart upload and not answered.
    WithMultipartUpload,
    /// When a bucket's server has a bulk delete; what the server does with it.
    InBucket(Bulk),
}

/// What a bucket's server does with a bulk delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bulk {
    /// It deletes, and never answers.
    DoneUnanswered,
    /// It neither deletes nor answers.
    Swallowed,
    /// It refuses some keys and answers, and the answer is not written down.
    HalfRefused,
}

const fn at(side: Side, texts: &'static [&'static str]) -> Death {
    Death::At(side, texts)
}

const TOMBSTONES_WRITTEN: &str = "insert into quayhand_tombstone (location_id, digest,";
const TOMBSTONES_REMOVED: &str = "delete from quayhand_tombstone where";

/// All places, in the order of the work. Where a point has several sides, each is a line.
pub(super) const POINTS: [Point; 17] = [
    Point {
        name: "K0",
        about: "tags deleted, inside the batch",
        step: 0,
        turns: 2,
        death: at(Side::After, &["delete from tag where"]),
    },
    Point {
        name: "K1",
        about: "manifests deleted, inside the batch",
        step: 0,
        turns: 2,
        death: at(Side::After, &["delete from manifest where"]),
    },
    Point {
        name: "K2",
        about: "blob rows deleted, inside the batch",
        step: 0,
        turns: 2,
        death: at(Side::After, &["delete from imagestorage where"]),
    },
    Point {
        name: "K2",
        about: "batch complete, commit not sent",
        step: 0,
        turns: 2,
        death: at(Side::Before, &[TOMBSTONES_WRITTEN, "commit"]),
    },
    Point {
        name: "K3",
        about: "batch committed, answer not read",
        step: 0,
        turns: 2,
        death: at(Side::After, &[TOMBSTONES_WRITTEN, "commit"]),
    },
    Point {
        name: "K3",
        about: "tombstones read, nothing locked",
        step: 2,
        turns: 2,
        death: at(
            Side::After,
            &["from quayhand_tombstone t join imagestoragelocation l"],
        ),
    },
    Point {
        name: "K4",
        about: "object deletes sent, no answer read",
        step: 2,
        turns: 1,
        death: Death::WithFirstObject,
    },
    Point {
        name: "K4",
        about: "bulk delete done by a bucket, no answer",
        step: 2,
        turns: 1,
        death: Death::InBucket(Bulk::DoneUnanswered),
    },
    Point {
        name: "K4",
        about: "bulk delete lost on its way to a bucket",
        step: 2,
        turns: 1,
        death: Death::InBucket(Bulk::Swallowed),
    },
    Point {
        name: "K5",
        about: "a bucket refused half of a bulk delete",
        step: 2,
        turns: 1,
        death: Death::InBucket(Bulk::HalfRefused),
    },
    Point {
        name: "K5",
        about: "half of the objects deleted",
        step: 2,
        turns: 1,
        death: Death::WithHalfTheObjects,
    },
    Point {
        name: "K6",
        about: "objects deleted, tombstones there",
        step: 2,
        turns: 2,
        death: at(Side::Before, &[TOMBSTONES_REMOVED]),
    },
    Point {
        name: "K6",
        about: "tombstones removed, answer not read",
        step: 2,
        turns: 2,
        death: at(Side::After, &[TOMBSTONES_REMOVED]),
    },
    Point {
        name: "K7",
        about: "rowless objects seen twice, not buried",
        step: 4,
        turns: 1,
        death: at(
            Side::Before,
            &["insert into quayhand_tombstone (location_id, digest) select"],
        ),
    },
    Point {
        name: "K8",
        about: "chunks of uploads gone, rows there",
        step: 1,
        turns: 1,
        death: at(Side::Before, &["delete from blobupload where"]),
    },
    Point {
        name: "K8",
        about: "a bucket's multipart upload aborted",
        step: 1,
        turns: 1,
        death: Death::WithMultipartUpload,
    },
    Point {
        name: "K9",
        about: "size totals changed, inside the batch",
        step: 0,
        turns: 2,
        death: at(Side::After, &["update quotanamespacesize"]),
    },
];
