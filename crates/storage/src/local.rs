//! Owns the engine `LocalStorage`: objects as files below one folder.
//!
//! Reading, writing and listing go through `object_store`'s `LocalFileSystem`, which follows
//! symbolic links as Quay does. Deleting does not: `LocalFileSystem` would follow a link in the
//! middle of a path out of the root and remove somebody else's file, so removal walks from folder
//! to folder by file descriptor and refuses links. Empty folders stay, because a pusher may be
//! about to write into them.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use object_store::local::LocalFileSystem;
use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, openat, statat, unlinkat},
    io::Errno,
};
use tokio::{
    task::spawn_blocking,
    time::{Instant, timeout_at},
};

use crate::{
    Deleted, ObjectPath, StorageError,
    lanes::{delete_all, unanswered},
};

/// Opens a folder for looking names up in it, and nothing that is no real folder.
const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// One location of engine `LocalStorage`.
#[derive(Clone, Debug)]
pub(crate) struct LocalEngine {
    location: String,
    /// As configured; a relative one is taken from the working directory at each call.
    root: PathBuf,
}

impl LocalEngine {
    /// Names the folder; touches no disk, so a configuration can be checked on a host without the
    /// volume.
    pub(crate) fn new(location: String, root: PathBuf) -> Self {
        Self { location, root }
    }

    /// Removes plain files. See [`Storage::delete`](crate::Storage::delete) for the promises.
    pub(crate) async fn delete(
        &self,
        paths: &[ObjectPath],
        deadline: Instant,
    ) -> Result<Vec<Deleted>, StorageError> {
        let root = self.root.clone();
        let opening = spawn_blocking(move || open_root(&root));
        let Ok(opened) = timeout_at(deadline, opening).await else {
            return Ok(vec![unanswered(); paths.len()]);
        };
        let opened = opened.map_err(|cause| self.failed("open its root", cause))?;
        let root = opened.map_err(|cause| self.root_error(cause))?;
        Ok(delete_all(paths, deadline, move |path| remove(root.as_fd(), path)).await)
    }

    /// Opens the folder for reading and writing through `object_store`, after checking that it is
    /// there.
    pub(crate) async fn open(&self) -> Result<LocalFileSystem, StorageError> {
        let root = self.root.clone();
        let opening = spawn_blocking(move || {
            open_root(&root)?;
            LocalFileSystem::new_with_prefix(&root).map_err(io::Error::other)
        });
        let opened = opening
            .await
            .map_err(|cause| self.failed("open its root", cause))?;
        opened.map_err(|cause| self.root_error(cause))
    }

    /// Tells a root that is not there from one that cannot be used.
    fn root_error(&self, source: io::Error) -> StorageError {
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => StorageError::RootMissing {
                location: self.location.clone(),
                root: self.root.clone(),
                source,
            },
            _ => self.failed("open its root", source),
        }
    }

    /// Wraps a cause with the location and the root.
    fn failed(
        &self,
        action: &str,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> StorageError {
        StorageError::Failed {
            location: self.location.clone(),
            action: format!("{action} `{}`", self.root.display()),
            source: cause.into(),
        }
    }
}

/// Opens the root itself, which may be a symbolic link: operators move volumes that way.
fn open_root(root: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(root, FOLDER, Mode::empty())?)
}

/// Removes one file below the root and says what happened.
fn remove(root: BorrowedFd<'_>, path: &ObjectPath) -> Deleted {
    if path.is_empty_layer() {
        return Deleted::Failed("the empty layer is never removed".to_owned());
    }
    let name = path.to_string();
    match unlink(root, &name) {
        Ok(()) => Deleted::Removed,
        Err(Refusal::Cause(Errno::NOENT)) => Deleted::NotFound,
        Err(Refusal::Cause(Errno::NOTDIR)) => Deleted::Failed(format!(
            "`{name}` leads through a symbolic link or a file: kept"
        )),
        Err(Refusal::Cause(cause)) => {
            Deleted::Failed(format!("`{name}`: {}", io::Error::from(cause)))
        }
        Err(Refusal::NoFile(kind)) => {
            Deleted::Failed(format!("`{name}` is a {kind}, not a file: kept"))
        }
    }
}

/// Why a file was not removed.
enum Refusal {
    Cause(Errno),
    NoFile(&'static str),
}

impl From<Errno> for Refusal {
    fn from(cause: Errno) -> Self {
        Self::Cause(cause)
    }
}

/// Walks down from the root without following any link, and unlinks the last name if it is a plain
/// file.
///
/// Should the last name be swapped for a link between the look and the unlink, the link goes and
/// not what it points to.
fn unlink(root: BorrowedFd<'_>, name: &str) -> Result<(), Refusal> {
    let mut folder: Option<OwnedFd> = None;
    let mut rest = name;
    while let Some((first, below)) = rest.split_once('/') {
        let parent = folder.as_ref().map_or(root, AsFd::as_fd);
        folder = Some(openat(
            parent,
            first,
            FOLDER | OFlags::NOFOLLOW,
            Mode::empty(),
        )?);
        rest = below;
    }
    let parent = folder.as_ref().map_or(root, AsFd::as_fd);
    let found = statat(parent, rest, AtFlags::SYMLINK_NOFOLLOW)?;
    match FileType::from_raw_mode(found.st_mode) {
        FileType::RegularFile => Ok(unlinkat(parent, rest, AtFlags::empty())?),
        FileType::Directory => Err(Refusal::NoFile("folder")),
        FileType::Symlink => Err(Refusal::NoFile("symbolic link")),
        _ => Err(Refusal::NoFile("special file")),
    }
}
