//! Counted refusals, recorded as events once a minute.

use super::{error::Error, refusal_counts::Rejected, state::Vault, work::Context};
use crate::domain::{Action, Timestamp};

impl Vault {
    /// Records the refusals counted since the last call; to be called once a minute, and before a lock or a stop.
    ///
    /// # Errors
    /// The vault is locked (the counts are kept), or the events cannot be written.
    pub async fn record_counts(&self, now: Timestamp) -> Result<(), Error> {
        let open = self.opened()?;
        let minute = self.tally.take();
        let events = minute.events(now, &self.settings().host);
        if events.is_empty() {
            return Ok(());
        }
        for event in events.iter().filter(|event| event.action == Action::RequestRefused) {
            tracing::warn!(caller = %event.actor, "refused in the last minute: see request.refused in the audit log");
        }
        // Keep counts that cannot be recorded until the next call: a flood must not erase its own trace.
        open.record(events).await.inspect_err(|_| self.tally.give_back(minute))
    }

    /// Returns the rejected requests and logins since the start.
    pub fn rejected(&self) -> Rejected {
        self.tally.total()
    }

    /// Returns everything that was refused since the start, of known callers and of strangers.
    pub fn refused(&self) -> u64 {
        let Rejected { tokens, logins } = self.tally.total();
        tokens + logins + self.tally.refusals() + self.budgets.refused()
    }

    /// Counts a request without a valid token.
    pub fn count_unauthenticated(&self, context: &Context) {
        self.tally.token(context.peer);
    }
}
