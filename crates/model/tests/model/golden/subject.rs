//! A golden state in a database, and the questions asked of it.
use std::collections::{BTreeMap, BTreeSet};

use quayhand_model::{
    Db, DbConfig, configure,
    gc::{Quota, Rules},
    migrate::{self, Set},
};
use quayhand_testkit::{
    PostgresServer,
    golden::{Golden, QuotaRow, RowKey, quota_rows, snapshot},
};
use tokio_postgres::Client;

/// Location name and path of an object.
pub(super) type Object = (String, String);

/// A golden state before anything ran, with our own tables beside it.
pub(super) struct Subject {
    pub(super) golden: Golden,
    pub(super) db: Db,
    server: &'static PostgresServer,
    database: String,
    client: Client,
}

impl Subject {
    pub(super) async fn load(name: &str) -> Self {
        let server = PostgresServer::shared().await.unwrap();
        let golden = Golden::open(name).unwrap();
        let database = golden.load(server).await.unwrap();
        let db = configure(DbConfig::new(server.url(&database))).unwrap();
        migrate::up(&db, Some(Set::Quayhand)).await.unwrap();
        let client = server.connect(&database).await.unwrap();
        Self {
            golden,
            db,
            server,
            database,
            client,
        }
    }

    /// The rules that Quay ran by.
    pub(super) fn rules(&self) -> Rules {
        let flags = self.golden.flags().unwrap();
        Rules {
            immutable_stays: flags["IMMUTABLE_TAGS"],
            quota: if flags["QUOTA_MANAGEMENT"] {
                Quota::Subtract {
                    suppress_failures: false,
                }
            } else {
                Quota::Reset
            },
            as_of_ms: self.golden.frozen_now_ms().unwrap(),
            ..Rules::default()
        }
    }

    pub(super) async fn rows(&self) -> BTreeSet<RowKey> {
        snapshot(self.server, &self.database).await.unwrap()
    }

    pub(super) async fn quota(&self) -> BTreeSet<QuotaRow> {
        quota_rows(self.server, &self.database).await.unwrap()
    }

    /// Waits until no transaction but ours is left.
    pub(super) async fn is_quiet(&self) -> bool {
        let others = "select count(*) from pg_stat_activity
                       where datname = current_database() and pid <> pg_backend_pid()
                         and state <> 'idle'";
        self.client
            .query_one(others, &[])
            .await
            .unwrap()
            .get::<_, i64>(0)
            == 0
    }

    /// Names the repository of each row of the tables whose rows have one.
    pub(super) async fn owners(&self) -> BTreeMap<RowKey, i64> {
        let of =
            |table| format!("select '{table}', id::bigint, repository_id::bigint from {table}");
        let mut parts: Vec<_> = OWNED.iter().map(of).collect();
        parts.push(
            "select 'tagnotificationsuccess', n.id, t.repository_id
               from tagnotificationsuccess n
               join tag t on t.id = n.tag_id"
                .to_owned(),
        );
        let rows = self.client.query(&parts.join(" union all "), &[]).await;
        let rows = rows.unwrap();
        let read = |row: &tokio_postgres::Row| ((row.get(0), row.get(1)), row.get(2));
        rows.iter().map(read).collect()
    }

    /// Names the repositories that are marked for deletion.
    pub(super) async fn marked(&self) -> BTreeSet<i64> {
        self.ids("select id::bigint from repository where state = 3")
            .await
    }

    /// Names the namespaces with a repository that is marked for deletion.
    pub(super) async fn namespaces_of_marked(&self) -> BTreeSet<i64> {
        self.ids("select namespace_user_id::bigint from repository where state = 3")
            .await
    }

    /// Names the shared rows that a repository marked for deletion holds.
    pub(super) async fn held_by_marked(&self) -> BTreeSet<RowKey> {
        const HELD: &str = "
            with blobs as (
                select b.blob_id as id from manifestblob b
                  join repository r on r.id = b.repository_id and r.state = 3
                 union
                select b.blob_id from uploadedblob b
                  join repository r on r.id = b.repository_id and r.state = 3
            )
            select 'imagestorage', id::bigint from blobs
            union all
            select 'imagestorageplacement', p.id
              from imagestorageplacement p join blobs on blobs.id = p.storage_id
            union all
            select 'imagestoragesignature', s.id
              from imagestoragesignature s join blobs on blobs.id = s.storage_id
            union all
            select 'label', l.label_id
              from manifestlabel l join repository r on r.id = l.repository_id and r.state = 3";
        let rows = self.client.query(HELD, &[]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// Names the objects of these placements.
    pub(super) async fn objects_of(&self, placements: &BTreeSet<i64>) -> BTreeSet<Object> {
        const PATHS: &str = "
            select l.name,
                   case when s.cas_path
                        then 'sha256/' || substr(s.content_checksum, 8, 2)
                             || '/' || substr(s.content_checksum, 8)
                        else 'sharedimages/' || s.uuid || '/layer' end
              from imagestorageplacement p
              join imagestorage s on s.id = p.storage_id
              join imagestoragelocation l on l.id = p.location_id
             where p.id::bigint = any($1) and s.content_checksum <> ''";
        let ids: Vec<_> = placements.iter().copied().collect();
        let rows = self.client.query(PATHS, &[&ids]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// Names the objects that the tombstones allow to remove: no row has their checksum.
    pub(super) async fn doomed_objects(&self) -> BTreeSet<Object> {
        const DOOMED: &str = "
            select l.name,
                   case when t.legacy_uuid is null
                        then 'sha256/' || substr(encode(t.digest, 'hex'), 1, 2)
                             || '/' || encode(t.digest, 'hex')
                        else 'sharedimages/' || t.legacy_uuid || '/layer' end
              from quayhand_tombstone t
              join imagestoragelocation l on l.id = t.location_id
             where not exists (select 1 from imagestorage s
                                where s.content_checksum = 'sha256:' || encode(t.digest, 'hex'))";
        let rows = self.client.query(DOOMED, &[]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// Counts the rows of one of our own tables.
    pub(super) async fn count(&self, table: &str) -> i64 {
        let statement = format!("select count(*) from {table}");
        self.client.query_one(&statement, &[]).await.unwrap().get(0)
    }

    async fn ids(&self, statement: &str) -> BTreeSet<i64> {
        let rows = self.client.query(statement, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

/// The tables that must be as Quay leaves them in every repository that is not marked.
const OWNED: [&str; 9] = [
    "tag",
    "manifest",
    "manifestblob",
    "manifestchild",
    "manifestlabel",
    "manifestsecuritystatus",
    "uploadedblob",
    "tagpullstatistics",
    "manifestpullstatistics",
];

/// The tables whose rows several repositories share.
pub(super) const SHARED: [&str; 4] = [
    "imagestorage",
    "imagestorageplacement",
    "imagestoragesignature",
    "label",
];
