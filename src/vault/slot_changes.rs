//! Changes of the key slots. There is no caller: the secret of a slot is the proof, and gives the vault key that a new
//! slot wraps.

use super::{
    audited::silent,
    error::{Error, InternalError, UnlockError},
    slot_error::SlotError,
    slots::try_slots,
    state::Vault,
};
use crate::{
    auth::{common, spelling},
    crypto::{
        kdf::KdfParams,
        keys::{MasterKey, SlotHeader, SlotKind, VaultKey},
        machine::MachineKey,
        random,
        recovery::RecoveryKey,
        stack::leaving_nothing,
    },
    domain::{Action, Actor, Detail, DetailKey, Event, Invalid, Secret, Timestamp},
    storage::{Changes, Decision, SLOTS_MAX, Slot, View, encode_slots},
};

/// The secret of a new or changed slot, and its cost.
pub struct NewSecret {
    /// The kind of secret.
    pub kind: SlotKind,
    /// The passphrase, or the text of a recovery or machine key.
    pub secret: Secret,
    /// The cost of the key derivation; without meaning for a machine key.
    pub kdf: KdfParams,
}

/// A change of the slots.
pub enum SlotChange {
    /// A further slot.
    Add(NewSecret),
    /// Another secret, or another cost, in a slot: the one named, or the one that the given secret opens.
    Change {
        /// The slot.
        id: Option<u32>,
        /// Its new secret.
        new: NewSecret,
    },
    /// No slot of that number any more.
    Remove {
        /// The slot.
        id: u32,
    },
}

/// A slot, without its secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotInfo {
    /// Its number.
    pub id: u32,
    /// The kind of its secret.
    pub kind: SlotKind,
    /// The cost of its key derivation.
    pub kdf: KdfParams,
    /// The time of its last change, as the file states it.
    pub changed_at: Option<Timestamp>,
}

impl Vault {
    /// Returns the slots, not authenticated before the vault is unlocked.
    ///
    /// # Errors
    /// The slots cannot be read.
    pub fn slots(&self) -> Result<Vec<SlotInfo>, SlotError> {
        let times = self.times()?;
        let time = |id| times.iter().find(|(of, _)| *of == id).map(|(_, time)| *time);
        let slots = self.store().slots()?;
        let info = |Slot { header: SlotHeader { id, kind, params, .. }, .. }: &Slot| SlotInfo {
            id: *id,
            kind: *kind,
            kdf: *params,
            changed_at: time(*id),
        };
        Ok(slots.iter().map(info).collect())
    }

    /// Returns the slot that a secret opens.
    ///
    /// # Errors
    /// The secret opens none.
    pub async fn slot_of(&self, secret: Secret) -> Result<SlotInfo, SlotError> {
        let slots = self.store().slots()?;
        let (_, id) = run(move || try_slots(&slots, &secret).outcome).await??;
        self.slots()?.into_iter().find(|slot| slot.id == id).ok_or(SlotError::Conflict)
    }

    /// Changes the slots with the secret of one of them; returns the slot that was added, changed or removed.
    ///
    /// # Errors
    /// The secret opens no slot, the change breaks a rule, or the commit fails.
    pub async fn change_slots(
        &self,
        secret: Secret,
        change: SlotChange,
        actor: Actor,
        now: Timestamp,
    ) -> Result<u32, SlotError> {
        let open = self.opened()?;
        let slots = self.store().slots()?;
        let before = encode_slots(&slots);
        let worked = run(move || {
            let (key, own) = try_slots(&slots, &secret).outcome?;
            changed(slots, own, change, &key)
        });
        let Changed { slots, id, kind, reason } = worked.await??;
        let mut times = self.times()?;
        times.retain(|(of, _)| *of != id && slots.iter().any(|slot| slot.header.id == *of));
        if slots.iter().any(|slot| slot.header.id == id) {
            times.push((id, now));
        }
        let decide = move |view: &View<'_>| {
            let found = view.slots().map_err(|error| silent(error.into()))?;
            if encode_slots(&found) != before {
                return Ok(Decision::recording(false, Vec::new()));
            }
            let mut changes = Changes::none();
            changes.slots(&slots, &times);
            let detail = Detail::NONE
                .text(DetailKey::Reason, reason)
                .text(DetailKey::Id, id)
                .text(DetailKey::Name, kind.name())
                .number(DetailKey::Count, slots.len() as u64);
            let event = Event { detail, ..Event::new(now, actor, Action::VaultSlot) };
            Ok(Decision::changing(true, changes, event))
        };
        if open.decide(None, decide).await?.value { Ok(id) } else { Err(SlotError::Conflict) }
    }

    fn times(&self) -> Result<Vec<(u32, Timestamp)>, SlotError> {
        let mut times = self.store().slot_times()?;
        // The first two slots are as old as the file, unless they were changed.
        for id in [1, 2] {
            if !times.iter().any(|(of, _)| *of == id) {
                times.push((id, self.store().file().time()));
            }
        }
        Ok(times)
    }
}

