//! Owns the reading of one engine's arguments: each is used, passed over or refused by name.

use serde_json::{Map, Value};

use crate::StorageError;

/// The arguments of one location, as Quay's configuration gives them.
#[derive(Clone, Copy)]
pub(crate) struct Arguments<'a> {
    location: &'a str,
    engine: &'static str,
    map: &'a Map<String, Value>,
}

impl<'a> Arguments<'a> {
    /// Wraps the arguments; `location` and `engine` appear in errors.
    pub(crate) fn new(
        location: &'a str,
        engine: &'static str,
        map: &'a Map<String, Value>,
    ) -> Self {
        Self {
            location,
            engine,
            map,
        }
    }

    /// Returns the location's name.
    pub(crate) fn location(&self) -> &'a str {
        self.location
    }

    /// Refuses an argument that none of the lists names.
    ///
    /// # Errors
    /// Names the argument: what it asks for would not happen.
    pub(crate) fn allow_only(&self, known: &[&[&str]]) -> Result<(), StorageError> {
        let is_known = |key: &str| known.iter().any(|names| names.contains(&key));
        match self.map.keys().find(|key| !is_known(key)) {
            Some(key) => Err(self.wrong(key, "is not known; docs/storage.md lists those that are")),
            None => Ok(()),
        }
    }

    /// Returns a text; absent, null and empty are `None`, as for Quay.
    ///
    /// # Errors
    /// When it is no text, or holds what no address or header may.
    pub(crate) fn text(&self, key: &'static str) -> Result<Option<&'a str>, StorageError> {
        match self.map.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) if text.chars().any(char::is_control) => {
                Err(self.wrong(key, "contains a control character"))
            }
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(key, "is not text")),
        }
    }

    /// Says whether there is a text at all, be it an empty one.
    pub(crate) fn has_text(&self, key: &str) -> bool {
        self.map.get(key).is_some_and(Value::is_string)
    }

    /// Returns a text that must be there.
    ///
    /// # Errors
    /// When it is missing or empty, or as [`text`](Self::text).
    pub(crate) fn required(&self, key: &'static str) -> Result<&'a str, StorageError> {
        self.text(key)?
            .ok_or_else(|| self.wrong(key, "is missing or empty"))
    }

    /// Returns a text that will be part of a header, such as a key; `None` when absent or empty.
    ///
    /// # Errors
    /// When it holds anything but printable ASCII, or as [`text`](Self::text).
    pub(crate) fn credential(&self, key: &'static str) -> Result<Option<&'a str>, StorageError> {
        match self.text(key)? {
            Some(text) if text.chars().all(|c| c.is_ascii_graphic()) => Ok(Some(text)),
            Some(_) => Err(self.wrong(key, "contains a blank or a character beyond ASCII")),
            None => Ok(None),
        }
    }

    /// Returns true or false; `None` when absent or null.
    ///
    /// # Errors
    /// When it is anything else: a text such as `"false"` is true for Quay, and rarely meant so.
    pub(crate) fn flag(&self, key: &'static str) -> Result<Option<bool>, StorageError> {
        match self.map.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(self.wrong(key, "is neither true nor false")),
        }
    }

    /// Returns a port; `None` when absent or null.
    ///
    /// # Errors
    /// When it is no number from 1 to 65535, written with or without quotes.
    pub(crate) fn port(&self, key: &'static str) -> Result<Option<u16>, StorageError> {
        let port = match self.map.get(key) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Number(number)) => number.as_u64().and_then(|n| u16::try_from(n).ok()),
            Some(Value::String(text)) => text.parse().ok(),
            Some(_) => None,
        };
        match port {
            Some(port) if port > 0 => Ok(Some(port)),
            _ => Err(self.wrong(key, "is no port from 1 to 65535")),
        }
    }

    /// Returns a map of further arguments that must be there.
    ///
    /// # Errors
    /// When it is missing or no map.
    pub(crate) fn map(&self, key: &'static str) -> Result<Self, StorageError> {
        match self.map.get(key) {
            Some(Value::Object(map)) => Ok(Self { map, ..*self }),
            Some(_) => Err(self.wrong(key, "is not a map")),
            None => Err(self.wrong(key, "is missing")),
        }
    }

    /// Says what is wrong with an argument, never showing its value.
    pub(crate) fn wrong(&self, key: &str, problem: &'static str) -> StorageError {
        StorageError::Argument {
            location: self.location.to_owned(),
            engine: self.engine,
            key: key.to_owned(),
            problem,
        }
    }
}
