//! A view's reads of the dates of all integrations: always the committed ones.

use super::view::View;
use crate::{
    domain::IntegrationId,
    storage::{dates::Dates, error::StorageError},
};

impl View<'_> {
    /// Visits the dates of every committed integration, oldest first. They may be of a later commit than the view.
    ///
    /// # Errors
    /// As [`View::user`].
    pub fn each_dates(&self, visit: impl FnMut(IntegrationId, &Dates)) -> Result<(), StorageError> {
        // Each reading opens a snapshot of its own: an older one would miss a commit before the reading began.
        self.source.dates.each(|add| View::fresh(self.source).each_integration(add), visit)
    }
}
