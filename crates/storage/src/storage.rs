//! Owns [`Storage`]: the configured locations and what can be done with the objects in them.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::SystemTime};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, future::ready, stream::BoxStream};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    Deleted, Digest, DigestHasher, ObjectPath, StorageError,
    engine::{Engine, kind},
    http::Http,
};

/// The content of an object, piece by piece.
pub type ObjectStream = BoxStream<'static, Result<Bytes, StorageError>>;

/// All storage locations of a registry. Cloning is cheap; it holds no open file or connection.
#[derive(Clone, Debug)]
pub struct Storage(Arc<Locations>);

#[derive(Debug)]
struct Locations {
    engines: BTreeMap<String, Engine>,
    preference: Vec<String>,
}

/// An object as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredObject {
    /// Its key below the location's root.
    pub key: String,
    /// The parsed key; `None` for what quayhand neither knows nor touches.
    pub path: Option<ObjectPath>,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// When it was last written, by the storage's clock.
    pub modified: SystemTime,
}

/// A multipart upload that was begun and neither completed nor aborted: parts that cost and belong
/// to no object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MultipartUpload {
    /// The key it would become, below the location's root.
    pub key: String,
    /// The parsed key; `None` for what quayhand neither knows nor touches.
    pub path: Option<ObjectPath>,
    /// When it was begun, by the storage's clock.
    pub begun: SystemTime,
    /// The server's own name for it.
    pub(crate) id: String,
}

impl Storage {
    /// Reads `config`, a map from location names to `["<engine>", {<arguments>}]` as in Quay's
    /// `DISTRIBUTED_STORAGE_CONFIG`, and `preference`, the order in which locations are tried;
    /// empty means all, by name.
    ///
    /// Touches neither disk nor network: that a root is there is checked at each call, and a client
    /// is made at the first.
    ///
    /// # Errors
    /// Names the location and the engine or argument that is missing, unknown, malformed
    /// or not supported.
    pub fn from_config(config: &Value, preference: &[String]) -> Result<Self, StorageError> {
        Self::with_extra_ca(config, preference, None)
    }

    /// As [`from_config`](Self::from_config), trusting further authorities: a PEM file, or a folder
    /// of them. It is read when the first client is made; then it must be there.
    ///
    /// # Errors
    /// As [`from_config`](Self::from_config).
    pub fn with_extra_ca(
        config: &Value,
        preference: &[String],
        extra_ca: Option<PathBuf>,
    ) -> Result<Self, StorageError> {
        let http = Http::new(extra_ca);
        let all = || StorageError::Malformed {
            location: "(all)".to_owned(),
            found: kind(config),
        };
        let map = config.as_object().ok_or_else(all)?;
        let engine = |(name, config): (&String, _)| {
            Ok((name.clone(), Engine::from_config(name, config, &http)?))
        };
        let engines = map
            .iter()
            .map(engine)
            .collect::<Result<BTreeMap<_, _>, StorageError>>()?;
        if engines.is_empty() {
            return Err(StorageError::NoLocation);
        }
        let preference = if preference.is_empty() {
            engines.keys().cloned().collect()
        } else {
            preference.to_vec()
        };
        let storage = Self(Arc::new(Locations {
            engines,
            preference,
        }));
        for location in &storage.0.preference {
            storage.engine(location)?;
        }
        Ok(storage)
    }

    /// Returns the names of all locations, in alphabetical order. They are the names in Quay's
    /// `imagestoragelocation`.
    pub fn locations(&self) -> impl Iterator<Item = &str> {
        self.0.engines.keys().map(String::as_str)
    }

    /// Returns the locations in the order in which new objects should be placed; never empty.
    pub fn preference(&self) -> &[String] {
        &self.0.preference
    }

    /// Checks that a location can be reached and is ours to read: a folder is looked for, of a
    /// bucket or container one key is listed.
    ///
    /// # Errors
    /// When the location is not configured or cannot be reached.
    pub async fn check(&self, location: &str) -> Result<(), StorageError> {
        self.engine(location)?.check().await
    }

    /// Deletes objects of one location: one answer per path, in order.
    ///
    /// Nothing is retried, and nothing is begun after `deadline` or when the future is dropped;
    /// what was sent by then and has not been answered is `Unknown`. S3 takes a thousand keys a
    /// request, Azure and Google one, sixteen at once; of files eight are worked on at once. Only a
    /// plain file goes: what lies behind a symbolic link below the root, a folder, and everywhere
    /// the object of the [`EMPTY_LAYER`](crate::EMPTY_LAYER) are kept and answered `Failed`. S3
    /// does not tell a key that was there from one that was not: both are `Removed`.
    ///
    /// # Errors
    /// When the location is not configured, its root, bucket or container is missing, or it is out
    /// of reach or refuses us; then nothing was deleted.
    pub async fn delete(
        &self,
        location: &str,
        paths: &[ObjectPath],
        deadline: Instant,
    ) -> Result<Vec<Deleted>, StorageError> {
        self.engine(location)?.delete(paths, deadline).await
    }

    /// Says whether there is an object at the path.
    ///
    /// # Errors
    /// When the location or the object cannot be looked at, which must never be taken for "no".
    pub async fn exists(&self, location: &str, path: &ObjectPath) -> Result<bool, StorageError> {
        Ok(self.size_bytes(location, path).await?.is_some())
    }

