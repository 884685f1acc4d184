//! Checkpoints: C2SP `tlog-checkpoint`, a C2SP `signed-note` signed with Ed25519.
//!
//! ```text
//! sealroom/<file id>            origin, and the key's name
//! 41                            tree size
//! <base64 of the root>
//!
//! — sealroom/<file id> <base64 of key hash (4) ‖ signature (64)>
//! ```

use std::{fmt, fmt::Write, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::tree::Hash;
use crate::{
    crypto::{
        digest::sha256_parts,
        sign::{LogKey, verify},
    },
    domain::{FileId, Invalid},
};

/// The signature type of Ed25519 in signed notes.
const ED25519: u8 = 1;
/// The longest note that is read: a checkpoint with many witnesses has a few KiB.
pub const NOTE_BYTES_MAX: usize = 64 * 1024;
/// The bytes that a note with one signature needs.
const NOTE_BYTES_USUAL: usize = 320;

/// The origin of a vault's log, and the name of its keys.
pub fn origin(file: FileId) -> String {
    format!("sealroom/{file}")
}

/// A note verifier key: `<name>+<key hash>+<base64 of 0x01 ‖ public key>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    public: [u8; 32],
}

impl VerifierKey {
    /// The key of that name.
    pub fn new(name: &str, public: [u8; 32]) -> Self {
        Self { name: name.to_owned(), public }
    }

    /// The log that it speaks for.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the public key itself.
    pub const fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// Returns whether a signature line names this key; says nothing of the signature.
    pub fn is_of(&self, line: &str) -> bool {
        signature(line).is_some_and(|found| found.name == self.name && found.hash == self.hash())
    }

    fn hash(&self) -> [u8; 4] {
        key_hash(&self.name, ED25519, &self.public)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_key(f, &self.name, ED25519, &self.public)
    }
}

impl FromStr for VerifierKey {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid =
            Invalid { what: "verifier key", rule: "<name>+<8 hexadecimal digits>+<base64>, for Ed25519" };
        let (name, public) = read_key(text, ED25519).ok_or(invalid)?;
        Ok(Self { name: name.to_owned(), public })
    }
}

/// Returns the one verifier key among the words of a text, such as the output of `init`; none if there are several.
pub fn only_key(text: &str) -> Option<VerifierKey> {
    let mut keys = text.split_whitespace().filter_map(|word| word.parse::<VerifierKey>().ok());
    let first = keys.next()?;
    keys.all(|key| key == first).then_some(first)
}

/// Writes a verifier key of that signature type.
pub(super) fn write_key(f: &mut fmt::Formatter<'_>, name: &str, kind: u8, public: &[u8; 32]) -> fmt::Result {
    let key = STANDARD.encode([&[kind], public.as_slice()].concat());
    write!(f, "{name}+{:08x}+{key}", u32::from_be_bytes(key_hash(name, kind, public)))
}

/// Reads a verifier key of that signature type: its name and its public key.
pub(super) fn read_key(text: &str, kind: u8) -> Option<(&str, [u8; 32])> {
    let (name, rest) = text.split_once('+')?;
    let (id, key) = rest.split_once('+')?;
    let bytes = STANDARD.decode(key).ok()?;
    let (found, public) = bytes.split_first()?;
    let public: [u8; 32] = public.try_into().ok()?;
    let is_own_id = format!("{:08x}", u32::from_be_bytes(key_hash(name, kind, &public))) == id;
    (*found == kind && is_key_name(name) && is_own_id).then_some((name, public))
}

/// Returns whether a text can name a key in a signature line (C2SP `signed-note`).
fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c == '+' || c.is_whitespace() || c.is_control())
}

/// A tree's signed size and root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Whose log.
    pub origin: String,
    /// The number of records.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// The lines of extensions.
    pub extensions: Vec<String>,
}

/// An error of reading a signed note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadNote {
    /// It has not the form.
    #[error("this is no signed checkpoint")]
    Malformed,
    /// None of the keys signed it.
    #[error("no known key signed this checkpoint")]
    Unknown,
    /// A known key's signature does not hold.
    #[error("the checkpoint's signature does not hold")]
    BadSignature,
    /// A known key signed it, for a size beyond its handover to the next key.
    #[error("the checkpoint of {size} records has the signature of a log key that ended at {end} records")]
    Ended {
        /// The checkpoint's size.
        size: u64,
        /// The last size for which the key speaks.
        end: u64,
    },
}

