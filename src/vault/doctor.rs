//! The examination of a vault's file, at the host: there is no caller, and no event, since nothing changes.

use std::sync::atomic::Ordering;

use super::{error::UnlockError, slots::try_slots, state::Vault};
use crate::{
    audit::{checkpoint::origin, tree::Frontier},
    domain::Secret,
    storage::{Archived, Check, Read, Status, StorageError, Surroundings},
};

impl Vault {
    /// Examines the file of a locked vault, with the key that the secret opens. A secret that opens no slot is a
    /// finding, and the checks that need no key run. `archived` holds the records before the file's first one, compared
    /// with [`Vault::tree_of`].
    pub fn examine(
        &self,
        secret: Option<&Secret>,
        surroundings: Surroundings,
        archived: Option<&Archived<'_>>,
        read: &Read<'_>,
    ) -> Vec<Check> {
        let (key, check) = match secret.map(|secret| self.store().slots().map(|slots| (slots, secret))) {
            None => (None, Check::skipped("passphrase", "none was given: what needs it is skipped")),
            Some(Err(error)) => (None, Check::new("passphrase", Status::Failed, error.to_string())),
            Some(Ok((slots, secret))) => match try_slots(&slots, secret).outcome {
                Ok((key, _)) => (Some(key), Check::new("passphrase", Status::Ok, "it opens a key slot")),
                Err(error @ UnlockError::Kdf) => {
                    let hint = "free memory, or run on a larger host";
                    (
                        None,
                        Check {
                            detail: vec![hint.to_owned()],
                            ..Check::skipped("passphrase", &error.to_string())
                        },
                    )
                }
                Err(error) => {
                    let or =
                        "or a backup, which opens with the secrets of its time; or the key slots are damaged";
                    let check = Check::new("passphrase", Status::Failed, error.to_string());
                    (None, Check { detail: vec![or.to_owned()], ..check })
                }
            },
        };
        let mut checks = vec![check];
        let key = key.filter(|_| match self.store().check_newest() {
            Ok(()) => true,
            Err(older) => {
                checks.push(Check::new("format", Status::Warning, older.to_string()));
                false
            }
        });
        checks.extend(self.store().examine(key.as_ref(), surroundings, archived, read));
        checks
    }

    /// Returns the first record that the file holds, and the log's origin.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn first_record(&self) -> Result<(u64, String), StorageError> {
        Ok((self.store().first_sequence()?, origin(self.store().file())))
    }

    /// Returns whether the file is a copy that a backup made, and no start or restore has made its vault's file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn is_copy(&self) -> Result<bool, StorageError> {
        self.store().is_copy()
    }

    /// Returns the tree of the log's first `size` records, a multiple of 256, as the file's stored hashes say.
    ///
    /// # Errors
    /// A hash is missing or cannot be read.
    pub fn tree_of(&self, size: u64) -> Result<Frontier, StorageError> {
        self.store().frontier(size)
    }

    /// Examines the file of a vault that is being served, with its keys if it is unlocked; `None` if it was locked
    /// meanwhile. A lock waits for no examination.
    pub fn examine_served(&self, surroundings: Surroundings, read: &Read<'_>) -> Option<Vec<Check>> {
        let Ok(open) = self.opened() else {
            let mut checks =
                vec![Check::skipped("passphrase", "the vault is locked: what needs its key is skipped")];
            checks.extend(self.store().examine(None, surroundings, None, read));
            return Some(checks);
        };
        let mut checks = vec![Check::new("passphrase", Status::Ok, "the server has unlocked the vault")];
        let locked = &open.locked;
        let go_on = |bytes| !locked.load(Ordering::Acquire) && read(bytes);
        checks.extend(open.writer.examine(surroundings, &go_on));
        (!open.locked.load(Ordering::Acquire)).then_some(checks)
    }
}
