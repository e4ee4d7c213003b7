//! Owns [`Prefix`]: Quay's `storage_path` in front of every key of a bucket or container.

use object_store::path::Path;

use crate::{ObjectPath, StorageError, arguments::Arguments};

/// What stands in front of every key, without slashes at its ends; empty for the bucket itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prefix(String);

impl Prefix {
    /// Reads `storage_path` as Quay joins it: one leading slash is dropped, one at the end means
    /// nothing.
    ///
    /// # Errors
    /// When it is missing, or has empty, `.` or `..` parts: Quay would write those as they stand,
    /// and no key with them can be addressed here.
    pub(crate) fn read(arguments: &Arguments<'_>) -> Result<Self, StorageError> {
        const KEY: &str = "storage_path";
        // Empty is a prefix, and a common one; absent is a mistake.
        let text = match arguments.text(KEY)? {
            Some(text) => text,
            None if arguments.has_text(KEY) => "",
            None => return Err(arguments.wrong(KEY, "is missing")),
        };
        let text = text.strip_prefix('/').unwrap_or(text);
        let text = match text.strip_suffix('/') {
            Some(short) if !short.is_empty() => short,
            _ => text,
        };
        // Compared with what `object_store` would make of it, so that both ways have one key.
        if Path::from(text).as_ref() == text {
            Ok(Self(text.to_owned()))
        } else {
            Err(arguments.wrong(KEY, "has an empty, `.` or `..` part, or an odd character"))
        }
    }

    /// Returns the whole key of an object.
    pub(crate) fn key(&self, path: &ObjectPath) -> String {
        self.join(&path.to_string())
    }

    /// Returns the whole key of what lies below the prefix.
    pub(crate) fn join(&self, below: &str) -> String {
        match (self.0.as_str(), below) {
            ("", below) => below.to_owned(),
            (prefix, "") => prefix.to_owned(),
            (prefix, below) => format!("{prefix}/{below}"),
        }
    }

    /// Returns what is below the prefix of a whole key; `None` for a key elsewhere.
    pub(crate) fn strip<'k>(&self, key: &'k str) -> Option<&'k str> {
        if self.0.is_empty() {
            return Some(key);
        }
        key.strip_prefix(&self.0)?.strip_prefix('/')
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(storage_path: &str) -> Result<Prefix, StorageError> {
        let map = json!({ "storage_path": storage_path });
        let map = map.as_object().expect("a map");
        Prefix::read(&Arguments::new("here", "S3Storage", map))
    }

    #[test]
    fn joins_as_quay_does() {
        for (storage_path, key) in [
            ("", "uploads"),
            ("/", "uploads"),
            ("registry", "registry/uploads"),
            ("/registry", "registry/uploads"),
            ("/registry/", "registry/uploads"),
            ("/data/registry one", "data/registry one/uploads"),
        ] {
            let prefix = read(storage_path).expect(storage_path);
            assert_eq!(prefix.join("uploads"), key);
            assert_eq!(prefix.strip(key), Some("uploads"));
        }
        let prefix = read("/registry").expect("a prefix");
        assert_eq!(prefix.strip("registry2/uploads"), None);
        assert_eq!(prefix.strip("uploads"), None);
    }

    #[test]
    fn refuses_what_has_no_plain_key() {
        for storage_path in [
            "//registry",
            "a//b",
            "../a",
            "a/./b",
            "a/..",
            "//",
            "a%2fb",
            "a~b",
        ] {
            let error = read(storage_path).expect_err(storage_path);
            assert!(error.to_string().contains("`storage_path`"), "{error}");
        }
    }
}