/// Writes and signs a checkpoint.
pub fn note(origin: &str, size: u64, root: &Hash, extensions: &[String], signers: &[&LogKey]) -> String {
    let mut note = String::with_capacity(NOTE_BYTES_USUAL);
    // Every commit writes one of these.
    write!(note, "{origin}\n{size}\n").expect("writing text to memory cannot fail");
    STANDARD.encode_string(root, &mut note);
    note.push('\n');
    extensions.iter().for_each(|line| note.extend([line.as_str(), "\n"]));
    let signed = note.len();
    note.push('\n');
    for signer in signers {
        let mut signature = [0; 4 + 64];
        signature[..4].copy_from_slice(&key_hash(origin, ED25519, &signer.public()));
        signature[4..].copy_from_slice(&signer.sign(&note.as_bytes()[..signed]));
        note.extend(["— ", origin, " "]);
        STANDARD.encode_string(signature, &mut note);
        note.push('\n');
    }
    note
}

/// Returns the first four bytes of SHA-256(name ‖ "\n" ‖ signature type ‖ public key).
pub(super) fn key_hash(name: &str, kind: u8, public: &[u8; 32]) -> [u8; 4] {
    let hash = sha256_parts(&[name.as_bytes(), b"\n", &[kind], public]);
    *hash.first_chunk().expect("a hash has 32 bytes")
}

/// Reads a checkpoint that at least one of the keys signed; signatures of others, such as witnesses, are passed over.
///
/// # Errors
/// It has not the form, no known key signed it, or one's signature does not hold.
pub fn open(note: &str, keys: &[VerifierKey]) -> Result<Checkpoint, BadNote> {
    open_by(note, keys).map(|(checkpoint, _)| checkpoint)
}

/// Reads a checkpoint as [`open`] does, and returns which of the keys signed it.
///
/// # Errors
/// As [`open`].
pub(super) fn open_by(note: &str, keys: &[VerifierKey]) -> Result<(Checkpoint, Vec<usize>), BadNote> {
    let (signed, signatures) = parts(note)?;
    let mut signers = Vec::new();
    // A stranger's note may repeat one line a thousand times.
    let mut verified = Vec::new();
    for Signature { name, hash, bytes, .. } in signatures {
        let is_signer = |key: &VerifierKey| key.name == name && key.hash() == hash;
        let Some(at) = keys.iter().position(is_signer) else { continue };
        if verified.contains(&(at, bytes.clone())) {
            continue;
        }
        let signature: &[u8; 64] = bytes.as_slice().try_into().map_err(|_| BadNote::BadSignature)?;
        if !verify(&keys[at].public, signed.as_bytes(), signature) {
            return Err(BadNote::BadSignature);
        }
        signers.push(at);
        verified.push((at, bytes));
    }
    let checkpoint = text(signed.strip_suffix('\n').ok_or(BadNote::Malformed)?)?;
    // A key speaks only for the log of its own name.
    signers.retain(|at| keys[*at].name == checkpoint.origin);
    if signers.is_empty() { Err(BadNote::Unknown) } else { Ok((checkpoint, signers)) }
}

/// A signature line of a note.
pub(super) struct Signature<'n> {
    /// The name of the key.
    pub(super) name: &'n str,
    /// The id of the key.
    pub(super) hash: [u8; 4],
    /// The signature itself.
    pub(super) bytes: Vec<u8>,
}

/// Divides a note into its signed text, which ends with a line end, and its signatures; judges none of them.
///
/// # Errors
/// It has not the form of a signed note.
pub(super) fn parts(note: &str) -> Result<(&str, Vec<Signature<'_>>), BadNote> {
    let fits = note.len() <= NOTE_BYTES_MAX && !note.chars().any(|c| c.is_control() && c != '\n');
    let (head, lines) = note.rsplit_once("\n\n").filter(|_| fits).ok_or(BadNote::Malformed)?;
    let lines = lines.strip_suffix('\n').ok_or(BadNote::Malformed)?;
    let signatures = lines.split('\n').map(|line| signature(line).ok_or(BadNote::Malformed));
    Ok((&note[..=head.len()], signatures.collect::<Result<_, _>>()?))
}

/// Reads a signature line.
pub(super) fn signature(line: &str) -> Option<Signature<'_>> {
    let (name, text) = line.strip_prefix("— ")?.split_once(' ')?;
    let bytes = STANDARD.decode(text).ok()?;
    let (hash, bytes) = bytes.split_first_chunk::<4>()?;
    Some(Signature { name, hash: *hash, bytes: bytes.to_vec() })
}

/// Reads a checkpoint without judging its signatures, for want of a key.
///
/// # Errors
/// It has not the form.
pub fn read_unsigned(note: &str) -> Result<Checkpoint, BadNote> {
    text(note.rsplit_once("\n\n").ok_or(BadNote::Malformed)?.0)
}

