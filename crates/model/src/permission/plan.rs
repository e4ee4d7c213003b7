//! Going through the users of a scope, a transaction a batch.
use super::{
    change::{Change, Written},
    difference::{NAMESPACES, REPOSITORIES},
    lock,
    scope::{Scope, Slice, Users},
};
use crate::{Conn, DbError};

/// Users of one batch. Each costs a lock of the server's table, which holds 6,400 by default.
const USERS: usize = 500;
/// Rows of each table that one batch writes at most.
const ROWS: i64 = 20_000;

/// Whose roles are computed again, batch by batch.
///
/// ```no_run
/// # use quayhand_model::{Db, DbError, permission::{Plan, Scope, Written}};
/// # async fn recompute(db: &Db) -> Result<Written, DbError> {
/// let plan = db.scope(async |conn| Plan::new(conn, Scope::User(5)).await).await?;
/// let mut written = Written::default();
/// let mut next = Some(plan.start());
/// while let Some(position) = next {
///     let batch = db.transaction(async |tx| plan.batch(tx, position).await).await?;
///     written += batch.written;
///     next = batch.next;
/// }
/// # Ok(written) }
/// ```
#[derive(Debug)]
pub struct Plan {
    users: Users,
    /// How many that is, about.
    count: u64,
    slice: Slice,
}

/// How far a plan was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Users up to this id are done.
    after_user_id: i64,
}

/// What one batch did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Users that were compared for the last time; 0 when a batch was full of rows and the
    /// next one goes on with the same users.
    pub users: u64,
    /// Rows that were written.
    pub written: Written,
    /// Where the next batch starts; `None` after the last one.
    pub next: Option<Position>,
}

/// What one batch would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previewed {
    /// Users that were compared.
    pub users: u64,
    /// Rows that would be written, in the order of their keys.
    pub changes: Vec<Change>,
    /// Where the next batch starts; `None` after the last one.
    pub next: Option<Position>,
}

impl Plan {
    /// Finds out whom a scope touches.
    ///
    /// Everything committed before this call is seen by the batches. Waits for the batches
    /// of other plans that are running now, unless the scope is one user; call it outside a
    /// transaction, in one it keeps all other batches waiting until the end. Four round
    /// trips at most; the ids of the users of a repository or an organization are held in
    /// memory.
    ///
    /// # Errors
    ///
    /// Any [`DbError`].
    pub async fn new(conn: &mut Conn, scope: Scope) -> Result<Self, DbError> {
        let scope = scope.resolve(conn).await?;
        if !matches!(scope, Scope::User(_)) {
            lock::settle(conn).await?;
        }
        let (users, slice) = scope.expand(conn).await?;
        let count = users.count(conn).await?;
        Ok(Self {
            users,
            count,
            slice,
        })
    }

    /// Returns how many users there are to compare, for a progress bar: they come and go.
    #[must_use]
    pub fn users(&self) -> u64 {
        self.count
    }

    /// Returns where the first batch starts.
    #[must_use]
    pub fn start(&self) -> Position {
        Position {
            after_user_id: i64::MIN,
        }
    }

    /// Computes one batch inside the caller's transaction and writes only what differs.
    ///
    /// At most 500 users and 20,000 rows of each table. Four or five round trips when
    /// nothing differs. Must run in a transaction: it is what holds the users' locks.
    ///
    /// # Errors
    ///
    /// Any [`DbError`]; the caller must roll back, and may run the same position again.
    pub async fn batch(&self, tx: &mut Conn, position: Position) -> Result<Batch, DbError> {
        let users = self.users.page(tx, position.after_user_id, USERS).await?;
        let mut batch = Batch {
            users: users.len() as u64,
            written: Written::default(),
            next: next(&users),
        };
        if users.is_empty() {
            return Ok(batch);
        }
        lock::users(tx, &users).await?;
        for table in [REPOSITORIES, NAMESPACES] {
            let changes = table
                .differences(tx, &users, self.slice, Some(ROWS))
                .await?;
            if changes.len() as u64 >= ROWS.unsigned_abs() {
                batch.users = 0;
                batch.next = Some(position);
            }
            batch.written += table.write(tx, &changes).await?;
        }
        Ok(batch)
    }

    /// Computes what one batch would write; changes nothing and takes no lock.
    ///
    /// # Errors
    ///
    /// Any [`DbError`].
    pub async fn preview(&self, conn: &mut Conn, position: Position) -> Result<Previewed, DbError> {
        let users = self.users.page(conn, position.after_user_id, USERS).await?;
        let mut changes = Vec::new();
        if !users.is_empty() {
            for table in [REPOSITORIES, NAMESPACES] {
                changes.extend(table.differences(conn, &users, self.slice, None).await?);
            }
        }
        Ok(Previewed {
            users: users.len() as u64,
            changes,
            next: next(&users),
        })
    }
}

/// Returns where to go on after a page of users; a page that is not full was the last.
fn next(users: &[i64]) -> Option<Position> {
    let after_user_id = *users.last().filter(|_| users.len() == USERS)?;
    Some(Position { after_user_id })
}
