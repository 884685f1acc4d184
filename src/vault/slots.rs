//! Key slots: unwrap the vault key with a submitted secret.

use super::error::UnlockError;
use crate::{
    auth::spelling,
    crypto::{
        kdf::KdfFailed,
        keys::{MasterKey, SlotKind, VaultKey},
        machine::MachineKey,
        recovery::RecoveryKey,
    },
    domain::Secret,
    storage::Slot,
};

/// The outcome of a secret at all slots.
pub(super) struct Trial {
    /// The vault key and the slot that opened, or the error.
    pub(super) outcome: Result<(VaultKey, u32), UnlockError>,
    /// Number of argon2 runs.
    #[cfg_attr(not(test), allow(dead_code, reason = "the tests count the work"))]
    pub(super) runs: u64,
}

/// Tries a secret at every slot: each spelling of it at a passphrase slot, and the key that it encodes at a recovery or
/// machine slot. The text of a machine key is tried at machine slots alone, so that it costs no argon2 run.
///
/// A match does not end the loop early: the work depends on the submitted text and the number of slots, not on which
/// slot opens.
pub(super) fn try_slots(slots: &[Slot], secret: &Secret) -> Trial {
    let mut runs = 0;
    let outcome = match open_slots(slots, secret, &mut runs) {
        Ok(Some(key)) => Ok(key),
        Ok(None) => Err(wrong(secret)),
        Err(KdfFailed) => Err(UnlockError::Kdf),
    };
    Trial { outcome, runs }
}

/// Returns the error for a secret that opens no slot.
fn wrong(secret: &Secret) -> UnlockError {
    let Some(text) = secret.expose_text() else { return UnlockError::WrongEncoding };
    if MachineKey::from_text(text).is_some() {
        return UnlockError::WrongMachineKey;
    }
    match RecoveryKey::from_text(text) {
        Ok(_) => UnlockError::WrongRecoveryKey,
        Err(_) if RecoveryKey::looks_like_one(text) => {
            UnlockError::Mistyped { group: RecoveryKey::mistyped_group(text) }
        }
        Err(_) => UnlockError::WrongPassphrase,
    }
}

