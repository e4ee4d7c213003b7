//! The locks of a recompute: an older view of the grants never lands on a newer one.
//!
//! Every row belongs to one user, and whoever computes rows of a user holds the user's lock
//! from before the statement that reads until the commit. What was granted or revoked
//! before a recompute took the lock is seen by it; what comes later has a recompute of its
//! own, which waits.
//!
//! That is not enough for a scope that finds its users in the tables (a repository, a
//! team): a grant that was revoked is in neither table while the recompute that has still
//! seen it is not committed, so its user would not be found. Such a scope first waits for
//! every recompute that is running ([`settle`]); one that starts later sees the revoke.
//!
//! All are `PostgreSQL` advisory locks of two numbers, apart from Quay's own, which are of
//! one. They end with their transaction.
use crate::{
    Conn, DbError,
    db::{Param, Sql},
};

// The first number is "qhpr" in ASCII.
const ENTER: Sql = Sql::postgres(
    "permission.enter",
    "select pg_advisory_xact_lock_shared(x'71687072'::integer, 0)",
);

const SETTLE: Sql = Sql::postgres(
    "permission.settle",
    "select pg_advisory_xact_lock(x'71687072'::integer, 0)",
);

// The first number is "qhpu" in ASCII. The inner order is kept: the outer list is computed
// row by row over it, so that two batches never wait for each other. Ids beyond 31 bits
// share a lock with others, which costs a wait and nothing else.
const USERS: Sql = Sql::postgres(
    "permission.lock_users",
    "
    select pg_advisory_xact_lock(x'71687075'::integer, (id & 2147483647)::integer)
      from (select unnest($1::bigint[]) as id order by 1) as users",
);

/// Waits for every recompute that is running now. Outside a transaction it holds nothing
/// afterwards; inside one it keeps others out until the end.
pub(super) async fn settle(conn: &mut Conn) -> Result<(), DbError> {
    conn.execute(&SETTLE, &[]).await.map(drop)
}

/// Takes the locks of some users, in the order of their ids, until the transaction ends.
///
/// Two statements: whoever waits for a user must be seen by [`settle`] already.
pub(super) async fn users(conn: &mut Conn, user_ids: &[i64]) -> Result<(), DbError> {
    conn.execute(&ENTER, &[]).await?;
    let params = [Param::Ints(user_ids)];
    conn.execute(&USERS, &params).await.map(drop)
}
