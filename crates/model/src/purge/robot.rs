//! Which robots belong to a deleted namespace, when names may have a new owner.
//!
//! A robot is a user named `<namespace>+<robot>`; nothing but its name says whose it is. A
//! deleted namespace is renamed, its robots are not, and they are looked for by the name
//! that the marker remembers. Quay takes whatever has that name by then: when a new
//! namespace took it, that one loses its robots. Here a robot goes only when it cannot be
//! anybody else's:
//!
//! - who has the name now keeps every robot that is not older than itself;
//! - of several deleted namespaces of one name each takes the robots made in its own time;
//! - a robot without a creation date goes with the last owner of the name only;
//! - a robot made after its namespace was marked (14 hours are allowed for, since markers
//!   are written in the local time of a host) stays;
//! - a robot as which somebody else's mirror pulls stays;
//! - a robot that owns a repository, or is marked for deletion itself, is a namespace and stays.
//!
//! A robot that stays is in nobody's way: no foreign key leads from it to its namespace.
use super::{due, namespace_rows, rows};
use crate::{
    Conn, DbError,
    db::{Param, Sql},
};

/// Robots that go in one transaction; each may bring many rows along.
const ROBOTS: i64 = 100;

pub(super) const FIND: Sql = Sql::postgres(
    "purge.find_robots",
    r#"
    select robot.id
      from deletednamespace mine
      join "user" robot
        on robot.robot and starts_with(robot.username, mine.original_username || '+')
     where mine.namespace_id = $1
       and robot.id <> $1
       and (robot.creation_date is null
            or robot.creation_date <= mine.marked + interval '14 hours')
       and not exists (select 1
                         from "user" other
                        where other.username = mine.original_username
                          and other.id <> $1
                          and (robot.creation_date is null
                               or other.creation_date is null
                               or robot.creation_date >= other.creation_date))
       and not exists (select 1
                         from deletednamespace other
                        where other.original_username = mine.original_username
                          and other.id <> mine.id
                          and (robot.creation_date is null
                               or (other.marked < mine.marked
                                   and robot.creation_date <= other.marked)
                               or (other.marked >= mine.marked
                                   and robot.creation_date > mine.marked)))
       and not exists (select 1 from repository r where r.namespace_user_id = robot.id)
       and not exists (select 1 from deletednamespace d where d.namespace_id = robot.id)
       and not exists (select 1
                         from repomirrorconfig mirror
                         join repository r on r.id = mirror.repository_id
                        where mirror.internal_robot_id = robot.id
                          and r.namespace_user_id is distinct from $1)
       and not exists (select 1
                         from orgmirrorconfig mirror
                        where mirror.internal_robot_id = robot.id
                          and mirror.organization_id <> $1)
     order by robot.id
     limit $2"#,
);

const LOCK: Sql = Sql::postgres(
    "purge.lock_robots",
    r#"select id from "user" where id = any($1) and robot order by id for update skip locked"#,
);

const DELETE: Sql = Sql::postgres(
    "purge.delete_robots",
    r#"delete from "user" where id = any($1) and robot"#,
);

/// Deletes up to 100 robots of a deleted namespace with all that hangs on them, inside the
/// caller's transaction; returns how many rows went, robots included. Zero means that none
/// is left, that other transactions hold them, or that the namespace has no due marker.
///
/// Call it when the namespace's repositories and mirrors are gone: a mirror needs its robot.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn drop_robots(
    conn: &mut Conn,
    namespace_id: i64,
    at_most: u32,
    as_of_ms: Option<i64>,
) -> Result<u64, DbError> {
    if !due::lock(conn, namespace_id, as_of_ms).await? {
        return Ok(0);
    }
    let found = find(conn, namespace_id, ROBOTS).await?;
    if found.is_empty() {
        return Ok(0);
    }
    let locked = conn.query(&LOCK, &[Param::Ints(&found)]).await?;
    let locked: Result<Vec<_>, _> = locked.iter().map(|row| row.int(0)).collect();
    let locked = locked?;
    let gone = rows::run(conn, namespace_rows::STEPS, &locked, at_most).await?;
    if gone >= u64::from(at_most) {
        return Ok(gone);
    }
    Ok(gone + conn.execute(&DELETE, &[Param::Ints(&locked)]).await?)
}

/// Finds the robots that belong to a deleted namespace and to nobody else.
pub(super) async fn find(
    conn: &mut Conn,
    namespace_id: i64,
    at_most: i64,
) -> Result<Vec<i64>, DbError> {
    let params = [Param::Int(namespace_id), Param::Int(at_most)];
    let rows = conn.query(&FIND, &params).await?;
    rows.iter().map(|row| row.int(0)).collect()
}
