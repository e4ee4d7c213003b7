//! Showing what a dry run would delete.
use quayhand_model::gc::{Doomed as DoomedRow, DoomedObject};
use quayhand_queue::Done;
use quayhand_storage::{Digest, LegacyUuid, ObjectPath};

use crate::{Ctx, Doomed};

/// Shows every row and object that would go, and counts them. An object whose uuid is none
/// would stay, and is left out.
pub(crate) fn show(ctx: &Ctx, (rows, objects): (Vec<DoomedRow>, Vec<DoomedObject>)) -> Done {
    let mut done = Done::default();
    let Some(preview) = &ctx.options.preview else {
        return done;
    };
    for row in rows {
        let (table, id) = (row.table, row.id);
        preview.show(&Doomed::Row { table, id });
        done.add(table, 1);
    }
    for object in objects {
        let digest = Digest::from_bytes(object.digest);
        let path = match object.legacy_uuid.as_deref().map(str::parse::<LegacyUuid>) {
            None => ObjectPath::cas(&digest),
            Some(Ok(uuid)) => ObjectPath::legacy(&uuid),
            Some(Err(_)) => continue,
        };
        let (location, path) = (object.location.as_str(), &path.to_string());
        preview.show(&Doomed::Object { location, path });
        done.add("objects", 1);
    }
    done
}
