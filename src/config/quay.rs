//! Owns the reading of Quay's own configuration: `config.yaml`, then the top-level keys of
//! `QUAY_OVERRIDE_CONFIG` in place of the file's. Keys that do not concern us are passed over.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;

use super::{
    ConfigError, Origin, Sources, env, keys,
    layers::{Assignment, Layers, Source},
    yaml::{self, Entry, Node},
};

mod redis;

/// Options of `DB_CONNECTION_ARGS` that Quay keeps for its own connection pool.
const POOL_OPTIONS: [&str; 5] = [
    "threadlocals",
    "autorollback",
    "max_connections",
    "stale_timeout",
    "timeout",
];

/// Assigns what Quay's configuration says. Without any, nothing is assigned.
pub(super) fn read(sources: &Sources, layers: &mut Layers) -> Result<(), ConfigError> {
    let mut quay = Quay {
        keys: BTreeMap::new(),
        layers,
    };
    let overrides = sources.environment.text(env::OVERRIDE_CONFIG);
    if sources.quay_config.is_none() && overrides.is_none() {
        return Ok(());
    }
    if let Some(path) = &sources.quay_config {
        quay.add_file(path)?;
    }
    if let Some(text) = overrides {
        quay.add_overrides(text)?;
    }
    quay.assign_places(sources);
    quay.assign_redis();
    quay.assign_flags();
    Ok(())
}

/// Quay's keys, and where what they say goes.
struct Quay<'l> {
    keys: BTreeMap<String, (Node, Origin)>,
    layers: &'l mut Layers,
}

impl Quay<'_> {
    fn add_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let unreadable = |source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let origin = |line| Origin::File {
            path: path.to_owned(),
            line,
        };
        let entries =
            yaml::read(&text).map_err(|error| ConfigError::one(origin(error.line), error.what))?;
        let keyed = |entry: Entry| (entry.key, (entry.node, origin(entry.line)));
        self.keys.extend(entries.into_iter().map(keyed));
        Ok(())
    }

    fn add_overrides(&mut self, text: Result<&str, String>) -> Result<(), ConfigError> {
        let origin = Origin::Environment(env::OVERRIDE_CONFIG);
        let value = text.and_then(env::json).and_then(|value| match value {
            Value::Object(map) => Ok(map),
            _ => Err("is not a JSON object".to_owned()),
        });
        let map = value.map_err(|what| ConfigError::one(origin.clone(), what))?;
        self.keys.extend(
            map.iter()
                .map(|(key, value)| (key.clone(), (value.into(), origin.clone()))),
        );
        Ok(())
    }

    /// Assigns the database and the storage.
    fn assign_places(&mut self, sources: &Sources) {
        self.assign("database.url", "DB_URI", Node::to_json);
        self.assign(
            "database.connection_args",
            "DB_CONNECTION_ARGS",
            connection_args,
        );
        self.assign(
            "storage.locations",
            "DISTRIBUTED_STORAGE_CONFIG",
            Node::to_json,
        );
        // Without an order of its own, Quay takes the locations as they stand in the file.
        if let Some((Node::Map(entries), origin)) = self.keys.get("DISTRIBUTED_STORAGE_CONFIG") {
            let (names, origin) = (
                entries.iter().map(|entry| entry.key.as_str()),
                origin.clone(),
            );
            let value = Ok(names.collect::<Vec<_>>().into());
            self.set(
                "storage.preference",
                "DISTRIBUTED_STORAGE_CONFIG",
                value,
                origin,
            );
        }
        if self
            .keys
            .get("DISTRIBUTED_STORAGE_PREFERENCE")
            .is_some_and(|(node, _)| *node != Node::List(Vec::new()))
        {
            self.assign(
                "storage.preference",
                "DISTRIBUTED_STORAGE_PREFERENCE",
                Node::to_json,
            );
        }
        self.assign_extra_ca(sources);
        if let Some(text) = sources.environment.text(env::STORAGE_PREFERENCE) {
            let value = text.map(|text| text.split_whitespace().collect::<Vec<_>>().into());
            self.set(
                "storage.preference",
                env::STORAGE_PREFERENCE,
                value,
                Origin::Environment(env::STORAGE_PREFERENCE),
            );
        }
    }

    /// Assigns the authorities that Quay's container adds to the system's: the folder, or file,
    /// `extra_ca_certs` beside its configuration.
    fn assign_extra_ca(&mut self, sources: &Sources) {
        let Some(file) = &sources.quay_config else {
            return;
        };
        let extra = file.with_file_name("extra_ca_certs");
        if let Some(path) = extra.to_str().filter(|_| extra.exists()) {
            let (value, origin) = (
                Ok(path.into()),
                Origin::File {
                    path: extra.clone(),
                    line: 1,
                },
            );
            self.set("storage.extra_ca_certs", "extra_ca_certs", value, origin);
        }
    }

    /// Assigns the server of Quay's locks, which is also ours for jobs and cache until another one
    /// is named.
    fn assign_redis(&mut self) {
        let (name, old_name) = ("USER_EVENTS_REDIS", "USER_EVENTS_REDIS_HOSTNAME");
        let (value, origin) = match (self.keys.get(name), self.keys.get(old_name)) {
            (Some((node, origin)), _) => (redis::url(node), origin.clone()),
            (None, Some((_, origin))) => (Err(redis::OLD_NAME.to_owned()), origin.clone()),
            (None, None) => (Ok(redis::DEFAULT_URL.to_owned()), Origin::QuayDefault),
        };
        for key in ["redis.locks_url", "redis.queue_url", "redis.cache_url"] {
            self.set(key, name, value.clone().map(Value::from), origin.clone());
        }
        let Some((node, origin)) = self.keys.get(name).cloned() else {
            return;
        };
        for (key, argument) in redis::CERTIFICATES {
            if let Some(path) = redis::path(&node, argument) {
                self.set(key, name, path.map(Value::from), origin.clone());
            }
        }
    }

    /// Assigns the settings that jobs honour.
    fn assign_flags(&mut self) {
        // Absent, it means that the registry is not set up; without a Quay it means the opposite.
        self.set(
            "registry.setup_complete",
            "SETUP_COMPLETE",
            Ok(false.into()),
            Origin::QuayDefault,
        );
        for (key, name) in keys::of_quay() {
            let read = match name.as_str() {
                "REGISTRY_STATE" => Node::to_json,
                "EXPIRED_APP_SPECIFIC_TOKEN_GC" => duration,
                "BLOBUPLOAD_DELETION_DATE_THRESHOLD" => minutes,
                feature if feature.starts_with("FEATURE_") => feature_flag,
                _ => plain_flag,
            };
            self.assign(key, &name, read);
        }
    }

    /// Assigns one of our keys from one of Quay's, if that is there.
    fn assign(&mut self, key: &str, name: &str, read: fn(&Node) -> Result<Value, String>) {
        if let Some((node, origin)) = self.keys.get(name) {
            let (value, origin) = (read(node), origin.clone());
            self.set(key, name, value, origin);
        }
    }

    fn set(&mut self, key: &str, name: &str, value: Result<Value, String>, origin: Origin) {
        let name = name.to_owned();
        self.layers.set(
            key,
            Assignment {
                name,
                value,
                origin,
                source: Source::Quay,
            },
        );
    }
}

