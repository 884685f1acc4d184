//! Signed notes and verifier keys. The input is judged by the key of a committed vault, whose secret half nobody has: so
//! the only checkpoint that may open is the one in that vault.

use std::sync::LazyLock;

use super::{assert_silent, vaults};
use crate::audit::{
    checkpoint::{self, BadNote, Checkpoint, VerifierKey},
    key_ring::{self, KeyRing},
    transport,
};

static GENUINE: LazyLock<(VerifierKey, Checkpoint)> = LazyLock::new(|| {
    let vault = vaults::committed();
    let (key, note) = (vault.verifier_key().unwrap(), vault.checkpoint().unwrap());
    let checkpoint = checkpoint::open(&note, std::slice::from_ref(&key)).unwrap();
    (key, checkpoint)
});

pub fn run(input: &[u8]) {
    let (key, genuine) = &*GENUINE;
    if let Some(damage) = transport::of_note(input).or(transport::of_key(input)) {
        assert_silent(damage);
        assert_silent(damage.remedy());
    }
    let mended = transport::mended_note(input);
    judge(&mended, key, genuine);
    let Ok(text) = std::str::from_utf8(input) else { return };
    judge(text, key, genuine);
    match text.parse::<VerifierKey>() {
        Ok(key) => assert_eq!(key.to_string(), text, "a key has two spellings"),
        Err(error) => assert_silent(error),
    }
    let notes = key_ring::notes(text);
    assert_eq!(notes.concat(), text, "notes are lost");
    let ring = KeyRing::following(key.clone(), &notes);
    assert!(!ring.has_successors(), "a forged handover is followed");
    assert_eq!(ring.newest(), key);
    assert_eq!(key_ring::of_all_histories(vec![key.clone()], &notes).len(), 1);
}

fn judge(note: &str, key: &VerifierKey, genuine: &Checkpoint) {
    match checkpoint::open(note, std::slice::from_ref(key)) {
        Ok(checkpoint) => assert_eq!(&checkpoint, genuine, "a forged checkpoint opens"),
        Err(
            error @ (BadNote::Malformed | BadNote::Unknown | BadNote::BadSignature | BadNote::Ended { .. }),
        ) => {
            assert_silent(error);
        }
    }
    if let Ok(read) = checkpoint::read_unsigned(note) {
        assert!(note.starts_with(&format!("{}\n{}\n", read.origin, read.size)));
    }
}
