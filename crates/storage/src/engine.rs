//! Owns the reading of Quay's `DISTRIBUTED_STORAGE_CONFIG`: which engine a location has, and what
//! every engine can do.

use std::sync::Arc;

use futures::{StreamExt, stream, stream::BoxStream};
use object_store::{ObjectStore, path::Path};
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    Deleted, MultipartUpload, ObjectPath, StorageError,
    arguments::Arguments,
    azure::AzureEngine,
    http::Http,
    local::LocalEngine,
    prefix::Prefix,
    s3::{S3Engine, Settings},
};

/// The engines Quay has. Source: Quay `storage_init.STORAGE_DRIVER_CLASSES`; its class
/// `CloudFlareS3Storage` goes by either name.
const ENGINES: &[&str] = &[
    "LocalStorage",
    "S3Storage",
    "STSS3Storage",
    "CloudFrontedS3Storage",
    "CloudFlareStorage",
    "CloudFlareS3Storage",
    "AkamaiS3Storage",
    "MultiCDNStorage",
    "GoogleCloudStorage",
    "RadosGWStorage",
    "RHOCSStorage",
    "IBMCloudStorage",
    "AzureStorage",
    "SwiftStorage",
];

/// What stands behind a location.
#[derive(Clone, Debug)]
pub(crate) enum Engine {
    Local(LocalEngine),
    S3(Box<S3Engine>),
    Azure(Box<AzureEngine>),
}

impl Engine {
    /// Reads `["<engine>", {<arguments>}]`. Makes no client and opens nothing.
    ///
    /// Quay gives an engine it does not know a fake one in memory; here that is an error.
    pub(crate) fn from_config(
        location: &str,
        config: &Value,
        http: &Http,
    ) -> Result<Self, StorageError> {
        let malformed = || StorageError::Malformed {
            location: location.to_owned(),
            found: kind(config),
        };
        let (engine, map) = match config.as_array().map(Vec::as_slice) {
            Some([Value::String(engine), Value::Object(map)]) => (engine.as_str(), map),
            _ => return Err(malformed()),
        };
        let Some(&known) = ENGINES.iter().find(|known| **known == engine) else {
            return Err(StorageError::UnknownEngine {
                location: location.to_owned(),
                engine: engine.to_owned(),
                known: ENGINES,
            });
        };
        let arguments = Arguments::new(location, known, map);
        let settings = match known {
            "LocalStorage" => return local(&arguments).map(Self::Local),
            "AzureStorage" => {
                let engine = AzureEngine::new(&arguments, http.clone())?;
                return Ok(Self::Azure(Box::new(engine)));
            }
            "STSS3Storage" => Settings::sts(&arguments),
            "MultiCDNStorage" => Settings::multi_cdn(&arguments),
            "GoogleCloudStorage" => Settings::google(&arguments),
            "RadosGWStorage" | "RHOCSStorage" | "IBMCloudStorage" => Settings::hosted(&arguments),
            "SwiftStorage" => {
                return Err(StorageError::UnsupportedEngine {
                    location: location.to_owned(),
                    engine: engine.to_owned(),
                });
            }
            _ => Settings::aws(&arguments),
        };
        let engine = S3Engine::new(location.to_owned(), settings?, http.clone());
        Ok(Self::S3(Box::new(engine)))
    }

    /// Removes objects. See [`Storage::delete`](crate::Storage::delete) for the promises.
    pub(crate) async fn delete(
        &self,
        paths: &[ObjectPath],
        deadline: Instant,
    ) -> Result<Vec<Deleted>, StorageError> {
        match self {
            Self::Local(engine) => engine.delete(paths, deadline).await,
            Self::S3(engine) => engine.delete(paths, deadline).await,
            Self::Azure(engine) => engine.delete(paths, deadline).await,
        }
    }

    /// Returns the way to read, write and list. A local root is looked for first.
    pub(crate) async fn open(&self) -> Result<Arc<dyn ObjectStore>, StorageError> {
        Ok(match self {
            Self::Local(engine) => Arc::new(engine.open().await?),
            Self::S3(engine) => engine.store()?,
            Self::Azure(engine) => engine.store()?,
        })
    }

    /// Says whether an object is there, after `object_store` was told "not found".
    ///
    /// # Errors
    /// When what is missing is the bucket or container.
    pub(crate) async fn is_there(&self, path: &ObjectPath) -> Result<bool, StorageError> {
        match self {
            Self::Local(_) => Ok(false), // its root was just looked for
            Self::S3(engine) => engine.is_there(path).await,
            Self::Azure(engine) => engine.is_there(path).await,
        }
    }

    /// Checks that the location can be reached.
    pub(crate) async fn check(&self) -> Result<(), StorageError> {
        match self {
            Self::Local(engine) => engine.open().await.map(drop),
            Self::S3(engine) => engine.check().await,
            Self::Azure(engine) => engine.check().await,
        }
    }

    /// Names an object to `object_store`, which encodes nothing in it: the prefix was looked at.
    pub(crate) fn key(&self, path: &ObjectPath) -> Path {
        Path::from(self.below(&path.to_string()))
    }

    /// Names a folder to `object_store`; none is the whole location.
    pub(crate) fn folder(&self, folder: &str) -> Option<Path> {
        let whole = self.below(folder);
        (!whole.is_empty()).then(|| Path::from(whole))
    }

    /// Returns a listed key without the location's prefix; `None` for a key elsewhere.
    pub(crate) fn strip<'k>(&self, key: &'k str) -> Option<&'k str> {
        match self.prefix() {
            Some(prefix) => prefix.strip(key),
            None => Some(key),
        }
    }

    fn below(&self, name: &str) -> String {
        match self.prefix() {
            Some(prefix) => prefix.join(name),
            None => name.to_owned(),
        }
    }

    /// Returns what stands in front of every key; a local root does by itself.
    fn prefix(&self) -> Option<&Prefix> {
        match self {
            Self::Local(_) => None,
            Self::S3(engine) => Some(engine.prefix()),
            Self::Azure(engine) => Some(engine.prefix()),
        }
    }

    /// Lists multipart uploads. Only S3 has them: a local file is written at once, and Azure
    /// forgets blocks that were never committed after a week.
    pub(crate) fn list_multipart_uploads(
        &self,
    ) -> BoxStream<'static, Result<MultipartUpload, StorageError>> {
        match self {
            Self::S3(engine) => engine.list_uploads(),
            Self::Local(_) | Self::Azure(_) => stream::empty().boxed(),
        }
    }

    /// Aborts a multipart upload. Says whether it was still there.
    pub(crate) async fn abort_multipart_upload(
        &self,
        upload: &MultipartUpload,
    ) -> Result<bool, StorageError> {
        match self {
            Self::S3(engine) => engine.abort_upload(upload).await,
            Self::Local(_) | Self::Azure(_) => Ok(false),
        }
    }
}

/// Reads the arguments of `LocalStorage`: `storage_path` and nothing else.
fn local(arguments: &Arguments<'_>) -> Result<LocalEngine, StorageError> {
    const KEY: &str = "storage_path";
    arguments.allow_only(&[&[KEY]])?;
    let path = arguments.required(KEY)?;
    Ok(LocalEngine::new(
        arguments.location().to_owned(),
        path.into(),
    ))
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
