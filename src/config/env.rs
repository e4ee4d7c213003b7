//! Owns the environment variables that count, and the reading of our own three.

use std::{collections::BTreeMap, ffi::OsString, fmt};

use serde_json::Value;

use super::{
    Origin,
    layers::{Assignment, Layers, Source},
};

/// Our variables, then Quay's.
const DATABASE_URL: &str = "QUAYHAND_DATABASE_URL";
const REDIS_URL: &str = "QUAYHAND_REDIS_URL";
const STORAGE: &str = "QUAYHAND_STORAGE";
pub(super) const OVERRIDE_CONFIG: &str = "QUAY_OVERRIDE_CONFIG";
pub(super) const STORAGE_PREFERENCE: &str = "QUAY_DISTRIBUTED_STORAGE_PREFERENCE";

const NAMES: [&str; 5] = [
    DATABASE_URL,
    REDIS_URL,
    STORAGE,
    OVERRIDE_CONFIG,
    STORAGE_PREFERENCE,
];

/// The environment variables that a configuration is read from; the others are not kept.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<&'static str, OsString>);

impl Environment {
    /// Takes this process's variables.
    pub fn of_process() -> Self {
        Self(
            NAMES
                .into_iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?)))
                .collect(),
        )
    }

    /// Adds or replaces one variable; a name that does not count is ignored.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<OsString>) -> Self {
        if let Some(known) = NAMES.into_iter().find(|known| *known == name) {
            self.0.insert(known, value.into());
        }
        self
    }

    /// Returns a variable's text; `None` when it is not set, an error when it is no text or empty.
    ///
    /// Empty is not "not set": which of the two was meant decides which database is worked on.
    pub(super) fn text(&self, name: &'static str) -> Option<Result<&str, String>> {
        self.0.get(name).map(|value| match value.to_str() {
            None => Err("is not UTF-8 text".to_owned()),
            Some("") => Err("is set but empty; give it a value or unset it".to_owned()),
            Some(text) => Ok(text),
        })
    }
}

impl fmt::Debug for Environment {
    /// Shows names only: the values hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Assigns what our own variables say.
pub(super) fn read(environment: &Environment, layers: &mut Layers) {
    let mut assign =
        |name: &'static str, keys: &[&str], read: fn(&str) -> Result<Value, String>| {
            let Some(text) = environment.text(name) else {
                return;
            };
            let value = text.and_then(read);
            for key in keys {
                layers.set(
                    key,
                    Assignment {
                        name: name.to_owned(),
                        value: value.clone(),
                        origin: Origin::Environment(name),
                        source: Source::Environment,
                    },
                );
            }
        };
    assign(DATABASE_URL, &["database.url"], |text| Ok(text.into()));
    assign(
        REDIS_URL,
        &["redis.queue_url", "redis.locks_url", "redis.cache_url"],
        |text| Ok(text.into()),
    );
    assign(STORAGE, &["storage.locations"], json);
}

/// Reads JSON; the message says where it is wrong and shows nothing of it.
pub(super) fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        format!("is not JSON: wrong at line {line}, column {column}")
    })
}
