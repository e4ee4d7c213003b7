//! How Quay's web tier takes a manifest and moves a tag.

use sha2::{Digest as _, Sha256};
use tokio_postgres::{Client, Error, Transaction};

use super::{
    answer::{self, Answer, BLOB_WENT, HEADED_WENT, MANIFEST_WENT},
    blob::{self, Got},
    content::{self, Blob, Image},
    dice::Dice,
    world::World,
};

const FIND: &str = "
    select id::bigint from manifest where repository_id = $1::bigint and digest = $2";

const CREATE: &str = "
    insert into manifest (repository_id, digest, media_type_id, manifest_bytes, config_media_type,
                          layers_compressed_size, subject_backfilled, artifact_type_backfilled)
    select $1::bigint, $2, id, $3, null, 0, true, true from mediatype where name = $4
    returning id::bigint";

const LINK_BLOB: &str = "
    insert into manifestblob (repository_id, manifest_id, blob_id)
    values ($1::bigint, $2::bigint, $3::bigint)";

const LINK_CHILD: &str = "
    insert into manifestchild (repository_id, manifest_id, child_manifest_id)
    values ($1::bigint, $2::bigint, $3::bigint)";

/// A hidden tag keeps a manifest that was pushed and has no name yet, for an hour.
const KEEP: &str = "
    insert into tag (name, repository_id, manifest_id, lifetime_start_ms, lifetime_end_ms, hidden,
                     reversion, tag_kind_id, immutable)
    select '$temp-' || gen_random_uuid(), $1::bigint, $2::bigint, ms, ms + 3600000, true, false, $3::bigint,
           false
      from (select (extract(epoch from clock_timestamp()) * 1000)::bigint as ms) now
    returning id::bigint";

/// The end must be a time at which no tag of that name has ended yet: Quay counts back.
const END: &str = "
    update tag set lifetime_end_ms = (
        select ms - n
          from (select (extract(epoch from clock_timestamp()) * 1000)::bigint as ms) now,
               generate_series(0, 1000) n
         where not exists (select 1 from tag other
                            where other.repository_id = tag.repository_id
                              and other.name = tag.name and other.lifetime_end_ms = ms - n)
         order by n limit 1)
     where repository_id = $1::bigint and name = $2 and lifetime_end_ms is null";

const NAME: &str = "
    insert into tag (name, repository_id, manifest_id, lifetime_start_ms, lifetime_end_ms, hidden,
                     reversion, tag_kind_id, immutable)
    values ($2, $1::bigint, $3::bigint, (extract(epoch from clock_timestamp()) * 1000)::bigint, null, false,
            $5, $4::bigint, false)";

/// What protects the parts of a push until it is over.
#[derive(Default)]
pub(super) struct Leases {
    uploads: Vec<i64>,
    tags: Vec<i64>,
}

impl Leases {
    /// Lets the hour pass in which a push that is over stays protected: without it nothing would
    /// be collected in a short soak. A push that goes on keeps its whole lease.
    pub(super) async fn run_out(&self, client: &Client) -> Result<(), Error> {
        let uploads =
            "update uploadedblob set expires_at = now() at time zone 'utc' where id = any($1)";
        client.execute(uploads, &[&self.uploads]).await?;
        let tags = "update tag set lifetime_end_ms = (extract(epoch from clock_timestamp()) * 1000)::bigint
                     where id::bigint = any($1)";
        client.execute(tags, &[&self.tags]).await.map(drop)
    }
}

/// Pushes an image by its digest: blobs first, then the manifest. Returns the manifest's id.
pub(super) async fn push_image(
    world: &World,
    client: &mut Client,
    repository: i64,
    image: &Image,
    leases: &mut Leases,
    dice: &mut Dice,
) -> Result<i64, Answer> {
    let mut headed = Vec::new();
    for blob in &image.blobs {
        match blob::ensure(world, client, repository, blob, dice).await? {
            Got::Headed => headed.push(blob.digest.as_str()),
            Got::Protected(upload) => leases.uploads.push(upload),
        }
    }
    world.rest(20, dice).await;
    let mut blobs = Vec::new();
    for blob in &image.blobs {
        let found = client
            .query_opt(blob::OF_REPOSITORY, &[&blob.digest, &repository])
            .await;
        match found.map_err(|error| answer::of(&error, "look a blob up", BLOB_WENT))? {
            Some(row) => blobs.push(row.get(0)),
            None if headed.contains(&blob.digest.as_str()) => {
                return Err(Answer::Documented(HEADED_WENT));
            }
            None => {
                let digest = &blob.digest;
                return Err(Answer::Failed(format!(
                    "blob {digest} was uploaded and is unknown"
                )));
            }
        }
    }
    put(
        world,
        client,
        repository,
        &image.manifest,
        (content::IMAGE, LINK_BLOB, &blobs),
        leases,
    )
    .await
}

