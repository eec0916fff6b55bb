//! What is logged during a case.

use std::{
    fmt::{self, Write as _},
    sync::{Arc, Mutex, PoisonError},
};

use edgewit_chain::{CallReport, Observer, Stop};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// Keeps the lines of the log of one case. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Recorder(Arc<Mutex<Vec<String>>>);

/// Lines that are kept; a filter has a budget of its own far below.
const MOST_LINES: usize = 1_000;

impl Recorder {
    /// Does something while everything that this thread logs comes here.
    pub(super) fn record<T>(&self, work: impl FnOnce() -> T) -> T {
        tracing::subscriber::with_default(Listener(self.clone()), work)
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < MOST_LINES {
            lines.push(line);
        }
    }
}

impl Observer for Recorder {
    fn called(&self, _report: &CallReport) {}

    fn stopped(&self, report: &CallReport, stop: &Stop, _request_id: &str) {
        self.push(format!("ERROR {} {stop}", report.phase));
    }
}

/// The least that tracing asks of a subscriber.
struct Listener(Recorder);

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with("edgewit")
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(format!("{} ", event.metadata().level()));
        event.record(&mut line);
        self.0.push(line.0);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}"); // writing into a string does not fail
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_with_their_level() {
        let recorder = Recorder::default();
        recorder.record(|| {
            tracing::info!(target: "edgewit::plugin", plugin = "a", "hello {}", 1);
            tracing::info!(target: "somebody else", "not ours");
        });
        assert_eq!(recorder.lines(), ["INFO hello 1"]);
    }
}
