//! The state of a witness: its sealed key, and the newest checkpoint of each log that it cosigned.
//!
//! ```text
//! sealroom witness 1
//! <verifier key of the witness>
//! <base64 of its private key, sealed under the vault key>
//!
//! <a cosigned checkpoint>       one a log, each a signed note; sorted by origin
//! …
//! signature <base64 of an Ed25519 signature of the witness key over all lines above>
//! ```
//!
//! Key and state are one file on purpose: a lost file takes the key along, so that no key ever starts again from an
//! empty state. The signature tells a cut or changed file from a whole one. It cannot tell an older whole one.

use std::{collections::BTreeMap, fmt::Write};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    checkpoint::{self, Checkpoint},
    cosignature::WitnessKey,
    key_ring,
};
use crate::crypto::sign::{LogKey, verify};

const HEADER: &str = "sealroom witness 1\n";
const SIGNATURE: &str = "signature ";

/// The file is no whole state of a witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is cut short, was changed, or is no state of a witness")]
pub struct Damaged;

/// A witness's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The witness's verifier key.
    pub key: WitnessKey,
    /// Its private key, sealed.
    pub sealed: Vec<u8>,
    /// The newest cosigned checkpoint of each log, by origin.
    notes: BTreeMap<String, (Checkpoint, String)>,
}

impl State {
    /// Returns the state of a witness that has cosigned nothing.
    pub const fn new(key: WitnessKey, sealed: Vec<u8>) -> Self {
        Self { key, sealed, notes: BTreeMap::new() }
    }

    /// Returns the checkpoint of a log that was cosigned last.
    pub fn last(&self, origin: &str) -> Option<&Checkpoint> {
        self.notes.get(origin).map(|(checkpoint, _)| checkpoint)
    }

    /// Returns that checkpoint with its signatures.
    pub fn note(&self, origin: &str) -> Option<&str> {
        self.notes.get(origin).map(|(_, note)| note.as_str())
    }

    /// Returns the origins of all logs of which a checkpoint was cosigned.
    pub fn origins(&self) -> impl Iterator<Item = &str> {
        self.notes.keys().map(String::as_str)
    }

    /// Returns the state with this checkpoint as the last one of its log.
    #[must_use]
    pub fn with(&self, checkpoint: Checkpoint, note: String) -> Self {
        let mut next = self.clone();
        next.notes.insert(checkpoint.origin.clone(), (checkpoint, note));
        next
    }

    /// Writes the file, signed with the witness's own key.
    pub fn write(&self, key: &LogKey) -> String {
        let mut text = HEADER.to_owned();
        write!(text, "{}\n{}\n\n", self.key, STANDARD.encode(&self.sealed))
            .expect("writing text to memory cannot fail");
        self.notes.values().for_each(|(_, note)| text.push_str(note));
        let signature = STANDARD.encode(key.sign(text.as_bytes()));
        text.extend([SIGNATURE, &signature, "\n"]);
        text
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It is not whole, or not as its key signed it.
    pub fn read(bytes: &[u8]) -> Result<Self, Damaged> {
        let text = std::str::from_utf8(bytes).map_err(|_| Damaged)?;
        let (_, last) = text.strip_suffix('\n').and_then(|text| text.rsplit_once('\n')).ok_or(Damaged)?;
        let signed = &text[..text.len() - last.len() - 1];
        let signature = last.strip_prefix(SIGNATURE).and_then(|text| STANDARD.decode(text).ok());
        let signature: [u8; 64] = signature.and_then(|bytes| bytes.try_into().ok()).ok_or(Damaged)?;
        let (head, notes) =
            signed.strip_prefix(HEADER).and_then(|rest| rest.split_once("\n\n")).ok_or(Damaged)?;
        let (key, sealed) = head.split_once('\n').ok_or(Damaged)?;
        let key: WitnessKey = key.parse().map_err(|_| Damaged)?;
        if !verify(key.public(), signed.as_bytes(), &signature) {
            return Err(Damaged);
        }
        let mut state = Self::new(key, STANDARD.decode(sealed).map_err(|_| Damaged)?);
        for note in key_ring::notes(notes) {
            let checkpoint = checkpoint::read_unsigned(&note).map_err(|_| Damaged)?;
            state = state.with(checkpoint, note);
        }
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{audit::cosignature::cosign, domain::Timestamp};

    fn state(key: &LogKey, logs: &[(&str, u64)]) -> State {
        let name = "sealroom/vault/witness";
        let mut state = State::new(WitnessKey::new(name, key.public()), vec![9; 72]);
        let log = LogKey::generate().unwrap();
        for (origin, size) in logs {
            let note = checkpoint::note(origin, *size, &[7; 32], &[], &[&log]);
            let line = cosign(note.rsplit_once("\n\n").unwrap().0, name, key, Timestamp::from_millis(1));
            let note = note + &line;
            state = state.with(checkpoint::read_unsigned(&note).unwrap(), note);
        }
        state
    }

    #[test]
    fn a_state_reads_back_and_every_change_of_it_is_found() {
        let key = LogKey::generate().unwrap();
        for logs in [&[][..], &[("b/log", 41)], &[("b/log", 41), ("a/log", 7), ("c/log", 0)]] {
            let state = state(&key, logs);
            let text = state.write(&key);
            assert_eq!(State::read(text.as_bytes()), Ok(state));
            for at in 0..text.len() {
                assert_eq!(State::read(&text.as_bytes()[..at]), Err(Damaged), "cut at {at}");
                let mut changed = text.clone().into_bytes();
                changed[at] ^= 1;
                assert_eq!(State::read(&changed), Err(Damaged), "changed at {at}");
            }
            assert_eq!(State::read((text.clone() + "\n").as_bytes()), Err(Damaged));
        }
    }

    /// A log's operator could end this host's start with a line of its own checkpoint.
    #[test]
    fn no_extension_line_of_a_log_makes_a_state_that_does_not_read_back() {
        let [key, log] = [(); 2].map(|()| LogKey::generate().unwrap());
        for extension in ["— x", "— x y", "— a/log AAAA", "—", "x"] {
            let note = checkpoint::note("a/log", 7, &[7; 32], &[extension.to_owned()], &[&log]);
            let state = state(&key, &[("b/log", 41)]);
            let state = state.with(checkpoint::read_unsigned(&note).unwrap(), note);
            let state = state.with(checkpoint::read_unsigned(state.note("b/log").unwrap()).unwrap(), {
                checkpoint::note("b/log", 41, &[7; 32], &[], &[&log])
            });
            assert_eq!(State::read(state.write(&key).as_bytes()), Ok(state), "{extension}");
        }
    }

    #[test]
    fn a_state_signed_by_another_key_is_none() {
        let [key, other] = [(); 2].map(|()| LogKey::generate().unwrap());
        assert_eq!(State::read(state(&key, &[("b/log", 41)]).write(&other).as_bytes()), Err(Damaged));
    }

    #[test]
    fn the_last_checkpoint_of_a_log_takes_the_place_of_the_one_before() {
        let key = LogKey::generate().unwrap();
        let state = state(&key, &[("b/log", 41), ("a/log", 7), ("b/log", 57)]);
        assert_eq!(state.last("b/log").unwrap().size, 57);
        assert_eq!(state.origins().collect::<Vec<_>>(), ["a/log", "b/log"]);
        assert!(state.note("c/log").is_none());
        assert_eq!(State::read(state.write(&key).as_bytes()).unwrap().note("b/log"), state.note("b/log"));
    }
}
