//! The statements by which Quay's web tier, and its replication, change a registry: in Quay's
//! order, in Quay's transactions, and with Quay's answers to the client.
use std::fmt;

use tokio_postgres::Client;

use super::halts::Halts;

/// One request of a client.
#[derive(Clone)]
pub(super) enum Push {
    /// `HEAD` of a blob.
    Head { repository: i64, digest: String },
    /// The last `PUT` of an upload.
    Upload { repository: i64, digest: String },
    /// `POST` of an upload with `mount` and `from`.
    Mount {
        from: i64,
        repository: i64,
        digest: String,
    },
    /// `PUT` of a manifest under a tag: an image with blobs, or a list with children.
    Manifest {
        repository: i64,
        digest: String,
        blobs: Vec<String>,
        children: Vec<String>,
    },
    /// Another tag for a manifest that has one.
    Copy { repository: i64, digest: String },
    /// An ended tag back from the time machine.
    Restore { tag: i64 },
    /// Replication, which has copied the object, notes its second place.
    Replicate { digest: String },
}

/// Why a client did not get what it wanted.
pub(super) enum Refusal {
    /// What Quay says.
    Said(&'static str),
    /// Quay says 500, or that something is unknown: the database refused a statement.
    Failed(tokio_postgres::Error),
}

impl From<tokio_postgres::Error> for Refusal {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Failed(error)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Said(answer) => f.write_str(answer),
            Self::Failed(error) => write!(f, "500 ({})", error.code().map_or("?", |c| c.code())),
        }
    }
}

type Answer = Result<&'static str, Refusal>;

const BLOB_UNKNOWN: Refusal = Refusal::Said("404 BLOB_UNKNOWN");
const MANIFEST_BLOB_UNKNOWN: Refusal = Refusal::Said("400 MANIFEST_BLOB_UNKNOWN");
const MANIFEST_UNKNOWN: Refusal = Refusal::Said("404 MANIFEST_UNKNOWN");
const NAME_UNKNOWN: Refusal = Refusal::Said("404 NAME_UNKNOWN");
const UPLOAD_IT: Refusal = Refusal::Said("202, upload it");

/// A worker of the web tier while it answers one client.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) halts: Halts,
}

impl Session {
    /// Answers a request; one that was refused leaves no transaction open.
    pub(super) async fn answer(&self, push: &Push) -> Answer {
        let answer = match push {
            Push::Head { repository, digest } => self.head(*repository, digest).await,
            Push::Upload { repository, digest } => self.upload(*repository, digest).await,
            Push::Mount {
                from,
                repository,
                digest,
            } => self.mount(*from, *repository, digest).await,
            Push::Manifest {
                repository,
                digest,
                blobs,
                children,
            } => self.manifest(*repository, digest, blobs, children).await,
            Push::Copy { repository, digest } => self.copy(*repository, digest).await,
            Push::Restore { tag } => self.restore(*tag).await,
            Push::Replicate { digest } => self.replicate(digest).await,
        };
        if answer.is_err() {
            self.runs("rollback").await?;
        }
        answer
    }

    async fn head(&self, repository: i64, digest: &str) -> Answer {
        self.find_in(repository, digest)
            .await?
            .ok_or(BLOB_UNKNOWN)?;
        self.halts.at("head answered").await;
        Ok("200")
    }

    async fn upload(&self, repository: i64, digest: &str) -> Answer {
        self.writable(repository).await?;
        self.halts.at("repository found").await;
        // Outside of the transaction, as Quay does: is the object there, and if not, put it.
        self.runs(&format!(
            "insert into stored_object
             select '{digest}', 7
              where not exists (select 1 from stored_object where digest = '{digest}')"
        ))
        .await?;
        self.runs("begin").await?;
        let blob = match self.find(digest).await? {
            Some(blob) => blob,
            None => self.new_blob(digest).await?,
        };
        let placement = "select id::bigint from imagestorageplacement where storage_id =";
        if self.one(&format!("{placement} {blob}")).await?.is_none() {
            let place = "insert into imagestorageplacement (storage_id, location_id) values";
            self.runs(&format!("{place} ({blob}, 7)")).await?;
        }
        self.lease(repository, blob).await
    }

