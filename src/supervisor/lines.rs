//! Copies what an attempt logs to its own notes, from where the last lines reach its record.
use std::{
    fmt::{self, Write as _},
    time::Instant,
};

use quayhand_queue::Notes;
use tracing::{
    Event, Level, Metadata, Span, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer, Registry,
    filter::filter_fn,
    layer::Context,
    registry::{LookupSpan, SpanData as _},
};

/// Bytes of a line that are put together; its notes keep fewer.
const LONGEST_LINE: usize = 512;
/// Our own events; those of libraries are not written for operators.
const OWN: &str = "quayhand";

/// Goes with a span: where its lines go.
struct Taken {
    notes: Notes,
    since: Instant,
}

/// Has everything that is logged inside a span taken down, as far as the log of this process was
/// set up by [`Telemetry`](super::Telemetry).
pub(super) fn take_down(span: &Span, notes: &Notes) {
    span.with_subscriber(|(id, log)| {
        let spans = log.downcast_ref::<Registry>();
        if let Some(span) = spans.and_then(|spans| spans.span_data(id)) {
            let (notes, since) = (notes.clone(), Instant::now());
            span.extensions_mut().insert(Taken { notes, since });
        }
    });
}

/// Makes the layer that copies, whatever the level of the log is.
pub(super) fn layer<S>() -> impl Layer<S> + Send + Sync
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    Lines.with_filter(filter_fn(is_told))
}

/// Warnings, errors and what tells the day.
fn is_told(of: &Metadata<'_>) -> bool {
    *of.level() <= Level::INFO && of.target().starts_with(OWN)
}

struct Lines;

impl<S> Layer<S> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        for span in ctx.event_scope(event).into_iter().flatten() {
            if let Some(taken) = span.extensions().get::<Taken>() {
                let level = event.metadata().level();
                let mut line = Line(format!("+{:.1?} {level}", taken.since.elapsed()));
                event.record(&mut line);
                taken.notes.line(&line.0);
                return;
            }
        }
    }
}

/// A line that is put together from an event's fields; the message comes first.
struct Line(String);

impl Line {
    fn add(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if self.0.len() > LONGEST_LINE {
            return;
        }
        // Writing to a text does not fail.
        let _written = match field.name() {
            "message" => write!(self.0, " {value}"),
            name => write!(self.0, " {name}={value}"),
        };
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, format_args!("{value}"));
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn only_our_own_lines_from_info_on_are_told() {
        let spans = Registry::default().with(layer().and_then(Probe));
        tracing::subscriber::with_default(spans, || {
            let notes = Notes::default();
            let span = tracing::info_span!("attempt");
            take_down(&span, &notes);
            span.in_scope(|| {
                tracing::debug!("this is not");
                tracing::info!(target: "tokio_postgres", "this is not");
                let inner = tracing::info_span!("inner");
                inner.in_scope(|| tracing::warn!(pause_ms = 3, "told"));
            });
            tracing::info!("this is not");
            let said = format!("{notes:?}");
            assert!(said.contains(" WARN told pause_ms=3"), "{said}");
            assert!(!said.contains("not\""), "{said}");
        });
    }

    /// Sees everything, as the layer that writes the log may.
    struct Probe;

    impl<S: Subscriber> Layer<S> for Probe {}
}
