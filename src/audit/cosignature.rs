//! Cosignatures: C2SP `tlog-cosignature`, version 1, with Ed25519.
//!
//! A witness signs the text of a checkpoint with the time at which it was the largest that it knew:
//!
//! ```text
//! cosignature/v1
//! time 1795514400
//! sealroom/<file id>            the checkpoint's text, all of it
//! 41
//! <base64 of the root>
//! ```
//!
//! The line that it adds to the note is `— <name> <base64 of key hash (4) ‖ seconds (8, big-endian) ‖ signature (64)>`.

use std::{fmt, str::FromStr, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::checkpoint::{self, BadNote, key_hash, parts, read_key, write_key};
use crate::{
    crypto::sign::{LogKey, verify},
    domain::{FileId, Invalid, Timestamp, minutes},
};

/// The signature type of timestamped Ed25519 cosignatures in signed notes.
const COSIGNATURE: u8 = 4;
/// The largest difference between two clocks: a cosignature from further in the future counts for nothing.
const SKEW_MAX: Duration = minutes(5);

/// The name of a vault's key as a witness.
pub fn witness_name(file: FileId) -> String {
    format!("{}/witness", checkpoint::origin(file))
}

/// A witness's verifier key: `<name>+<key hash>+<base64 of 0x04 ‖ public key>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessKey {
    name: String,
    public: [u8; 32],
}

impl WitnessKey {
    /// The key of that name.
    pub fn new(name: &str, public: [u8; 32]) -> Self {
        Self { name: name.to_owned(), public }
    }

    /// Returns the name of the witness.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the public key itself.
    pub const fn public(&self) -> &[u8; 32] {
        &self.public
    }

    fn hash(&self) -> [u8; 4] {
        key_hash(&self.name, COSIGNATURE, &self.public)
    }

    /// Returns the time of this witness's newest cosignature on a checkpoint; none if it did not cosign, or only in the
    /// future.
    ///
    /// # Errors
    /// It is no signed note, or a line of this key does not hold.
    pub fn cosigned(&self, note: &str, now: Timestamp) -> Result<Option<Timestamp>, BadNote> {
        let (signed, signatures) = parts(note)?;
        let mut newest = None;
        for signature in signatures {
            if signature.name != self.name || signature.hash != self.hash() {
                continue;
            }
            let bytes: &[u8; 72] =
                signature.bytes.as_slice().try_into().map_err(|_| BadNote::BadSignature)?;
            let (seconds, signature) = bytes.split_first_chunk::<8>().ok_or(BadNote::BadSignature)?;
            let seconds = u64::from_be_bytes(*seconds);
            let signature: &[u8; 64] = signature.try_into().map_err(|_| BadNote::BadSignature)?;
            if !verify(&self.public, &message(signed, seconds), signature) {
                return Err(BadNote::BadSignature);
            }
            // Zero states no time, and so nothing about the largest tree.
            let time = seconds.checked_mul(1000).filter(|millis| *millis > 0).map(Timestamp::from_millis);
            newest = newest.max(time.filter(|time| *time <= now.plus(SKEW_MAX)));
        }
        Ok(newest)
    }
}

impl fmt::Display for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_key(f, &self.name, COSIGNATURE, &self.public)
    }
}

impl FromStr for WitnessKey {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = Invalid {
            what: "witness key",
            rule: "<name>+<8 hexadecimal digits>+<base64>, for Ed25519 cosignatures",
        };
        let (name, public) = read_key(text, COSIGNATURE).ok_or(invalid)?;
        Ok(Self { name: name.to_owned(), public })
    }
}

/// Returns the signature line of a witness on a checkpoint's text, which ends with a line end.
pub fn cosign(signed: &str, name: &str, key: &LogKey, now: Timestamp) -> String {
    let seconds = now.millis() / 1000;
    let hash = key_hash(name, COSIGNATURE, &key.public());
    let signature = key.sign(&message(signed, seconds));
    let bytes = [hash.as_slice(), &seconds.to_be_bytes(), &signature].concat();
    format!("— {name} {}\n", STANDARD.encode(bytes))
}

fn message(signed: &str, seconds: u64) -> Vec<u8> {
    format!("cosignature/v1\ntime {seconds}\n{signed}").into_bytes()
}

