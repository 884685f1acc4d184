//! The dates of every integration, in memory: the work-list of rotations reads them all each time.
//!
//! Nothing is read before the first question; from then on each commit that writes integrations brings its own. A commit
//! that only records reads does nothing for it.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::domain::{Integration, IntegrationId, Provider, Timestamp};

/// The dates of one integration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dates {
    /// Its provider.
    pub provider: Provider,
    /// The end of its current credential at the provider.
    pub expires_at: Option<Timestamp>,
    /// The time since when its current credential has been the same.
    pub unchanged_since: Timestamp,
}

impl Dates {
    pub(super) fn of(integration: &Integration) -> Self {
        Self {
            provider: integration.provider,
            expires_at: integration.expires_at(),
            unchanged_since: integration.unchanged_since(),
        }
    }
}

/// The dates of an integration after a commit; `None` if the commit deleted it.
pub(super) type DateChange = (IntegrationId, Option<Dates>);

type Rows = BTreeMap<IntegrationId, Dates>;

#[derive(Default)]
enum Index {
    /// Nobody has asked so far, or what is on disk is in doubt.
    #[default]
    Absent,
    /// The rows are being read; holds what commits changed meanwhile, in their order.
    Reading(Vec<DateChange>),
    Whole(Rows),
}

/// The dates of an unlocked vault's integrations.
#[derive(Default)]
pub(super) struct IntegrationDates {
    index: Mutex<Index>,
    /// Held by the thread that reads the rows: the others wait for it.
    reading: Mutex<()>,
}

impl IntegrationDates {
    /// Takes in what a commit changed.
    pub(super) fn take_in(&self, mut changes: Vec<DateChange>) {
        match &mut *self.lock() {
            Index::Absent => {}
            Index::Reading(missed) => missed.append(&mut changes),
            Index::Whole(rows) => apply(rows, changes),
        }
    }

    /// Forgets everything: the next question reads the rows again.
    pub(super) fn forget(&self) {
        *self.lock() = Index::Absent;
    }

    /// Visits the dates of every integration, oldest first; `read` passes all committed integrations to its argument.
    ///
    /// # Errors
    /// `read` fails.
    pub(super) fn each<E>(
        &self,
        read: impl Fn(&mut dyn FnMut(&Integration)) -> Result<(), E>,
        mut visit: impl FnMut(IntegrationId, &Dates),
    ) -> Result<(), E> {
        loop {
            if let Index::Whole(rows) = &*self.lock() {
                rows.iter().for_each(|(id, dates)| visit(*id, dates));
                return Ok(());
            }
            let _reading = locked(&self.reading);
            if matches!(*self.lock(), Index::Whole(_)) {
                continue;
            }
            if let Some(rows) = self.read(&read)? {
                rows.iter().for_each(|(id, dates)| visit(*id, dates));
                return Ok(());
            }
        }
    }

    /// Reads every row. Commits go on: what they change meanwhile is applied on top, and wins. Returns the rows if the
    /// index may not keep them, since it was to forget everything meanwhile.
    fn read<E>(
        &self,
        read: impl Fn(&mut dyn FnMut(&Integration)) -> Result<(), E>,
    ) -> Result<Option<Rows>, E> {
        *self.lock() = Index::Reading(Vec::new());
        let mut rows = Rows::new();
        let done = read(&mut |one| {
            rows.insert(one.id, Dates::of(one));
        });
        let mut index = self.lock();
        let Index::Reading(missed) = mem::take(&mut *index) else { return done.map(|()| Some(rows)) };
        done?;
        apply(&mut rows, missed);
        *index = Index::Whole(rows);
        Ok(None)
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        locked(&self.index)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn apply(rows: &mut Rows, changes: Vec<DateChange>) {
    for (id, dates) in changes {
        match dates {
            Some(dates) => rows.insert(id, dates),
            None => rows.remove(&id),
        };
    }
}
