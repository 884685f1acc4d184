//! The check of the whole log while the vault is served: a few thousand records a step, so that no snapshot is held long.

use std::time::Duration;

use super::{error::Error, state::Vault};
use crate::{
    audit::record::{self, Record},
    domain::{Action, Actor, Outcome},
    storage::StoredRecord,
};

/// The number of records of a step: 16 blocks of the tree.
const STEP: usize = 4096;
/// The interval between two checks of the whole log: a day.
const INTERVAL: Duration = crate::domain::days(1);

impl Vault {
    /// Returns whether the whole log is to be checked: after each unlock, then once a day.
    pub fn is_log_check_due(&self) -> bool {
        let Ok(open) = self.opened() else { return false };
        let now = (self.settings().monotonic)();
        !open.writer.is_log_flawed()
            && open.writer.log_checked().is_none_or(|ended| now.saturating_sub(ended) >= INTERVAL)
    }

    /// Holds the records from `first` on against the sealed head, a few thousand of them. Returns the next sequence to
    /// check; at the end of the log it is `None`, and the next check is due in a day. After a flaw no event is recorded
    /// and nothing is disclosed until the vault is locked.
    ///
    /// # Errors
    /// The vault is locked, the file cannot be read, or a record is not the one that was written.
    pub fn check_log(&self, first: u64) -> Result<Option<u64>, Error> {
        let open = self.opened()?;
        let records = open.writer.check_log(first, STEP)?;
        self.know_logins(&records);
        open.exposures.follow(first, &records);
        let next = records.last().map(|(last, _)| last + 1);
        if next.is_none() {
            open.writer.set_log_checked((self.settings().monotonic)());
        }
        Ok(next)
    }

    /// Teaches the limiter from which addresses users logged in before this process began.
    fn know_logins(&self, records: &[StoredRecord]) {
        let login = format!("\"action\":\"{}\"", Action::SessionLogin);
        for (_, bytes) in records {
            // Few records are logins: most need not be decoded.
            if !bytes.windows(login.len()).any(|part| part == login.as_bytes()) {
                continue;
            }
            let Ok(Record { actor: Actor::User(email), outcome: Outcome::Allowed, peer, time, .. }) =
                record::decode(bytes)
            else {
                continue;
            };
            if let Some(peer) = peer {
                self.limiter().know(&email, peer, time);
            }
        }
    }

    /// Stops recording and disclosing: a checkpoint is known that this log does not hold.
    pub fn distrust_log(&self) {
        if let Ok(open) = self.opened() {
            open.writer.distrust_log();
        }
    }

    /// Returns whether the log is not the one that was signed.
    pub fn is_log_flawed(&self) -> bool {
        self.opened().is_ok_and(|open| open.writer.is_log_flawed())
    }
}
