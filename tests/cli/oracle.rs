//! What Quay's own collector did to a golden state, and by which rules a run of ours, which
//! leaves repositories that are marked for deletion alone, must agree with it.

use std::collections::{BTreeMap, BTreeSet};

use quayhand_testkit::golden::{Golden, QuotaRow, RowKey, quota_rows};

use crate::scene::{Object, Scene};

/// The repository of every row that belongs to one.
const OWNERS: &str = "
    select 'tag', id::bigint, repository_id::bigint from tag
    union all select 'manifest', id, repository_id from manifest
    union all select 'manifestblob', id, repository_id from manifestblob
    union all select 'manifestchild', id, repository_id from manifestchild
    union all select 'manifestlabel', id, repository_id from manifestlabel
    union all select 'manifestsecuritystatus', id, repository_id from manifestsecuritystatus
    union all select 'uploadedblob', id, repository_id from uploadedblob
    union all select 'tagpullstatistics', id, repository_id from tagpullstatistics
    union all select 'manifestpullstatistics', id, repository_id from manifestpullstatistics
    union all select 'tagnotificationsuccess', s.id, t.repository_id
                from tagnotificationsuccess s join tag t on t.id = s.tag_id";

/// Tables whose rows belong to no repository.
const SHARED: [&str; 4] = [
    "imagestorage",
    "imagestorageplacement",
    "imagestoragesignature",
    "label",
];

/// The rows of [`SHARED`] that a walk from the marked repositories reaches.
const HELD: &str = "
    with marked as (select id from repository where state = 3),
    manifests as (select id from manifest where repository_id in (select id from marked)),
    blobs as (
        select blob_id as id from manifestblob where manifest_id in (select id from manifests)
        union
        select blob_id from uploadedblob where repository_id in (select id from marked)
    )
    select 'imagestorage', id::bigint from blobs
    union select 'imagestorageplacement', id
            from imagestorageplacement where storage_id in (select id from blobs)
    union select 'imagestoragesignature', id
            from imagestoragesignature where storage_id in (select id from blobs)
    union select 'label', label_id
            from manifestlabel where manifest_id in (select id from manifests)";

const PLACEMENTS: &str = "
    select p.id::bigint, l.name, s.cas_path, s.uuid, s.content_checksum
      from imagestorageplacement p
      join imagestorage s on s.id = p.storage_id
      join imagestoragelocation l on l.id = p.location_id";

/// What was there before a run, as far as the rules need it.
pub(crate) struct Before {
    pub(crate) rows: BTreeSet<RowKey>,
    pub(crate) files: BTreeSet<Object>,
    quota: BTreeSet<QuotaRow>,
    owners: BTreeMap<RowKey, i64>,
    marked: BTreeSet<i64>,
    namespaces_with_marked: BTreeSet<i64>,
    /// Path of each placement's object.
    paths: BTreeMap<i64, Object>,
}

impl Before {
    /// Reads a state that nobody has worked on yet.
    pub(crate) async fn of(scene: &Scene) -> Self {
        let marked = "select id::text from repository where state = 3";
        let namespaces = "select namespace_user_id::text from repository where state = 3";
        let ids = |texts: Vec<String>| texts.iter().map(|id| id.parse().expect("an id")).collect();
        Self {
            rows: scene.rows().await,
            files: scene.files(),
            quota: quota(scene).await,
            owners: owners(scene).await,
            marked: ids(scene.texts(marked).await),
            namespaces_with_marked: ids(scene.texts(namespaces).await),
            paths: paths(scene).await,
        }
    }

    /// Compares what a run left with what Quay left. Returns the removed files.
    pub(crate) async fn agrees_with_quay(
        &self,
        scene: &Scene,
        golden: &Golden,
    ) -> BTreeSet<Object> {
        let (ours, quays) = (scene.rows().await, golden.rows_after().expect("rows after"));
        assert_eq!(
            self.of_live(&ours),
            self.of_live(&quays),
            "rows of live repositories"
        );
        assert!(
            self.of_live(&ours).len() > 100,
            "there is something to compare"
        );
        let held = keys(scene, HELD).await;
        let shared = |rows: &BTreeSet<RowKey>| -> BTreeSet<RowKey> {
            let rows = rows.iter().filter(|row| SHARED.contains(&row.0.as_str()));
            rows.cloned().collect()
        };
        let (ours, quays) = (shared(&ours), shared(&quays));
        let lost: Vec<_> = quays.difference(&ours).collect();
        assert!(lost.is_empty(), "Quay keeps what we deleted: {lost:?}");
        let extra: BTreeSet<_> = ours.difference(&quays).cloned().collect();
        let free: Vec<_> = extra.difference(&held).collect();
        assert!(
            free.is_empty(),
            "kept, and no marked repository holds it: {free:?}"
        );
        self.agrees_on_quota(scene, golden).await;
        self.agrees_on_files(scene, golden, &extra)
    }

