//! Which labels and blobs would go, and which objects lose their last row.
use std::collections::{BTreeMap, BTreeSet};

use super::{CHUNK, DoomedObject, Preview};
use crate::{
    DbError,
    db::{Param, Sql},
    gc::tombstone::Object,
    tombstone::{EMPTY_LAYER, is_uuid, sha256_bytes},
};

const LABEL_USES: Sql = Sql::postgres(
    "gc.preview_label_uses",
    "select label_id, count(*) from manifestlabel where label_id = any($1) group by label_id",
);

const BLOBS: Sql = Sql::postgres(
    "gc.preview_blobs",
    "
    select s.id, s.uuid, s.cas_path, s.content_checksum,
           (select count(*) from manifestblob mb where mb.blob_id = s.id)
           + (select count(*) from uploadedblob ub where ub.blob_id = s.id)
      from imagestorage s
     where s.id = any($1)
       and exists (select 1 from imagestorageplacement p where p.storage_id = s.id)",
);

const BELOW_BLOBS: Sql = Sql::postgres(
    "gc.preview_below_blobs",
    "
    select 'imagestorageplacement', p.id, p.storage_id, l.name
      from imagestorageplacement p
      join imagestoragelocation l on l.id = p.location_id
     where p.storage_id = any($1)
    union all
    select 'imagestoragesignature', id, storage_id, null
      from imagestoragesignature
     where storage_id = any($1)",
);

const ROWS_OF_CHECKSUM: Sql = Sql::postgres(
    "gc.preview_rows_of_checksum",
    "select id, content_checksum from imagestorage where content_checksum = any($1)",
);

impl Preview<'_> {
    /// Dooms the labels that would lose their last manifest.
    pub(super) async fn labels(&mut self) -> Result<(), DbError> {
        let drops = std::mem::take(&mut self.label_drops);
        let ids: Vec<_> = drops.keys().copied().collect();
        for row in self.chunked(&LABEL_USES, &ids).await? {
            if drops.get(&row.int(0)?) == Some(&row.int(1)?) {
                self.doom("label", row.int(0)?);
            }
        }
        Ok(())
    }

    /// Dooms the blobs that would lose their last reference; returns their objects.
    pub(super) async fn blobs(&mut self) -> Result<Vec<DoomedObject>, DbError> {
        let drops = std::mem::take(&mut self.blob_drops);
        let ids: Vec<_> = drops.keys().copied().collect();
        let mut doomed = BTreeMap::new();
        for row in self.chunked(&BLOBS, &ids).await? {
            let id = row.int(0)?;
            if drops.get(&id) == Some(&row.int(4)?) {
                self.doom("imagestorage", id);
                let object = Object {
                    uuid: row.text(1)?,
                    content_addressed: row.bool(2)?,
                    checksum: row.opt_text(3)?,
                };
                doomed.insert(id, object);
            }
        }
        let in_use = self.checksums_that_stay(&doomed).await?;
        self.objects(&doomed, &in_use).await
    }

    /// Returns the checksums that a row keeps: their objects stay.
    async fn checksums_that_stay(
        &mut self,
        doomed: &BTreeMap<i64, Object>,
    ) -> Result<BTreeSet<String>, DbError> {
        let checksums: BTreeSet<_> = doomed
            .values()
            .filter_map(|object| object.checksum.as_deref())
            .collect();
        let checksums: Vec<_> = checksums.into_iter().collect();
        let mut stay = BTreeSet::new();
        for chunk in checksums.chunks(CHUNK) {
            let params = [Param::Texts(chunk)];
            for row in self.conn.query(&ROWS_OF_CHECKSUM, &params).await? {
                if !doomed.contains_key(&row.int(0)?) {
                    stay.insert(row.text(1)?);
                }
            }
        }
        Ok(stay)
    }

    async fn objects(
        &mut self,
        doomed: &BTreeMap<i64, Object>,
        in_use: &BTreeSet<String>,
    ) -> Result<Vec<DoomedObject>, DbError> {
        let ids: Vec<_> = doomed.keys().copied().collect();
        let mut objects = BTreeSet::new();
        for row in self.chunked(&BELOW_BLOBS, &ids).await? {
            self.doom_text(&row.text(0)?, row.int(1)?)?;
            let object = doomed.get(&row.int(2)?);
            if let (Some(object), Some(location)) = (object, row.opt_text(3)?) {
                objects.extend(object.at(location, in_use));
            }
        }
        Ok(objects.into_iter().collect())
    }
}

impl Object {
    /// Returns the object at a location, if `blob_gc` would remove it there.
    fn at(&self, location: String, in_use: &BTreeSet<String>) -> Option<DoomedObject> {
        let checksum = self.checksum.as_deref()?;
        let has_path = self.content_addressed || is_uuid(&self.uuid);
        if checksum == EMPTY_LAYER || in_use.contains(checksum) || !has_path {
            return None;
        }
        Some(DoomedObject {
            location,
            digest: sha256_bytes(checksum)?,
            legacy_uuid: (!self.content_addressed).then(|| self.uuid.clone()),
        })
    }
}
