//! A batch and a whole push, whose statements are Quay's own, in both orders.
use futures::FutureExt;
use quayhand_model::gc::Lock;

use super::{
    scene::{copy, head, head_alone, list, mount, replicate, restore, upload},
    schedule::schedules,
};

/// The last lock of a batch over blobs.
const ORPHANS: &[&str; 1] = &["orphans locked"];
/// The last lock of a batch over manifests.
const MANIFESTS: &[&str; 1] = &["manifests locked"];

/// Plays a meeting in one order.
macro_rules! meeting {
    ($with:ident, pusher_first) => {
        |registry, without| {
            async move { $with(registry, without).await.pusher_first().await }.boxed_local()
        }
    };
    ($with:ident, collector_first $place:ident) => {
        |registry, without| {
            async move { $with(registry, without).await.collector_first($place).await }
                .boxed_local()
        }
    };
    ($with:ident, collector_in_between) => {
        |registry, without| {
            async move { $with(registry, without).await.collector_in_between().await }.boxed_local()
        }
    };
}

schedules! {
    an_upload_in_flight_keeps_its_blob {
        races: &["R1"],
        first: "pusher",
        play: meeting!(upload, pusher_first),
        good: "batch went through, client got 201 201, blob alive",
        bad: &[(Lock::Orphans, "batch waited and failed with 23503, client got 201 201, blob alive"), (Lock::SkipLocked, "batch waited and went through, client got 201 201, blob alive")],
    }

    an_upload_behind_a_batch_is_made_anew {
        races: &["R1"],
        first: "collector",
        play: meeting!(upload, collector_first ORPHANS),
        good: "batch went through, client waited and got 500 (23503), again 201 201, blob alive",
        bad: &[(Lock::Orphans, "batch failed with 23503, client got 201 201, blob alive")],
    }

    an_upload_after_a_batch_makes_a_row {
        races: &["R1"],
        first: "collector",
        play: meeting!(upload, collector_in_between),
        good: "batch went through, client got 201 201, blob alive",
        bad: &[],
    }

    a_manifest_in_flight_keeps_a_blob_that_was_asked_for {
        races: &["R3", "R5"],
        first: "pusher",
        play: meeting!(head, pusher_first),
        good: "batch went through, client got 200 201, blob alive",
        bad: &[(Lock::Orphans, "batch waited and failed with 23503, client got 200 201, blob alive"), (Lock::SkipLocked, "batch waited and went through, client got 200 201, blob alive")],
    }

    a_manifest_behind_a_batch_is_refused {
        races: &["R3", "R5"],
        first: "collector",
        play: meeting!(head, collector_first ORPHANS),
        good: "batch went through, client waited and got 200 500 (23503), again 201 201, blob alive",
        bad: &[(Lock::Orphans, "batch failed with 23503, client got 200 201, blob alive")],
    }

    a_manifest_after_a_batch_is_told_which_blob_is_unknown {
        races: &["R3"],
        first: "collector",
        play: meeting!(head_alone, collector_in_between),
        good: "batch went through, client got 200 400 MANIFEST_BLOB_UNKNOWN, again 201 201, blob alive",
        bad: &[],
    }

    a_mount_in_flight_keeps_its_blob {
        races: &["R4"],
        first: "pusher",
        play: meeting!(mount, pusher_first),
        good: "batch went through, client got 201 201, blob alive",
        bad: &[(Lock::Orphans, "batch waited and failed with 23503, client got 201 201, blob alive"), (Lock::SkipLocked, "batch waited and went through, client got 201 201, blob alive")],
    }

    a_mount_behind_a_batch_is_refused {
        races: &["R4"],
        first: "collector",
        play: meeting!(mount, collector_first ORPHANS),
        good: "batch went through, client waited and got 500 (23503), again 201 201, blob alive",
        bad: &[(Lock::Orphans, "batch failed with 23503, client got 201 201, blob alive")],
    }

    a_mount_after_a_batch_becomes_an_upload {
        races: &["R4"],
        first: "collector",
        play: meeting!(mount, collector_in_between),
        good: "batch went through, client got 202, upload it, again 201 201, blob alive",
        bad: &[],
    }

    a_copy_in_flight_keeps_its_manifest {
        races: &["R6"],
        first: "pusher",
        play: meeting!(copy, pusher_first),
        good: "batch went through, client got 201, manifest alive",
        bad: &[(Lock::Manifests, "batch waited and failed with 23503, client got 201, manifest alive"), (Lock::SkipLocked, "batch waited and went through, client got 201, manifest alive")],
    }

    a_copy_behind_a_batch_is_no_tag_to_nothing {
        races: &["R6"],
        first: "collector",
        play: meeting!(copy, collector_first MANIFESTS),
        good: "batch went through, client waited and got 500 (23503), again 404 MANIFEST_UNKNOWN, manifest collected",
        bad: &[(Lock::Manifests, "batch failed with 23503, client got 201, manifest alive")],
    }

    a_restore_in_flight_keeps_its_manifest {
        races: &["R8"],
        first: "pusher",
        play: meeting!(restore, pusher_first),
        good: "batch went through, client got 201, manifest alive",
        bad: &[(Lock::Manifests, "batch waited and failed with 23503, client got 201, manifest alive"), (Lock::SkipLocked, "batch waited and went through, client got 201, manifest alive")],
    }

    a_restore_behind_a_batch_is_refused {
        races: &["R8"],
        first: "collector",
        play: meeting!(restore, collector_first MANIFESTS),
        good: "batch went through, client waited and got 500 (23503), again 404 MANIFEST_UNKNOWN, manifest collected",
        bad: &[(Lock::Manifests, "batch failed with 23503, client got 201, manifest alive")],
    }

    a_list_in_flight_keeps_its_child {
        races: &["R9"],
        first: "pusher",
        play: meeting!(list, pusher_first),
        good: "batch went through, client got 201, manifest alive",
        bad: &[(Lock::Manifests, "batch waited and failed with 23503, client got 201, manifest alive"), (Lock::SkipLocked, "batch waited and went through, client got 201, manifest alive")],
    }

    a_list_behind_a_batch_is_refused {
        races: &["R9"],
        first: "collector",
        play: meeting!(list, collector_first MANIFESTS),
        good: "batch went through, client waited and got 500 (23503), again 201 201 201, manifest alive",
        bad: &[(Lock::Manifests, "batch failed with 23503, client got 201, manifest alive")],
    }

    a_second_placement_in_flight_keeps_its_blob {
        races: &["R13"],
        first: "pusher",
        play: meeting!(replicate, pusher_first),
        good: "batch went through, client got placed, blob collected",
        bad: &[(Lock::Orphans, "batch waited and failed with 23503, client got placed, blob collected"), (Lock::SkipLocked, "batch waited and went through, client got placed, blob collected")],
    }

    a_second_placement_behind_a_batch_is_refused {
        races: &["R13"],
        first: "collector",
        play: meeting!(replicate, collector_first ORPHANS),
        good: "batch went through, client waited and got 500 (23503), again 404 BLOB_UNKNOWN, blob collected",
        bad: &[(Lock::Orphans, "batch failed with 23503, client got placed, blob collected")],
    }
}
