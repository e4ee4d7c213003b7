//! What a collection would delete, computed without deleting or locking anything.
//!
//! One snapshot over all candidates: rolling real batches back would hide from one batch
//! what another frees. Dry runs only; the collector never reads from here.
mod content;
mod leaks;

use std::collections::{BTreeMap, BTreeSet};

pub use content::preview_content;
pub use leaks::preview_leaks;

use super::{
    Rules,
    graph::{self, Reference},
    tombstone::Object,
};
use crate::{
    Conn, DbError,
    db::{Param, Row, Sql},
    tombstone::sha256_bytes,
};

/// A row that would be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Doomed {
    /// Its table.
    pub table: &'static str,
    /// Its id.
    pub id: i64,
}

/// An object that would lose its last row, and so be removed by `blob_gc`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DoomedObject {
    /// Name of the storage location.
    pub location: String,
    /// sha256 of the content.
    pub digest: [u8; 32],
    /// `imagestorage.uuid` for an object on the path of old.
    pub legacy_uuid: Option<String>,
}

/// Ids a statement is given at most.
const CHUNK: usize = 10_000;

const TAGS: Sql = Sql::postgres(
    "gc.preview_tags",
    r#"
    with now as materialized (
        select coalesce($1, floor(extract(epoch from clock_timestamp()) * 1000)::bigint) as ms
    )
    select t.id, t.manifest_id
      from now
     cross join "user" ns
      join repository r on r.namespace_user_id = ns.id
      join tag t on t.repository_id = r.id
     where t.lifetime_end_ms <= now.ms - ns.removed_tag_expiration_s * 1000
       and r.state <> 3
       and ns.enabled
       and not ($2 and t.immutable)
       and ($3 or r.id = any($4))
     order by t.id"#,
);

const LINKS: Sql = Sql::postgres(
    "gc.preview_links",
    "
    select linked_tag_id, id
      from tag
     where linked_tag_id = any($1) and id <> linked_tag_id",
);

const UPLOADS: Sql = Sql::postgres(
    "gc.preview_uploads",
    r#"
    with now as materialized (
        select coalesce($1, floor(extract(epoch from clock_timestamp()) * 1000)::bigint) as ms
    )
    select b.id, b.blob_id
      from now
     cross join uploadedblob b
      join repository r on r.id = b.repository_id
      join "user" ns on ns.id = r.namespace_user_id
     where b.expires_at <= to_timestamp(now.ms / 1000.0) at time zone 'utc'
       and r.state <> 3
       and ns.enabled
       and ($2 or r.id = any($3))
     order by b.id"#,
);

const WALK: Sql = Sql::postgres(
    "gc.preview_walk",
    r#"
    with recursive reached (id) as (
        select unnest($1::bigint[])
        union
        select c.child_manifest_id
          from reached
          join manifestchild c on c.manifest_id = reached.id
    )
    select m.id
      from reached
      join manifest m on m.id = reached.id
      join repository r on r.id = m.repository_id
      join "user" ns on ns.id = r.namespace_user_id
     where r.state <> 3 and ns.enabled"#,
);

const REFERENCES: Sql = Sql::postgres(
    "gc.preview_references",
    "
    select manifest_id, null::bigint, id from tag where manifest_id = any($1)
    union all
    select child_manifest_id, manifest_id, null from manifestchild
     where child_manifest_id = any($1)
    union all
    select s.id, r.id, null
      from manifest s
      join manifest r on r.repository_id = s.repository_id and r.subject = s.digest
     where s.id = any($1)",
);

// What goes with a tag. Statistics go by name, the live tag's too, as they do with Quay.
const BELOW_TAGS: Sql = Sql::postgres(
    "gc.preview_below_tags",
    "
    select distinct 'tagpullstatistics', s.id
      from tag t
      join tagpullstatistics s on s.repository_id = t.repository_id and s.tag_name = t.name
     where t.id = any($1)
    union all
    select 'tagnotificationsuccess', id from tagnotificationsuccess where tag_id = any($1)",
);

