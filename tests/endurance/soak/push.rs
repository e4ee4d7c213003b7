//! Those who push: images, lists of images, new names, deleted and restored ones.

use tokio_postgres::Client;

use super::{
    answer::{self, Answer, MANIFEST_WENT, TOO_LATE},
    content::{self, IMAGES},
    dice::Dice,
    manifest::{self, Leases},
    world::World,
};

/// Names of a repository that come and go.
const NAMES: u64 = 6;
/// How long a pusher rests between two things, at most.
const REST_MS: u64 = 30;

/// A tag that ended, and can be restored for half a second more at least.
const RESTORABLE: &str = "
    select t.name, t.manifest_id::bigint from tag t
      join repository r on r.id = t.repository_id
      join \"user\" owner on owner.id = r.namespace_user_id
     where t.repository_id = $1::bigint and not t.hidden
       and t.lifetime_end_ms > extract(epoch from clock_timestamp()) * 1000
                               - owner.removed_tag_expiration_s * 1000 + 500
       and t.lifetime_end_ms <= extract(epoch from clock_timestamp()) * 1000
     order by t.lifetime_end_ms desc limit 1";

const ALIVE: &str = "
    select t.manifest_id::bigint from tag t
     where t.repository_id = $1::bigint and not t.hidden and t.lifetime_end_ms is null
     order by random() limit 1";

/// Pushes until the soak is over.
pub(super) async fn push(world: &World, seed: u64) {
    let mut client = world.connect().await;
    let mut dice = Dice::new(seed);
    while !world.is_over() {
        let index = dice.below(world.repositories.len() as u64);
        let repository = world.repositories[usize::try_from(index).unwrap()];
        let mut leases = Leases::default();
        let done = act(world, &mut client, repository, &mut leases, &mut dice).await;
        match done {
            Ok(what) => world.tally.add(what),
            Err(Answer::Documented(answer)) => world.tally.add(answer),
            Err(Answer::Failed(failure)) => world.tally.fail(format!("push: {failure}")),
        }
        if let Err(error) = leases.run_out(&client).await {
            world.tally.fail(format!("leases: {error:?}"));
        }
        world.rest(REST_MS, &mut dice).await;
    }
}

/// Does one thing.
async fn act(
    world: &World,
    client: &mut Client,
    repository: i64,
    leases: &mut Leases,
    dice: &mut Dice,
) -> Result<&'static str, Answer> {
    let name = format!("name{}", dice.below(NAMES));
    match dice.below(100) {
        0..45 => {
            let image = content::image(dice.below(IMAGES));
            let id = manifest::push_image(world, client, repository, &image, leases, dice).await?;
            manifest::move_tag(world, client, (repository, &name), id, false, MANIFEST_WENT)
                .await?;
            Ok("images pushed")
        }
        45..60 => {
            push_index(world, client, (repository, &name), leases, dice).await?;
            Ok("lists pushed")
        }
        60..85 => {
            let ended = manifest::delete_tag(client, repository, &name).await?;
            Ok(if ended {
                "tags deleted"
            } else {
                "tags not there to delete"
            })
        }
        85..93 => restore(world, client, repository).await,
        _ => copy(world, client, (repository, &name)).await,
    }
}

async fn push_index(
    world: &World,
    client: &mut Client,
    tag: (i64, &str),
    leases: &mut Leases,
    dice: &mut Dice,
) -> Result<(), Answer> {
    let first = dice.below(IMAGES);
    let images = [content::image(first), content::image((first + 1) % IMAGES)];
    let mut children = Vec::new();
    for image in &images {
        children.push(manifest::push_image(world, client, tag.0, image, leases, dice).await?);
    }
    let index = content::index(&images.each_ref());
    let id = manifest::push_index(world, client, tag.0, &index, &children, leases).await?;
    manifest::move_tag(world, client, tag, id, false, MANIFEST_WENT).await
}

/// Brings a deleted tag back.
async fn restore(
    world: &World,
    client: &mut Client,
    repository: i64,
) -> Result<&'static str, Answer> {
    let ended = client.query_opt(RESTORABLE, &[&repository]).await;
    let ended = ended.map_err(|error| answer::of(&error, "look for an ended tag", TOO_LATE))?;
    let Some(row) = ended else {
        return Ok("no tag to restore");
    };
    let (name, id): (String, i64) = (row.get(0), row.get(1));
    manifest::move_tag(world, client, (repository, &name), id, true, TOO_LATE).await?;
    Ok("tags restored")
}

/// Gives another name to a manifest that has one.
async fn copy(
    world: &World,
    client: &mut Client,
    tag: (i64, &str),
) -> Result<&'static str, Answer> {
    let alive = client.query_opt(ALIVE, &[&tag.0]).await;
    let alive = alive.map_err(|error| answer::of(&error, "look for a tag", MANIFEST_WENT))?;
    let Some(row) = alive else {
        return Ok("no tag to copy");
    };
    manifest::move_tag(world, client, tag, row.get(0), false, MANIFEST_WENT).await?;
    Ok("tags copied")
}
