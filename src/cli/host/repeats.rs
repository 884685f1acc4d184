//! Deduplication of log lines: a condition is logged once, then counted, and the count is one line a minute. Of the
//! requests by rejected callers some are logged, and the others counted: a stranger must not fill the disk with them.
//!
//! A log layer applies this to every warning and error, from any module.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    callsite::Identifier,
    field::{Field, Visit},
};
use tracing_subscriber::layer::{Context, Layer};

use crate::http::{ANSWERED, STRANGERS};

/// The target of an answer to a signal: always logged, however often it is requested.
pub(super) const ASKED: &str = "sealroom::asked";
/// Interval between reports of the counts.
const EVERY: Duration = Duration::from_mins(1);
/// Maximum number of requests by strangers logged in an interval: enough to see what they try.
const STRANGERS_MAX: u64 = 60;
/// Maximum number of distinct conditions: beyond it, those of one place in the code are merged.
const CONDITIONS_MAX: usize = 256;
/// The target of the counts themselves.
const COUNTS: &str = "sealroom::repeats";
/// Fields that differ on each occurrence of a condition.
const PER_REQUEST: &[&str] = &["request", "peer", "caller", "micros", "bytes"];

/// The layer; clones share the counts.
#[derive(Clone, Default)]
pub(super) struct Repeats(Arc<Mutex<HashMap<Condition, Seen>>>);

/// A place in the code and, if its texts differ, the hash of the text.
type Condition = (Identifier, u64);

/// The occurrences of a condition since the last report.
struct Seen {
    text: String,
    is_error: bool,
    shown: u64,
    hidden: u64,
    goes_on: bool,
}

/// The thread that reports the counts; on drop, it reports the last of them.
pub(super) struct Teller {
    ending: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Repeats {
    /// Reports the counts from now on.
    pub(super) fn tell_every_minute(&self) -> Teller {
        let (ending, ended) = mpsc::channel();
        let repeats = self.clone();
        let tell = move || {
            while ended.recv_timeout(EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                repeats.tell();
            }
            repeats.tell();
        };
        // If no thread can be spawned, the log has no counts.
        let thread = thread::Builder::new().name("repeats".to_owned()).spawn(tell).ok();
        Teller { ending: Some(ending), thread }
    }

    /// Logs how often each condition occurred since the last report, and forgets those that have ended.
    fn tell(&self) {
        let mut counts = Vec::new();
        self.seen().retain(|_, seen| {
            let times = mem::take(&mut seen.hidden);
            if times > 0 {
                counts.push((seen.is_error, times, seen.text.clone()));
            }
            seen.goes_on && times > 0
        });
        for (is_error, times, what) in counts {
            if is_error {
                tracing::error!(target: COUNTS, times, what, "repeated");
            } else {
                tracing::warn!(target: COUNTS, times, what, "repeated");
            }
        }
    }

    /// Returns whether this occurrence is logged, and not only counted.
    fn admits(&self, condition: Condition, text: String, allowed: Allowed, is_error: bool) -> bool {
        let mut conditions = self.seen();
        let is_known = conditions.contains_key(&condition) || conditions.len() < CONDITIONS_MAX;
        let condition = if is_known { condition } else { (condition.0, 0) };
        let goes_on = allowed.goes_on;
        let seen =
            conditions.entry(condition).or_insert(Seen { text, is_error, shown: 0, hidden: 0, goes_on });
        if seen.shown < allowed.lines {
            seen.shown += 1;
            return true;
        }
        seen.hidden += 1;
        false
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<Condition, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> Layer<S> for Repeats {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        let Some(allowed) = allowed(metadata) else { return true };
        let mut said = Said::default();
        if allowed.by_text {
            event.record(&mut said);
        } else {
            "requests of unauthenticated clients".clone_into(&mut said.text);
        }
        let condition = (metadata.callsite(), said.hash.finish());
        self.admits(condition, said.text, allowed, *metadata.level() == Level::ERROR)
    }
}

/// The logging limits of a condition.
struct Allowed {
    lines: u64,
    /// The text distinguishes one condition from another.
    by_text: bool,
    /// A recurrence within the next minute continues the same condition.
    goes_on: bool,
}

/// Returns the limits, or `None` for what is always logged.
fn allowed(metadata: &Metadata<'_>) -> Option<Allowed> {
    match metadata.target() {
        ANSWERED | ASKED | COUNTS => None,
        STRANGERS => Some(Allowed { lines: STRANGERS_MAX, by_text: false, goes_on: false }),
        _ if *metadata.level() <= Level::WARN => Some(Allowed { lines: 1, by_text: true, goes_on: true }),
        _ => None,
    }
}

/// The text of a line, without the fields of a single request.
#[derive(Default)]
struct Said {
    text: String,
    hash: DefaultHasher,
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if PER_REQUEST.contains(&field.name()) {
            return;
        }
        let value = format!("{value:?}");
        // The name of a temporary file differs each time.
        let value = value.split(" at path ").next().unwrap_or_default();
        (field.name(), value).hash(&mut self.hash);
        match field.name() {
            "message" => self.text.insert_str(0, value),
            "error" => self.text = format!("{}: {value}", self.text),
            _ => {}
        }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        drop(self.ending.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests;
