//! A closed vault file in the hands of its owner: copied under its own key, or under a new one.
//!
//! There is no server and no caller: the secret that opens a slot is the proof. The file itself stays as it is. The copy
//! gets one more record, which says what was done, and then takes the file's place.

use super::{error::UnlockError, slots::try_slots};
use crate::{
    auth::spelling,
    crypto::{
        kdf::{KdfFailed, KdfParams},
        keys::{MasterKey, SlotHeader, SlotKind, VaultKey},
        machine::MachineKey,
        random::{self, RandomError},
        recovery::RecoveryKey,
    },
    disk::Medium,
    domain::{Action, Actor, Detail, DetailKey, Event, Secret, Timestamp},
    storage::{Copied, CopyError, OpenError, Rekeying, Slot, StorageError, Store, Supervisor},
};

/// An error of a copy that is to take the file's place.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// The copy failed.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The file disagrees with its head.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// There is no memory for the key derivation.
    #[error("there is not enough memory for the key derivation")]
    Memory(#[from] KdfFailed),
    /// The operating system gives no random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// An open vault file that nobody has unlocked.
pub struct Closed {
    store: Store,
}

impl Closed {
    /// Opens a vault file. None of its bytes change.
    ///
    /// # Errors
    /// The file is no vault, is damaged, or has a newer format.
    pub fn open(medium: Medium, cache_bytes: usize) -> Result<Self, OpenError> {
        Ok(Self { store: Store::open(medium, cache_bytes)? })
    }

    /// Returns the newest event's time, from its record.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn newest_time(&self) -> Result<Option<Timestamp>, StorageError> {
        self.store.newest_time()
    }

    /// Returns the name of the vault's log, which every copy of the vault has.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn name(&self) -> Result<String, StorageError> {
        Ok(self.store.verifier_key()?.name().to_owned())
    }

    /// Returns the most memory in KiB that a derivation for one of the slots takes.
    ///
    /// # Errors
    /// The slots cannot be read.
    pub fn most_memory_kib(&self) -> Result<u32, StorageError> {
        let slots = self.store.slots()?;
        let costly = slots.iter().map(|slot| &slot.header).filter(|slot| slot.kind != SlotKind::Machine);
        Ok(costly.map(|slot| slot.params.memory_kib()).max().unwrap_or_default())
    }

    /// Opens the vault key with a passphrase or a recovery key.
    ///
    /// # Errors
    /// No slot opens, or the file disagrees with its head.
    pub fn unseal(self, secret: Secret) -> Result<Offline, UnlockError> {
        let Self { store } = self;
        let slots = store.slots()?;
        let (key, kept) = try_slots(&slots, &secret).outcome?;
        Ok(Offline { store, key, kept, slots, secret })
    }
}

/// A vault file whose key is in hand.
pub struct Offline {
    store: Store,
    key: VaultKey,
    /// The slot that the secret opened.
    kept: u32,
    slots: Vec<Slot>,
    secret: Secret,
}

/// The outcome of a new vault key.
pub struct Rekeyed {
    /// The copy.
    pub copied: Copied,
    /// The new recovery key.
    pub recovery_key: Secret,
}

impl Offline {
    /// Returns the slots that a new vault key does without: all but the one that the secret opened.
    pub fn dropped(&self) -> impl Iterator<Item = &SlotHeader> {
        self.slots.iter().map(|slot| &slot.header).filter(|header| header.id != self.kept)
    }

    /// Copies the file to an empty medium, under its own key, and records `vault.compact` there.
    ///
    /// # Errors
    /// Either file refuses, a row fails authentication, or the supervisor stops it.
    pub fn compact(
        &self,
        to: Medium,
        actor: Actor,
        now: Timestamp,
        supervisor: &mut Supervisor<'_>,
    ) -> Result<Copied, OfflineError> {
        let event = Event::new(now, actor, Action::VaultCompact);
        Ok(self.store.unseal(&self.key)?.copy(to, None, event, supervisor)?)
    }

    /// Copies the file to an empty medium, under a new vault key, and records `vault.rekey` there. The secret in hand
    /// opens the copy, and so does a new recovery key; nothing else does.
    ///
    /// # Errors
    /// As [`Offline::compact`]; and there is no memory or randomness for the new slots.
    pub fn rekey(
        &self,
        to: Medium,
        actor: Actor,
        now: Timestamp,
        supervisor: &mut Supervisor<'_>,
    ) -> Result<Rekeyed, OfflineError> {
        let (key, recovery) = (VaultKey::generate()?, RecoveryKey::generate()?);
        let newest = self.slots.iter().map(|slot| slot.header.id).max().unwrap_or_default();
        let (kept, secret) = self.kept()?;
        let of_recovery = SlotHeader {
            id: newest.saturating_add(1),
            kind: SlotKind::Recovery,
            salt: random::bytes()?,
            params: self.params(),
        };
        let slots = [wrapped(kept, &secret, &key)?, wrapped(of_recovery, &recovery.to_secret(), &key)?];
        let rekeying = Rekeying::new(&key, &slots);
        let detail = Detail::NONE.number(DetailKey::Count, self.dropped().count() as u64);
        let event = Event { detail, ..Event::new(now, actor, Action::VaultRekey) };
        let copied = self.store.unseal(&self.key)?.copy(to, Some(rekeying), event, supervisor)?;
        Ok(Rekeyed { copied, recovery_key: recovery.to_text() })
    }

    /// Returns the parameters of the new recovery slot: those of the passphrase, if there is one.
    fn params(&self) -> KdfParams {
        let slots = || self.slots.iter().map(|slot| &slot.header);
        let passphrase = slots().find(|header| header.kind == SlotKind::Passphrase);
        let derived = passphrase.or_else(|| slots().find(|header| header.kind == SlotKind::Recovery));
        derived.map_or(KdfParams::STANDARD, |header| header.params)
    }

    /// Returns the kept slot's header with a new salt, and the very spelling of the secret that opens it.
    fn kept(&self) -> Result<(SlotHeader, Secret), OfflineError> {
        let gone =
            || OfflineError::Storage(StorageError::Tampered { table: "meta", key: "slots".to_owned() });
        let slot = self.slots.iter().find(|slot| slot.header.id == self.kept).ok_or_else(gone)?;
        for candidate in candidates(&slot.header, &self.secret) {
            let master = MasterKey::of_slot(&candidate, &slot.header)?;
            if master.unwrap(&slot.header, &slot.wrapped).is_ok() {
                return Ok((SlotHeader { salt: random::bytes()?, ..slot.header }, candidate));
            }
        }
        Err(gone())
    }
}

/// Returns the inputs of a slot's key derivation that a submitted secret may stand for.
fn candidates(header: &SlotHeader, secret: &Secret) -> Vec<Secret> {
    let spellings = spelling::of_passphrase(secret);
    match header.kind {
        SlotKind::Passphrase => spellings,
        SlotKind::Recovery => {
            let texts = spellings.iter().filter_map(Secret::expose_text);
            texts.filter_map(|text| Some(RecoveryKey::from_text(text).ok()?.to_secret())).collect()
        }
        SlotKind::Machine => {
            let key = secret.expose_text().and_then(MachineKey::from_text);
            key.map(|key| key.to_secret()).into_iter().collect()
        }
    }
}

fn wrapped(header: SlotHeader, secret: &Secret, key: &VaultKey) -> Result<Slot, OfflineError> {
    let master = MasterKey::of_slot(secret, &header)?;
    Ok(Slot { wrapped: master.wrap(&header, key)?, header })
}
