//! Owns the values that hold secrets, and what of them may be seen.

use std::fmt;

use serde_json::{Map, Value};

use super::setting::Setting;

mod mask;

use mask::{mask_url, mask_value};

/// An address that may hold a password; it is shown without.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(String);

impl SecretUrl {
    /// Takes an address of the form `scheme://...`.
    pub(super) fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// Returns the whole address, for connecting and for nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns what is before `://`.
    pub(super) fn scheme(&self) -> &str {
        self.0.split_once("://").map_or("", |(scheme, _)| scheme)
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask_url(&self.0))
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretUrl({self})")
    }
}

impl Setting for Option<SecretUrl> {
    fn read(&mut self, value: &Value) -> Result<(), String> {
        let form = "expected an address of the form `scheme://user:password@host:port/name`";
        match value.as_str() {
            Some(url) if url.contains("://") && !url.contains(char::is_whitespace) => {
                *self = Some(SecretUrl::new(url));
                Ok(())
            }
            Some(_) => Err(format!("is a text of another form (not shown); {form}")),
            None => Err(format!("is not a text; {form}")),
        }
    }

    fn write(&self) -> Value {
        self.as_ref().map_or(Value::Null, |url| url.expose().into())
    }

    fn show(&self) -> String {
        self.as_ref()
            .map(|url| Value::from(url.to_string()).to_string())
            .unwrap_or_default()
    }
}

/// A map of arguments that may hold keys and passwords; it is shown without.
#[derive(Clone, PartialEq)]
pub struct SecretMap(Value);

impl SecretMap {
    /// Returns the whole map, a JSON object; empty when nothing was set.
    pub fn expose(&self) -> &Value {
        &self.0
    }

    /// Says whether nothing was set.
    pub fn is_empty(&self) -> bool {
        self.0.as_object().is_none_or(Map::is_empty)
    }
}

impl Default for SecretMap {
    fn default() -> Self {
        Self(Value::Object(Map::new()))
    }
}

impl fmt::Display for SecretMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", mask_value(&self.0, false))
    }
}

impl fmt::Debug for SecretMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretMap({self})")
    }
}

impl Setting for SecretMap {
    fn read(&mut self, value: &Value) -> Result<(), String> {
        if !value.is_object() {
            return Err("is not a table of names and values".to_owned());
        }
        self.0 = value.clone();
        Ok(())
    }

    fn write(&self) -> Value {
        self.0.clone()
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

#[cfg(test)]
mod tests;