const BELOW_MANIFESTS: Sql = Sql::postgres(
    "gc.preview_below_manifests",
    "
    select 'manifestlabel', id, label_id from manifestlabel where manifest_id = any($1)
    union all
    select 'manifestblob', id, blob_id from manifestblob where manifest_id = any($1)
    union all
    select 'manifestchild', id, 0 from manifestchild where manifest_id = any($1)
    union all
    select 'manifestsecuritystatus', id, 0 from manifestsecuritystatus where manifest_id = any($1)
    union all
    select 'manifestpullstatistics', s.id, 0
      from manifest m
      join manifestpullstatistics s
        on s.repository_id = m.repository_id and s.manifest_digest = m.digest
     where m.id = any($1)",
);

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

/// Computes what collecting these repositories, or all of them for `None`, would delete:
/// the rows of every table, and the objects that `blob_gc` would remove afterwards.
///
/// Call it inside [`Db::read_only_transaction`](crate::Db::read_only_transaction), so that
/// all statements see one snapshot. Holds all ids in memory.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn preview(
    conn: &mut Conn,
    repositories: Option<&[i64]>,
    rules: &Rules,
) -> Result<(Vec<Doomed>, Vec<DoomedObject>), DbError> {
    let mut preview = Preview {
        conn,
        rows: BTreeSet::new(),
        label_drops: BTreeMap::new(),
        blob_drops: BTreeMap::new(),
    };
    let tags = preview.tags(repositories, rules).await?;
    preview.uploads(repositories, rules).await?;
    let gone = preview.manifests(&tags).await?;
    preview.below_manifests(&gone).await?;
    preview.labels().await?;
    let objects = preview.blobs().await?;
    Ok((preview.rows.into_iter().collect(), objects))
}

struct Preview<'a> {
    conn: &'a mut Conn,
    rows: BTreeSet<Doomed>,
    /// References each label would lose.
    label_drops: BTreeMap<i64, i64>,
    /// References each blob would lose.
    blob_drops: BTreeMap<i64, i64>,
}

