//! An eye on the statements of one borrow: counts, times, limits and sorts their failures.
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio_postgres::{
    Client,
    error::{DbError as Answer, Severity},
};

use super::{DbError, refusal::chain};

/// How much later than the server's own time-out a silent server is given up.
const GRACE: Duration = Duration::from_secs(1);

/// Watches the statements of one borrow.
pub(super) struct Watch {
    server: Arc<str>,
    /// Statements of the whole process on this database.
    total: Arc<AtomicU64>,
    /// `None` waits for ever.
    limit: Option<Duration>,
    /// The statement whose answer nobody has read: the server may still be running it.
    unanswered: Option<&'static str>,
    /// A statement has failed: an open transaction can only be rolled back.
    failed: bool,
    statements: u64,
}

impl Watch {
    pub(super) fn new(server: &Arc<str>, total: &Arc<AtomicU64>, statement: Duration) -> Self {
        Self {
            server: Arc::clone(server),
            total: Arc::clone(total),
            limit: (!statement.is_zero()).then(|| statement.saturating_add(GRACE)),
            unanswered: None,
            failed: false,
            statements: 0,
        }
    }

    /// Waits for the answer of a statement.
    ///
    /// When the returned future is dropped, or the server is silent for too long, the
    /// statement stays unanswered and the connection is good for nothing else.
    pub(super) async fn over<T>(
        &mut self,
        name: &'static str,
        client: &Client,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, DbError> {
        if let Some(earlier) = self.unanswered {
            return Err(DbError::Refused(format!(
                "statement `{name}` was not sent: nobody waited for the answer of `{earlier}` before it"
            )));
        }
        self.unanswered = Some(name);
        self.statements += 1;
        self.total.fetch_add(1, Ordering::Relaxed);
        let started = Instant::now();
        let outcome = match self.limit {
            None => answer.await,
            Some(limit) => match tokio::time::timeout(limit, answer).await {
                Ok(outcome) => outcome,
                Err(_) => return Err(self.lost(name, format!("no answer within {limit:?}"))),
            },
        };
        self.unanswered = None;
        log(name, started.elapsed(), outcome.is_ok());
        outcome.map_err(|error| {
            self.failed = true;
            self.sort(name, client, error)
        })
    }

    /// Names the statement that the server may still be running.
    pub(super) fn unanswered(&self) -> Option<&'static str> {
        self.unanswered
    }

    /// Tells whether a statement of this borrow has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Counts the statements sent.
    pub(super) fn statements(&self) -> u64 {
        self.statements
    }

    /// Makes the error of a connection that is gone.
    pub(super) fn lost(&self, name: &'static str, problem: String) -> DbError {
        DbError::Lost {
            server: self.server.to_string(),
            name,
            problem,
        }
    }

    fn sort(&self, name: &'static str, client: &Client, error: tokio_postgres::Error) -> DbError {
        match error.as_db_error() {
            Some(answer) if is_fatal(answer) => self.lost(name, said(answer)),
            Some(answer) if lacks_our_table(answer) => DbError::Schema(format!(
                "{} (statement `{name}`): run `quayhand migrate up`, it makes the `quayhand_*` \
                 tables and alters no other",
                said(answer)
            )),
            Some(answer) => DbError::Statement {
                name,
                code: Some(answer.code().code().to_owned()),
                source: said(answer).into(),
            },
            None if client.is_closed() => self.lost(name, chain(&error)),
            None => DbError::Statement {
                name,
                code: None,
                source: error.into(),
            },
        }
    }
}

/// Tells whether the server ends the connection with this answer.
fn is_fatal(answer: &Answer) -> bool {
    matches!(
        answer.parsed_severity(),
        Some(Severity::Fatal | Severity::Panic)
    )
}

/// Tells whether a table of ours is missing, or a column of one: our migrations were not run.
fn lacks_our_table(answer: &Answer) -> bool {
    matches!(answer.code().code(), "42P01" | "42703") && answer.message().contains("quayhand_")
}

/// Quotes the server without the detail, which may hold a row's values.
fn said(answer: &Answer) -> String {
    answer.message().to_owned()
}

fn log(name: &'static str, took: Duration, ok: bool) {
    let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    tracing::debug!(
        db.statement = name,
        db.took_us = took_us,
        db.ok = ok,
        "statement `{name}` took {took:?}"
    );
}
