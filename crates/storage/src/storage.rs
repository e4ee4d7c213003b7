//! Owns [`Storage`]: the configured locations and what can be done with the objects in them.

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{ObjectStore, ObjectStoreExt, local::LocalFileSystem, path::Path};
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    Deleted, Digest, DigestHasher, ObjectPath, StorageError,
    engine::{Engine, kind},
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

impl Storage {
    /// Reads `config`, a map from location names to `["<engine>", {<arguments>}]` as in Quay's
    /// `DISTRIBUTED_STORAGE_CONFIG`, and `preference`, the order in which locations are tried;
    /// empty means all, by name.
    ///
    /// Touches neither disk nor network: that a root is there is checked at each call.
    ///
    /// # Errors
    /// Names the location and the engine or argument that is missing, unknown, malformed
    /// or not supported yet.
    pub fn from_config(config: &Value, preference: &[String]) -> Result<Self, StorageError> {
        let all = || StorageError::Malformed {
            location: "(all)".to_owned(),
            found: kind(config),
        };
        let map = config.as_object().ok_or_else(all)?;
        let engine =
            |(name, config): (&String, _)| Ok((name.clone(), Engine::from_config(name, config)?));
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

    /// Deletes objects of one location: one answer per path, in order.
    ///
    /// Nothing is retried, at most eight keys are worked on at once, and nothing is begun after
    /// `deadline` or when the future is dropped. Only a plain file goes: what lies behind a
    /// symbolic link below the root, a folder, and the object of the
    /// [`EMPTY_LAYER`](crate::EMPTY_LAYER) are kept and answered `Failed`.
    ///
    /// # Errors
    /// When the location is not configured or its root is missing or out of reach; then
    /// nothing was deleted.
    pub async fn delete(
        &self,
        location: &str,
        paths: &[ObjectPath],
        deadline: Instant,
    ) -> Result<Vec<Deleted>, StorageError> {
        match self.engine(location)? {
            Engine::Local(engine) => engine.delete(paths, deadline).await,
        }
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
        let store = self.open(location).await?;
        match store.head(&key(path)).await {
            Ok(found) => Ok(Some(found.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
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
        let store = self.open(location).await?;
        let written = store.put(&key(path), content.into()).await;
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
        let store = self.open(location).await?;
        let (location, action) = (location.to_owned(), format!("read `{path}`"));
        match store.get(&key(path)).await {
            Ok(found) => Ok(Some(
                found
                    .into_stream()
                    .map_err(move |cause| failed(&location, &action, cause))
                    .boxed(),
            )),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
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
        self.list_below(location, None).await
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
        self.list_below(location, Some(&Path::from("uploads")))
            .await
    }

    async fn list_below(
        &self,
        location: &str,
        folder: Option<&Path>,
    ) -> Result<BoxStream<'static, Result<StoredObject, StorageError>>, StorageError> {
        let listing = self.open(location).await?.list(folder);
        let location = location.to_owned();
        let object = move |found| match found {
            Ok(meta) => Ok(StoredObject::from(meta)),
            Err(cause) => Err(failed(&location, "list its objects", cause)),
        };
        Ok(listing.map(object).boxed())
    }

    /// Opens a location for everything but deleting.
    async fn open(&self, location: &str) -> Result<LocalFileSystem, StorageError> {
        match self.engine(location)? {
            Engine::Local(engine) => engine.open().await,
        }
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

impl From<object_store::ObjectMeta> for StoredObject {
    fn from(meta: object_store::ObjectMeta) -> Self {
        let key = meta.location.to_string();
        Self {
            path: key.parse().ok(),
            key,
            size_bytes: meta.size,
            modified: meta.last_modified.into(),
        }
    }
}

/// Names an object to `object_store`; our paths hold nothing that it would encode.
fn key(path: &ObjectPath) -> Path {
    Path::from(path.to_string())
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
