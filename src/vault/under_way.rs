//! The backups under way, and the records of those that never arrive.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::domain::{Event, Outcome};

/// The events of the backups under way. Taking an event out ends its backup, once.
#[derive(Default)]
pub(super) struct UnderWay {
    next: AtomicU64,
    entries: Mutex<BTreeMap<u64, Entry>>,
}

struct Entry {
    event: Event,
    is_recorded: bool,
}

impl UnderWay {
    /// Adds the event of a backup that begins; returns the backup's number.
    pub(super) fn add(&self, event: Event) -> u64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.entries().insert(number, Entry { event, is_recorded: false });
        number
    }

    /// Notes, in the decision that records it, that the log has the event of a backup.
    pub(super) fn recorded(&self, number: u64) {
        if let Some(entry) = self.entries().get_mut(&number) {
            entry.is_recorded = true;
        }
    }

    /// Takes the event of a backup, unless it has ended.
    pub(super) fn take(&self, number: u64) -> Option<Event> {
        self.entries().remove(&number).map(|entry| entry.event)
    }

    /// Ends every backup that the log has, and returns the events of their failures. A lock calls this in its own decision,
    /// after which no event is recorded: no backup comes between.
    pub(super) fn fail_all(&self) -> Vec<Event> {
        let mut entries = self.entries();
        entries.extract_if(.., |_, entry| entry.is_recorded).map(|(_, entry)| failed(entry.event)).collect()
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<u64, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the event of the failure of a backup; the log then has both.
pub(super) fn failed(event: Event) -> Event {
    Event { outcome: Outcome::Failed, ..event }
}