/// Runs a key derivation on a thread of its own.
async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, UnlockError> {
    tokio::task::spawn_blocking(|| leaving_nothing(work))
        .await
        .map_err(|_| InternalError::TaskPanicked.into())
}

/// The slots after a change.
struct Changed {
    slots: Vec<Slot>,
    id: u32,
    kind: SlotKind,
    reason: &'static str,
}

fn changed(mut slots: Vec<Slot>, own: u32, change: SlotChange, key: &VaultKey) -> Result<Changed, SlotError> {
    let place =
        |slots: &[Slot], id| slots.iter().position(|slot| slot.header.id == id).ok_or(SlotError::Missing(id));
    let (id, kind, reason) = match change {
        SlotChange::Add(new) => {
            if slots.len() >= SLOTS_MAX {
                return Err(SlotError::Full);
            }
            // The lowest number that is free: numbers stay short, and the log tells which slot bore one when.
            let is_free = |id: &u32| slots.iter().all(|slot| slot.header.id != *id);
            let id = (1..=u32::MAX).find(is_free).expect("at most eight are taken");
            let added = slot(id, &new, key)?;
            check_untaken(&slots, id, &new)?;
            slots.push(added);
            (id, new.kind, "slot_added")
        }
        SlotChange::Change { id, new } => {
            let id = id.unwrap_or(own);
            let at = place(&slots, id)?;
            let found = slots[at].header.kind;
            if found != new.kind {
                return Err(SlotError::Kind { id, found: found.name() });
            }
            let changed = slot(id, &new, key)?;
            check_untaken(&slots, id, &new)?;
            slots[at] = changed;
            (id, new.kind, "slot_changed")
        }
        SlotChange::Remove { id } => {
            let at = place(&slots, id)?;
            if slots.len() == 1 {
                return Err(SlotError::Last(id));
            }
            if id == own {
                return Err(SlotError::InUse(id));
            }
            (id, slots.remove(at).header.kind, "slot_removed")
        }
    };
    Ok(Changed { slots, id, kind, reason })
}

/// Checks that no other slot opens with a new secret, in any spelling: whoever removes one of two such slots has taken
/// nothing away.
fn check_untaken(slots: &[Slot], id: u32, new: &NewSecret) -> Result<(), SlotError> {
    let others: Vec<Slot> = slots.iter().filter(|slot| slot.header.id != id).cloned().collect();
    match try_slots(&others, &new.secret).outcome {
        Ok((_, taken)) => Err(SlotError::Taken(taken)),
        Err(UnlockError::Kdf) => Err(UnlockError::Kdf.into()),
        Err(_) => Ok(()),
    }
}

/// Wraps the vault key for a new secret.
fn slot(id: u32, new: &NewSecret, key: &VaultKey) -> Result<Slot, SlotError> {
    let text = || new.secret.expose_text().unwrap_or_default();
    let secret = match new.kind {
        SlotKind::Passphrase => {
            check_passphrase(&new.secret)?;
            spelling::stored(&new.secret)
        }
        SlotKind::Recovery => RecoveryKey::from_text(text())?.to_secret(),
        SlotKind::Machine => MachineKey::from_text(text())
            .ok_or(Invalid { what: "machine key", rule: "what `sealroom slot add machine` wrote" })?
            .to_secret(),
    };
    let salt = random::bytes().map_err(Error::from)?;
    let params = if new.kind == SlotKind::Machine { KdfParams::LIGHT } else { new.kdf };
    let header = SlotHeader { id, kind: new.kind, params, salt };
    let master = MasterKey::of_slot(&secret, &header).map_err(|_| UnlockError::Kdf)?;
    Ok(Slot { wrapped: master.wrap(&header, key).map_err(Error::from)?, header })
}

/// Checks that a new passphrase can be typed again, is not among those that are guessed first, and is no machine key,
/// which is tried at machine slots alone.
pub fn check_passphrase(secret: &Secret) -> Result<(), Invalid> {
    secret.check_typable("passphrase")?;
    if secret.expose_text().and_then(MachineKey::from_text).is_some() {
        return Err(Invalid { what: "passphrase", rule: "a text of your own, not a machine key" });
    }
    common::check(&spelling::stored(secret), "passphrase", None)
}
