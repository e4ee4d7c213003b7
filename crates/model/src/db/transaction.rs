//! The beginning and the end of a transaction on a borrowed connection.
use super::{Conn, DbError};

impl Conn {
    /// Begins a transaction; `text` carries its time-outs along. One round trip.
    pub(super) async fn begin(&mut self, text: String) -> Result<(), DbError> {
        self.in_transaction = true;
        self.batch("db.begin", text).await
    }

    /// Commits. After any failure the connection still counts as inside the transaction and
    /// is not used again.
    ///
    /// # Errors
    ///
    /// [`DbError::OutcomeUnknown`] when the server's answer was lost; anything else means
    /// that nothing took effect.
    pub(super) async fn commit(&mut self) -> Result<(), DbError> {
        if self.lease.client.is_closed() {
            return Err(self
                .watch
                .lost("db.commit", "connection closed before it".to_owned()));
        }
        // To a transaction with a failed statement the server answers `commit` with a silent
        // rollback. Unless a savepoint healed it, the statement in front fails aloud.
        let text = if self.watch.has_failed() {
            "select 1; commit"
        } else {
            "commit"
        };
        let ended = self.batch("db.commit", text).await;
        if ended.is_ok() {
            self.in_transaction = false;
        }
        ended.map_err(|error| match error {
            DbError::Lost { .. } => DbError::OutcomeUnknown {
                source: Box::new(error),
            },
            known => known,
        })
    }

    /// Rolls back. A failure is only logged, because the caller has an error to return
    /// already, and the connection is not used again.
    pub(super) async fn roll_back(&mut self) {
        match self.batch("db.rollback", "rollback").await {
            Ok(()) => self.in_transaction = false,
            Err(error) => tracing::debug!(
                error = &error as &dyn std::error::Error,
                "could not roll back, closing the connection"
            ),
        }
    }
}
