//! What a purge would delete of the content of repositories.
use std::collections::BTreeMap;

use super::{BELOW_TAGS, Doomed, DoomedObject, Preview};
use crate::{
    Conn, DbError,
    db::{Param, Sql},
};

const TAGS: Sql = Sql::postgres(
    "gc.preview_content_tags",
    "select id from tag where repository_id = any($1)",
);

const UPLOADS: Sql = Sql::postgres(
    "gc.preview_content_uploads",
    "select id, blob_id from uploadedblob where repository_id = any($1)",
);

const MANIFESTS: Sql = Sql::postgres(
    "gc.preview_content_manifests",
    "
    select m.id
      from manifest m
     where m.repository_id = any($1)
       and not exists (select 1
                         from tag t
                        where t.manifest_id = m.id and not (t.repository_id = any($1)))
       and not exists (select 1
                         from manifestchild c
                         join manifest list on list.id = c.manifest_id
                        where c.child_manifest_id = m.id
                          and not (list.repository_id = any($1)))",
);

/// Computes what [`purge_batch`](super::super::purge_batch) would delete of these
/// repositories, batch after batch, and which objects `blob_gc` would remove afterwards. Their
/// state is the caller's question.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn preview_content(
    conn: &mut Conn,
    repositories: &[i64],
) -> Result<(Vec<Doomed>, Vec<DoomedObject>), DbError> {
    let mut preview = Preview {
        conn,
        rows: std::collections::BTreeSet::new(),
        label_drops: BTreeMap::new(),
        blob_drops: BTreeMap::new(),
    };
    let of = [Param::Ints(repositories)];
    let tags = preview.all("tag", &TAGS, &of).await?;
    for row in preview.chunked(&BELOW_TAGS, &tags).await? {
        preview.doom_text(&row.text(0)?, row.int(1)?)?;
    }
    for row in preview.conn.query(&UPLOADS, &of).await? {
        preview.doom("uploadedblob", row.int(0)?);
        *preview.blob_drops.entry(row.int(1)?).or_default() += 1;
    }
    let manifests = preview.all("manifest", &MANIFESTS, &of).await?;
    preview.below_manifests(&manifests).await?;
    preview.labels().await?;
    let objects = preview.blobs().await?;
    Ok((preview.rows.into_iter().collect(), objects))
}

impl Preview<'_> {
    /// Dooms every row of a table that the statement finds; returns their ids.
    async fn all(
        &mut self,
        table: &'static str,
        sql: &Sql,
        params: &[Param<'_>],
    ) -> Result<Vec<i64>, DbError> {
        let rows = self.conn.query(sql, params).await?;
        let ids: Result<Vec<_>, _> = rows.iter().map(|row| row.int(0)).collect();
        let ids = ids?;
        for id in &ids {
            self.doom(table, *id);
        }
        Ok(ids)
    }
}