fn text(head: &str) -> Result<Checkpoint, BadNote> {
    let mut lines = head.split('\n');
    let mut line = || lines.next().ok_or(BadNote::Malformed);
    let (origin, size, root) = (line()?, line()?, line()?);
    let number: u64 = size.parse().map_err(|_| BadNote::Malformed)?;
    let root =
        STANDARD.decode(root).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(BadNote::Malformed)?;
    let extensions: Vec<String> = lines.map(str::to_owned).collect();
    if origin.is_empty() || number.to_string() != size || extensions.iter().any(String::is_empty) {
        return Err(BadNote::Malformed);
    }
    Ok(Checkpoint { origin: origin.to_owned(), size: number, root, extensions })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Go's `golang.org/x/mod/sumdb/note` documentation.
    const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

    #[test]
    fn a_published_verifier_key_reads_back() {
        assert_eq!(PETER.parse::<VerifierKey>().unwrap().to_string(), PETER);
        for text in ["", "a+b", &PETER.replace("c74f20a3", "c74f20a4"), &PETER.replace("+ARpc", "+Arpc")] {
            assert!(text.parse::<VerifierKey>().is_err(), "{text}");
        }
        // Another type than the one that its id was made with.
        let typed = PETER.replace("+ARpc", "+BBpc");
        assert!(typed.parse::<VerifierKey>().is_err());
    }

    #[test]
    fn a_signature_that_a_note_repeats_has_one_signer() {
        let [one, other] = [(); 2].map(|()| LogKey::generate().unwrap());
        let keys = [&one, &other].map(|key| VerifierKey::new("sealroom/x", key.public()));
        let signed = note("sealroom/x", 41, &[7; 32], &[], &[&one]);
        let line = signed.split_inclusive('\n').next_back().unwrap();
        assert_eq!(open_by(&(signed.clone() + &line.repeat(3)), &keys).unwrap().1, [0]);
    }

    #[test]
    fn a_checkpoint_opens_with_its_key_and_untouched_alone() {
        let key = LogKey::generate().unwrap();
        let name = origin(FileId::from_bytes([1; 16]));
        let verifier = VerifierKey::new(&name, key.public());
        let signed = note(&name, 41, &[7; 32], &["x".to_owned()], &[&key]);
        let opened = open(&signed, std::slice::from_ref(&verifier)).unwrap();
        assert_eq!((opened.size, opened.root, &opened.extensions[..]), (41, [7; 32], &["x".to_owned()][..]));
        let changed = signed.replacen("\n41\n", "\n42\n", 1);
        assert_eq!(open(&changed, std::slice::from_ref(&verifier)), Err(BadNote::BadSignature));
        assert_eq!(open(&signed, &[PETER.parse().unwrap()]), Err(BadNote::Unknown));
        let witnessed = format!("{signed}— witness.example {}\n", STANDARD.encode([9; 72]));
        assert_eq!(open(&witnessed, &[verifier]).unwrap(), opened);
        let stranger = note("another/log", 41, &[7; 32], &[], &[&key]);
        assert_eq!(open(&stranger, &[VerifierKey::new("another/log", key.public())]).unwrap().size, 41);
        let borrowed = stranger.replacen("another/log\n", "sealroom/x\n", 1);
        assert!(open(&borrowed, &[VerifierKey::new("another/log", key.public())]).is_err());
        // A text has one reading: another spelling of the size, a control character or endless signatures are refused.
        let signed_as = |text: &str| {
            let mut bytes = [0; 68];
            bytes[..4].copy_from_slice(&key_hash(&name, ED25519, &key.public()));
            bytes[4..].copy_from_slice(&key.sign(text.as_bytes()));
            format!("{text}\n— {name} {}\n", STANDARD.encode(bytes))
        };
        let root = STANDARD.encode([7; 32]);
        let own = VerifierKey::new(&name, key.public());
        assert!(open(&signed_as(&format!("{name}\n41\n{root}\n")), std::slice::from_ref(&own)).is_ok());
        for (size, end) in [("041", ""), ("+41", ""), ("41 ", ""), ("41", "a\rb\n"), ("41", "\n"), ("-1", "")]
        {
            let note = signed_as(&format!("{name}\n{size}\n{root}\n{end}"));
            assert!(open(&note, std::slice::from_ref(&own)).is_err(), "{note:?}");
        }
        let line = format!("— witness.example {}\n", STANDARD.encode([9; 72]));
        let endless = signed.clone() + &line.repeat(NOTE_BYTES_MAX / line.len());
        assert_eq!(open(&endless, &[own]), Err(BadNote::Malformed));
        for text in ["", "\n\n", "a\n1\n", &signed[..signed.len() - 1]] {
            assert!(open(text, &[PETER.parse().unwrap()]).is_err());
        }
    }
}
