//! Where the chunks of an upload lie.
use model::upload::StaleUpload;
use quayhand_storage::{ObjectPath, UploadUuid};

use crate::prelude::*;

/// What an engine that stores every chunk as an object of its own notes about an upload: the
/// first entry of each chunk is its path. Other engines have no such list.
#[derive(Default, Deserialize)]
struct Metadata {
    chunks: Option<Vec<Vec<serde_json::Value>>>,
}

/// Returns the location and the paths of everything that was uploaded so far, or why they
/// cannot be told; then the upload is kept.
pub(super) fn of(upload: &StaleUpload) -> Result<(String, Vec<ObjectPath>), String> {
    let kept = |reason: &str| format!("upload {}: {reason}: kept", upload.id);
    let location = upload.location.clone();
    let location = location.ok_or_else(|| kept("its location has no name"))?;
    let uuid: UploadUuid = upload.uuid.parse().map_err(|_| kept("its uuid is none"))?;
    let metadata = metadata(&upload.metadata).ok_or_else(|| kept("its metadata is no JSON map"))?;
    let Some(chunks) = metadata.chunks else {
        return Ok((location, vec![ObjectPath::upload(&uuid)]));
    };
    let mut paths = Vec::new();
    for chunk in chunks {
        let name = chunk.first().and_then(serde_json::Value::as_str);
        let path = name
            .and_then(path)
            .ok_or_else(|| kept("a chunk has another path"))?;
        paths.push(path);
    }
    Ok((location, paths))
}

fn metadata(text: &str) -> Option<Metadata> {
    if text.is_empty() {
        return Some(Metadata::default());
    }
    let read: Option<Metadata> = serde_json::from_str(text).ok()?;
    Some(read.unwrap_or_default())
}

/// Reads the path of a chunk: below `uploads/`, never that of a blob.
fn path(name: &str) -> Option<ObjectPath> {
    let uuid: UploadUuid = name.strip_prefix("uploads/")?.parse().ok()?;
    Some(ObjectPath::upload(&uuid))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "0b9f3a5e-7c1d-4e2f-8a6b-1c2d3e4f5a6b";
    const OTHER: &str = "1b9f3a5e-7c1d-4e2f-8a6b-1c2d3e4f5a6b";

    fn upload(uuid: &str, metadata: &str) -> StaleUpload {
        StaleUpload {
            id: 7,
            uuid: uuid.to_owned(),
            location: Some("local".to_owned()),
            metadata: metadata.to_owned(),
        }
    }

    fn names(upload: &StaleUpload) -> Vec<String> {
        let (_, paths) = of(upload).expect("paths");
        paths.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_upload_lies_below_its_uuid_or_its_chunks_where_they_say() {
        let own = format!("uploads/{UUID}");
        for empty in ["", "null", "{}", r#"{"blocks": []}"#] {
            assert_eq!(
                names(&upload(UUID, empty)),
                std::slice::from_ref(&own),
                "{empty}"
            );
        }
        let chunked = format!(r#"{{"chunks": [["uploads/{OTHER}", 0, 5]]}}"#);
        let other = format!("uploads/{OTHER}");
        assert_eq!(names(&upload(UUID, &chunked)), [other]);
        assert!(names(&upload(UUID, r#"{"chunks": []}"#)).is_empty());
    }

    #[test]
    fn what_leads_elsewhere_keeps_the_upload() {
        let blob = "sha256/a3/a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4";
        let bad = [
            ("../etc", String::new()),
            (UUID, "[1]".to_owned()),
            (UUID, "{".to_owned()),
            (UUID, format!(r#"{{"chunks": [["{blob}", 0, 5]]}}"#)),
            (UUID, r#"{"chunks": [[]]}"#.to_owned()),
            (UUID, r#"{"chunks": [["uploads/../x"]]}"#.to_owned()),
        ];
        for (uuid, metadata) in bad {
            let said = of(&upload(uuid, &metadata)).expect_err("kept");
            assert!(said.starts_with("upload 7: "), "{said}");
        }
        let mut nowhere = upload(UUID, "");
        nowhere.location = None;
        assert!(of(&nowhere).is_err());
    }
}
