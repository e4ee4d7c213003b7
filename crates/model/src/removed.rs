//! Objects that were removed within the last day, and whether a row has come back for them.
//!
//! Who pushes asks storage for the object first and writes its row later. When the object went
//! in between, the row has none: found here, by looking again at what went.
use std::{collections::BTreeMap, time::Duration};

use crate::{
    Conn, DbError,
    db::{Param, Row, Sql},
};

/// How long it is looked for rows of what was removed.
pub const KEPT: Duration = Duration::from_hours(24);

/// A removed object whose digest has a row with a placement at its location again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Returned {
    /// Key of the note.
    pub id: i64,
    /// Name of the storage location.
    pub location: String,
    /// sha256 of the content.
    pub digest: [u8; 32],
}

/// Says which notes are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Those whose time has come.
    Now,
    /// All of them.
    All,
}

/// What one step looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Where the next step begins; `None` when nothing is due after this one.
    pub last: Option<i64>,
    /// What has a row again, in the order of the notes.
    pub returned: Vec<Returned>,
}

// By itself, so that a run without a due note touches no table of the registry.
const DUE: Sql = Sql::postgres(
    "removed.due",
    "
    select max(id)
      from (select id
              from quayhand_removed
             where id > $1 and ($2 or look_at <= (select clock_timestamp()))
             order by id
             limit $3) as page",
);

// A note doubles its age until the next look. Whoever holds one looks at it now.
const LOOK: Sql = Sql::postgres(
    "removed.look",
    "
    with page as materialized (
        select id, location_id, digest, removed_at
          from quayhand_removed
         where id > $1 and id <= $4 and ($2 or look_at <= (select clock_timestamp()))
         order by id
           for update skip locked
    ),
    returned as materialized (
        select p.id, l.name, p.digest
          from page p
          join imagestoragelocation l on l.id = p.location_id
         where exists (select 1
                         from imagestorage s
                         join imagestorageplacement pl on pl.storage_id = s.id
                        where s.content_checksum = 'sha256:' || encode(p.digest, 'hex')
                          and s.cas_path
                          and pl.location_id = p.location_id)
    ),
    rowless as materialized (
        select p.id, clock_timestamp() - p.removed_at as age
          from page p
         where not exists (select 1 from returned b where b.id = p.id)
    ),
    forgotten as (
        delete from quayhand_removed r
         using rowless o
         where r.id = o.id and o.age >= $3 * interval '1 millisecond'
    ),
    postponed as (
        update quayhand_removed r
           set look_at = clock_timestamp()
                         + least(interval '1 hour', greatest(interval '1 minute', o.age))
          from rowless o
         where r.id = o.id and o.age < $3 * interval '1 millisecond'
    )
    select id, name, digest from returned order by id",
);

// A hot base layer has references without number: the first thousand tell enough.
const REFERRERS: Sql = Sql::postgres(
    "removed.referrers",
    "
    select r.id, named.name
      from quayhand_removed r
      left join lateral (
          select distinct u.username || '/' || repo.name as name
            from imagestorage s
           cross join lateral (
                     (select mb.repository_id from manifestblob mb
                       where mb.blob_id = s.id limit 1000)
                     union all
                     (select ub.repository_id from uploadedblob ub
                       where ub.blob_id = s.id limit 1000)
                 ) as reference
            join repository repo on repo.id = reference.repository_id
            join \"user\" u on u.id = repo.namespace_user_id
           where s.content_checksum = 'sha256:' || encode(r.digest, 'hex')
             and s.cas_path
           order by 1
           limit $2
      ) as named on true
     where r.id = any($1)
       and exists (select 1
                     from imagestorage s
                     join imagestorageplacement pl on pl.storage_id = s.id
                    where s.content_checksum = 'sha256:' || encode(r.digest, 'hex')
                      and s.cas_path
                      and pl.location_id = r.location_id)
     order by r.id, named.name",
);

const SETTLE: Sql = Sql::postgres(
    "removed.settle",
    "
    delete from quayhand_removed
     where id = any($1)
        or id = any($2) and removed_at <= clock_timestamp() - $3 * interval '1 millisecond'",
);

/// Looks at about `at_most` notes after the one given (0 begins) and returns those whose digest
/// has a row again, which stay due. The others are looked at again after twice their age, a
/// minute at least and an hour at most, or forgotten when they are [`KEPT`] old. What another run
/// looks at now is left out. Two statements, one when nothing is due.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn look(conn: &mut Conn, after: i64, due: Due, at_most: u32) -> Result<Page, DbError> {
    let (after, all) = (Param::Int(after), Param::Bool(due == Due::All));
    let at_most = Param::Int(i64::from(at_most));
    let row = conn.query_one(&DUE, &[after, all, at_most]).await?;
    let Some(last) = row.opt_int(0)? else {
        return Ok(Page::default());
    };
    let params = [after, all, Param::Int(kept_ms()), Param::Int(last)];
    let rows = conn.query(&LOOK, &params).await?;
    Ok(Page {
        last: Some(last),
        returned: rows.iter().map(read).collect::<Result<_, _>>()?,
    })
}

fn read(row: &Row) -> Result<Returned, DbError> {
    let bytes = row.opt_bytes(2)?.unwrap_or_default();
    let digest = bytes.try_into().map_err(|_| DbError::Row {
        name: LOOK.name,
        column: 2,
        problem: "a digest of other than 32 bytes".to_owned(),
    })?;
    Ok(Returned {
        id: row.int(0)?,
        location: row.text(1)?,
        digest,
    })
}

/// Returns which of these notes' digests have a row with a placement still, each with the names
/// of at most `at_most` repositories that refer to it, in order; an object that was missing may
/// have been collected meanwhile. One statement.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn referrers(
    conn: &mut Conn,
    ids: &[i64],
    at_most: u32,
) -> Result<BTreeMap<i64, Vec<String>>, DbError> {
    let params = [Param::Ints(ids), Param::Int(i64::from(at_most))];
    let mut referrers = BTreeMap::<_, Vec<_>>::new();
    for row in conn.query(&REFERRERS, &params).await? {
        let names = referrers.entry(row.int(0)?).or_default();
        names.extend(row.opt_text(1)?);
    }
    Ok(referrers)
}

/// Forgets the notes whose object is `there` again, and of all that were `asked` for those that
/// are [`KEPT`] old; the others stay due. One statement.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn settle(conn: &mut Conn, there: &[i64], asked: &[i64]) -> Result<(), DbError> {
    let params = [
        Param::Ints(there),
        Param::Ints(asked),
        Param::Int(kept_ms()),
    ];
    conn.execute(&SETTLE, &params).await.map(drop)
}

fn kept_ms() -> i64 {
    i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX)
}