    async fn new_blob(&self, digest: &str) -> Result<i64, Refusal> {
        let row = format!(
            "insert into imagestorage (uuid, cas_path, content_checksum, image_size)
             values (gen_random_uuid(), true, '{digest}', 1)"
        );
        self.inserts(&row).await
    }

    /// Protects a blob for an hour and commits, unless the repository is gone meanwhile.
    async fn lease(&self, repository: i64, blob: i64) -> Answer {
        self.writable(repository).await?;
        self.runs(&format!(
            "insert into uploadedblob (repository_id, blob_id, uploaded_at, expires_at)
             values ({repository}, {blob}, now() at time zone 'utc',
                     now() at time zone 'utc' + interval '1 hour')"
        ))
        .await?;
        self.halts.at("blob recorded").await;
        self.runs("commit").await?;
        Ok("201")
    }

    async fn mount(&self, from: i64, repository: i64, digest: &str) -> Answer {
        self.find_in(from, digest).await?.ok_or(UPLOAD_IT)?;
        self.halts.at("blob found").await;
        self.runs("begin").await?;
        let blob = self.find(digest).await?.ok_or(UPLOAD_IT)?;
        self.lease(repository, blob).await
    }

    async fn manifest(
        &self,
        repository: i64,
        digest: &str,
        blobs: &[String],
        children: &[String],
    ) -> Answer {
        self.writable(repository).await?;
        let mut rows = Vec::new();
        for blob in blobs {
            let found = self.find_in(repository, blob).await?;
            let blob = found.ok_or(MANIFEST_BLOB_UNKNOWN)?;
            rows.push(("manifestblob", "blob_id", blob));
        }
        for child in children {
            let child = self.find_tagged(repository, child).await?;
            rows.push(("manifestchild", "child_manifest_id", child));
        }
        let rows = rows.into_iter().map(|(table, column, id)| {
            format!(
                "insert into {table} (repository_id, manifest_id, {column})
                 select {repository}, id, {id} from manifest
                  where repository_id = {repository} and digest = '{digest}';"
            )
        });
        let rows: String = rows.collect();
        self.halts.at("references found").await;
        let manifest = self.write_manifest(repository, digest, &rows).await?;
        self.retarget(repository, "latest", manifest).await
    }

