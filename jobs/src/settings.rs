//! The settings jobs honour, checked when the configuration is read.
use std::time::Duration;

use quayhand_queue::JobError;

use crate::PaceLimits;

/// Holds what an operator or Quay's own `config.yaml` decides about the jobs.
///
/// [`Settings::default`] is Quay's default for every flag but `setup_complete`, which is
/// true: without a Quay configuration the database was named to us on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one of Quay's own flags, under Quay's own name"
)]
pub struct Settings {
    /// Quay `FEATURE_GARBAGE_COLLECTION`: off stops every job that deletes content.
    pub garbage_collection: bool,
    /// Quay `FEATURE_REPOSITORY_GARBAGE_COLLECTION`: off, deleted repositories keep their rows.
    pub repository_garbage_collection: bool,
    /// Quay `FEATURE_NAMESPACE_GARBAGE_COLLECTION`: off, deleted namespaces keep their rows.
    pub namespace_garbage_collection: bool,
    /// Quay `FEATURE_IMMUTABLE_TAGS`: the column `immutable` means something.
    pub immutable_tags: bool,
    /// Quay `FEATURE_IMMUTABLE_TAGS_CAN_EXPIRE`: immutable tags expire like others.
    pub immutable_tags_can_expire: bool,
    /// Quay `FEATURE_QUOTA_MANAGEMENT`: sizes are kept up to date while content goes.
    pub quota_management: bool,
    /// Quay `QUOTA_INVALIDATE_TOTALS`: while quota management is off, totals are reset
    /// when content goes.
    pub quota_invalidate_totals: bool,
    /// Quay `FEATURE_QUOTA_SUPPRESS_FAILURES`: while quota management is on, a total that
    /// cannot be changed stays wrong and stops nothing.
    pub quota_suppress_failures: bool,
    /// Quay `DISABLE_PUSHES`: stops every job that deletes content.
    pub disable_pushes: bool,
    /// Quay `ACCOUNT_RECOVERY_MODE`: stops every job.
    pub account_recovery_mode: bool,
    /// Quay `SETUP_COMPLETE`: until it is true no job runs.
    pub setup_complete: bool,
    /// Quay `REGISTRY_STATE` is `readonly`: no job writes.
    pub read_only: bool,
    /// Quay `FEATURE_APP_SPECIFIC_TOKENS`: off, no expired token is deleted.
    pub app_specific_tokens: bool,
    /// Quay `EXPIRED_APP_SPECIFIC_TOKEN_GC`: how long an expired token stays; `None` for ever.
    pub expired_token_window: Option<Duration>,
    /// Quay `BLOBUPLOAD_DELETION_DATE_THRESHOLD`: an upload older than this is given up.
    pub upload_window: Duration,
    /// Quay `CLEAN_BLOB_UPLOAD_FOLDER`: chunks in storage that no upload has go as well.
    pub clean_upload_folder: bool,
    /// Quay `FEATURE_ENABLE_STALE_MPU_CLEANUP`: multipart uploads that are a day old go as well.
    pub clean_multipart_uploads: bool,
    /// `blob_gc` may run without a Redis lock on a database that Quay made.
    pub standalone: bool,
    /// Age a tombstone must reach before its object is removed.
    pub tombstone_grace: Duration,
    /// Lifetime of a `BLOB_DELETE_` lock in Redis.
    pub blob_lock_ttl: Duration,
    /// Time after taking the locks at which the last object delete must have ended.
    pub blob_hold: Duration,
    /// Time between the two sightings after which `leak_sweep` takes a leak.
    pub leak_grace: Duration,
    /// Objects one run of `blob_gc`, `upload_cleanup` or `leak_sweep` removes at most.
    pub max_objects_per_run: u64,
    /// Tags a batch starts with; it adapts between 450 and 1,000.
    pub batch_tags: u32,
    /// Pause after which something a pusher held is looked at again.
    pub recheck_after: Duration,
    /// What slows the collector down.
    pub pace: PaceLimits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            garbage_collection: true,
            repository_garbage_collection: true,
            namespace_garbage_collection: true,
            immutable_tags: false,
            immutable_tags_can_expire: false,
            quota_management: false,
            quota_invalidate_totals: true,
            quota_suppress_failures: false,
            disable_pushes: false,
            account_recovery_mode: false,
            setup_complete: true,
            read_only: false,
            app_specific_tokens: true,
            expired_token_window: Some(Duration::from_hours(24)),
            upload_window: Duration::from_hours(48),
            clean_upload_folder: true,
            clean_multipart_uploads: true,
            standalone: false,
            leak_grace: Duration::from_hours(24),
            tombstone_grace: Duration::from_hours(1),
            blob_lock_ttl: Duration::from_secs(30),
            blob_hold: Duration::from_secs(2),
            max_objects_per_run: 1_000_000,
            batch_tags: 500,
            recheck_after: Duration::from_mins(1),
            pace: PaceLimits::default(),
        }
    }
}

