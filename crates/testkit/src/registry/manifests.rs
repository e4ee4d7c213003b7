//! Manifests: images, lists of images, signatures, and what is written about them.

use super::{
    blobs::digest,
    builder::{Builder, DAY_MS, Repository},
    enums::{IMAGE, IMAGE_INDEX},
    rows::Cell::{self, Bool, Int, Null, Text, Time},
};

/// The media type of an image's config.
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The media type of the config of what is no image.
const NO_CONFIG: &str = "application/vnd.oci.empty.v1+json";
/// The media type of a layer.
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// What a signature says that it is.
const SIGNATURE: &str = "application/vnd.example.signature.v1";

/// A manifest that is in the database.
#[derive(Debug, Clone)]
pub(super) struct Manifest {
    pub(super) id: i64,
    pub(super) digest: String,
    /// How long its text is.
    pub(super) bytes: usize,
    /// Whether a signature may name it.
    pub(super) is_image: bool,
}

/// The text of an image's manifest, and what it holds; any repository can have it.
#[derive(Debug, Clone)]
pub(super) struct Image {
    digest: String,
    text: String,
    config_media_type: &'static str,
    subject: Option<String>,
    /// Indexes of its blobs, the config first.
    blobs: Vec<usize>,
    layer_bytes: u64,
}

impl Builder {
    /// Makes what a push makes: a list of two images, an image of another repository, or a new one.
    pub(super) fn push(&mut self, repository: &mut Repository) -> Manifest {
        if self.random.chance(self.spec.list_fraction) {
            return self.push_list(repository);
        }
        if self.random.chance(self.spec.copied_fraction) && !self.images_to_copy.is_empty() {
            let image = self.random.pick(&self.images_to_copy).clone();
            if !repository.digests.contains(&image.digest) {
                return self.add_image(repository, &image);
            }
        }
        self.push_image(repository)
    }

    /// Makes an image on the repository's base, with a config of its own.
    fn push_image(&mut self, repository: &mut Repository) -> Manifest {
        let mut blobs = vec![self.make_any_blob()];
        blobs.extend(&repository.base);
        let layer = if repository.layers.is_empty() || self.random.chance(0.2) {
            let layer = self.make_any_blob();
            repository.layers.push(layer);
            layer
        } else {
            *self.random.pick(&repository.layers)
        };
        blobs.push(layer);
        if self.random.chance(0.4) {
            blobs.push(self.make_any_blob());
        }
        let image = self.describe_image(blobs, CONFIG, None);
        if self.random.chance(self.spec.copied_fraction) {
            self.images_to_copy.push(image.clone());
        }
        self.add_image(repository, &image)
    }

    /// Makes a signature that names a manifest as its subject.
    pub(super) fn push_referrer(
        &mut self,
        repository: &mut Repository,
        subject: &Manifest,
    ) -> Manifest {
        let blobs = vec![0, self.make_any_blob()];
        let image = self.describe_image(blobs, NO_CONFIG, Some(subject));
        self.counts.referrers += 1;
        self.add_image(repository, &image)
    }