    /// Writes a manifest with its references and a temporary tag, in one transaction.
    async fn write_manifest(
        &self,
        repository: i64,
        digest: &str,
        rows: &str,
    ) -> Result<i64, Refusal> {
        self.runs("begin").await?;
        let manifest = self
            .inserts(&format!(
                "insert into manifest (repository_id, digest, media_type_id, manifest_bytes)
                 values ({repository}, '{digest}', 18, '{{}}')"
            ))
            .await?;
        self.runs(rows).await?;
        let hour = "floor(extract(epoch from now()) * 1000)::bigint + 3600000";
        self.runs(&format!(
            "insert into tag (name, repository_id, manifest_id, lifetime_start_ms,
                              lifetime_end_ms, hidden, tag_kind_id)
             values ('$temp-' || gen_random_uuid(), {repository}, {manifest}, 0, {hour}, true, 1)"
        ))
        .await?;
        self.halts.at("manifest written").await;
        self.runs("commit").await?;
        Ok(manifest)
    }

    async fn copy(&self, repository: i64, digest: &str) -> Answer {
        let manifest = self.find_tagged(repository, digest).await?;
        self.halts.at("references found").await;
        self.retarget(repository, "copy", manifest).await
    }

    async fn restore(&self, tag: i64) -> Answer {
        let history = format!(
            "select m.id::bigint, t.repository_id::bigint
               from tag t join manifest m on m.id = t.manifest_id
              where t.id = {tag}"
        );
        let row = self.client.query_opt(&history, &[]).await?;
        let row = row.ok_or(MANIFEST_UNKNOWN)?;
        self.halts.at("references found").await;
        self.retarget(row.get(1), "restored", row.get(0)).await
    }

    /// Moves a tag, under the lock that all movers of the repository's tags take.
    async fn retarget(&self, repository: i64, name: &str, manifest: i64) -> Answer {
        self.runs(&format!(
            "begin;
             select pg_advisory_xact_lock(('x' || left(encode(
                 sha256('retarget_tag:{repository}'), 'hex'), 16))::bit(64)::bigint);
             update tag set lifetime_end_ms = floor(extract(epoch from now()) * 1000)
              where repository_id = {repository} and name = '{name}' and lifetime_end_ms is null;
             insert into tag (name, repository_id, manifest_id, lifetime_start_ms, tag_kind_id)
             values ('{name}', {repository}, {manifest},
                     floor(extract(epoch from now()) * 1000), 1)"
        ))
        .await?;
        self.halts.at("tag written").await;
        self.runs("commit").await?;
        Ok("201")
    }

    async fn replicate(&self, digest: &str) -> Answer {
        let blob = self.find(digest).await?.ok_or(BLOB_UNKNOWN)?;
        self.halts.at("object copied").await;
        self.runs(&format!(
            "begin;
             insert into stored_object values ('{digest}', 8);
             insert into imagestorageplacement (storage_id, location_id) values ({blob}, 8)"
        ))
        .await?;
        self.halts.at("placement written").await;
        self.runs("commit").await?;
        Ok("placed")
    }

    /// Refuses a repository that is gone or marked for deletion.
    async fn writable(&self, repository: i64) -> Result<(), Refusal> {
        let look = format!("select 1::bigint from repository where id = {repository}");
        let found = self.one(&format!("{look} and state <> 3")).await?;
        found.map(drop).ok_or(NAME_UNKNOWN)
    }

    /// Finds a blob of any repository.
    async fn find(&self, digest: &str) -> Result<Option<i64>, Refusal> {
        let find = "select id::bigint from imagestorage where content_checksum =";
        self.one(&format!("{find} '{digest}' limit 1")).await
    }

    /// Finds a blob that a repository has, by a manifest or by an upload.
    async fn find_in(&self, repository: i64, digest: &str) -> Result<Option<i64>, Refusal> {
        self.one(&format!(
            "select s.id::bigint
               from imagestorage s
              where s.content_checksum = '{digest}'
                and (exists (select 1 from uploadedblob ub
                              where ub.blob_id = s.id and ub.repository_id = {repository})
                     or exists (select 1 from manifestblob mb
                                 where mb.blob_id = s.id and mb.repository_id = {repository}))
              limit 1"
        ))
        .await
    }

    /// Finds a manifest that an alive tag holds, a hidden one too.
    async fn find_tagged(&self, repository: i64, digest: &str) -> Result<i64, Refusal> {
        let found = self
            .one(&format!(
                "select m.id::bigint
                   from manifest m join tag t on t.manifest_id = m.id
                  where m.repository_id = {repository} and m.digest = '{digest}'
                    and coalesce(t.lifetime_end_ms > extract(epoch from now()) * 1000, true)
                  limit 1"
            ))
            .await?;
        found.ok_or(MANIFEST_UNKNOWN)
    }

    async fn one(&self, statement: &str) -> Result<Option<i64>, Refusal> {
        let row = self.client.query_opt(statement, &[]).await?;
        Ok(row.map(|row| row.get(0)))
    }

    async fn inserts(&self, statement: &str) -> Result<i64, Refusal> {
        let statement = format!("{statement} returning id::bigint");
        Ok(self.client.query_one(&statement, &[]).await?.get(0))
    }

    async fn runs(&self, statements: &str) -> Result<(), Refusal> {
        Ok(self.client.batch_execute(statements).await?)
    }
}
