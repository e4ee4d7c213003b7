//! What is pushed: images that share layers, so that digests come again and again.

use serde_json::json;

use crate::place::digest_of;

/// How many different images there are.
pub(super) const IMAGES: u64 = 80;
/// How many layers they share.
const LAYERS: u64 = 120;
/// Layers of an image, its config not counted.
const LAYERS_PER_IMAGE: u64 = 3;

/// Media type of an image's manifest.
pub(super) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of a list of images.
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Bytes and their digest.
#[derive(Clone, Debug)]
pub(super) struct Blob {
    pub(super) digest: String,
    pub(super) bytes: Vec<u8>,
}

impl Blob {
    fn new(bytes: Vec<u8>) -> Self {
        Self {
            digest: digest_of(&bytes),
            bytes,
        }
    }
}

/// An image: its manifest and what it names.
#[derive(Clone, Debug)]
pub(super) struct Image {
    pub(super) manifest: Blob,
    pub(super) blobs: Vec<Blob>,
}

/// Makes the image of a number below [`IMAGES`].
pub(super) fn image(number: u64) -> Image {
    let config = Blob::new(format!("{{\"config\":{number}}}").into_bytes());
    let layers =
        (0..LAYERS_PER_IMAGE).map(|place| layer((number * 7 + place * place * 31) % LAYERS));
    let blobs: Vec<_> = std::iter::once(config).chain(layers).collect();
    let named: Vec<_> = blobs
        .iter()
        .map(|blob| json!({ "digest": blob.digest }))
        .collect();
    let manifest = json!({ "mediaType": IMAGE, "config": named[0], "layers": named[1..] });
    Image {
        manifest: Blob::new(manifest.to_string().into_bytes()),
        blobs,
    }
}

/// Makes the manifest of a list of images.
pub(super) fn index(images: &[&Image]) -> Blob {
    let named: Vec<_> = images
        .iter()
        .map(|image| json!({ "digest": image.manifest.digest }))
        .collect();
    let manifest = json!({ "mediaType": INDEX, "manifests": named });
    Blob::new(manifest.to_string().into_bytes())
}

fn layer(number: u64) -> Blob {
    let length = 200 + (number * 97 % 3_000);
    let text = format!("layer {number} ").into_bytes();
    let bytes = text.iter().cycle().take(usize::try_from(length).unwrap());
    Blob::new(bytes.copied().collect())
}
