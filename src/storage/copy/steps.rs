//! The progress of a copy.

use std::ops::ControlFlow;

use super::error::CopyError;

/// The progress of a copy: rows and records copied and verified, and their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Done so far.
    pub done: u64,
    /// The number at the end; approximate while the vault changes.
    pub total: u64,
}

/// Sees each step of a copy, paces it by the time that it takes, and stops it with `Break`.
pub type Supervisor<'a> = dyn FnMut(Step) -> ControlFlow<()> + Send + 'a;

/// Counts the steps.
pub(super) struct Steps<'a, 'b> {
    pub(super) at: &'a mut Step,
    pub(super) supervisor: &'a mut Supervisor<'b>,
}

impl Steps<'_, '_> {
    pub(super) fn advance(&mut self, by: usize) -> Result<(), CopyError> {
        self.at.done += by as u64;
        self.at.total = self.at.total.max(self.at.done);
        match (self.supervisor)(*self.at) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(CopyError::Stopped),
        }
    }
}
