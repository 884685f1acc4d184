//! The keys of one log over its life: each speaks for the tree sizes between its start and its successor's.
//!
//! A log key ends with a checkpoint that names its successor and that both sign, its *handover*:
//!
//! ```text
//! sealroom/<file id>
//! 41
//! <base64 of the root>
//! next-key <verifier key of the successor>
//!
//! — sealroom/<file id> <signature of the old key>
//! — sealroom/<file id> <signature of the successor>
//! ```
//!
//! A copy of the file from before the handover still holds the old key, and can sign a second history with it. So the
//! old key speaks for no size beyond its handover.

use super::checkpoint::{self, BadNote, Checkpoint, VerifierKey};

/// The extension line that names a successor.
const NEXT_KEY: &str = "next-key ";

/// Returns the extension line of a handover to this key.
pub fn next_key_line(key: &VerifierKey) -> String {
    format!("{NEXT_KEY}{key}")
}

/// Returns the successor that a checkpoint names, if it is a handover.
pub fn successor(checkpoint: &Checkpoint) -> Option<VerifierKey> {
    let line = checkpoint.extensions.iter().find_map(|line| line.strip_prefix(NEXT_KEY))?;
    line.parse().ok().filter(|key: &VerifierKey| key.name() == checkpoint.origin)
}

/// Returns these keys of a log and all that their handovers lead to, whichever of its histories they belong to: an older
/// copy of the file may have handed the log over a second time. A ring trusts one history; whoever looks for traces of
/// another asks these.
pub fn of_all_histories<S: AsRef<str>>(mut keys: Vec<VerifierKey>, handovers: &[S]) -> Vec<VerifierKey> {
    let next = |keys: &[VerifierKey], note: &str| {
        let next = successor(&checkpoint::open(note, keys).ok()?)?;
        let is_signed = checkpoint::open(note, std::slice::from_ref(&next)).is_ok();
        (is_signed && !keys.contains(&next)).then_some(next)
    };
    // In any order: each round follows the next link.
    while let Some(found) = handovers.iter().find_map(|note| next(&keys, note.as_ref())) {
        keys.push(found);
    }
    keys
}

/// Splits a text of consecutive notes, such as `meta/handovers`; a text that is no note stays one piece. An extension
/// line that looks like a signature belongs to the signed text, up to the empty line.
pub fn notes(text: &str) -> Vec<String> {
    let mut notes = vec![String::new()];
    let (mut in_text, mut is_signed) = (true, false);
    for line in text.split_inclusive('\n') {
        let is_signature = !in_text && line.starts_with("— ");
        if is_signed && !is_signature {
            notes.push(String::new());
            in_text = true;
        }
        in_text &= line != "\n";
        is_signed = is_signature;
        notes.last_mut().expect("it begins with one").push_str(line);
    }
    notes.retain(|note| !note.is_empty());
    notes
}

/// A trusted key, and the tree sizes for which it speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    key: VerifierKey,
    from: u64,
    through: u64,
}

/// The keys that one trusted key vouches for, itself included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRing(Vec<Known>);

impl KeyRing {
    /// Returns a ring of one key, which speaks for every size.
    pub fn new(key: VerifierKey) -> Self {
        Self(vec![Known { key, from: 0, through: u64::MAX }])
    }

    /// Returns the ring of a key and of all successors that these handovers lead to. Ignores a note that is none of
    /// this log's handovers: it adds no trust.
    pub fn following<S: AsRef<str>>(key: VerifierKey, handovers: &[S]) -> Self {
        let mut ring = Self::new(key);
        // In any order: each round follows the next link.
        while handovers.iter().any(|note| ring.follow(note.as_ref())) {}
        ring
    }

    /// Returns the name of the log.
    pub fn name(&self) -> &str {
        self.0[0].key.name()
    }

    /// Returns the key at the end of the chain.
    pub fn newest(&self) -> &VerifierKey {
        &self.0.last().expect("a ring has at least one key").key
    }

    /// Returns whether there is a successor beside the first key.
    pub fn has_successors(&self) -> bool {
        self.0.len() > 1
    }

    /// Takes the successor in that a trusted key's handover names; returns whether the ring grew.
    fn follow(&mut self, note: &str) -> bool {
        let Ok(handover) = self.open(note) else { return false };
        let Some(next) = successor(&handover) else { return false };
        let is_signed = checkpoint::open(note, std::slice::from_ref(&next)).is_ok();
        if !is_signed || self.0.iter().any(|known| known.key == next) {
            return false;
        }
        for known in &mut self.0 {
            known.through = known.through.min(handover.size);
        }
        self.0.push(Known { key: next, from: handover.size, through: u64::MAX });
        true
    }

