//! Files where a registry's database says that objects are.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::{PostgresServer, TestkitError, error::database_error, error::io_error};

/// Makes a file for every placement of a database under `<root>/<location name>/`.
///
/// A blob at its digest's path lies at `sha256/xx/<hex>`, one of the old layout at
/// `sharedimages/<uuid>/layer`; one at its digest's path without a digest has no object. Each file
/// holds its own path: its digest is *not* its name. Returns how many files there are.
///
/// # Errors
/// When the database cannot be read or a file not be written.
pub async fn create_objects(
    server: &PostgresServer,
    database: &str,
    root: &Path,
) -> Result<usize, TestkitError> {
    const PLACEMENTS: &str = "select location.name, storage.cas_path, storage.uuid, \
        storage.content_checksum from imagestorageplacement placement \
        join imagestorage storage on storage.id = placement.storage_id \
        join imagestoragelocation location on location.id = placement.location_id";
    let client = server.connect(database).await?;
    let rows = client.query(PLACEMENTS, &[]).await;
    let rows = rows.map_err(database_error("read the placements", database))?;
    let mut files = BTreeSet::new();
    for row in rows {
        let (location, uuid): (String, String) = (row.get(0), row.get(2));
        let digest: Option<String> = row.get(3);
        let path = match (row.get(1), digest) {
            (false, _) => Some(legacy_path(&uuid)),
            (true, digest) => digest.as_deref().and_then(digest_path),
        };
        files.extend(path.map(|path| (location, path)));
    }
    for (location, path) in &files {
        write_object(&root.join(location).join(path), path.as_bytes())?;
    }
    Ok(files.len())
}

/// Where a blob lies that is stored by its digest: algorithm, first two digits, all digits.
///
/// Quay turns `+` and `.` of an algorithm's name into folders. `None` without a colon.
pub(crate) fn digest_path(digest: &str) -> Option<String> {
    let (algorithm, hex) = digest.split_once(':')?;
    let folders = algorithm.split(['+', '.', '/']);
    let folders: Vec<&str> = folders.filter(|folder| !folder.is_empty()).collect();
    let prefix = hex.get(..2).map_or(format!("{hex:0>2}"), str::to_owned);
    Some(format!("{}/{prefix}/{hex}", folders.join("/")))
}

/// Where a blob of the old layout lies.
pub(crate) fn legacy_path(uuid: &str) -> String {
    format!("sharedimages/{uuid}/layer")
}

/// Writes a file, making its folder when it is missing.
///
/// # Errors
/// When folder or file cannot be written.
pub(crate) fn write_object(file: &Path, content: &[u8]) -> Result<(), TestkitError> {
    let outcome = fs::write(file, content).or_else(|_first| {
        let folder = file.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        fs::create_dir_all(folder)?;
        fs::write(file, content)
    });
    outcome.map_err(io_error("write", file))
}

#[cfg(test)]
mod tests {
    use super::{digest_path, legacy_path};

    #[test]
    fn puts_objects_where_quay_puts_them() {
        let digest = "sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4";
        let path = "sha256/a3/a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4";
        assert_eq!(digest_path(digest).as_deref(), Some(path));
        let path = "tarsum/v1/sha256/0a/a";
        assert_eq!(digest_path("tarsum.v1+sha256:a").as_deref(), Some(path));
        assert_eq!(digest_path("nonsense"), None);
        assert_eq!(legacy_path("u"), "sharedimages/u/layer");
    }
}
