//! Key slots over the local socket, and for a command that opens the file itself.

use zeroize::Zeroizing;

use super::protocol::{NewSlot, SlotAnswer, SlotRequest, SlotRow, SlotVerb};
use crate::{
    cli::{
        error::CliError,
        host::{kdf_args, memory},
    },
    clock::Clock,
    crypto::{kdf::KdfParams, keys::SlotKind},
    domain::{Actor, Secret, Timestamp},
    vault::{Error, NewSecret, SlotChange, SlotError, SlotInfo, UnlockError, Vault},
};

/// Lists the slots.
pub(in crate::cli::host) fn list(vault: &Vault) -> SlotAnswer {
    match vault.slots() {
        Ok(slots) => SlotAnswer::Listed { slots: slots.iter().map(row).collect() },
        Err(error) => refused(error),
    }
}

/// Changes the slots.
pub(in crate::cli::host) async fn change(
    request: SlotRequest,
    actor: Actor,
    vault: &Vault,
    clock: &Clock,
) -> SlotAnswer {
    let secret = Secret::new(request.secret.as_bytes().to_vec());
    let accepts_weak = request.new.as_ref().is_some_and(|new| new.weak_kdf);
    let change = match read(request) {
        Ok(change) => change,
        Err(error) => return SlotAnswer::Failed { error, hint: "see `sealroom slot --help`".to_owned() },
    };
    // Here too: the command at the other end of the socket may be an older one.
    if !accepts_weak && is_weak(&change) {
        let error = "this key derivation makes each guess at the passphrase cheap".to_owned();
        return SlotAnswer::Failed { error, hint: kdf_args::TOO_WEAK.to_owned() };
    }
    if let Err(CliError { message, hint, .. }) = memory::check_slots(vault, &change) {
        return SlotAnswer::Failed { error: message, hint };
    }
    let changed = vault.change_slots(secret, change, actor, clock.now()).await;
    match (changed, vault.slots()) {
        (Ok(changed), Ok(slots)) => SlotAnswer::Changed { changed, slots: slots.iter().map(row).collect() },
        (Err(error), _) | (_, Err(error)) => refused(error),
    }
}

fn read(request: SlotRequest) -> Result<SlotChange, String> {
    let SlotRequest { change, id, new, .. } = request;
    let secret = |new: Option<NewSlot>| {
        let NewSlot { kind, secret, memory_kib, passes, lanes, .. } = new.ok_or("no new secret")?;
        let kinds = [SlotKind::Passphrase, SlotKind::Recovery, SlotKind::Machine];
        let kind = kinds.into_iter().find(|known| known.name() == kind).ok_or("unknown kind of slot")?;
        let kdf = KdfParams::new(memory_kib, passes, lanes).map_err(|error| error.to_string())?;
        Ok::<_, String>(NewSecret { kind, secret: copied(&secret), kdf })
    };
    Ok(match change {
        SlotVerb::Add => SlotChange::Add(secret(new)?),
        SlotVerb::Change => SlotChange::Change { id, new: secret(new)? },
        SlotVerb::Remove => SlotChange::Remove { id: id.ok_or("no slot to remove")? },
    })
}

fn is_weak(change: &SlotChange) -> bool {
    match change {
        SlotChange::Add(new) | SlotChange::Change { new, .. } => {
            new.kind != SlotKind::Machine && new.kdf.is_weak()
        }
        SlotChange::Remove { .. } => false,
    }
}

fn copied(text: &Zeroizing<String>) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

fn row(slot: &SlotInfo) -> SlotRow {
    let is_machine = slot.kind == SlotKind::Machine;
    let cost = |number: u32| (!is_machine).then_some(number);
    SlotRow {
        id: slot.id,
        kind: slot.kind.name().to_owned(),
        kdf: if is_machine { "hkdf-sha256" } else { "argon2id" }.to_owned(),
        memory_kib: cost(slot.kdf.memory_kib()),
        passes: cost(slot.kdf.passes()),
        lanes: cost(slot.kdf.lanes()),
        changed_at: slot.changed_at.map(Timestamp::millis),
    }
}

fn refused(error: SlotError) -> SlotAnswer {
    let hint = match &error {
        SlotError::Unlock(
            UnlockError::WrongPassphrase | UnlockError::WrongRecoveryKey | UnlockError::WrongEncoding,
        ) => "pass the secret of any slot: the passphrase, the recovery key or a machine key",
        SlotError::Unlock(error) => return failed(CliError::unlock(error)),
        SlotError::Missing(_) => "see `sealroom slot list`",
        SlotError::Full => "remove one that is not needed: sealroom slot remove ID",
        SlotError::InUse(_) => "pass the secret of another slot, so that one is left that certainly opens",
        SlotError::Last(_) => "add another one first: sealroom slot add passphrase",
        SlotError::Taken(_) => "choose another secret: one that two slots have is taken away only with both",
        SlotError::Kind { .. } => "name the slot and a secret of its kind, or add a slot",
        SlotError::Invalid(_) => "choose another one",
        SlotError::Conflict => "look at `sealroom slot list`, and run it again",
        SlotError::Vault(Error::Locked) => "unlock it first: sealroom unlock",
        SlotError::Vault(_) => {
            "check the disk's space and the file's mode; `sealroom slot list` shows the slots"
        }
    };
    SlotAnswer::Failed { error: error.to_string(), hint: hint.to_owned() }
}

fn failed(error: CliError) -> SlotAnswer {
    SlotAnswer::Failed { error: error.message, hint: error.hint }
}
