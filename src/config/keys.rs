//! Owns the list of keys: what exists, what each key sets, and which one was probably meant.

use super::{Config, layers::Assignment, policy, setting::Setting};

/// A key and the field it stands for.
struct Key {
    name: &'static str,
    field: fn(&mut Config) -> &mut dyn Setting,
}

/// Makes a table of keys out of paths to fields, so that a key and its field have one name.
macro_rules! keys {
    ($($section:ident { $($field:ident),+ $(,)? })+) => {
        &[$($(Key {
            name: concat!(stringify!($section), ".", stringify!($field)),
            field: |config| &mut config.$section.$field,
        },)+)+]
    };
}

/// Every key but those of the queues, schedules and kinds, whose names are not known here.
const KEYS: &[Key] = keys! {
    database {
        url, connection_args, pool_size, checkout_timeout, connect_timeout, statement_timeout,
        lock_timeout, idle_in_transaction_timeout, idle_disconnect, pgbouncer,
    }
    redis {
        queue_url, locks_url, cache_url, connect_timeout, command_timeout, tls_ca_certs,
        tls_certfile, tls_keyfile,
    }
    storage { locations, preference, extra_ca_certs }
    worker { concurrency, lease, drain_timeout }
    outbox { sweep_interval }
    gc {
        sweep_interval, batch_tags, recheck_after, tombstone_grace, blob_lock_ttl, blob_hold,
        leak_grace, max_objects_per_run, standalone, pace, pace_slow_batch, pace_replica_lag,
        pace_replica_lag_mib, pace_longest_pause,
    }
    registry {
        feature_garbage_collection, feature_repository_garbage_collection,
        feature_namespace_garbage_collection, feature_immutable_tags,
        feature_immutable_tags_can_expire,
        feature_quota_management, quota_invalidate_totals, feature_quota_suppress_failures,
        feature_app_specific_tokens, expired_app_specific_token_gc, blobupload_deletion_date_threshold,
        clean_blob_upload_folder, feature_enable_stale_mpu_cleanup, disable_pushes, account_recovery_mode,
        setup_complete, registry_state,
    }
    log { format, level }
};

/// Lists the keys that Quay has under the same name in capitals.
pub(super) fn of_quay() -> impl Iterator<Item = (&'static str, String)> {
    let quay_name = |key: &'static str| Some((key, key.strip_prefix("registry.")?.to_uppercase()));
    KEYS.iter().filter_map(move |key| quay_name(key.name))
}

/// Lists every key, in the order of the file.
pub(super) fn all(config: &Config) -> Vec<String> {
    let queues = config
        .queues
        .keys()
        .map(|queue| format!("queues.{queue}.concurrency"));
    let schedules = config.schedules.keys().flat_map(|kind| {
        ["when", "time_zone", "jitter"].map(|key| format!("schedules.{kind}.{key}"))
    });
    let jobs = config
        .jobs
        .keys()
        .flat_map(|kind| policy::KEYS.map(|key| format!("jobs.{kind}.{key}")));
    KEYS.iter()
        .map(|key| key.name.to_owned())
        .chain(queues)
        .chain(schedules)
        .chain(jobs)
        .collect()
}

/// Finds the field behind a key.
pub(super) fn field<'c>(config: &'c mut Config, key: &str) -> Option<&'c mut dyn Setting> {
    if let Some(queue) = key
        .strip_prefix("queues.")
        .and_then(|rest| rest.strip_suffix(".concurrency"))
    {
        return config
            .queues
            .get_mut(queue)
            .map(|pool| &mut pool.concurrency as &mut dyn Setting);
    }
    if let Some((kind, name)) = key
        .strip_prefix("schedules.")
        .and_then(|rest| rest.rsplit_once('.'))
    {
        let schedule = config.schedules.get_mut(kind)?;
        return match name {
            "when" => Some(&mut schedule.when),
            "time_zone" => Some(&mut schedule.time_zone),
            "jitter" => Some(&mut schedule.jitter),
            _ => None,
        };
    }
    if let Some((kind, name)) = key
        .strip_prefix("jobs.")
        .and_then(|rest| rest.rsplit_once('.'))
    {
        return config.jobs.get_mut(kind)?.field(name);
    }
    KEYS.iter()
        .find(|known| known.name == key)
        .map(|known| (known.field)(config))
}

/// Sets a key to an assigned value, or says what is wrong with it under its name in the source.
pub(super) fn set(config: &mut Config, key: &str, assignment: Assignment) -> Result<(), String> {
    let name = assignment.name;
    let outcome = match (assignment.value, field(config, key)) {
        (Ok(value), Some(field)) => field.read(&value),
        (Err(what), _) => Err(what),
        (Ok(_), None) => Err("is not known".to_owned()), // the sources assign known keys only
    };
    outcome.map_err(|what| format!("`{name}` {what}"))
}

/// Returns the known key that looks most like an unknown one.
///
/// A key in the wrong section counts as near, so `lease` finds `worker.lease`.
pub(super) fn nearest(config: &Config, unknown: &str) -> String {
    let last = |key: &str| key.rsplit('.').next().unwrap_or(key).to_owned();
    let distance = |key: &String| {
        let whole = strsim::damerau_levenshtein(key, unknown);
        let name = strsim::damerau_levenshtein(&last(key), &last(unknown));
        (whole.min(1 + 2 * name), whole)
    };
    all(config)
        .into_iter()
        .min_by_key(distance)
        .unwrap_or_default()
}
