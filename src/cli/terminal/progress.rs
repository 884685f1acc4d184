//! The progress of work that takes longer than two seconds: a bar on a terminal, lines elsewhere, nothing beside JSON.

use std::{cell::Cell, io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::Output;
use crate::clock;

/// The delay before the bar or the first line appears.
const QUIET: Duration = Duration::from_secs(2);
/// The interval between two lines.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// The progress of a long operation.
pub(in crate::cli) struct Progress {
    bar: ProgressBar,
    what: &'static str,
    unit: Unit,
    shown: Shown,
    /// The time at which the bar or the next line appears.
    due: Cell<Duration>,
    output: Output,
}

/// The unit of the count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Bytes,
    Entries,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Bar,
    Lines,
    Nothing,
}

impl Progress {
    /// Starts the progress of `length` bytes; 0 if the length is unknown until the end.
    pub(in crate::cli) fn bytes(what: &'static str, length: u64, output: &Output) -> Self {
        Self::new(what, Unit::Bytes, length, output)
    }

    /// Starts the progress of rows, records or other entries.
    pub(in crate::cli) fn entries(what: &'static str, output: &Output) -> Self {
        Self::new(what, Unit::Entries, 0, output)
    }

    fn new(what: &'static str, unit: Unit, length: u64, output: &Output) -> Self {
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::hidden());
        let shown = match (output.is_json(), std::io::stderr().is_terminal()) {
            (true, _) => Shown::Nothing,
            (false, true) => Shown::Bar,
            (false, false) => Shown::Lines,
        };
        Self { bar, what, unit, shown, due: Cell::new(clock::monotonic() + QUIET), output: *output }
    }

    /// Advances by `bytes`.
    pub(in crate::cli) fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
        self.show();
    }

    /// Moves to `done` of `total`.
    pub(in crate::cli) fn reach(&self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
        self.show();
    }

    fn show(&self) {
        let now = clock::monotonic();
        if self.shown == Shown::Nothing || now < self.due.get() {
            return;
        }
        match self.shown {
            Shown::Lines => {
                self.due.set(now + LINE_EVERY);
                self.output.note(&self.line());
            }
            Shown::Bar if self.bar.is_hidden() => {
                let style = match (self.unit, self.bar.length()) {
                    (Unit::Bytes, Some(0)) => "{msg} {bytes}",
                    (Unit::Bytes, _) => "{msg} {wide_bar} {bytes}/{total_bytes} {eta}",
                    (Unit::Entries, _) => "{msg} {wide_bar} {human_pos}/{human_len} {eta}",
                };
                self.bar.set_style(
                    ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()),
                );
                self.bar.set_message(self.what);
                self.bar.set_draw_target(ProgressDrawTarget::stderr());
            }
            Shown::Bar | Shown::Nothing => {}
        }
    }

    fn line(&self) -> String {
        let (done, total) = (self.bar.position(), self.bar.length().unwrap_or(0));
        match done.saturating_mul(100).checked_div(total) {
            Some(percent) => format!("{}: {} %", self.what, percent.min(100)),
            None => format!("{}: {done} bytes", self.what),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