impl Settings {
    /// Refuses when Quay's own start-up gate would keep a worker idle.
    ///
    /// # Errors
    ///
    /// [`JobError::Refused`] that names the setting.
    pub fn check_may_write(&self) -> Result<(), JobError> {
        refuse(self.account_recovery_mode, "ACCOUNT_RECOVERY_MODE is on")?;
        refuse(
            !self.setup_complete,
            "SETUP_COMPLETE is not true, so the registry is not set up yet",
        )?;
        refuse(self.read_only, "REGISTRY_STATE is readonly")
    }

    /// Refuses when content must not be deleted now.
    ///
    /// # Errors
    ///
    /// [`JobError::Refused`] that names the setting.
    pub fn check_may_delete(&self) -> Result<(), JobError> {
        self.check_may_write()?;
        refuse(self.disable_pushes, "DISABLE_PUSHES is on")?;
        refuse(
            !self.garbage_collection,
            "FEATURE_GARBAGE_COLLECTION is off",
        )
    }

    /// Refuses when deleted repositories must not be purged now.
    ///
    /// # Errors
    ///
    /// [`JobError::Refused`] that names the setting.
    pub fn check_may_purge_repositories(&self) -> Result<(), JobError> {
        self.check_may_delete()?;
        refuse(
            !self.repository_garbage_collection,
            "FEATURE_REPOSITORY_GARBAGE_COLLECTION is off",
        )
    }

    /// Refuses when deleted namespaces must not be purged now. That purges their
    /// repositories, so both flags count.
    ///
    /// # Errors
    ///
    /// [`JobError::Refused`] that names the setting.
    pub fn check_may_purge_namespaces(&self) -> Result<(), JobError> {
        self.check_may_purge_repositories()?;
        refuse(
            !self.namespace_garbage_collection,
            "FEATURE_NAMESPACE_GARBAGE_COLLECTION is off",
        )
    }
}

fn refuse(condition: bool, reason: &str) -> Result<(), JobError> {
    if condition {
        return Err(JobError::Refused {
            reason: reason.to_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flag_stops_what_quay_stops() {
        let normal = Settings::default();
        assert!(normal.check_may_delete().is_ok(), "the twin: it does run");
        let stops_all: [fn(&mut Settings); 3] = [
            |s| s.account_recovery_mode = true,
            |s| s.setup_complete = false,
            |s| s.read_only = true,
        ];
        for stop in stops_all {
            let mut settings = normal.clone();
            stop(&mut settings);
            assert!(settings.check_may_write().is_err());
            assert!(settings.check_may_delete().is_err());
        }
        let stops_deletes: [fn(&mut Settings); 2] = [
            |s| s.disable_pushes = true,
            |s| s.garbage_collection = false,
        ];
        for stop in stops_deletes {
            let mut settings = normal.clone();
            stop(&mut settings);
            assert!(settings.check_may_write().is_ok());
            assert!(settings.check_may_delete().is_err());
        }
    }
}
