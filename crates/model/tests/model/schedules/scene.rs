//! Clients of the web tier over garbage: what each asks for, and where it halts.
use quayhand_model::gc::Lock;

use super::{
    clients::{Meeting, Pusher},
    pushes::Push,
    registry::{Garbage, Registry},
    verdict::{Row, Wanted},
};

/// Garbage of one blob, and a repository that is pushed to.
struct Scene<'a> {
    registry: &'a Registry,
    without: Option<Lock>,
    garbage: Garbage,
    /// Digests of the garbage.
    blob: String,
    manifest: String,
    target: i64,
}

impl<'a> Scene<'a> {
    async fn new(registry: &'a Registry, without: Option<Lock>) -> Self {
        let blob = registry.blob().await;
        let garbage = registry.garbage(&[blob]).await;
        Self {
            registry,
            without,
            garbage,
            blob: registry.digest(Row::Blob(blob)).await,
            manifest: registry.digest(Row::Manifest(garbage.manifest)).await,
            target: garbage.repository,
        }
    }

    /// The push goes to another repository than the one of the garbage.
    async fn elsewhere(registry: &'a Registry, without: Option<Lock>) -> Self {
        let target = registry.repository().await;
        let scene = Self::new(registry, without).await;
        Self { target, ..scene }
    }

    /// The last tag ends when the client has seen it, and is a temporary one.
    async fn still_tagged(registry: &'a Registry, without: Option<Lock>) -> Self {
        let scene = Self::new(registry, without).await;
        let ends = "floor(extract(epoch from now()) * 1000) + 3600000";
        let tag = format!("update tag set hidden = true, lifetime_end_ms = {ends}");
        registry.changes(&tag).await;
        scene
    }

    fn upload(&self) -> Push {
        Push::Upload {
            repository: self.target,
            digest: self.blob.clone(),
        }
    }

    /// A manifest of the blob.
    fn image(&self, digest: String) -> Push {
        Push::Manifest {
            repository: self.target,
            digest,
            blobs: vec![self.blob.clone()],
            children: vec![],
        }
    }

    /// A list of the garbage's manifest.
    fn list(&self) -> Push {
        Push::Manifest {
            repository: self.target,
            digest: new(),
            blobs: vec![],
            children: vec![self.manifest.clone()],
        }
    }

    async fn meets(
        self,
        first: Vec<Push>,
        again: Vec<Push>,
        places: &'static [&'static str; 2],
        wanted: Wanted,
    ) -> Meeting<'a> {
        let tag = self.garbage.tag;
        Meeting {
            registry: self.registry,
            without: self.without,
            repository: self.garbage.repository,
            pusher: Pusher::sends(self.registry, first, again, places).await,
            places,
            falls_due: format!("update tag set lifetime_end_ms = 1 where id = {tag}"),
            wanted,
        }
    }

    /// The client works with the blob; when it is refused, it uploads it.
    async fn over_blob(self, first: Push, places: &'static [&'static str; 2]) -> Meeting<'a> {
        let first = vec![first, self.image(new())];
        let again = vec![self.upload(), self.image(new())];
        let wanted = Wanted::Blob(self.blob.clone());
        self.meets(first, again, places, wanted).await
    }

    /// The client works with the manifest; when it is refused, it tries `again`.
    async fn over_manifest(
        self,
        first: Push,
        again: Vec<Push>,
        places: &'static [&'static str; 2],
    ) -> Meeting<'a> {
        let wanted = Wanted::Manifest(self.manifest.clone());
        self.meets(vec![first], again, places, wanted).await
    }
}

/// The digest of what is pushed for the first time.
fn new() -> String {
    format!("sha256:{}", "1".repeat(64))
}

pub(super) async fn upload(registry: &Registry, without: Option<Lock>) -> Meeting<'_> {
    let scene = Scene::elsewhere(registry, without).await;
    let upload = scene.upload();
    let places = &["repository found", "blob recorded"];
    scene.over_blob(upload, places).await
}

pub(super) async fn mount(registry: &Registry, without: Option<Lock>) -> Meeting<'_> {
    let scene = Scene::elsewhere(registry, without).await;
    let mount = Push::Mount {
        from: scene.garbage.repository,
        repository: scene.target,
        digest: scene.blob.clone(),
    };
    scene
        .over_blob(mount, &["blob found", "blob recorded"])
        .await
}

/// Asks for the blob, and halts where the manifest's transaction is.
pub(super) async fn head(registry: &Registry, without: Option<Lock>) -> Meeting<'_> {
    let scene = Scene::new(registry, without).await;
    let head = Push::Head {
        repository: scene.target,
        digest: scene.blob.clone(),
    };
    let places = &["references found", "manifest written"];
    scene.over_blob(head, places).await
}

/// Asks for the blob, and halts before the manifest is sent.
pub(super) async fn head_alone(registry: &Registry, without: Option<Lock>) -> Meeting<'_> {
    let meeting = Scene::new(registry, without).await;
    let head = Push::Head {
        repository: meeting.target,
        digest: meeting.blob.clone(),
    };
    meeting
        .over_blob(head, &["head answered", "manifest written"])
        .await
}

pub(super) async fn copy(registry: &Registry, without: Option<Lock>) -> Meeting<'_> {
    let scene = Scene::still_tagged(registry, without).await;
    let copy = Push::Copy {
        repository: scene.target,
        digest: scene.manifest.clone(),
    };
    let places = &["references found", "tag written"];
    scene.over_manifest(copy.clone(), vec![copy], places).await
}

pub(super) async fn restore(registry: &Registry, without: Option<Lock>) -> Meeting<'_> {
    let scene = Scene::new(registry, without).await;
    let restore = Push::Restore {
        tag: scene.garbage.tag,
    };
    let places = &["references found", "tag written"];
    let again = vec![restore.clone()];
    scene.over_manifest(restore, again, places).await
}

/// A list whose child was pushed by digest, an hour ago.
pub(super) async fn list(registry: &Registry, without: Option<Lock>) -> Meeting<'_> {
    let scene = Scene::still_tagged(registry, without).await;
    let child = scene.image(scene.manifest.clone());
    let again = vec![scene.upload(), child, scene.list()];
    let (list, places) = (scene.list(), &["references found", "manifest written"]);
    scene.over_manifest(list, again, places).await
}

pub(super) async fn replicate(registry: &Registry, without: Option<Lock>) -> Meeting<'_> {
    let scene = Scene::new(registry, without).await;
    let replicate = Push::Replicate {
        digest: scene.blob.clone(),
    };
    let again = vec![replicate.clone()];
    let wanted = Wanted::Blob(scene.blob.clone());
    let places = &["object copied", "placement written"];
    scene.meets(vec![replicate], again, places, wanted).await
}