/// Pushes a list of manifests that the repository has.
pub(super) async fn push_index(
    world: &World,
    client: &mut Client,
    repository: i64,
    manifest: &Blob,
    children: &[i64],
    leases: &mut Leases,
) -> Result<i64, Answer> {
    put(
        world,
        client,
        repository,
        manifest,
        (content::INDEX, LINK_CHILD, children),
        leases,
    )
    .await
}

/// Writes a manifest with its links, or finds it, and a hidden tag that keeps it.
async fn put(
    world: &World,
    client: &mut Client,
    repository: i64,
    manifest: &Blob,
    (media_type, link, linked): (&str, &str, &[i64]),
    leases: &mut Leases,
) -> Result<i64, Answer> {
    let reference = if link == LINK_BLOB {
        BLOB_WENT
    } else {
        MANIFEST_WENT
    };
    let failed = |error| answer::of(&error, "write a manifest", reference);
    let text = std::str::from_utf8(&manifest.bytes).unwrap();
    let tx = client.transaction().await.map_err(failed)?;
    let found = tx
        .query_opt(FIND, &[&repository, &manifest.digest])
        .await
        .map_err(failed)?;
    let id: i64 = if let Some(row) = found {
        world.tally.add("manifests found");
        row.get(0)
    } else {
        let digest = &manifest.digest;
        let created = tx
            .query_one(CREATE, &[&repository, digest, &text, &media_type])
            .await;
        let id: i64 = created.map_err(failed)?.get(0);
        for other in linked {
            tx.execute(link, &[&repository, &id, other])
                .await
                .map_err(failed)?;
        }
        world.tally.add("manifests written");
        id
    };
    let kept = tx
        .query_one(KEEP, &[&repository, &id, &world.ids.tag_kind])
        .await;
    let kept = kept.map_err(|error| answer::of(&error, "keep a manifest", MANIFEST_WENT))?;
    tx.commit().await.map_err(failed)?;
    leases.tags.push(kept.get(0));
    Ok(id)
}

/// Points a name at a manifest; the tag that had the name ends. `gone` is the answer when the
/// manifest is gone.
pub(super) async fn move_tag(
    world: &World,
    client: &mut Client,
    (repository, name): (i64, &str),
    manifest: i64,
    is_restored: bool,
    gone: &'static str,
) -> Result<(), Answer> {
    let failed = |error| answer::of(&error, "move a tag", gone);
    let tx = client.transaction().await.map_err(failed)?;
    lock_tags(&tx, repository).await.map_err(failed)?;
    tx.execute(END, &[&repository, &name])
        .await
        .map_err(failed)?;
    let kind = &world.ids.tag_kind;
    let named = tx
        .execute(NAME, &[&repository, &name, &manifest, kind, &is_restored])
        .await;
    named.map_err(failed)?;
    tx.commit().await.map_err(failed)?;
    world.tally.add("tags set");
    Ok(())
}

/// Ends the tag of a name, if it is alive.
pub(super) async fn delete_tag(
    client: &mut Client,
    repository: i64,
    name: &str,
) -> Result<bool, Answer> {
    let failed = |error| answer::of(&error, "delete a tag", MANIFEST_WENT);
    let tx = client.transaction().await.map_err(failed)?;
    lock_tags(&tx, repository).await.map_err(failed)?;
    let ended = tx
        .execute(END, &[&repository, &name])
        .await
        .map_err(failed)?;
    tx.commit().await.map_err(failed)?;
    Ok(ended > 0)
}

/// Takes Quay's lock around the tags of a repository, until the transaction ends.
async fn lock_tags(tx: &Transaction<'_>, repository: i64) -> Result<(), Error> {
    let name = Sha256::digest(format!("retarget_tag:{repository}"));
    let key = i64::from_be_bytes(name[..8].try_into().unwrap());
    let lock = "select pg_advisory_xact_lock($1::bigint)";
    tx.execute(lock, &[&key]).await.map(drop)
}
