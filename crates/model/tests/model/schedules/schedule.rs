//! Schedules whose guards are the locks of the collector.
use quayhand_model::gc::Lock;
use quayhand_testkit::World;

use super::registry::Registry;

/// A schedule in a registry.
pub(super) type Schedule = quayhand_testkit::Schedule<Registry, Lock>;

impl World for Registry {
    async fn new() -> Self {
        Self::empty().await
    }

    async fn is_whole(&self) {
        self.sweep_all().await;
        self.has_no_fault().await;
    }
}

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
