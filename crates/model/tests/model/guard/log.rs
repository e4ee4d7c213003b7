//! What the log tells about statements: their names and times, never their values.
use std::{
    fmt::{self, Write as _},
    sync::{Arc, Mutex},
    thread::{self, ThreadId},
};

use quayhand_model::DbError;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use super::{Lab, claim};

/// Keeps the fields of the guard's events on one thread, one line an event.
///
/// It listens for the whole process: one that listens on its own thread only hears nothing of
/// a place in the code that another thread, where nobody listens, has passed first.
#[derive(Clone)]
struct Listener {
    thread: ThreadId,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("quayhand_model")
    }

    fn event(&self, event: &Event<'_>) {
        if thread::current().id() != self.thread {
            return;
        }
        assert_eq!(*event.metadata().level(), Level::DEBUG);
        let mut line = Line::default();
        event.record(&mut line);
        self.lines.lock().unwrap().push(line.0);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }
}

#[tokio::test]
async fn every_statement_is_logged_by_name_and_without_values() {
    let lab = Lab::new().await;
    let db = lab.db(|_| {});
    let listener = Listener {
        thread: thread::current().id(),
        lines: Arc::default(),
    };
    tracing::subscriber::set_global_default(listener.clone()).unwrap();
    let done = db.transaction(async |tx| claim(tx, "a secret entry").await);
    done.await.unwrap();
    let twice = db.transaction(async |tx| {
        claim(tx, "a secret entry").await?;
        Err::<(), _>(DbError::Refused("enough".to_owned()))
    });
    assert!(twice.await.is_err());
    let lines = listener.lines.lock().unwrap().clone();
    let names = ["db.begin", "schedule.claim", "db.commit"];
    let names = names
        .into_iter()
        .chain(["db.begin", "schedule.claim", "db.rollback"]);
    assert_eq!(lines.len(), 6, "{lines:?}");
    for (line, name) in lines.iter().zip(names) {
        assert!(line.contains(&format!("db.statement=\"{name}\"")), "{line}");
        assert!(
            line.contains("db.took_us=") && !line.contains("secret"),
            "{line}"
        );
    }
}
