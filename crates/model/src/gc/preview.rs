//! What a collection would delete, computed without deleting or locking anything.
//!
//! One snapshot over all candidates: rolling real batches back would hide from one batch
//! what another frees. Dry runs only; the collector never reads from here.
mod blobs;
mod content;
mod leaks;
mod manifests;

use std::collections::{BTreeMap, BTreeSet};

pub use content::preview_content;
pub use leaks::preview_leaks;

use super::{
    Rules,
    graph::{self, Reference},
};
use crate::{
    Conn, DbError,
    db::{Param, Row, Sql},
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
    select t.id,
           (select m.id
              from manifest m
             where m.id = t.manifest_id and m.repository_id = t.repository_id)
      from now
     cross join "user" ns
      join repository r on r.namespace_user_id = ns.id
      join tag t on t.repository_id = r.id
     where t.lifetime_end_ms <= now.ms - case when ns.removed_tag_expiration_s between 0 and 9000000000
                then ns.removed_tag_expiration_s else 9000000000 end * 1000
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