    /// Opens a checkpoint that a key of the ring signed, for a size that the key speaks for.
    ///
    /// # Errors
    /// As [`checkpoint::open`], or the key had ended at a smaller size.
    pub fn open(&self, note: &str) -> Result<Checkpoint, BadNote> {
        let keys: Vec<VerifierKey> = self.0.iter().map(|known| known.key.clone()).collect();
        let (checkpoint, signers) = checkpoint::open_by(note, &keys)?;
        let size = checkpoint.size;
        let speaks = |known: &Known| (known.from..=known.through).contains(&size);
        if signers.iter().any(|at| speaks(&self.0[*at])) {
            return Ok(checkpoint);
        }
        let end = signers.iter().map(|at| self.0[*at].through).max().unwrap_or_default();
        Err(BadNote::Ended { size, end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::sign::LogKey;

    const LOG: &str = "sealroom/log";

    fn verifier(key: &LogKey) -> VerifierKey {
        VerifierKey::new(LOG, key.public())
    }

    fn handover(size: u64, from: &LogKey, to: &LogKey) -> String {
        checkpoint::note(LOG, size, &[7; 32], &[next_key_line(&verifier(to))], &[from, to])
    }

    fn signed(size: u64, key: &LogKey) -> String {
        checkpoint::note(LOG, size, &[7; 32], &[], &[key])
    }

    #[test]
    fn an_old_key_leads_to_the_newest_and_speaks_for_nothing_after_its_handover() {
        let keys: Vec<LogKey> = (0..4).map(|_| LogKey::generate().unwrap()).collect();
        let mut links: Vec<String> =
            (1..4).map(|n| handover(10 * n as u64, &keys[n - 1], &keys[n])).collect();
        links.reverse();
        let ring = KeyRing::following(verifier(&keys[0]), &links);
        assert_eq!((ring.newest(), ring.has_successors()), (&verifier(&keys[3]), true));
        for (n, key) in keys.iter().enumerate() {
            for size in [1, 5, 10, 15, 20, 25, 30, 35] {
                let (from, through) = (10 * n as u64, if n == 3 { u64::MAX } else { 10 * (n as u64 + 1) });
                let opened = ring.open(&signed(size, key));
                if (from..=through).contains(&size) {
                    assert_eq!(opened.unwrap().size, size);
                } else {
                    assert_eq!(opened, Err(BadNote::Ended { size, end: through }), "{n} {size}");
                }
            }
        }
        // From the middle of the chain, the keys before stay unknown.
        let ring = KeyRing::following(verifier(&keys[2]), &links);
        assert_eq!(ring.open(&signed(5, &keys[0])), Err(BadNote::Unknown));
        assert!(ring.open(&signed(35, &keys[3])).is_ok());
        assert_eq!(notes(&links.concat()), links);
        let lines = ["— sealroom/log AAAA", "more"].map(str::to_owned);
        let looks_signed = checkpoint::note(LOG, 9, &[7; 32], &lines, &[&keys[0]]);
        assert_eq!(notes(&looks_signed.repeat(2)), [looks_signed.clone(), looks_signed]);
    }

    #[test]
    fn nobody_but_the_old_key_and_the_new_one_together_can_hand_a_log_over() {
        let [old, new, thief] = [(); 3].map(|()| LogKey::generate().unwrap());
        let line = next_key_line(&verifier(&new));
        let next = std::slice::from_ref(&line);
        for (said, note) in [
            ("the successor alone", checkpoint::note(LOG, 9, &[7; 32], next, &[&new])),
            ("the old key alone", checkpoint::note(LOG, 9, &[7; 32], next, &[&old])),
            ("a stranger with the successor", checkpoint::note(LOG, 9, &[7; 32], next, &[&thief, &new])),
            ("without the line", checkpoint::note(LOG, 9, &[7; 32], &[], &[&old, &new])),
            (
                "another log's key",
                checkpoint::note(
                    LOG,
                    9,
                    &[7; 32],
                    &[next_key_line(&VerifierKey::new("x/y", new.public()))],
                    &[&old, &new],
                ),
            ),
            ("a changed size", handover(9, &old, &new).replacen("\n9\n", "\n8\n", 1)),
            ("no note", "x".to_owned()),
        ] {
            let ring = KeyRing::following(verifier(&old), &[note]);
            assert!(!ring.has_successors(), "{said}");
        }
        let named = |name: &str| {
            let line = next_key_line(&VerifierKey::new(name, new.public()));
            let note = checkpoint::note(LOG, 9, &[7; 32], &[line], &[&old]);
            successor(&checkpoint::open(&note, &[verifier(&old)]).unwrap())
        };
        assert_eq!((named(LOG), named("x/y")), (Some(verifier(&new)), None));
        // An ended key cannot hand over again, not even with its own signature.
        let links = [handover(9, &old, &new), handover(12, &old, &thief)];
        let ring = KeyRing::following(verifier(&old), &links);
        assert_eq!(*ring.newest(), verifier(&new));
        assert!(ring.open(&signed(12, &thief)).is_err());
        // But it leaves a trace of a second history.
        let all = of_all_histories(vec![verifier(&old)], &links);
        assert_eq!(all, [&old, &new, &thief].map(verifier));
        let unsigned = checkpoint::note(LOG, 9, &[7; 32], next, &[&old]);
        assert_eq!(of_all_histories(vec![verifier(&old)], &[unsigned]), [verifier(&old)]);
    }
}
