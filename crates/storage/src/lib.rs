//! Quay's object layout and storage engines.
//!
//! A [`Digest`] or uuid that parses becomes an [`ObjectPath`], and only an `ObjectPath` can be
//! deleted through [`Storage`]. Objects live in named locations, each behind an engine; this crate
//! knows no database and no queue, so whether an object *may* go is decided elsewhere, under the
//! registry's lock.

mod arguments;
mod azure;
mod digest;
mod each;
mod engine;
mod error;
mod http;
mod lanes;
mod local;
mod path;
mod prefix;
mod s3;
mod storage;
#[cfg(test)]
mod twin;
mod uuid;

pub use digest::{Digest, DigestError, DigestHasher, EMPTY_LAYER};
pub use error::StorageError;
pub use lanes::Deleted;
pub use path::{ObjectPath, ObjectPathError};
pub use storage::{MultipartUpload, ObjectStream, Storage, StoredObject};
pub use uuid::{LegacyUuid, UploadUuid, UuidError};
