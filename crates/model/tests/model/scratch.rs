//! Databases with both sets of migrations, copied from one template.
use quayhand_model::{DbConfig, configure, migrate};
use quayhand_testkit::{PostgresServer, unique_name};

const TEMPLATE: &str = "model_standalone";

/// Makes a registry database without content; returns its name.
pub(crate) async fn standalone(server: &PostgresServer, prefix: &str) -> String {
    let template = server.template(TEMPLATE, async |url| {
        let db = configure(DbConfig::new(url))?;
        migrate::up(&db, None).await?;
        drop(db);
        // The guard may keep its connection for a while; a template must have none.
        let end = format!(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity
              where datname = '{TEMPLATE}'"
        );
        Ok::<(), Box<dyn std::error::Error>>(server.execute("postgres", &end).await?)
    });
    let template = template.await.unwrap();
    let database = unique_name(prefix);
    server
        .create_database_from(&database, &template)
        .await
        .unwrap();
    database
}
