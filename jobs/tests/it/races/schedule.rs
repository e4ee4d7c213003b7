//! Schedules whose guards are those of `blob_gc`.
use quayhand_jobs::blob_gc::Guard;

use super::store::Store;

/// A schedule around one object.
pub(super) type Schedule = quayhand_testkit::Schedule<Store, Guard>;

/// Lists schedules in `ALL`, and makes each a test.
macro_rules! schedules {
    ($($name:ident { $($field:ident: $value:expr,)* })*) => {
        pub(super) const ALL: &[super::schedule::Schedule] = &[$(super::schedule::Schedule {
            name: stringify!($name),
            $($field: $value,)*
        }),*];

        $(#[tokio::test]
        async fn $name() {
            super::schedule::play(ALL, stringify!($name)).await;
        })*
    };
}
pub(super) use schedules;

/// Plays a schedule of a list, unless a test of this process has.
pub(super) async fn play(all: &[Schedule], name: &str) {
    let schedule = all.iter().find(|schedule| schedule.name == name).unwrap();
    schedule.played().await;
}