/// Reads `DB_CONNECTION_ARGS` without what concerns Quay's pool only.
fn connection_args(node: &Node) -> Result<Value, String> {
    let mut value = node.to_json()?;
    if let Some(map) = value.as_object_mut() {
        map.retain(|name, _| !POOL_OPTIONS.contains(&name.as_str()));
    }
    Ok(value)
}

/// Reads one of Quay's durations, such as `2w`, or null for off; weeks become days.
fn duration(node: &Node) -> Result<Value, String> {
    let weeks = match node {
        Node::Text(text) => text.strip_suffix('w').and_then(|n| n.parse::<u32>().ok()),
        _ => None,
    };
    match weeks {
        Some(weeks) => Ok(format!("{}d", u64::from(weeks) * 7).into()),
        None => node.to_json(),
    }
}

/// Reads a whole number of minutes.
fn minutes(node: &Node) -> Result<Value, String> {
    match node {
        Node::Int(minutes) if *minutes >= 0 => Ok(format!("{minutes}m").into()),
        _ => Err("is not a whole number of minutes".to_owned()),
    }
}

/// Reads a `FEATURE_` flag. Quay takes every text but `true` for false; of those, only `false` is
/// certain to be meant.
fn feature_flag(node: &Node) -> Result<Value, String> {
    match node {
        Node::Text(text) if text.eq_ignore_ascii_case("false") => Ok(false.into()),
        node => plain_flag(node),
    }
}

/// Reads any other flag, by Python's rules as far as they are certain. A text is true there
/// whatever it says, so `"false"` in quotes is refused.
fn plain_flag(node: &Node) -> Result<Value, String> {
    let expected = "write true or false, without quotes";
    let what = match node {
        Node::Bool(value) => return Ok((*value).into()),
        Node::Int(number) => return Ok((*number != 0).into()),
        Node::Text(text) if text.eq_ignore_ascii_case("true") => return Ok(true.into()),
        Node::Text(text) if text.eq_ignore_ascii_case("false") => {
            "is the text `false`, which Quay takes for true".to_owned()
        }
        Node::Text(text) => {
            format!(
                "is the text `{}`, which is neither true nor false",
                text.chars().take(60).collect::<String>()
            )
        }
        Node::Null => "is empty (null)".to_owned(),
        Node::Float(_) => "is a fraction".to_owned(),
        Node::List(_) => "is a list".to_owned(),
        Node::Map(_) => "is a mapping".to_owned(),
        Node::Odd(what) => return Err(what.clone()),
    };
    Err(format!("{what}; {expected}"))
}
