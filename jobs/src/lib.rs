//! Every background job, one file each.
//!
//! [`registry`] is the list. A new job is a new file and one line in `jobs!`.
mod collector;
pub mod ctx;
pub mod gate;
mod handing;
mod large_lock;
mod loss;
pub mod outbox;
mod purger;
pub mod settings;

pub use collector::{Pace, PaceLimits};
pub use ctx::{Audit, Ctx, Doomed, Locking, Options, Preview, Progress, Step};
pub use gate::Gate;
pub use outbox::Outbox;
pub use settings::Settings;

mod prelude;

/// Declares one module and one registry entry a line.
macro_rules! jobs {
    ($($file:ident :: $job:ident,)*) => {
        $(pub mod $file;)*

        /// Lists every kind of job this build can run.
        #[must_use]
        pub fn registry() -> quayhand_queue::Registry<Ctx> {
            quayhand_queue::Registry::default()$(.with::<$file::$job>())*
        }
    };
}

jobs! {
    blob_gc::BlobGc,
    expired_tokens::ExpiredTokens,
    leak_sweep::LeakSweep,
    namespace_purge::NamespacePurge,
    namespace_purge_sweep::NamespacePurgeSweep,
    permission_recompute::PermissionRecompute,
    repository_purge::RepositoryPurge,
    repository_purge_sweep::RepositoryPurgeSweep,
    tag_expiry::TagExpiry,
    tag_expiry_sweep::TagExpirySweep,
    upload_cleanup::UploadCleanup,
}

/// The queues of this build, each one pool of workers.
pub mod queues {
    use quayhand_queue::Queue;

    /// Collecting garbage: long jobs that share the database's write capacity.
    pub const GC: Queue = Queue::new("gc");
    /// Everything short: sweeps and permission recomputes.
    pub const DEFAULT: Queue = Queue::new("default");

    /// Lists every queue of this build.
    pub const ALL: [Queue; 2] = [DEFAULT, GC];
}
