//! Lines that repeat: a condition is logged once, then counted, and the count is one line a minute. Of the requests
//! whose callers are not let in some are logged, and the others counted: a stranger must not fill the disk with them.
//!
//! A layer of the log does so for every warning and error there is, whichever module it comes from.

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

/// The target of an answer to a signal: it is logged however often it is asked for.
pub(super) const ASKED: &str = "sealroom::asked";
/// How often the counts are told.
const EVERY: Duration = Duration::from_mins(1);
/// How many requests of strangers are logged in that time: enough to see what they try.
const STRANGERS_MAX: u64 = 60;
/// How many conditions are told apart: with more of them, those of one place in the code are one.
const CONDITIONS_MAX: usize = 256;
/// The target of the counts themselves.
const COUNTS: &str = "sealroom::repeats";
/// What differs each time a condition comes about.
const PER_REQUEST: &[&str] = &["request", "peer", "caller", "micros", "bytes"];

/// The layer; clones count together.
#[derive(Clone, Default)]
pub(super) struct Repeats(Arc<Mutex<HashMap<Condition, Seen>>>);

/// A place in the code and, where it says different things, what it says.
type Condition = (Identifier, u64);

/// What has been seen of a condition since the counts were told.
struct Seen {
    text: String,
    is_error: bool,
    shown: u64,
    hidden: u64,
    goes_on: bool,
}

/// The thread that tells the counts; when it is dropped, it tells the last of them.
pub(super) struct Teller {
    ending: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Repeats {
    /// Tells the counts from now on.
    pub(super) fn tell_every_minute(&self) -> Teller {
        let (ending, ended) = mpsc::channel();
        let repeats = self.clone();
        let tell = move || {
            while ended.recv_timeout(EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                repeats.tell();
            }
            repeats.tell();
        };
        // A host without a thread to spare has a log without counts.
        let thread = thread::Builder::new().name("repeats".to_owned()).spawn(tell).ok();
        Teller { ending: Some(ending), thread }
    }

    /// Logs how often each condition came about since the last time, and forgets those that have ended.
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

    /// Whether this time is logged, and not only counted.
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

/// How much of a condition is logged.
struct Allowed {
    lines: u64,
    /// Whether what is said tells one condition from another.
    by_text: bool,
    /// Whether a condition that comes about again within the next minute is still the same.
    goes_on: bool,
}

/// None for what is always logged.
fn allowed(metadata: &Metadata<'_>) -> Option<Allowed> {
    match metadata.target() {
        ANSWERED | ASKED | COUNTS => None,
        STRANGERS => Some(Allowed { lines: STRANGERS_MAX, by_text: false, goes_on: false }),
        _ if *metadata.level() <= Level::WARN => Some(Allowed { lines: 1, by_text: true, goes_on: true }),
        _ => None,
    }
}

/// What a line says, but for what is of one request.
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
        // A temporary file has another name each time.
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
