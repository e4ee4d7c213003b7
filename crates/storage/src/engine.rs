//! Owns the reading of Quay's `DISTRIBUTED_STORAGE_CONFIG`: which engine a location has, and with
//! which arguments.

use serde_json::Value;

use crate::{StorageError, local::LocalEngine};

/// The engines Quay has. Source: Quay `storage_init.STORAGE_DRIVER_CLASSES`.
const ENGINES: &[&str] = &[
    "LocalStorage",
    "S3Storage",
    "STSS3Storage",
    "CloudFrontedS3Storage",
    "CloudFlareStorage",
    "AkamaiS3Storage",
    "MultiCDNStorage",
    "GoogleCloudStorage",
    "RadosGWStorage",
    "RHOCSStorage",
    "IBMCloudStorage",
    "AzureStorage",
    "SwiftStorage",
];

/// What stands behind a location. The object stores of the cloud providers become further variants.
#[derive(Clone, Debug)]
pub(crate) enum Engine {
    Local(LocalEngine),
}

impl Engine {
    /// Reads `["<engine>", {<arguments>}]`.
    ///
    /// Quay gives an engine it does not know a fake one in memory; here that is an error.
    pub(crate) fn from_config(location: &str, config: &Value) -> Result<Self, StorageError> {
        let malformed = || StorageError::Malformed {
            location: location.to_owned(),
            found: kind(config),
        };
        let (engine, arguments) = match config.as_array().map(Vec::as_slice) {
            Some([Value::String(engine), Value::Object(arguments)]) => (engine.as_str(), arguments),
            _ => return Err(malformed()),
        };
        if engine == "LocalStorage" {
            return local(location, arguments).map(Self::Local);
        }
        let (location, engine) = (location.to_owned(), engine.to_owned());
        if ENGINES.contains(&engine.as_str()) {
            Err(StorageError::UnsupportedEngine { location, engine })
        } else {
            Err(StorageError::UnknownEngine {
                location,
                engine,
                known: ENGINES,
            })
        }
    }
}

/// Reads the arguments of `LocalStorage`: `storage_path` and nothing else.
fn local(
    location: &str,
    arguments: &serde_json::Map<String, Value>,
) -> Result<LocalEngine, StorageError> {
    let wrong = |key: &str, problem| StorageError::Argument {
        location: location.to_owned(),
        engine: "LocalStorage",
        key: key.to_owned(),
        problem,
    };
    if let Some(key) = arguments.keys().find(|key| *key != "storage_path") {
        return Err(wrong(key, "is not known; it takes `storage_path` only"));
    }
    let path = arguments
        .get("storage_path")
        .ok_or_else(|| wrong("storage_path", "is missing"))?;
    match path.as_str() {
        Some("") => Err(wrong(
            "storage_path",
            "is empty; give the folder that holds the objects",
        )),
        Some(path) if path.contains('\0') => Err(wrong("storage_path", "contains a NUL character")),
        Some(path) => Ok(LocalEngine::new(location.to_owned(), path.into())),
        None => Err(wrong(
            "storage_path",
            "is not text; give the folder that holds the objects",
        )),
    }
}

/// Names the kind of a value without showing it.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list of another form",
        Value::Object(_) => "a map",
    }
}
