//! Which manifests would go, and what hangs on them.
use std::collections::{BTreeMap, BTreeSet};

use super::Preview;
use crate::{
    DbError,
    db::Sql,
    gc::graph::{self, Reference},
};

const WALK: Sql = Sql::postgres(
    "gc.preview_walk",
    r#"
    with recursive reached (id, repository_id) as (
        select m.id, m.repository_id
          from manifest m
          join repository r on r.id = m.repository_id
          join "user" ns on ns.id = r.namespace_user_id
         where m.id = any($1) and r.state <> 3 and ns.enabled
        union
        select child.id, child.repository_id
          from reached
          join manifestchild c on c.manifest_id = reached.id
          join manifest child on child.id = c.child_manifest_id
                             and child.repository_id = reached.repository_id
    )
    select id from reached"#,
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

impl Preview<'_> {
    /// Returns the manifests that would go.
    pub(super) async fn manifests(
        &mut self,
        tags: &BTreeMap<i64, Option<i64>>,
    ) -> Result<Vec<i64>, DbError> {
        let from: BTreeSet<_> = tags.values().flatten().copied().collect();
        let from: Vec<_> = from.into_iter().collect();
        self.manifests_from(&from, tags).await
    }

    /// Returns which manifests at and below `from` would go with these tags.
    pub(super) async fn manifests_from(
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

    pub(super) async fn below_manifests(&mut self, gone: &[i64]) -> Result<(), DbError> {
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
}