impl Preview<'_> {
    /// Returns the tags that would go, each with its manifest.
    async fn tags(
        &mut self,
        repositories: Option<&[i64]>,
        rules: &Rules,
    ) -> Result<BTreeMap<i64, Option<i64>>, DbError> {
        let params = [
            Param::OptInt(rules.as_of_ms),
            Param::Bool(rules.immutable_stays),
            Param::Bool(repositories.is_none()),
            Param::Ints(repositories.unwrap_or_default()),
        ];
        let rows = self.conn.query(&TAGS, &params).await?;
        let mut tags = BTreeMap::new();
        for row in rows {
            tags.insert(row.int(0)?, row.opt_int(1)?);
        }
        self.spare_linked(&mut tags).await?;
        for id in tags.keys() {
            self.doom("tag", *id);
        }
        let ids: Vec<_> = tags.keys().copied().collect();
        for row in self.chunked(&BELOW_TAGS, &ids).await? {
            self.doom_text(&row.text(0)?, row.int(1)?)?;
        }
        Ok(tags)
    }

    /// Takes out the tags that one which stays is linked to.
    async fn spare_linked(&mut self, tags: &mut BTreeMap<i64, Option<i64>>) -> Result<(), DbError> {
        let ids: Vec<_> = tags.keys().copied().collect();
        let mut links = Vec::new();
        for row in self.chunked(&LINKS, &ids).await? {
            links.push(Reference {
                manifest: row.int(0)?,
                by: row.opt_int(1)?,
            });
        }
        let gone = graph::unreferenced(&ids.into_iter().collect(), &links);
        let gone: BTreeSet<_> = gone.into_iter().collect();
        tags.retain(|id, _| gone.contains(id));
        Ok(())
    }

    async fn uploads(
        &mut self,
        repositories: Option<&[i64]>,
        rules: &Rules,
    ) -> Result<(), DbError> {
        let params = [
            Param::OptInt(rules.as_of_ms),
            Param::Bool(repositories.is_none()),
            Param::Ints(repositories.unwrap_or_default()),
        ];
        for row in self.conn.query(&UPLOADS, &params).await? {
            self.doom("uploadedblob", row.int(0)?);
            *self.blob_drops.entry(row.int(1)?).or_default() += 1;
        }
        Ok(())
    }

    /// Returns the manifests that would go.
    async fn manifests(&mut self, tags: &BTreeMap<i64, Option<i64>>) -> Result<Vec<i64>, DbError> {
        let from: BTreeSet<_> = tags.values().flatten().copied().collect();
        let from: Vec<_> = from.into_iter().collect();
        self.manifests_from(&from, tags).await
    }

    /// Returns which manifests at and below `from` would go with these tags.
    async fn manifests_from(
        &mut self,
        from: &[i64],
        tags: &BTreeMap<i64, Option<i64>>,
    ) -> Result<Vec<i64>, DbError> {
        let mut reached = BTreeSet::new();
        for row in self.chunked(&WALK, from).await? {
            reached.insert(row.int(0)?);
        }
        let ids: Vec<_> = reached.iter().copied().collect();
        let mut references = Vec::new();
        for row in self.chunked(&REFERENCES, &ids).await? {
            let tag_goes = row.opt_int(2)?.is_some_and(|tag| tags.contains_key(&tag));
            if !tag_goes {
                references.push(Reference {
                    manifest: row.int(0)?,
                    by: row.opt_int(1)?,
                });
            }
        }
        let gone = graph::unreferenced(&reached, &references);
        for id in &gone {
            self.doom("manifest", *id);
        }
        Ok(gone)
    }

    async fn below_manifests(&mut self, gone: &[i64]) -> Result<(), DbError> {
        for row in self.chunked(&BELOW_MANIFESTS, gone).await? {
            let table = row.text(0)?;
            self.doom_text(&table, row.int(1)?)?;
            let drops = match table.as_str() {
                "manifestlabel" => &mut self.label_drops,
                "manifestblob" => &mut self.blob_drops,
                _ => continue,
            };
            *drops.entry(row.int(2)?).or_default() += 1;
        }
        Ok(())
    }

    async fn labels(&mut self) -> Result<(), DbError> {
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
    async fn blobs(&mut self) -> Result<Vec<DoomedObject>, DbError> {
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

    /// Runs a statement over a list of ids of any length.
    async fn chunked(&mut self, sql: &Sql, ids: &[i64]) -> Result<Vec<Row>, DbError> {
        let mut rows = Vec::new();
        for chunk in ids.chunks(CHUNK) {
            rows.extend(self.conn.query(sql, &[Param::Ints(chunk)]).await?);
        }
        Ok(rows)
    }

    fn doom(&mut self, table: &'static str, id: i64) {
        self.rows.insert(Doomed { table, id });
    }

    fn doom_text(&mut self, table: &str, id: i64) -> Result<(), DbError> {
        let known = TABLES.iter().find(|known| **known == table);
        let table = known.ok_or_else(|| DbError::Row {
            name: "gc.preview",
            column: 0,
            problem: format!("unknown table `{table}`"),
        })?;
        self.doom(table, id);
        Ok(())
    }
}

/// Tables whose names come back from a statement.
const TABLES: [&str; 9] = [
    "tagpullstatistics",
    "tagnotificationsuccess",
    "manifestlabel",
    "manifestblob",
    "manifestchild",
    "manifestsecuritystatus",
    "manifestpullstatistics",
    "imagestorageplacement",
    "imagestoragesignature",
];

impl Object {
    /// Returns the object at a location, if `blob_gc` would remove it there.
    fn at(&self, location: String, in_use: &BTreeSet<String>) -> Option<DoomedObject> {
        let checksum = self.checksum.as_deref()?;
        if checksum == crate::tombstone::EMPTY_LAYER || in_use.contains(checksum) {
            return None;
        }
        Some(DoomedObject {
            location,
            digest: sha256_bytes(checksum)?,
            legacy_uuid: (!self.content_addressed).then(|| self.uuid.clone()),
        })
    }
}
