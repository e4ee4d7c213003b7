//! Changing size totals without waiting for anybody.
//!
//! A pusher holds the total of its namespace and may want a manifest that a batch has locked.
//! A batch that waited for the total would end both in a deadlock. So a total that is held is
//! passed by, and its change is written down in the same transaction: [`settle_totals`] makes
//! it later. Those rows are only ever added and deleted, so that writing one waits for nobody.
use crate::{
    Conn, DbError,
    db::{Param, Sql},
    gc::{Lock, Switches},
};

const RESET: Sql = Sql::postgres(
    "gc.reset_totals",
    "
    with repositories as materialized (
        select id
          from quotarepositorysize
         where repository_id = any($1) and backfill_start_ms is not null
         order by id
           for update skip locked
    ),
    namespaces as materialized (
        select id
          from quotanamespacesize
         where namespace_user_id = any($2) and backfill_start_ms is not null
         order by id
           for update skip locked
    ),
    reset_repositories as (
        update quotarepositorysize
           set size_bytes = 0, backfill_start_ms = null, backfill_complete = false
         where id in (select id from repositories)
    ),
    reset_namespaces as (
        update quotanamespacesize
           set size_bytes = 0, backfill_start_ms = null, backfill_complete = false
         where id in (select id from namespaces)
    )
    insert into quayhand_total_change (kind, owner_id)
    select 1, repository_id
      from quotarepositorysize
     where repository_id = any($1) and backfill_start_ms is not null
       and id not in (select id from repositories)
    union all
    select 2, namespace_user_id
      from quotanamespacesize
     where namespace_user_id = any($2) and backfill_start_ms is not null
       and id not in (select id from namespaces)",
);

/// Bytes that a repository or a namespace no longer holds.
#[derive(Clone, Copy)]
pub(super) struct Freed {
    /// 1 for a repository, 2 for a namespace.
    pub(super) kind: i64,
    /// Whose total shrinks.
    pub(super) owner_id: i64,
    pub(super) bytes: i64,
}

// A total that is not counted to the end yet is left to the backfill.
const SUBTRACT: Sql = Sql::postgres(
    "gc.subtract_freed",
    "
    with of_repositories as materialized (
        select * from unnest($1::bigint[], $2::bigint[]) as freed (owner_id, bytes)
    ),
    of_namespaces as materialized (
        select * from unnest($3::bigint[], $4::bigint[]) as freed (owner_id, bytes)
    ),
    repositories as materialized (
        select q.id, freed.bytes
          from of_repositories freed
          join quotarepositorysize q on q.repository_id = freed.owner_id
         where q.backfill_complete
         order by q.id
           for update of q skip locked
    ),
    namespaces as materialized (
        select q.id, freed.bytes
          from of_namespaces freed
          join quotanamespacesize q on q.namespace_user_id = freed.owner_id
         where q.backfill_complete
         order by q.id
           for update of q skip locked
    ),
    smaller_repositories as (
        update quotarepositorysize q
           set size_bytes = q.size_bytes - r.bytes
          from repositories r
         where q.id = r.id
    ),
    smaller_namespaces as (
        update quotanamespacesize q
           set size_bytes = q.size_bytes - n.bytes
          from namespaces n
         where q.id = n.id
    )
    insert into quayhand_total_change (kind, owner_id, freed_bytes, counted_from_ms)
    select 1, freed.owner_id, freed.bytes, q.backfill_start_ms
      from of_repositories freed
      join quotarepositorysize q on q.repository_id = freed.owner_id
     where q.backfill_complete and q.id not in (select id from repositories)
    union all
    select 2, freed.owner_id, freed.bytes, q.backfill_start_ms
      from of_namespaces freed
      join quotanamespacesize q on q.namespace_user_id = freed.owner_id
     where q.backfill_complete and q.id not in (select id from namespaces)",
);

