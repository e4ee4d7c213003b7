//! How Quay's web tier takes a blob: found, mounted, or uploaded.

use std::{fs, time::Duration};

use tokio_postgres::Client;

use super::{
    answer::{self, Answer, BLOB_WENT},
    content::Blob,
    dice::Dice,
    world::World,
};
use crate::place::cas_path;

/// How long Quay holds the lock of a digest, and how long it waits for one.
const LOCK_TTL: Duration = Duration::from_secs(30);
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// The blobs that a repository has: through a manifest, or through an upload of its own.
pub(super) const OF_REPOSITORY: &str = "
    select s.id::bigint from imagestorage s
     where s.content_checksum = $1
       and (exists (select 1 from manifestblob mb where mb.blob_id = s.id and mb.repository_id = $2::bigint)
         or exists (select 1 from uploadedblob ub where ub.blob_id = s.id and ub.repository_id = $2::bigint))
     limit 1";

const OF_ANOTHER: &str = "
    select s.id::bigint from imagestorage s join manifestblob mb on mb.blob_id = s.id
     where s.content_checksum = $1 limit 1";

/// An upload protects its blob for an hour, as in production.
const PROTECT: &str = "
    insert into uploadedblob (repository_id, blob_id, uploaded_at, expires_at)
    values ($1::bigint, $2::bigint, now() at time zone 'utc', now() at time zone 'utc' + interval '1 hour')
    returning id::bigint";

const BEGIN_UPLOAD: &str = "
    insert into blobupload (repository_id, uuid, byte_count, sha_state, location_id, storage_metadata,
                            chunk_count, created)
    values ($1::bigint, gen_random_uuid()::text, $2::bigint, null, $3::bigint, '{}', 1,
            now() at time zone 'utc')
    returning id::bigint, uuid";

const FIND: &str = "select id::bigint from imagestorage where content_checksum = $1 limit 1";

const CREATE: &str = "
    insert into imagestorage (uuid, image_size, uncompressed_size, uploading, cas_path, content_checksum)
    values (gen_random_uuid()::text, $2::bigint, null, false, true, $1)
    returning id::bigint";

const PLACE: &str = "
    insert into imagestorageplacement (storage_id, location_id)
    select $1::bigint, $2::bigint
     where not exists (select 1 from imagestorageplacement
                        where storage_id = $1::bigint and location_id = $2::bigint)";

/// How a repository came to a blob.
pub(super) enum Got {
    /// It had it: nothing protects it, and the client does not send it.
    Headed,
    /// It is protected by this row of `uploadedblob`.
    Protected(i64),
}

/// Makes sure that a repository has a blob, as a client does that pushes an image.
pub(super) async fn ensure(
    world: &World,
    client: &mut Client,
    repository: i64,
    blob: &Blob,
    dice: &mut Dice,
) -> Result<Got, Answer> {
    if dice.percent(40)
        && find(client, OF_REPOSITORY, blob, Some(repository))
            .await?
            .is_some()
    {
        world.tally.add("blobs found by HEAD");
        return Ok(Got::Headed);
    }
    if dice.percent(25)
        && let Some(id) = find(client, OF_ANOTHER, blob, None).await?
    {
        let mounted = client.query_one(PROTECT, &[&repository, &id]).await;
        let mounted = mounted.map_err(|error| answer::of(&error, "mount", BLOB_WENT))?;
        world.tally.add("blobs mounted");
        return Ok(Got::Protected(mounted.get(0)));
    }
    upload(world, client, repository, blob)
        .await
        .map(Got::Protected)
}

async fn find(
    client: &Client,
    statement: &str,
    blob: &Blob,
    repository: Option<i64>,
) -> Result<Option<i64>, Answer> {
    let found = match &repository {
        Some(repository) => {
            client
                .query_opt(statement, &[&blob.digest, repository])
                .await
        }
        None => client.query_opt(statement, &[&blob.digest]).await,
    };
    let found = found.map_err(|error| answer::of(&error, "look for a blob", BLOB_WENT))?;
    Ok(found.map(|row| row.get(0)))
}

