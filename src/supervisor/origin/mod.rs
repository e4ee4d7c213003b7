//! The row of the database that a job stands for: of the outbox, or the tick of a schedule.
//!
//! Such a job is enqueued again for as long as its row is open, under the same id. What makes that
//! safe is done around each attempt, by [`Books::around`]:
//!
//! 1. Before it runs, the row is looked at. A job whose row says that it is done is finished
//!    without running: it was enqueued again by somebody who had read the row just before.
//! 2. When it is done or dead, the row is settled *before* the queue is told. A process that dies
//!    after the work and before the row runs the job again (at least once); one that dies after the
//!    row and before the queue finds the row settled in the next attempt and runs nothing. The
//!    other order would let a relay enqueue a finished job again without any crash.
mod books;
mod operator;

use quayhand_model::{outbox, schedule::Tick};
use quayhand_queue::Envelope;

pub(crate) use books::{Books, kept};
pub(crate) use operator::{has_row, note_dropped, note_retried, note_retried_again};

use super::tick::tick_of;

/// The row that a job stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A row of the outbox, by the job's id.
    Outbox(String),
    /// A tick of a schedule.
    Tick(Tick),
}

impl Origin {
    /// Reads the origin off a job's id; `None` for a job without one.
    pub(crate) fn of(envelope: &Envelope) -> Option<Self> {
        Self::of_id(&envelope.kind, &envelope.id)
    }

    /// Reads the origin off the id of a job of a kind.
    pub(crate) fn of_id(kind: &str, id: &str) -> Option<Self> {
        if id.starts_with(outbox::ID_PREFIX) && !id.contains('\0') {
            return Some(Self::Outbox(id.to_owned()));
        }
        let tick_ms = tick_of(kind, id)?;
        let entry = kind.to_owned();
        Some(Self::Tick(Tick { entry, tick_ms }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_tell_the_row() {
        let outbox = Origin::of_id("mail", "outbox:01ABC");
        assert_eq!(outbox, Some(Origin::Outbox("outbox:01ABC".to_owned())));
        let tick = Tick {
            entry: "blob_gc".to_owned(),
            tick_ms: 60_000,
        };
        assert_eq!(
            Origin::of_id("blob_gc", "blob_gc@60000"),
            Some(Origin::Tick(tick))
        );
        for foreign in [
            "01ABC",
            "outbox:\0",
            "blob_gc@",
            "blob_gc@now",
            "sweep@60000",
            "",
        ] {
            assert_eq!(Origin::of_id("blob_gc", foreign), None, "{foreign}");
        }
    }
}
