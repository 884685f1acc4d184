//! Unlocking and locking a vault.

use std::sync::{Arc, Mutex, PoisonError, atomic::Ordering};

use super::{
    begun::Begun,
    error::{Error, InternalError, UnlockError},
    exposures::Exposures,
    minted::MintedTokens,
    rollback::Rollback,
    slots::try_slots,
    state::{Open, Vault},
};
use crate::{
    crypto::{keys::VaultKey, may_be_swapped, stack::leaving_nothing},
    domain::{Action, Actor, Detail, DetailKey, Event, Secret, Timestamp},
    storage::{Changes, Decision, View},
};

impl Vault {
    /// Unlocks with a passphrase or a recovery key; `events` follow the unlock's own.
    ///
    /// # Errors
    /// No slot opens, or the file disagrees with its head; then nothing is written.
    pub async fn unlock(
        &self,
        secret: Secret,
        actor: Actor,
        now: Timestamp,
        then: Option<Event>,
    ) -> Result<(), UnlockError> {
        // An earlier unlock or lock may still wait for a disk that blocks.
        let turn =
            tokio::time::timeout(self.settings().commit_timeout * 2, Arc::clone(&self.turn).lock_owned());
        let turn = turn.await.map_err(|_| UnlockError::AuditUnavailable)?;
        if !self.is_locked() {
            return Ok(());
        }
        let rollback = self.checked_rollback()?;
        self.store.wake()?;
        let slots = self.store.slots()?;
        let key =
            tokio::task::spawn_blocking(move || leaving_nothing(|| try_slots(&slots, &secret).outcome)).await;
        let key = key.map_err(|_| InternalError::TaskPanicked)?.inspect_err(|_| {
            self.failed_tries.fetch_add(1, Ordering::Relaxed);
        })?;
        let (key, _) = key;
        leaving_nothing(|| self.migrate(&key, actor.clone(), now))?;
        let running = leaving_nothing(|| self.store.unlock(&key, self.settings().writing()))?;
        drop(key);
        let tries = self.failed_tries.load(Ordering::Relaxed);
        let detail = Detail::NONE.number(DetailKey::FailedTries, tries);
        let host = actor.clone();
        let event = Event { detail, ..Event::new(now, actor, Action::VaultUnlock) };
        let events = std::iter::once(event).chain(then).collect();
        let open = Open {
            writer: running.writer,
            locked: Arc::default(),
            ended: Mutex::default(),
            minted: MintedTokens::new(),
            exposures: Exposures::default(),
            given: Arc::default(),
            backups: Arc::default(),
            begun: Begun::default(),
        };
        let adopted = self.adopt(&open, rollback, host, now).await;
        if let Err(error) = match adopted {
            Ok(()) => open.record(events).await,
            Err(error) => Err(error),
        } {
            // The old writer must end before the next one begins: each would move the head under the other.
            drop(open);
            tokio::spawn(async move {
                drop(running.ended.await);
                drop(turn);
            });
            return Err(match error {
                Error::Internal(error) => error.into(),
                _ => UnlockError::AuditUnavailable,
            });
        }
        self.failed_tries.fetch_sub(tries, Ordering::Relaxed);
        if may_be_swapped() {
            tracing::info!("not every key could be locked into memory: raise LimitMEMLOCK, or turn swap off");
        }
        // Before anything is served: who writes to the folder next settles it, and does not take it for a stranger's.
        if rollback.is_some() {
            self.set_accepted_rollback(rollback);
        }
        self.open.store(Some(Arc::new(Open { ended: Mutex::new(Some(running.ended)), ..open })));
        self.set_rollback(None);
        Ok(())
    }

    /// Brings an older file to the newest format, once a copy of it is kept.
    fn migrate(&self, key: &VaultKey, actor: Actor, now: Timestamp) -> Result<(), UnlockError> {
        let Some(keeper) =
            self.settings().keeper.as_ref().filter(|_| self.store.is_older().is_ok_and(|older| older))
        else {
            return Ok(());
        };
        let (from, to) = (self.store.format()?, self.settings().migrations.newest());
        let detail = Detail::NONE.text(DetailKey::Version, env!("CARGO_PKG_VERSION"));
        let detail = detail.text(DetailKey::Reason, format!("format_{from}_to_{to}"));
        let event = Event { detail, ..Event::new(now, actor, Action::VaultMigrate) };
        Ok(self.store.migrate(key, keeper, &event)?)
    }

    /// Returns the rollback that the settings have to accept, if there is one.
    ///
    /// # Errors
    /// They do not.
    fn checked_rollback(&self) -> Result<Option<Rollback>, UnlockError> {
        match self.rolled_back() {
            Some(Rollback { known, held }) => Err(UnlockError::RolledBack { known, held }),
            None => Ok(self.rollback()),
        }
    }

    /// Starts a new log key if the file is a copy that a backup made, or an older copy that the operator accepts: other
    /// copies of the log hold the old key, and none of them may sign a second history.
    async fn adopt(
        &self,
        open: &Open,
        rollback: Option<Rollback>,
        actor: Actor,
        now: Timestamp,
    ) -> Result<(), Error> {
        let is_copy = self.settings().adopts_copies && self.store.is_copy().map_err(Error::from)?;
        if !is_copy && rollback.is_none() {
            return Ok(());
        }
        let decide = move |_: &View<'_>| {
            let mut changes = Changes::none();
            changes.new_log_key();
            if is_copy {
                changes.adopt_copy();
            }
            let copied = || Detail::NONE.text(DetailKey::Reason, "copy_served");
            let detail = rollback.map_or_else(copied, Rollback::detail);
            let event = Event { detail, ..Event::new(now, actor, Action::VaultRestore) };
            Ok(Decision::changing((), changes, event))
        };
        open.decide(None, decide).await.map(drop)
    }

    /// Records `event` and locks. When this returns, no earlier disclosure is in flight, and the keys are wiped.
    ///
    /// # Errors
    /// The event cannot be recorded; the vault is locked nevertheless.
    pub async fn lock(&self, event: Event) -> Result<(), Error> {
        self.opened()?;
        let _turn = self.turn.lock().await;
        let open = self.opened()?;
        if let Err(error) = self.record_counts(event.time).await {
            tracing::warn!(%error, "what was only counted could not be recorded");
        }
        let (locked, backups) = (Arc::clone(&open.locked), Arc::clone(&open.backups));
        let decide = move |_: &View<'_>| {
            locked.store(true, Ordering::Release);
            let mut events = backups.fail_all();
            events.push(event);
            Ok(Decision::recording((), events).revoking())
        };
        let recorded = open.decide(None, decide).await;
        open.locked.store(true, Ordering::Release);
        self.open.store(None);
        let ended = open.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(open);
        let result = match recorded {
            Ok(committed) => self.settle(committed).await.map(drop),
            Err(error) => Err(error),
        };
        if let Some(ended) = ended {
            drop(ended.await);
        }
        result
    }
}
