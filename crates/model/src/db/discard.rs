//! What becomes of a connection that was dropped in mid-use: stopped, closed, never reused.
use std::{io, time::Duration};

use tokio::{runtime::Handle, time::timeout};
use tokio_util::task::TaskTracker;

use super::{Conn, pool::Lease, session::Session, tls::Tls};

/// How often the server is asked to stop a statement. A request that arrives before the
/// statement has started is lost.
const TRIES: u32 = 5;
/// Longest wait for one request, and for the server to show that it stopped.
const PATIENCE: Duration = Duration::from_secs(1);

/// Ends what the connection is doing and closes it, in a task of its own.
///
/// Its place in the pool stays taken meanwhile, so that the server never sees more
/// connections than `pool_size`.
pub(super) fn discard(conn: Conn, tls: &Tls, tasks: &TaskTracker) {
    let running = conn.watch.unanswered();
    let condemned = Condemned(Some(conn.lease));
    let Ok(runtime) = Handle::try_current() else {
        return; // Without a runtime nobody can ask; closing the connection must do.
    };
    let tls = tls.clone();
    let stop = async move {
        let Some(session) = &condemned.0 else { return };
        if let Some(name) = running {
            tracing::debug!(db.statement = name, "cancelling statement `{name}`");
        }
        stop(session, running.is_some(), &tls).await;
    };
    tasks.spawn_on(stop, &runtime);
}

/// Makes the server stop and roll back. Only an answer to `rollback` shows that it did:
/// a server that is busy notices a closed connection when it has finished.
async fn stop(session: &Session, running: bool, tls: &Tls) {
    let rollback = session.client.batch_execute("rollback");
    tokio::pin!(rollback);
    for _ in 0..TRIES {
        if session.client.is_closed() {
            return;
        }
        if running {
            // A request that fails is repeated; so is one that succeeds without effect.
            let _ = timeout(PATIENCE, request(session, tls)).await;
        }
        if timeout(PATIENCE, &mut rollback).await.is_ok() {
            return;
        }
    }
}

async fn request(session: &Session, tls: &Tls) {
    let asked = match tls.connector() {
        Ok(connector) => session.cancel(connector).await,
        Err(error) => Err(io::Error::other(error)),
    };
    if let Err(error) = asked {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "could not ask for a cancellation"
        );
    }
}

/// A connection that leaves the pool when it is dropped, whatever drops it.
struct Condemned(Option<Lease>);

impl Drop for Condemned {
    fn drop(&mut self) {
        if let Some(lease) = self.0.take() {
            Lease::take(lease).abort();
        }
    }
}
