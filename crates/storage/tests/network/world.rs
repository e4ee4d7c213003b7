//! A bucket to work on.

use std::{collections::BTreeSet, fs, net::SocketAddr, path::PathBuf, time::Duration};

use quayhand_storage::{Deleted, Digest, ObjectPath, Storage};
use quayhand_testkit::s3::S3Server;
use serde_json::json;
use tempfile::TempDir;
use tokio::time::Instant;

/// The prefix of the location `east`; `west` has none.
const PREFIX: &str = "/data/registry one";

pub(crate) struct World {
    pub(crate) server: S3Server,
    pub(crate) storage: Storage,
    root: TempDir,
}

impl World {
    /// Starts a server with the locations `east` and `west`.
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().expect("a folder");
        for bucket in ["east", "west"] {
            fs::create_dir(root.path().join(bucket)).expect("a bucket");
        }
        let server = S3Server::start(root.path()).expect("a server");
        let storage = storage(&server, server.address());
        Self {
            server,
            storage,
            root,
        }
    }

    /// The file behind an object of `east`.
    pub(crate) fn file(&self, path: &ObjectPath) -> PathBuf {
        let key = format!("data/registry one/{path}");
        self.server.file("east", &key)
    }

    /// Writes objects into `east`, each of its own content.
    pub(crate) fn put_many(&self, count: usize) -> Vec<ObjectPath> {
        let paths: Vec<_> = (0..count).map(|n| blob(&format!("blob {n}"))).collect();
        for path in &paths {
            let file = self.file(path);
            fs::create_dir_all(file.parent().expect("a folder")).expect("its folder");
            fs::write(file, "x").expect("an object");
        }
        paths
    }

    pub(crate) async fn delete(&self, paths: &[ObjectPath]) -> Vec<Deleted> {
        let deleted = self.storage.delete("east", paths, soon()).await;
        deleted.expect("answers")
    }

    /// Those of the paths that are still there.
    pub(crate) fn left(&self, paths: &[ObjectPath]) -> BTreeSet<ObjectPath> {
        let is_there = |path: &&ObjectPath| self.file(path).exists();
        paths.iter().filter(is_there).copied().collect()
    }

    /// Takes the bucket `east` away, or puts it back.
    pub(crate) fn hide_bucket(&self, hidden: bool) {
        let (bucket, aside) = (
            self.root.path().join("east"),
            self.root.path().join("aside"),
        );
        let (from, to) = if hidden {
            (bucket, aside)
        } else {
            (aside, bucket)
        };
        fs::rename(from, to).expect("renamed");
    }
}

/// Reads the configuration of both locations at an address.
pub(crate) fn storage(server: &S3Server, address: SocketAddr) -> Storage {
    let config = json!({
        "east": ["S3Storage", server.arguments(address, "east", PREFIX)],
        "west": ["S3Storage", server.arguments(address, "west", "")],
    });
    Storage::from_config(&config, &[]).expect("a configuration")
}

pub(crate) fn blob(content: &str) -> ObjectPath {
    ObjectPath::cas(&Digest::of(content.as_bytes()))
}

pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}
