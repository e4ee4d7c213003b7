//! More users than fit a batch, more rows than one writes.
use quayhand_model::{
    DbError,
    permission::{Plan, Scope},
};

use super::{Tables, recompute, registry::Registry};

/// Inserts `count` people and returns nothing: their names are `u1`, `u2` ...
async fn people(registry: &Registry, count: u32) {
    registry
        .run(&format!(
            "insert into \"user\" (username, email, verified, organization, robot, invoice_email,
                 invalid_login_attempts, last_invalid_login, removed_tag_expiration_s, enabled)
             select 'u' || n, 'u' || n, true, false, false, false, 0, now(), 0, true
               from generate_series(1, {count}) as n"
        ))
        .await;
}

#[tokio::test]
async fn goes_through_users_in_batches() {
    let registry = Registry::empty().await;
    people(&registry, 1_203).await;
    let plan = registry
        .db
        .scope(async |conn| Plan::new(conn, Scope::All).await)
        .await
        .unwrap();
    let mut users = Vec::new();
    let mut next = Some(plan.start());
    while let Some(position) = next {
        let batch = registry
            .db
            .transaction(async |tx| plan.batch(tx, position).await)
            .await;
        let batch = batch.unwrap();
        assert_eq!(batch.written.granted, batch.users, "each owns a namespace");
        users.push(batch.users);
        next = batch.next;
    }
    assert_eq!(users, [500, 500, 203]);
    assert_eq!(Tables::read(&registry.client).await.namespaces.len(), 1_203);
}

#[tokio::test]
async fn a_batch_of_too_many_rows_is_cut_and_gone_on_with() {
    let registry = Registry::empty().await;
    people(&registry, 2).await;
    registry
        .run(
            "insert into repository
                 (namespace_user_id, name, visibility_id, badge_token, kind_id, trust_enabled, state)
             select u.id, 'r' || n, visibility.id, '', repositorykind.id, false, 0
               from \"user\" u, generate_series(1, 21000) as n, visibility, repositorykind
              where u.username = 'u1' and visibility.name = 'private'
                and repositorykind.name = 'image';
             insert into repositorypermission (user_id, repository_id, role_id)
             select u.id, r.id, role.id from \"user\" u, repository r, role
              where u.username = 'u2' and role.name = 'write';
             analyze",
        )
        .await;
    let plan = registry
        .db
        .scope(async |conn| Plan::new(conn, Scope::All).await)
        .await
        .unwrap();
    let (mut rows, mut users) = (Vec::new(), Vec::new());
    let mut next = Some(plan.start());
    while let Some(position) = next {
        let batch = registry
            .db
            .transaction(async |tx| {
                let batch = plan.batch(tx, position).await?;
                Ok::<_, DbError>(batch)
            })
            .await
            .unwrap();
        rows.push(batch.written.granted);
        users.push(batch.users);
        next = batch.next;
    }
    assert_eq!(rows, [20_002, 1_000], "two of them are owners");
    assert_eq!(users, [0, 2], "counted once");
    assert_eq!(
        Tables::read(&registry.client).await.repositories.len(),
        21_000
    );
    assert_eq!(recompute(&registry.db, Scope::All).await.rows(), 0);
}
