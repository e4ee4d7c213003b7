//! Permissions: the two tables beside the rules written plainly, and what reads them.
mod access;
mod changes;
mod concurrency;
mod finding;
mod golden;
mod many;
mod oracle;
mod registry;

use std::collections::BTreeMap;

use quayhand_model::{
    Db, DbError,
    permission::{Plan, Scope, Written},
};
use tokio_postgres::Client;

use oracle::Roles;

/// Computes a scope from its first batch to its last.
async fn recompute(db: &Db, scope: Scope) -> Written {
    try_recompute(db, scope).await.unwrap()
}

async fn try_recompute(db: &Db, scope: Scope) -> Result<Written, DbError> {
    let plan = db.scope(async |conn| Plan::new(conn, scope).await).await?;
    let mut written = Written::default();
    let mut next = Some(plan.start());
    while let Some(position) = next {
        let batch = db
            .transaction(async |tx| plan.batch(tx, position).await)
            .await?;
        written += batch.written;
        next = batch.next;
    }
    Ok(written)
}

/// Everything the two tables hold: role by user and repository, role by user and namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tables {
    repositories: Roles,
    namespaces: Roles,
}

impl Tables {
    async fn read(client: &Client) -> Self {
        let roles = async |table: &str, column: &str| -> Roles {
            let query = format!("select user_id, {column}, role from {table}");
            let rows = client.query(&query, &[]).await.unwrap();
            let keyed = rows.iter().map(|row| {
                let role: i16 = row.get(2);
                ((row.get(0), row.get(1)), role)
            });
            keyed.collect()
        };
        Self {
            repositories: roles("quayhand_permission", "repository_id").await,
            namespaces: roles("quayhand_namespace_permission", "namespace_id").await,
        }
    }

    /// Writes these rows instead of what the tables hold.
    async fn store(&self, client: &Client) {
        let insert = |table: &str, roles: &Roles| -> String {
            let rows = roles.iter();
            let rows = rows.map(|((user, place), role)| format!("({user}, {place}, {role})"));
            let rows: Vec<_> = rows.collect();
            format!("insert into {table} values {}", rows.join(", "))
        };
        let text = [
            "begin".to_owned(),
            "truncate quayhand_permission, quayhand_namespace_permission".to_owned(),
            insert("quayhand_permission", &self.repositories),
            insert("quayhand_namespace_permission", &self.namespaces),
            "commit".to_owned(),
        ];
        client.batch_execute(&text.join(";")).await.unwrap();
    }
}

/// Lists keys whose roles differ, with the role before and after; 0 is no row.
fn differing(before: &Roles, after: &Roles) -> BTreeMap<(i64, i64), (i16, i16)> {
    let role = |roles: &Roles, key| roles.get(key).copied().unwrap_or(0);
    let keys = before.keys().chain(after.keys());
    let pairs = keys.map(|key| (*key, (role(before, key), role(after, key))));
    pairs
        .filter(|(_, (before, after))| before != after)
        .collect()
}
