//! Owns [`ObjectPath`]: the three places below a storage root that quayhand may touch, and no
//! others.

use std::{fmt, str::FromStr};

use crate::{Digest, EMPTY_LAYER, LegacyUuid, UploadUuid};

/// The path of an object below its location's storage root.
///
/// It is built from parsed names only, so whatever a database row holds, it cannot point anywhere
/// else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectPath(Kind);

/// What lies at the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    Cas(Digest),
    Legacy(LegacyUuid),
    Upload(UploadUuid),
}

impl ObjectPath {
    /// Names a content-addressed blob: `sha256/xx/<64 hex digits>`, xx being the first two of them.
    pub const fn cas(digest: &Digest) -> Self {
        Self(Kind::Cas(*digest))
    }

    /// Names a blob of Quay's first version (`imagestorage.cas_path` false):
    /// `sharedimages/<uuid>/layer`.
    pub const fn legacy(uuid: &LegacyUuid) -> Self {
        Self(Kind::Legacy(*uuid))
    }

    /// Names the chunks of an upload in progress: `uploads/<uuid>`.
    pub const fn upload(uuid: &UploadUuid) -> Self {
        Self(Kind::Upload(*uuid))
    }

    /// Returns the digest that a content-addressed path promises; `None` for the other two kinds.
    pub const fn digest(&self) -> Option<&Digest> {
        match &self.0 {
            Kind::Cas(digest) => Some(digest),
            Kind::Legacy(_) | Kind::Upload(_) => None,
        }
    }

    /// Says whether this is the object of the [`EMPTY_LAYER`], which is never removed.
    pub fn is_empty_layer(&self) -> bool {
        self.digest() == Some(&EMPTY_LAYER)
    }
}

impl fmt::Display for ObjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Cas(digest) => {
                let hex = digest.hex();
                write!(f, "sha256/{}/{hex}", &hex[..2])
            }
            Kind::Legacy(uuid) => write!(f, "sharedimages/{uuid}/layer"),
            Kind::Upload(uuid) => write!(f, "uploads/{uuid}"),
        }
    }
}

impl FromStr for ObjectPath {
    type Err = ObjectPathError;

    /// Reads exactly the three shapes that [`Display`](fmt::Display) writes; a path with `..`, a
    /// double or a leading slash, or a blob below the wrong two digits is an error.
    fn from_str(text: &str) -> Result<Self, ObjectPathError> {
        let kind = match *text.split('/').collect::<Vec<_>>() {
            ["sha256", folder, hex] if hex.get(..2) == Some(folder) => {
                Digest::from_hex(hex).map(Kind::Cas)
            }
            ["sharedimages", uuid, "layer"] => uuid.parse().ok().map(Kind::Legacy),
            ["uploads", uuid] => uuid.parse().ok().map(Kind::Upload),
            _ => None,
        };
        kind.map(Self)
            .ok_or_else(|| ObjectPathError(text.chars().take(200).collect()))
    }
}

/// Says that a text is the path of no object that quayhand knows; what lies there is left alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not the path of a blob (`sha256/xx/<64 hex>`, `sharedimages/<uuid>/layer`) \
     or upload (`uploads/<uuid>`): \
     it is left alone"
)]
pub struct ObjectPathError(String);

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use proptest::prelude::*;

    use super::*;

    const UUID: &str = "0b9f3a5e-7c1d-4e2f-8a6b-1c2d3e4f5a6b";

    #[test]
    fn writes_quays_three_shapes() {
        let cas = ObjectPath::cas(&EMPTY_LAYER);
        let expected = "sha256/a3/a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4";
        assert_eq!(cas.to_string(), expected);
        assert!(cas.is_empty_layer());
        let legacy = ObjectPath::legacy(&UUID.parse().unwrap());
        assert_eq!(legacy.to_string(), format!("sharedimages/{UUID}/layer"));
        let upload = ObjectPath::upload(&UUID.parse().unwrap());
        assert_eq!(upload.to_string(), format!("uploads/{UUID}"));
        for path in [cas, legacy, upload] {
            assert_eq!(path.to_string().parse(), Ok(path));
        }
    }

    #[test]
    fn refuses_paths_that_lead_elsewhere() {
        let hex = EMPTY_LAYER.hex();
        for text in [
            String::new(),
            "/".to_owned(),
            format!("sha256/00/{hex}"),
            format!("/sha256/a3/{hex}"),
            format!("sha256//a3/{hex}"),
            format!("sha256/a3/{hex}/"),
            format!("sha256/a3/{hex}/.."),
            format!("sha512/a3/{hex}"),
            format!("./sha256/a3/{hex}"),
            format!("sha256/a3/../a3/{hex}"),
            format!("sharedimages/{UUID}"),
            format!("sharedimages/{UUID}/json"),
            "sharedimages/../layer".to_owned(),
            format!("uploads/{UUID}/0"),
            "uploads/..".to_owned(),
            "uploads/".to_owned(),
            format!("segments/{UUID}/000000001"),
        ] {
            assert!(text.parse::<ObjectPath>().is_err(), "{text:?}");
        }
    }

    /// Strings near the real shapes, so that the interesting refusals are met often.
    fn near_miss() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            Just("sha256".to_owned()),
            Just("sharedimages".to_owned()),
            Just("uploads".to_owned()),
            Just("layer".to_owned()),
            Just("..".to_owned()),
            Just(String::new()),
            Just(UUID.to_owned()),
            "[0-9a-f]{2}",
            "[0-9a-f]{64}",
            "[0-9a-fA-F-]{36}",
            ".{0,8}",
        ];
        prop::collection::vec(part, 0..5).prop_map(|parts| parts.join("/"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        #[test]
        fn arbitrary_text_never_leaves_the_root(text in prop_oneof![any::<String>(), near_miss()]) {
            if let Ok(path) = text.parse::<ObjectPath>() {
                prop_assert_eq!(path.to_string(), text.clone());
                let mut parts = Path::new(&text).components();
                prop_assert!(parts.all(|part| matches!(part, Component::Normal(_))));
            }
        }

        #[test]
        fn every_digest_has_one_path(bytes: [u8; 32]) {
            let path = ObjectPath::cas(&Digest::from_bytes(bytes));
            prop_assert_eq!(path.to_string().parse(), Ok(path));
            prop_assert_eq!(path.to_string().len(), 7 + 3 + 64);
        }
    }
}
