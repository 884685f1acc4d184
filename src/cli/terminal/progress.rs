//! A progress bar for work that takes longer than two seconds, only on a terminal.

use std::{io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::Output;
use crate::clock;

/// The delay before the bar appears.
const QUIET: Duration = Duration::from_secs(2);

/// The progress of a long operation.
pub(in crate::cli) struct Progress {
    bar: ProgressBar,
    what: &'static str,
    started: Duration,
}

impl Progress {
    /// Starts the progress of `length` bytes; 0 if the length is unknown until the end.
    pub(in crate::cli) fn bytes(what: &'static str, length: u64, output: &Output) -> Self {
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::hidden());
        let shown = std::io::stderr().is_terminal() && !output.is_json();
        let started = if shown { clock::monotonic() } else { Duration::MAX };
        Self { bar, what, started }
    }

    /// Advances by `bytes`.
    pub(in crate::cli) fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
        let late = clock::monotonic().checked_sub(self.started).is_some_and(|passed| passed > QUIET);
        if late && self.bar.is_hidden() {
            let style = match self.bar.length() {
                Some(0) => "{msg} {bytes}",
                Some(_) | None => "{msg} {wide_bar} {bytes}/{total_bytes} {eta}",
            };
            self.bar.set_style(
                ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            self.bar.set_message(self.what);
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