    /// Makes a list and the two images in it, which have no tags of their own.
    fn push_list(&mut self, repository: &mut Repository) -> Manifest {
        let children = [self.push_image(repository), self.push_image(repository)];
        let platforms = children.iter().zip(["amd64", "arm64"]);
        let entries: Vec<String> = platforms
            .map(|(child, architecture)| {
                let platform = format!(r#"{{"architecture":"{architecture}","os":"linux"}}"#);
                let (digest, bytes) = (&child.digest, child.bytes);
                format!(
                    r#"{{"mediaType":"{IMAGE}","digest":"{digest}","size":{bytes},"platform":{platform}}}"#
                )
            })
            .collect();
        let entries = entries.join(",");
        let text =
            format!(r#"{{"schemaVersion":2,"mediaType":"{IMAGE_INDEX}","manifests":[{entries}]}}"#);
        let digest = digest(text.as_bytes());
        let id = self.tables.manifest.add(&[
            Int(repository.id),
            Text(&digest),
            Int(self.enums.image_index),
            Text(&text),
            Null,
            Null,
            Null,
            Bool(true),
            Null,
            Bool(true),
        ]);
        for child in &children {
            let cells = [Int(repository.id), Int(id), Int(child.id)];
            self.tables.manifestchild.add(&cells);
        }
        self.counts.manifest_lists += 1;
        self.finish(repository, id, digest, text.len(), false)
    }

    /// Writes the text of an image's manifest.
    fn describe_image(
        &self,
        blobs: Vec<usize>,
        config_media_type: &'static str,
        subject: Option<&Manifest>,
    ) -> Image {
        let describe = |media_type: &str, blob: usize| {
            let blob = &self.blobs[blob];
            descriptor(media_type, &blob.digest, blob.bytes)
        };
        let layers = blobs.iter().skip(1);
        let layer_bytes = layers.clone().map(|blob| self.blobs[*blob].bytes).sum();
        let layers: Vec<String> = layers.map(|blob| describe(LAYER, *blob)).collect();
        let (config, layers) = (describe(config_media_type, blobs[0]), layers.join(","));
        let referrer = subject.map_or_else(String::new, |subject| {
            let subject = descriptor(IMAGE, &subject.digest, subject.bytes as u64);
            format!(r#","subject":{subject},"artifactType":"{SIGNATURE}""#)
        });
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{IMAGE}","config":{config},"layers":[{layers}]{referrer}}}"#
        );
        Image {
            digest: digest(text.as_bytes()),
            text,
            config_media_type,
            subject: subject.map(|subject| subject.digest.clone()),
            blobs,
            layer_bytes,
        }
    }

    /// Adds an image to a repository.
    fn add_image(&mut self, repository: &mut Repository, image: &Image) -> Manifest {
        let subject = image.subject.as_deref();
        let id = self.tables.manifest.add(&[
            Int(repository.id),
            Text(&image.digest),
            Int(self.enums.image),
            Text(&image.text),
            Text(image.config_media_type),
            Cell::size(image.layer_bytes),
            Cell::text(subject),
            Bool(true),
            Cell::text(subject.map(|_| SIGNATURE)),
            Bool(true),
        ]);
        for blob in &image.blobs {
            let cells = [Int(repository.id), Int(id), Int(self.blobs[*blob].id)];
            self.tables.manifestblob.add(&cells);
            repository.blobs.insert(*blob);
        }
        if self.random.chance(self.spec.annotated_fraction) {
            self.add_scan(repository, id);
        }
        let (digest, bytes) = (image.digest.clone(), image.text.len());
        self.finish(repository, id, digest, bytes, subject.is_none())
    }

    /// Writes down what every kind of manifest may have, and counts it.
    fn finish(
        &mut self,
        repository: &mut Repository,
        id: i64,
        digest: String,
        bytes: usize,
        is_image: bool,
    ) -> Manifest {
        if self.random.chance(self.spec.annotated_fraction) {
            self.add_labels(repository, id);
            self.add_pulls(repository, &digest);
        }
        self.counts.manifests += 1;
        repository.digests.insert(digest.clone());
        Manifest {
            id,
            digest,
            bytes,
            is_image,
        }
    }

    fn add_labels(&mut self, repository: &Repository, manifest_id: i64) {
        for (key, value) in [("maintainer", "somebody"), ("version", "1")] {
            let uuid = self.random.uuid();
            let (media_type, source) = (self.enums.plain_text, self.enums.manifest_label);
            let label = [
                Text(&uuid),
                Text(key),
                Text(value),
                Int(media_type),
                Int(source),
            ];
            let label_id = self.tables.label.add(&label);
            let cells = [Int(repository.id), Int(manifest_id), Int(label_id)];
            self.tables.manifestlabel.add(&cells);
        }
    }

    fn add_pulls(&mut self, repository: &Repository, digest: &str) {
        let (pulls, pulled) = (self.random.within(1..=900), self.now_ms - DAY_MS);
        let cells = [
            Int(repository.id),
            Text(digest),
            Cell::size(pulls),
            Time(pulled),
        ];
        self.tables.manifestpullstatistics.add(&cells);
    }

    /// Records that a scan of the image is complete.
    fn add_scan(&mut self, repository: &Repository, manifest_id: i64) {
        self.tables.manifestsecuritystatus.add(&[
            Int(manifest_id),
            Int(repository.id),
            Int(2), // completed
            Text("[]"),
            Time(self.now_ms - DAY_MS),
            Text("generated"),
            Int(4),
            Text("{}"),
        ]);
    }
}

/// Writes how a manifest refers to content.
fn descriptor(media_type: &str, digest: &str, bytes: u64) -> String {
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{bytes}}}"#)
}