/// Uploads a blob; returns the row that protects it.
async fn upload(
    world: &World,
    client: &mut Client,
    repository: i64,
    blob: &Blob,
) -> Result<i64, Answer> {
    let failed = |error| answer::of(&error, "begin an upload", BLOB_WENT);
    let size = i64::try_from(blob.bytes.len()).unwrap();
    let location = &world.ids.location;
    let begun = client
        .query_one(BEGIN_UPLOAD, &[&repository, &size, location])
        .await;
    let begun = begun.map_err(failed)?;
    let (upload, uuid): (i64, String) = (begun.get(0), begun.get(1));
    expect_object(world, client, blob).await?;
    let had_object = put_object(world, &uuid, blob);
    let name = format!("BLOB_DELETE_{}", blob.digest);
    let hold = world.locks.acquire(&name, LOCK_TTL, LOCK_WAIT).await;
    if hold.is_err() {
        world.tally.add(answer::WITHOUT_LOCK);
    }
    mend_object(world, &uuid, blob, had_object);
    let created = create(world, client, repository, blob, size).await;
    if let Ok(hold) = hold {
        world.locks.release(hold).await.unwrap();
    }
    let end = "delete from blobupload where id = $1::bigint";
    client.execute(end, &[&upload]).await.map_err(failed)?;
    let protected = created.map_err(|error| answer::of(&error, "create a blob", BLOB_WENT))?;
    world.tally.add("blobs uploaded");
    Ok(protected)
}

/// Looks for an object that was deleted under its row, before this very upload would heal it: the
/// row is there before and after the look.
pub(super) async fn expect_object(
    world: &World,
    client: &Client,
    blob: &Blob,
) -> Result<(), Answer> {
    let before = find(client, FIND, blob, None).await?;
    if before.is_some()
        && !world.place.object(&cas_path(&blob.digest)).exists()
        && find(client, FIND, blob, None).await? == before
    {
        let digest = &blob.digest;
        world
            .tally
            .fail(format!("object of {digest} is gone, and its row is there"));
    }
    Ok(())
}

/// Moves an upload to its digest's path, or drops it when there is an object already: Quay asks
/// before and outside the lock. Says whether there was one.
fn put_object(world: &World, uuid: &str, blob: &Blob) -> bool {
    let chunk = world.place.object(&format!("uploads/{uuid}"));
    let object = world.place.object(&cas_path(&blob.digest));
    for folder in [&chunk, &object] {
        fs::create_dir_all(folder.parent().unwrap()).unwrap();
    }
    fs::write(&chunk, &blob.bytes).unwrap();
    if object.exists() {
        fs::remove_file(&chunk).unwrap();
        return true;
    }
    fs::rename(&chunk, &object).unwrap();
    world.tally.add("objects written");
    false
}

/// Puts an object back that went before its row came. Quay would write a row without an object;
/// that is its own hole, so it is counted, and the soak goes on.
fn mend_object(world: &World, uuid: &str, blob: &Blob, had_object: bool) {
    let object = world.place.object(&cas_path(&blob.digest));
    if object.exists() {
        return;
    }
    // The object may also be the pusher's own: a tombstone of the digest still waited.
    world.tally.add(if had_object {
        answer::OBJECT_WENT
    } else {
        answer::OWN_OBJECT_WENT
    });
    world.tally.add("objects written");
    let fresh = world.place.file(&format!("fresh-{uuid}"));
    fs::write(&fresh, &blob.bytes).unwrap();
    fs::rename(fresh, object).unwrap();
}

/// Writes row, placement and protection in one transaction.
async fn create(
    world: &World,
    client: &mut Client,
    repository: i64,
    blob: &Blob,
    size: i64,
) -> Result<i64, tokio_postgres::Error> {
    let tx = client.transaction().await?;
    let row = match tx.query_opt(FIND, &[&blob.digest]).await? {
        Some(row) => row,
        None => tx.query_one(CREATE, &[&blob.digest, &size]).await?,
    };
    let id: i64 = row.get(0);
    tx.execute(PLACE, &[&id, &world.ids.location]).await?;
    let protected = tx.query_one(PROTECT, &[&repository, &id]).await?.get(0);
    tx.commit().await?;
    Ok(protected)
}