fn open_slots(slots: &[Slot], secret: &Secret, runs: &mut u64) -> Result<Option<(VaultKey, u32)>, KdfFailed> {
    if let Some(machine) = secret.expose_text().and_then(MachineKey::from_text) {
        let machine = machine.to_secret();
        let mut found = None;
        for slot in slots.iter().filter(|slot| slot.header.kind == SlotKind::Machine) {
            let master = MasterKey::of_slot(&machine, &slot.header)?;
            found =
                found.or(master.unwrap(&slot.header, &slot.wrapped).ok().map(|key| (key, slot.header.id)));
        }
        return Ok(found);
    }
    let spellings = spelling::of_passphrase(secret);
    let recovery = spellings.iter().filter_map(Secret::expose_text).find_map(|text| {
        let key = RecoveryKey::from_text(text).ok()?;
        Some(vec![key.to_secret()])
    });
    let recovery = recovery.unwrap_or_default();
    let mut found = None;
    for slot in slots {
        let candidates = match slot.header.kind {
            SlotKind::Passphrase => &spellings,
            SlotKind::Recovery => &recovery,
            SlotKind::Machine => continue,
        };
        for candidate in candidates {
            let master = MasterKey::of_slot(candidate, &slot.header)?;
            *runs += 1;
            found =
                found.or(master.unwrap(&slot.header, &slot.wrapped).ok().map(|key| (key, slot.header.id)));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{kdf::KdfParams, keys::SlotHeader};

    fn slot(id: u32, kind: SlotKind, secret: &Secret, key: &VaultKey) -> Slot {
        let header = SlotHeader { id, kind, params: KdfParams::LIGHT, salt: [u8::try_from(id).unwrap(); 16] };
        let master = MasterKey::of_slot(secret, &header).unwrap();
        Slot { wrapped: master.wrap(&header, key).unwrap(), header }
    }

    fn secret(text: &str) -> Secret {
        Secret::from(text.to_owned())
    }

    const NFC: &str = "caf\u{e9} na\u{ef}ve \u{c5}ngstr\u{f6}m zw\u{f6}lf zebra";
    const NFD: &str = "cafe\u{301} nai\u{308}ve A\u{30a}ngstro\u{308}m zwo\u{308}lf zebra";

    #[test]
    fn a_passphrase_from_another_keyboard_cannot_stay_outside_nor_cost_another_amount_of_work() {
        let key = VaultKey::generate().unwrap();
        let recovery = RecoveryKey::generate().unwrap();
        // Stored secrets: NFC in this version, as submitted in the previous one.
        for stored in [NFC, NFD, "\u{feff}caf\u{e9}\n", "caf\u{e9} \n"] {
            let slots = [
                slot(1, SlotKind::Passphrase, &secret(stored), &key),
                slot(2, SlotKind::Recovery, &recovery.to_secret(), &key),
            ];
            for (text, runs) in [
                (NFC, 1),
                (NFD, 2),
                ("wrong but composed: \u{e9}", 1),
                ("wrong and decomposed: e\u{301}", 2),
                ("\u{fb01}ne, wrong: e\u{301}", 3),
                ("plain", 1),
            ] {
                let trial = try_slots(&slots, &secret(text));
                assert_eq!(trial.runs, runs, "{stored:?} {text:?}");
                let opens = trial.outcome.is_ok();
                assert_eq!(opens, text == stored || (text == NFD && stored == NFC), "{stored:?} {text:?}");
            }
            assert!(try_slots(&slots, &secret(stored)).outcome.is_ok(), "as it came: {stored:?}");
        }
    }

    #[test]
    fn which_slot_opens_does_not_show_in_the_work() {
        let key = VaultKey::generate().unwrap();
        let slots: Vec<Slot> = (1..=4)
            .map(|id| slot(id, SlotKind::Passphrase, &secret(&format!("passphrase {id}")), &key))
            .collect();
        for text in ["passphrase 1", "passphrase 3", "passphrase 4", "none of them"] {
            let trial = try_slots(&slots, &secret(text));
            assert_eq!((trial.runs, trial.outcome.is_ok()), (4, text != "none of them"), "{text}");
        }
    }

    #[test]
    fn a_recovery_key_opens_its_slot_with_what_an_editor_puts_around_it() {
        let key = VaultKey::generate().unwrap();
        let recovery = RecoveryKey::generate().unwrap();
        let slots = [slot(1, SlotKind::Recovery, &recovery.to_secret(), &key)];
        let printed = recovery.to_text();
        let text = printed.expose_text().unwrap();
        for text in [text.to_owned(), format!("\u{feff}{text}\r\n\r\n")] {
            assert!(try_slots(&slots, &secret(&text)).outcome.is_ok());
        }
    }

    #[test]
    fn bytes_that_are_no_text_open_what_was_made_with_them_and_are_named_where_they_do_not() {
        let key = VaultKey::generate().unwrap();
        let bytes = Secret::new(b"caf\xe9 example".to_vec());
        let slots = [slot(1, SlotKind::Passphrase, &bytes, &key)];
        assert!(try_slots(&slots, &bytes).outcome.is_ok());
        let other = try_slots(&slots, &Secret::new(b"caf\xe8 example".to_vec()));
        assert!(matches!(other.outcome, Err(UnlockError::WrongEncoding)));
    }

    #[test]
    fn a_machine_key_opens_its_own_slot_alone_and_costs_no_work() {
        let key = VaultKey::generate().unwrap();
        let [first, second, lost] = [(); 3].map(|()| MachineKey::generate().unwrap());
        let slots = [
            slot(1, SlotKind::Passphrase, &secret("passphrase 1"), &key),
            // Another kind of slot over the same bytes is another slot.
            slot(2, SlotKind::Passphrase, &lost.to_secret(), &key),
            slot(3, SlotKind::Machine, &first.to_secret(), &key),
            slot(4, SlotKind::Machine, &second.to_secret(), &key),
        ];
        for (machine, opened) in [(&first, Some(3)), (&second, Some(4)), (&lost, None)] {
            let trial = try_slots(&slots, &machine.to_text());
            assert_eq!((trial.runs, trial.outcome.map(|(_, id)| id).ok()), (0, opened));
        }
        let passphrase = try_slots(&slots, &secret("passphrase 1"));
        assert_eq!((passphrase.runs, passphrase.outcome.map(|(_, id)| id).ok()), (2, Some(1)));
    }

    /// The hint that follows names the remedy: another key file, another look at the paper, or the keyboard.
    #[test]
    fn a_secret_that_opens_nothing_is_named_after_its_form() {
        let key = VaultKey::generate().unwrap();
        let slots = [slot(1, SlotKind::Passphrase, &secret("passphrase 1"), &key)];
        let outcome = |text: &str| try_slots(&slots, &secret(text)).outcome.map(drop).unwrap_err();
        for text in ["passphrase 2", "sealroom_machine_AAAA", "four four four"] {
            assert!(matches!(outcome(text), UnlockError::WrongPassphrase), "{text}");
        }
        let machine = MachineKey::generate().unwrap().to_text();
        assert!(matches!(outcome(machine.expose_text().unwrap()), UnlockError::WrongMachineKey));
        let printed = RecoveryKey::generate().unwrap().to_text();
        let printed = printed.expose_text().unwrap();
        assert!(matches!(outcome(printed), UnlockError::WrongRecoveryKey));
        let (first, rest) = printed.split_at(1);
        let mistyped = format!("{}{rest}", if first == "0" { "1" } else { "0" });
        assert!(matches!(outcome(&mistyped), UnlockError::Mistyped { .. }));
        assert!(matches!(outcome(&["zzzz"; 9].join(" ")), UnlockError::Mistyped { group: None }));
    }
}
