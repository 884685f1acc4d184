//! The log: on stderr, text on a terminal and JSON elsewhere. It never blocks a request, and no single line floods it.

use std::io::{self, IsTerminal};

use tracing::Level;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{filter::LevelFilter, prelude::*, reload};

use super::repeats::{Repeats, Teller};

/// Lines buffered for a reader that stalls, some megabytes; further lines are dropped.
const LINES_MAX: usize = 10_000;

/// The running log; a drop flushes the buffered lines.
pub(super) struct Log {
    level: reload::Handle<LevelFilter, tracing_subscriber::Registry>,
    // Dropped before the writer: the last counts are lines too.
    _telling: Teller,
    _writing: WorkerGuard,
}

impl Log {
    /// Starts the log for the whole process.
    pub(super) fn start(level: Level) -> Self {
        // A reader that stalls costs lines, not requests.
        let (writer, writing) =
            NonBlockingBuilder::default().buffered_lines_limit(LINES_MAX).lossy(true).finish(io::stderr());
        let (filter, handle) = reload::Layer::new(LevelFilter::from_level(level));
        let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_target(false);
        let repeats = Repeats::default();
        let telling = repeats.tell_every_minute();
        let registry = tracing_subscriber::registry().with(filter).with(repeats);
        if io::stderr().is_terminal() {
            registry.with(lines).init();
        } else {
            registry.with(lines.json().flatten_event(true)).init();
        }
        // The text of a panic may contain anything; its location is enough.
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            tracing::error!(place, "a panic: this is a defect");
        }));
        Self { level: handle, _telling: telling, _writing: writing }
    }

    /// Changes the log level.
    pub(super) fn set_level(&self, level: Level) {
        drop(self.level.reload(LevelFilter::from_level(level)));
    }
}