/// Returns the lines of an answer of a witness that are signatures of this key.
pub fn lines_of<'a>(answer: &'a str, key: &WitnessKey) -> Vec<&'a str> {
    let own = |line: &&str| {
        let found = checkpoint::signature(line);
        found.is_some_and(|found| found.name == key.name && found.hash == key.hash())
    };
    answer.split('\n').filter(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::seconds;

    const AT: Timestamp = Timestamp::from_millis(1_795_514_400_000);

    fn note(size: u64, log: &LogKey) -> String {
        checkpoint::note("example.com/log", size, &[7; 32], &[], &[log])
    }

    fn signed(note: &str) -> &str {
        parts(note).unwrap().0
    }

    #[test]
    fn a_cosignature_holds_for_its_text_key_and_time_alone() {
        let [log, one, other] = [(); 3].map(|()| LogKey::generate().unwrap());
        let key = WitnessKey::new("example.com/witness", one.public());
        assert_eq!(key.to_string().parse::<WitnessKey>().unwrap(), key);
        let bare = note(41, &log);
        let line = cosign(signed(&bare), key.name(), &one, AT);
        let cosigned = bare.clone() + &line;
        assert_eq!(key.cosigned(&bare, AT), Ok(None));
        assert_eq!(key.cosigned(&cosigned, AT), Ok(Some(AT)));
        // The log's own verifier passes over it.
        let log_key = checkpoint::VerifierKey::new("example.com/log", log.public());
        assert_eq!(checkpoint::open(&cosigned, &[log_key]).unwrap().size, 41);
        // Another checkpoint, another key of that name, another name of that key.
        assert_eq!(key.cosigned(&(note(42, &log) + &line), AT), Err(BadNote::BadSignature));
        assert_eq!(WitnessKey::new(key.name(), other.public()).cosigned(&cosigned, AT), Ok(None));
        assert_eq!(WitnessKey::new("example.com/w", one.public()).cosigned(&cosigned, AT), Ok(None));
        // One bit of the time, and of the signature.
        let bytes = STANDARD.decode(line.trim_end().rsplit(' ').next().unwrap()).unwrap();
        for at in [4, 11, 12, 75] {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let line = format!("— {} {}\n", key.name(), STANDARD.encode(changed));
            assert_eq!(key.cosigned(&(bare.clone() + &line), AT), Err(BadNote::BadSignature), "{at}");
        }
        let short = format!("— {} {}\n", key.name(), STANDARD.encode(&bytes[..68]));
        assert_eq!(key.cosigned(&(bare + &short), AT), Err(BadNote::BadSignature));
    }

    #[test]
    fn a_cosignature_of_the_future_or_without_a_time_counts_for_nothing() {
        let [log, witness] = [(); 2].map(|()| LogKey::generate().unwrap());
        let key = WitnessKey::new("example.com/witness", witness.public());
        let bare = note(41, &log);
        let at = |time: Timestamp| bare.clone() + &cosign(signed(&bare), key.name(), &witness, time);
        let soon = AT.plus(SKEW_MAX);
        assert_eq!(key.cosigned(&at(soon), AT), Ok(Some(soon)));
        assert_eq!(key.cosigned(&at(soon.plus(seconds(1))), AT), Ok(None));
        assert_eq!(key.cosigned(&at(Timestamp::from_millis(0)), AT), Ok(None));
        let far = bare.clone()
            + &format!("— {} {}\n", key.name(), {
                let signature = witness.sign(&message(signed(&bare), u64::MAX));
                STANDARD.encode([&key.hash()[..], &u64::MAX.to_be_bytes(), &signature].concat())
            });
        assert_eq!(key.cosigned(&far, AT), Ok(None));
    }

    #[test]
    fn of_an_answer_only_the_lines_of_the_witness_that_was_asked_are_kept() {
        let [log, one, other] = [(); 3].map(|()| LogKey::generate().unwrap());
        let key = WitnessKey::new("example.com/witness", one.public());
        let text = note(41, &log);
        let [own, namesake, elsewhere] = [(key.name(), &one), (key.name(), &other), ("example.com/w", &one)]
            .map(|(name, key)| cosign(signed(&text), name, key, AT));
        let answer = format!("{namesake}{own}{elsewhere}no line\n");
        assert_eq!(lines_of(&answer, &key), [own.trim_end()]);
    }

    /// A signature of the log in the witness's place would make the log its own witness.
    #[test]
    fn a_signature_of_another_type_is_no_cosignature() {
        let log = LogKey::generate().unwrap();
        let key = WitnessKey::new("example.com/log", log.public());
        assert_eq!(key.cosigned(&note(41, &log), AT), Ok(None));
        let of_log = checkpoint::VerifierKey::new("example.com/log", log.public()).to_string();
        assert!(of_log.parse::<WitnessKey>().is_err());
        assert!(key.to_string().parse::<checkpoint::VerifierKey>().is_err());
    }

    /// The example in C2SP `signed-note`, "Verifier keys", with its own key id, and names that no line can have.
    #[test]
    fn a_key_has_one_spelling() {
        let [witness] = [(); 1].map(|()| LogKey::generate().unwrap());
        let key = WitnessKey::new("example.com/witness", witness.public()).to_string();
        for wrong in [
            key.replace("witness+", "witnes+"),
            key.replace('+', " "),
            key[1..].to_owned() + "=",
            key.to_uppercase(),
            format!(" {key}"),
            format!("{key}\n"),
        ] {
            assert!(wrong.parse::<WitnessKey>().is_err(), "{wrong}");
        }
        for name in ["", "a b", "a\tb", "a\u{a0}b"] {
            let key = WitnessKey::new(name, witness.public()).to_string();
            assert!(key.parse::<WitnessKey>().is_err(), "{key}");
        }
    }
}
