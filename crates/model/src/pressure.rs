//! Signs that work on this database hurts somebody else. Only read, and never a reason to
//! fail: who cannot see them goes on.
use crate::{
    Conn, DbError,
    db::{Param, Sql},
};

/// How far the replicas of the primary are behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// Milliseconds from a commit on the primary until the slowest replica shows it, as it
    /// measured last. 0 without a replica. A replica that stands still measures nothing: its
    /// distance is in [`Lag::bytes`].
    pub ms: u64,
    /// Bytes of the log that the slowest replica has not applied. 0 without a replica.
    pub bytes: u64,
    /// Replicas whose figures this role must not see: it lacks `pg_monitor`.
    pub hidden: u64,
}

// A logical subscriber that stands still hurts nobody who reads: it is none of these. Neither
// is a base backup on its way. On a replica there is nothing to look at.
const LAG: Sql = Sql::postgres(
    "pressure.replica_lag",
    "
    select coalesce(floor(max(extract(epoch from replica.replay_lag)) * 1000), 0)::bigint,
           coalesce(max(case when pg_is_in_recovery() then 0
                             else pg_wal_lsn_diff(pg_current_wal_lsn(), replica.replay_lsn)
                        end), 0)::bigint,
           count(*) filter (where replica.state is null)
      from pg_stat_replication replica
     where (replica.state is null or replica.state in ('catchup', 'streaming'))
       and not exists (select 1
                         from pg_replication_slots slot
                        where slot.active_pid = replica.pid and slot.slot_type = 'logical')",
);

// `pg_locks` is open to every role, the wait events of other roles' sessions are not. Other
// collectors wait for each other by design: they are known by their name.
const BLOCKED: Sql = Sql::postgres(
    "pressure.blocked_sessions",
    "
    with waiting as materialized (
        select distinct pid from pg_locks where not granted and pid <> pg_backend_pid()
    )
    select count(*)
      from waiting
      left join pg_stat_activity session on session.pid = waiting.pid
     where coalesce(session.backend_type, 'client backend') = 'client backend'
       and session.application_name is distinct from current_setting('application_name')
       and pg_backend_pid() = any(pg_blocking_pids(waiting.pid))",
);

/// Reads how far replicas are behind. One statement, on the primary.
///
/// # Errors
///
/// [`DbError::Statement`] where the server does not tell, as some hosted ones.
pub async fn replica_lag(conn: &mut Conn) -> Result<Lag, DbError> {
    let row = conn.query_one(&LAG, &[] as &[Param<'_>]).await?;
    Ok(Lag {
        ms: row.int(0)?.unsigned_abs(),
        bytes: row.int(1)?.unsigned_abs(),
        hidden: row.int(2)?.unsigned_abs(),
    })
}

/// Counts the sessions that wait for a lock of this very transaction, those under this
/// session's own `application_name` left out. One statement; ask it last in the transaction,
/// when all locks are held.
///
/// # Errors
///
/// [`DbError::Statement`] if the database refuses.
pub async fn blocked_sessions(conn: &mut Conn) -> Result<u64, DbError> {
    let row = conn.query_one(&BLOCKED, &[] as &[Param<'_>]).await?;
    Ok(row.int(0)?.unsigned_abs())
}