    /// Compares the removed files with Quay's, less those of rows that only a purge frees.
    fn agrees_on_files(
        &self,
        scene: &Scene,
        golden: &Golden,
        extra: &BTreeSet<RowKey>,
    ) -> BTreeSet<Object> {
        let mut expected = golden.storage_deleted().expect("removed objects");
        for (table, id) in extra {
            if table == "imagestorageplacement" {
                expected.remove(&self.paths[id]);
            }
        }
        let removed: BTreeSet<_> = self.files.difference(&scene.files()).cloned().collect();
        assert_eq!(removed, expected, "removed files");
        assert!(scene.files().is_subset(&self.files), "no file is new");
        assert!(!removed.is_empty(), "at least one file goes");
        removed
    }

    /// Compares the totals. A purge changes its namespace's too, so that of one which holds a
    /// marked repository may also be as it was, or only part of the way.
    async fn agrees_on_quota(&self, scene: &Scene, golden: &Golden) {
        let keep = |rows: BTreeSet<QuotaRow>| -> BTreeSet<QuotaRow> {
            let live = |row: &QuotaRow| match row.table.as_str() {
                "quotarepositorysize" => !self.marked.contains(&row.id),
                "quotanamespacesize" => !self.namespaces_with_marked.contains(&row.id),
                _ => true,
            };
            rows.into_iter().filter(live).collect()
        };
        let ours = quota(scene).await;
        let quays = golden.quota_after().expect("quota after");
        let subtracts = golden.flags().expect("flags")["QUOTA_MANAGEMENT"];
        for row in ours.difference(&quays) {
            let is_part = subtracts && row.table == "quotanamespacesize";
            let spared = self.quota.contains(row) || is_part;
            assert!(spared, "neither Quay's total nor the one before: {row:?}");
        }
        let (ours, quays) = (keep(ours), keep(quays));
        assert_eq!(ours, quays, "totals");
        assert!(ours.len() > 10, "there are totals to compare");
    }

    /// Picks the rows whose repository is not marked for deletion.
    fn of_live(&self, rows: &BTreeSet<RowKey>) -> BTreeSet<RowKey> {
        let live = |row: &&RowKey| {
            let owner = self.owners.get(row);
            owner.is_some_and(|owner| !self.marked.contains(owner))
        };
        rows.iter().filter(live).cloned().collect()
    }
}

async fn quota(scene: &Scene) -> BTreeSet<QuotaRow> {
    let rows = quota_rows(scene.server, &scene.database).await;
    rows.expect("the quota tables")
}

async fn owners(scene: &Scene) -> BTreeMap<RowKey, i64> {
    let client = scene
        .server
        .connect(&scene.database)
        .await
        .expect("connects");
    let rows = client.query(OWNERS, &[]).await.expect("owners");
    let pair = |row: &tokio_postgres::Row| ((row.get(0), row.get(1)), row.get(2));
    rows.iter().map(pair).collect()
}

async fn keys(scene: &Scene, statement: &str) -> BTreeSet<RowKey> {
    let client = scene
        .server
        .connect(&scene.database)
        .await
        .expect("connects");
    let rows = client.query(statement, &[]).await.expect("keys");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

async fn paths(scene: &Scene) -> BTreeMap<i64, Object> {
    let client = scene
        .server
        .connect(&scene.database)
        .await
        .expect("connects");
    let rows = client.query(PLACEMENTS, &[]).await.expect("placements");
    let object = |row: &tokio_postgres::Row| {
        let (uuid, checksum): (String, Option<String>) = (row.get(3), row.get(4));
        let path = match checksum.as_deref().filter(|_| row.get(2)) {
            Some(digest) => cas_path(digest),
            None => format!("sharedimages/{uuid}/layer"),
        };
        (row.get(0), (row.get(1), path))
    };
    rows.iter().map(object).collect()
}

/// Where a blob lies that is stored by its sha256.
pub(crate) fn cas_path(digest: &str) -> String {
    let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
    format!("sha256/{}/{hex}", &hex[..2])
}