/// Writes the statement that settles the changes of one kind of totals. One that no number
/// could hold afterwards stays as it is: it must not keep all others from theirs.
macro_rules! settle {
    ($kind:literal, $table:ident . $owner:ident) => {
        Sql::postgres(
            concat!("gc.settle_", stringify!($table)),
            concat!(
                "
    with due as materialized (
        select id, owner_id, freed_bytes, counted_from_ms
          from quayhand_total_change
         where kind = ",
                $kind,
                "
         order by id
         limit $1
           for update skip locked
    ),
    totals as materialized (
        select q.id, q.",
                stringify!($owner),
                " as owner_id, q.size_bytes, q.backfill_start_ms
          from ",
                stringify!($table),
                " q
         where q.",
                stringify!($owner),
                " in (select owner_id from due)
         order by q.id
           for update of q skip locked
    ),
    changes as materialized (
        select t.id, bool_or(due.freed_bytes is null) as resets,
               t.size_bytes - coalesce(sum(due.freed_bytes) filter (
                   where due.counted_from_ms is not distinct from t.backfill_start_ms
               ), 0) as size_bytes
          from totals t
          join due on due.owner_id = t.owner_id
         group by t.id, t.size_bytes
    ),
    changed as (
        update ",
                stringify!($table),
                " q
           set size_bytes = case when c.resets then 0 else c.size_bytes end,
               backfill_start_ms = case when c.resets then null else q.backfill_start_ms end,
               backfill_complete = q.backfill_complete and not c.resets
          from changes c
         where q.id = c.id
           and (case when c.resets then q.backfill_start_ms is not null
                     else q.backfill_complete
                          and c.size_bytes between -9223372036854775808
                                               and 9223372036854775807 end)
    ),
    settled as (
        delete from quayhand_total_change
         where id in (select due.id
                        from due
                       where due.owner_id in (select owner_id from totals)
                          or due.owner_id not in (select ",
                stringify!($owner),
                " from ",
                stringify!($table),
                "))
        returning id
    )
    select (select count(*) from due), (select count(*) from settled),
           (select count(*)
              from changes
             where not resets
               and size_bytes not between -9223372036854775808 and 9223372036854775807)"
            ),
        )
    };
}

const SETTLE: [Sql; 2] = [
    settle!(1, quotarepositorysize.repository_id),
    settle!(2, quotanamespacesize.namespace_user_id),
];

/// Resets the totals of repositories and namespaces; returns how many somebody held.
pub(super) async fn reset(
    conn: &mut Conn,
    repositories: &[i64],
    namespaces: &[i64],
    switches: &Switches,
) -> Result<u64, DbError> {
    let params = [Param::Ints(repositories), Param::Ints(namespaces)];
    run(conn, &RESET, &params, switches).await
}

/// Subtracts bytes from the totals of repositories and namespaces; returns how many of the
/// totals somebody held.
pub(super) async fn subtract(
    conn: &mut Conn,
    freed: &[Freed],
    switches: &Switches,
) -> Result<u64, DbError> {
    let of_kind = |kind: i64| -> (Vec<i64>, Vec<i64>) {
        let freed = freed.iter().filter(|freed| freed.kind == kind);
        freed.map(|freed| (freed.owner_id, freed.bytes)).unzip()
    };
    let (repositories, of_each) = of_kind(1);
    let (namespaces, of_all) = of_kind(2);
    let params = [
        Param::Ints(&repositories),
        Param::Ints(&of_each),
        Param::Ints(&namespaces),
        Param::Ints(&of_all),
    ];
    run(conn, &SUBTRACT, &params, switches).await
}

async fn run(
    conn: &mut Conn,
    sql: &Sql,
    params: &[Param<'_>],
    switches: &Switches,
) -> Result<u64, DbError> {
    switches.pause("totals").await;
    let text = switches.text(Lock::Totals, " skip locked", sql.postgres);
    let text = format!("{text} returning id");
    Ok(conn.query_text(sql.name, &text, params).await?.len() as u64)
}

/// Makes at most `at_most` changes of size totals that were held when their content went,
/// inside the caller's transaction: of repositories, and as many of namespaces. Returns whether
/// there may be more that can be made now. Two statements.
///
/// Call it in a transaction of its own. What is held still stays written down; a change whose
/// total was counted anew since, or is gone, is dropped.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn settle_totals(conn: &mut Conn, at_most: u32) -> Result<bool, DbError> {
    let mut more = false;
    for sql in &SETTLE {
        let row = conn
            .query_one(sql, &[Param::Int(i64::from(at_most))])
            .await?;
        more |= row.int(0)? >= i64::from(at_most) && row.int(1)? > 0;
        let wrong = row.int(2)?;
        if wrong > 0 {
            tracing::warn!(
                totals = wrong,
                "size totals that no number could hold were not brought up to date"
            );
        }
    }
    Ok(more)
}
