//! The host's reports of its disk, its file and its checkpoint folder.

use std::sync::{PoisonError, atomic::Ordering};

use super::{rollback::Rollback, state::Vault};
use crate::domain::Timestamp;

impl Vault {
    /// Sets whether the newest checkpoint reached its folder.
    pub fn set_checkpoint_kept(&self, kept: bool) {
        self.checkpoint_lost.store(!kept, Ordering::Relaxed);
    }

    /// Returns whether the newest checkpoint failed to reach its folder.
    pub fn is_checkpoint_lost(&self) -> bool {
        self.checkpoint_lost.load(Ordering::Relaxed)
    }

    /// Sets the free space on the file's disk, in bytes.
    pub fn set_free_bytes(&self, bytes: u64) {
        self.free_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Returns the free space on the disk as the host last reported it; `None` before the first report.
    pub fn free_bytes(&self) -> Option<u64> {
        Some(self.free_bytes.load(Ordering::Relaxed)).filter(|bytes| *bytes != u64::MAX)
    }

    /// Returns whether the disk has too little free space to add or disclose anything.
    pub fn is_disk_low(&self) -> bool {
        self.free_bytes.load(Ordering::Relaxed) < self.settings().disk_low_bytes
    }

    /// Sets whether the path no longer leads to the open file; returns the previous value.
    pub fn set_file_gone(&self, gone: bool) -> bool {
        self.file_gone.swap(gone, Ordering::Relaxed)
    }

    /// Returns whether the path leads to another file than the open one.
    pub fn is_file_gone(&self) -> bool {
        self.file_gone.load(Ordering::Relaxed)
    }

    /// Sets the time of the newest verified backup, unless a newer one is known. One of a time to come, by a clock that
    /// was ahead, is none: its age would be nothing for as long.
    pub fn set_backed_up(&self, at: Timestamp, now: Timestamp) {
        let newest = |known: u64| if known > now.millis() { at.millis() } else { known.max(at.millis()) };
        self.backed_up.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |known| Some(newest(known))).ok();
    }

    /// Returns the time of the newest verified backup.
    pub fn backed_up(&self) -> Option<Timestamp> {
        Some(self.backed_up.load(Ordering::Relaxed)).filter(|at| *at > 0).map(Timestamp::from_millis)
    }

    /// Counts a notice to a target of the host, delivered or given up.
    pub fn count_notice(&self, delivered: bool) {
        self.notices[usize::from(delivered)].add(1);
    }

    /// Sets whether the last scheduled backup failed.
    pub fn set_backup_failed(&self, failed: bool) {
        self.backup_failed.store(failed, Ordering::Relaxed);
    }

    /// Returns whether the last scheduled backup failed.
    pub fn is_backup_failed(&self) -> bool {
        self.backup_failed.load(Ordering::Relaxed)
    }

    /// Sets whether the server's own archive of old events failed, or does not end.
    pub fn set_archive_failed(&self, failed: bool) {
        self.archive_failed.store(failed, Ordering::Relaxed);
    }

    /// Returns whether the server's own archive of old events failed, or does not end.
    pub fn is_archive_failed(&self) -> bool {
        self.archive_failed.load(Ordering::Relaxed)
    }

    /// Sets whether a witness of this log refuses it as another one than it cosigned, and whether one has cosigned
    /// nothing for long.
    pub fn set_witnesses(&self, refused: bool, silent: bool) {
        self.witness_refused.store(refused, Ordering::Relaxed);
        self.witness_silent.store(silent, Ordering::Relaxed);
    }

    /// Returns whether a witness refuses this log as another one than it cosigned.
    pub fn is_witness_refused(&self) -> bool {
        self.witness_refused.load(Ordering::Relaxed)
    }

    /// Returns whether a witness of this log has cosigned nothing for long.
    pub fn is_witness_silent(&self) -> bool {
        self.witness_silent.load(Ordering::Relaxed)
    }

    /// Returns whether the settings accept an older copy of the file.
    pub const fn accepts_rollback(&self) -> bool {
        self.settings().accepts_rollback
    }

    /// Returns the rollback that the settings do not accept: the vault does not unlock before a start that does.
    pub fn rolled_back(&self) -> Option<Rollback> {
        if self.accepts_rollback() { None } else { self.rollback() }
    }

    pub(super) fn rollback(&self) -> Option<Rollback> {
        *self.rollback.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the rollback that an unlock accepted, until the folder that told of it is settled.
    pub fn accepted_rollback(&self) -> Option<Rollback> {
        *self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the rollback that an unlock accepted; none once its folder is settled.
    pub fn set_accepted_rollback(&self, accepted: Option<Rollback>) {
        *self.accepted.lock().unwrap_or_else(PoisonError::into_inner) = accepted;
    }

    /// Reports a rollback; the vault does not unlock while there is one, unless the settings accept it.
    pub fn set_rollback(&self, found: Option<Rollback>) {
        *self.rollback.lock().unwrap_or_else(PoisonError::into_inner) = found;
    }
}