    /// Returns the size of the object at the path, in bytes; `None` when there is none.
    ///
    /// # Errors
    /// As [`exists`](Self::exists).
    pub async fn size_bytes(
        &self,
        location: &str,
        path: &ObjectPath,
    ) -> Result<Option<u64>, StorageError> {
        let engine = self.engine(location)?;
        let store = engine.open().await?;
        let key = engine.key(path);
        let mut found = store.head(&key).await;
        if matches!(found, Err(object_store::Error::NotFound { .. })) {
            if !engine.is_there(path).await? {
                return Ok(None);
            }
            found = store.head(&key).await; // it has come meanwhile
        }
        match found {
            Ok(found) => Ok(Some(found.size)),
            Err(cause) => Err(failed(location, &format!("look at `{path}`"), cause)),
        }
    }

    /// Writes an object, replacing the one that is there; readers see the old or the new one, never
    /// a part.
    ///
    /// # Errors
    /// When the location's root is missing or the object cannot be written.
    pub async fn put(
        &self,
        location: &str,
        path: &ObjectPath,
        content: Bytes,
    ) -> Result<(), StorageError> {
        let engine = self.engine(location)?;
        let store = engine.open().await?;
        let written = store.put(&engine.key(path), content.into()).await;
        written
            .map(drop)
            .map_err(|cause| failed(location, &format!("write `{path}`"), cause))
    }

    /// Opens an object for reading; `None` when there is none. Symbolic links are followed, as Quay
    /// does.
    ///
    /// # Errors
    /// When the location or the object cannot be read; the stream ends with an error when
    /// that happens half-way.
    pub async fn read(
        &self,
        location: &str,
        path: &ObjectPath,
    ) -> Result<Option<ObjectStream>, StorageError> {
        let engine = self.engine(location)?;
        let store = engine.open().await?;
        let (location, action) = (location.to_owned(), format!("read `{path}`"));
        match store.get(&engine.key(path)).await {
            Ok(found) => Ok(Some(
                found
                    .into_stream()
                    .map_err(move |cause| failed(&location, &action, cause))
                    .boxed(),
            )),
            Err(cause @ object_store::Error::NotFound { .. }) => {
                if engine.is_there(path).await? {
                    return Err(failed(&location, &action, cause));
                }
                Ok(None)
            }
            Err(cause) => Err(failed(&location, &action, cause)),
        }
    }

    /// Reads an object and computes its digest, in constant memory; `None` when there is none.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn hash(
        &self,
        location: &str,
        path: &ObjectPath,
    ) -> Result<Option<Digest>, StorageError> {
        let Some(mut content) = self.read(location, path).await? else {
            return Ok(None);
        };
        let mut hasher = DigestHasher::default();
        while let Some(piece) = content.try_next().await? {
            hasher.update(&piece);
        }
        Ok(Some(hasher.finish()))
    }

    /// Lists all objects of a location, in no particular order; one that comes or goes meanwhile
    /// may be missed.
    ///
    /// # Errors
    /// When the location's root is missing; the stream ends with an error when a part
    /// cannot be listed.
    pub async fn list(
        &self,
        location: &str,
    ) -> Result<BoxStream<'static, Result<StoredObject, StorageError>>, StorageError> {
        self.list_below(location, "").await
    }

    /// Lists what lies below `uploads/` of a location, in no particular order. No such folder is
    /// an empty list.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub async fn list_uploads(
        &self,
        location: &str,
    ) -> Result<BoxStream<'static, Result<StoredObject, StorageError>>, StorageError> {
        self.list_below(location, "uploads").await
    }

    async fn list_below(
        &self,
        location: &str,
        folder: &str,
    ) -> Result<BoxStream<'static, Result<StoredObject, StorageError>>, StorageError> {
        let engine = self.engine(location)?.clone();
        let listing = engine.open().await?.list(engine.folder(folder).as_ref());
        let location = location.to_owned();
        let object = move |found| match found {
            Ok(meta) => StoredObject::below(&engine, &meta).map(Ok),
            Err(cause) => Some(Err(failed(&location, "list its objects", cause))),
        };
        Ok(listing
            .filter_map(move |found| ready(object(found)))
            .boxed())
    }

    /// Lists the multipart uploads of a location that are neither completed nor aborted, in no
    /// particular order. Only engines that speak S3 have any.
    ///
    /// # Errors
    /// When the location is not configured; the stream ends with an error when a page cannot be
    /// read.
    pub fn list_multipart_uploads(
        &self,
        location: &str,
    ) -> Result<BoxStream<'static, Result<MultipartUpload, StorageError>>, StorageError> {
        Ok(self.engine(location)?.list_multipart_uploads())
    }

    /// Aborts a multipart upload, which frees its parts and touches no object. Says whether it
    /// was still there.
    ///
    /// # Errors
    /// When the location is out of reach or refuses; it may then be gone all the same.
    pub async fn abort_multipart_upload(
        &self,
        location: &str,
        upload: &MultipartUpload,
    ) -> Result<bool, StorageError> {
        self.engine(location)?.abort_multipart_upload(upload).await
    }

    /// Looks a location up.
    fn engine(&self, location: &str) -> Result<&Engine, StorageError> {
        self.0
            .engines
            .get(location)
            .ok_or_else(|| StorageError::UnknownLocation {
                location: location.to_owned(),
                known: self.0.engines.keys().cloned().collect(),
            })
    }
}

impl StoredObject {
    /// Understands a listed object; none for a key beside the location's prefix.
    fn below(engine: &Engine, meta: &ObjectMeta) -> Option<Self> {
        let key = engine.strip(meta.location.as_ref())?.to_owned();
        Some(Self {
            path: key.parse().ok(),
            key,
            size_bytes: meta.size,
            modified: meta.last_modified.into(),
        })
    }
}

/// Wraps a cause with the location and what was being done.
fn failed(location: &str, action: &str, cause: object_store::Error) -> StorageError {
    StorageError::Failed {
        location: location.to_owned(),
        action: action.to_owned(),
        source: cause.into(),
    }
}

#[cfg(test)]
mod tests;
