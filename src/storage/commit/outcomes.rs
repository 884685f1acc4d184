//! The outcomes of a batch, job by job.

use super::{
    in_flight::InFlight,
    job::{Effect, JobOutcome, Receipt},
};
use crate::storage::error::StorageError;

/// The outcome of a job in its batch.
pub(super) type Gathered = Result<(Vec<Receipt>, Effect), Failure>;

pub(super) enum Failure {
    Panicked,
    Storage(StorageError),
}

/// The position of a job in its batch.
pub(in crate::storage) struct JobIndex(pub(super) usize);

/// The outcomes of a batch, job by job.
pub(in crate::storage) struct Outcomes {
    pub(super) done: bool,
    pub(super) places: Vec<Option<Gathered>>,
}

impl Outcomes {
    /// Returns whether the batch is durable.
    pub(in crate::storage) const fn is_done(&self) -> bool {
        self.done
    }

    pub(in crate::storage) fn of(&mut self, index: JobIndex, in_flight: &mut InFlight) -> JobOutcome {
        match self.places[index.0].take() {
            Some(Ok(_)) if !self.done => JobOutcome::Unavailable,
            Some(Ok((receipts, effect))) => JobOutcome::Committed {
                receipts,
                disclosed: (effect == Effect::Discloses).then(|| in_flight.disclosed()),
                drain: (effect == Effect::Revokes).then(|| in_flight.drain()),
            },
            Some(Err(Failure::Storage(error))) => JobOutcome::Failed(error),
            Some(Err(Failure::Panicked)) | None => JobOutcome::Panicked,
        }
    }
}
