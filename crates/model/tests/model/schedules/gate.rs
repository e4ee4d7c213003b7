//! A view in the place of a table, that stops a statement after its snapshot was taken.
use super::{actors::Writer, registry::Registry};

/// A table whose readers can be stopped in the middle of a statement.
pub(super) struct Gate(&'static str);

impl Gate {
    /// Puts a view in the place of a table; its readers pass until it is closed.
    pub(super) async fn before(registry: &Registry, table: &'static str) -> Self {
        registry
            .changes(&format!(
                "create function gate() returns boolean language plpgsql as $$ begin
                     perform pg_advisory_lock_shared(1), pg_advisory_unlock_shared(1);
                     return true;
                 end $$;
                 alter table {table} rename to {table}_behind;
                 create view {table} as select * from {table}_behind where (select gate())"
            ))
            .await;
        Self(table)
    }

    /// Stops all readers until the writer ends its transaction.
    pub(super) async fn closes(registry: &Registry) -> Writer {
        let keeper = Writer::begin(registry).await;
        keeper.does("select pg_advisory_xact_lock(1)").await;
        keeper
    }

    /// Puts the table back.
    pub(super) async fn removed(self, registry: &Registry) {
        let table = self.0;
        let back = format!("drop view {table}; alter table {table}_behind rename to {table}");
        registry.changes(&back).await;
    }
}
