//! What a test writes into the log, as data.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Metadata, Subscriber, span};

use crate::sync::lock;

/// The fields of one line by their names, its level among them.
pub(in crate::turn) type LogLine = BTreeMap<String, String>;

/// The lines of this thread.
#[derive(Debug, Clone, Default)]
pub(in crate::turn) struct LogLines(Arc<Mutex<Vec<LogLine>>>);

impl LogLines {
    /// Collects the lines that this thread writes while the guard lives.
    pub(in crate::turn) fn capture() -> (Self, DefaultGuard) {
        let lines = Self::default();
        let guard = tracing::subscriber::set_default(lines.clone());
        (lines, guard)
    }

    /// The lines of one event, in their order.
    pub(in crate::turn) fn of(&self, event: &str) -> Vec<LogLine> {
        let lines = lock(&self.0);
        lines.iter().filter(|line| line.get("event").is_some_and(|name| name == event)).cloned().collect()
    }
}

impl Subscriber for LogLines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = LogLine::from([("level".to_owned(), event.metadata().level().to_string())]);
        event.record(&mut Fields(&mut line));
        lock(&self.0).push(line);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Fields<'l>(&'l mut LogLine);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}
