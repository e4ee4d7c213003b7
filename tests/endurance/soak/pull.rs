//! Those who pull: a living tag, its manifest, all blobs, every byte.

use std::fs;

use tokio_postgres::{Client, Error};

use super::{dice::Dice, world::World};
use crate::place::{cas_path, digest_of};

/// How long a puller rests between two pulls, at most.
const REST_MS: u64 = 10;

const ALIVE: &str = "
    select t.id::bigint, t.manifest_id::bigint from tag t
      join repository r on r.id = t.repository_id
     where t.lifetime_end_ms is null and not t.hidden and r.state = 0
     order by random() limit 1";

const STILL_ALIVE: &str = "select 1 from tag where id = $1::bigint and lifetime_end_ms is null";

const MANIFEST: &str = "select digest, manifest_bytes from manifest where id = $1::bigint";

const CHILDREN: &str =
    "select child_manifest_id::bigint from manifestchild where manifest_id = $1::bigint";

const BLOBS: &str = "
    select mb.blob_id::bigint, s.content_checksum, s.cas_path, s.uuid,
           exists (select 1 from imagestorageplacement p where p.storage_id = s.id)
      from manifestblob mb left join imagestorage s on s.id = mb.blob_id
     where mb.manifest_id = $1::bigint";

/// Pulls until the soak is over.
pub(super) async fn pull(world: &World, seed: u64) {
    let client = world.connect().await;
    let mut dice = Dice::new(seed);
    while !world.is_over() {
        if let Err(error) = pull_one(world, &client).await {
            world.tally.fail(format!("pull: {error:?}"));
        }
        world.rest(REST_MS, &mut dice).await;
    }
}

/// Pulls a tag. What is missing is a failure while the tag lives: it may have been deleted, or
/// moved, since it was looked up.
async fn pull_one(world: &World, client: &Client) -> Result<(), Error> {
    let Some(tag) = client.query_opt(ALIVE, &[]).await? else {
        return Ok(());
    };
    let (tag, manifest): (i64, i64) = (tag.get(0), tag.get(1));
    match read_all(world, client, manifest).await? {
        Ok(blobs) => {
            world.tally.add("pulls");
            for _ in 0..blobs {
                world.tally.add("blobs pulled and hashed");
            }
        }
        Err(missing) if client.query_opt(STILL_ALIVE, &[&tag]).await?.is_some() => {
            world
                .tally
                .fail(format!("pull of tag {tag}, which lives: {missing}"));
        }
        Err(_) => world.tally.add("pulls of tags that ended meanwhile"),
    }
    Ok(())
}

/// Reads a manifest and all below it; returns how many blobs, or what is missing.
pub(super) async fn read_all(
    world: &World,
    client: &Client,
    manifest: i64,
) -> Result<Result<u64, String>, Error> {
    let (mut blobs, mut manifests) = (0, vec![manifest]);
    while let Some(id) = manifests.pop() {
        let Some(row) = client.query_opt(MANIFEST, &[&id]).await? else {
            return Ok(Err(format!("manifest {id} is gone")));
        };
        let (digest, text): (String, String) = (row.get(0), row.get(1));
        if digest_of(text.as_bytes()) != digest {
            return Ok(Err(format!(
                "manifest {id} has other bytes than its digest"
            )));
        }
        for row in client.query(BLOBS, &[&id]).await? {
            if let Some(problem) = problem_of(world, &row) {
                return Ok(Err(format!(
                    "manifest {id}: blob {}: {problem}",
                    row.get::<_, i64>(0)
                )));
            }
            blobs += 1;
        }
        let children = client.query(CHILDREN, &[&id]).await?;
        manifests.extend(children.iter().map(|row| row.get::<_, i64>(0)));
    }
    Ok(Ok(blobs))
}

/// Opens and hashes a blob; says what is wrong with it.
fn problem_of(world: &World, row: &tokio_postgres::Row) -> Option<String> {
    let Some(checksum) = row.get::<_, Option<String>>(1) else {
        return Some("no row, or no checksum".to_owned());
    };
    if !row.get::<_, bool>(4) {
        return Some("no placement".to_owned());
    }
    let path = match row.get(2) {
        Some(true) => cas_path(&checksum),
        _ => format!("sharedimages/{}/layer", row.get::<_, String>(3)),
    };
    match fs::read(world.place.object(&path)) {
        Err(error) => Some(format!("{path}: {error}")),
        Ok(bytes) if digest_of(&bytes) != checksum => Some(format!("{path}: other bytes")),
        Ok(_) => None,
    }
}
