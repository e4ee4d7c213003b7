//! What became of a registry in a schedule.
use super::registry::Registry;

/// What must not be when all is done, each with the statement that counts it.
const FAULTS: [(&str, &str); 5] = [
    (
        "a row without an object",
        "select count(*) from imagestorage s
          where not exists (select 1
                              from stored_object o
                              join imagestorageplacement p
                                on p.location_id = o.location_id
                             where o.digest = s.content_checksum and p.storage_id = s.id)",
    ),
    (
        "an object that neither row nor tombstone names",
        "select count(*) from stored_object o
          where not exists (select 1
                              from imagestorage s
                              join imagestorageplacement p on p.storage_id = s.id
                             where s.content_checksum = o.digest
                               and p.location_id = o.location_id)
            and not exists (select 1
                              from quayhand_tombstone t
                             where 'sha256:' || encode(t.digest, 'hex') = o.digest
                               and t.location_id = o.location_id)",
    ),
    (
        "a tag to nothing",
        "select count(*) from tag where manifest_id is null",
    ),
    (
        "a blob that nothing holds",
        "select count(*) from imagestorage s
          where not exists (select 1 from manifestblob mb where mb.blob_id = s.id)
            and not exists (select 1 from uploadedblob ub where ub.blob_id = s.id)",
    ),
    (
        "something to look at again",
        "select count(*) from quayhand_recheck",
    ),
];

/// A row whose fate is asked for.
#[derive(Clone, Copy)]
pub(super) enum Row {
    Manifest(i64),
    Blob(i64),
    Label(i64),
}

/// What somebody wants by its digest.
pub(super) enum Wanted {
    Blob(String),
    Manifest(String),
}

impl Registry {
    /// Tells what became of a row: gone, held by something, or there for nobody.
    pub(super) async fn fate(&self, row: Row) -> &'static str {
        let (table, id, holders): (_, _, &[(&str, &str)]) = match row {
            Row::Manifest(id) => (
                "manifest",
                id,
                &[
                    ("tag", "manifest_id"),
                    ("manifestchild", "child_manifest_id"),
                ],
            ),
            Row::Blob(id) => (
                "imagestorage",
                id,
                &[("manifestblob", "blob_id"), ("uploadedblob", "blob_id")],
            ),
            Row::Label(id) => ("label", id, &[("manifestlabel", "label_id")]),
        };
        let count = async |table: &str, column: &str| {
            let statement = format!("select count(*) from {table} where {column} = {id}");
            self.number(&statement).await
        };
        if count(table, "id").await == 0 {
            return "collected";
        }
        for (table, column) in holders {
            if count(table, column).await > 0 {
                return "alive";
            }
        }
        "leaked"
    }

    /// Collects what is left and tells what became of a digest, whatever rows it has by now.
    pub(super) async fn fate_of(&self, wanted: &Wanted) -> String {
        self.sweep().await;
        let (what, table, column, digest) = match wanted {
            Wanted::Blob(digest) => ("blob", "imagestorage", "content_checksum", digest),
            Wanted::Manifest(digest) => ("manifest", "manifest", "digest", digest),
        };
        let id = format!("select coalesce(max(id), 0)::bigint from {table} where {column}");
        let id = self.number(&format!("{id} = '{digest}'")).await;
        let row = match wanted {
            Wanted::Blob(_) => Row::Blob(id),
            Wanted::Manifest(_) => Row::Manifest(id),
        };
        format!("{what} {}", self.fate(row).await)
    }

    /// Reads the digest of a blob or manifest.
    pub(super) async fn digest(&self, row: Row) -> String {
        let (table, column, id) = match row {
            Row::Manifest(id) => ("manifest", "digest", id),
            Row::Blob(id) | Row::Label(id) => ("imagestorage", "content_checksum", id),
        };
        self.text(&format!("select {column} from {table} where id = {id}"))
            .await
    }

    pub(super) async fn has_no_fault(&self) {
        for (fault, count) in FAULTS {
            assert_eq!(self.number(count).await, 0, "{fault}");
        }
    }
}
