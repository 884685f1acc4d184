//! Refusals that are counted become events once a minute.

use super::{error::Error, refusal_counts::Rejected, state::Vault, work::Context};
use crate::domain::Timestamp;

impl Vault {
    /// Records what was only counted since the last call; to be called once a minute, and before a lock or a stop.
    ///
    /// # Errors
    /// The vault is locked (what was counted then waits), or the events cannot be written.
    pub async fn record_counts(&self, now: Timestamp) -> Result<(), Error> {
        let open = self.opened()?;
        let minute = self.tally.take();
        let events = minute.events(now, &self.settings().host);
        if events.is_empty() {
            return Ok(());
        }
        // Counts that cannot be recorded wait for the next time: a flood must not erase its own trace.
        open.record(events).await.inspect_err(|_| self.tally.give_back(minute))
    }

    /// Rejected requests and logins since the start.
    pub fn rejected(&self) -> Rejected {
        self.tally.total()
    }

    /// Counts a request that came without a valid token.
    pub fn turned_away(&self, context: &Context) {
        self.tally.token(context.peer);
    }
}
