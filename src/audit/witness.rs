//! A witness's judgement: C2SP `tlog-witness`, `add-checkpoint`.
//!
//! ```text
//! old 41                        the size of the checkpoint that the witness cosigned last
//! <base64 of a hash>            the consistency proof, RFC 6962 §2.1.2; at most 63 lines
//!
//! sealroom/<file id>            the new checkpoint, signed by its log
//! 57
//! …
//! ```
//!
//! Owns the order of the checks; keeps nothing.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    checkpoint::{self, BadNote, Checkpoint, VerifierKey},
    proof,
    tree::{Frontier, Hash},
};

/// The most lines of a proof; a tree of 2^63 leaves needs no more.
pub const PROOF_LINES_MAX: usize = 63;

/// A refusal of a checkpoint, each with a status of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The body has not the form, or its old size is larger than the checkpoint's (400).
    #[error("the body is no old size, proof and signed checkpoint as in C2SP tlog-witness")]
    Malformed,
    /// This witness has no key of that log (404).
    #[error("this witness does not know the log of that origin")]
    UnknownLog,
    /// No trusted key of the log signed it, or a signature of one does not hold (403).
    #[error("no key that this witness trusts for the log signed this checkpoint")]
    Unsigned,
    /// The old size is not that of the checkpoint that was cosigned last (409).
    #[error("the checkpoint that was cosigned last has {size} records")]
    Stale {
        /// Its size.
        size: u64,
    },
    /// The proof does not lead from the last tree to this one (422).
    #[error("the proof does not show that this log begins with the one that was cosigned last")]
    Unproven,
    /// The log signed two roots of one size: it has two histories (409).
    #[error("the log signed another root of the same size: it has two histories")]
    Forked,
}

impl Refusal {
    /// Returns whether the client started from another size, and learns the right one by it.
    pub const fn is_stale(&self) -> bool {
        matches!(self, Self::Stale { .. })
    }
}

/// The body of `add-checkpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'b> {
    /// The size of the checkpoint that the client takes for the last one.
    pub old: u64,
    /// The proof from there.
    pub proof: Vec<Hash>,
    /// The new checkpoint, with its signatures.
    pub note: &'b str,
}

impl<'b> Request<'b> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`Refusal::Malformed`].
    pub fn read(body: &'b [u8]) -> Result<Self, Refusal> {
        let text = std::str::from_utf8(body).map_err(|_| Refusal::Malformed)?;
        let (head, note) = text.split_once("\n\n").ok_or(Refusal::Malformed)?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| size(line.strip_prefix("old ")?)).ok_or(Refusal::Malformed)?;
        let hash = |line: &str| STANDARD.decode(line).ok().and_then(|bytes| bytes.try_into().ok());
        // One line more than allowed is enough to refuse them all.
        let proof: Option<Vec<Hash>> = lines.take(PROOF_LINES_MAX + 1).map(hash).collect();
        let proof = proof.filter(|proof| proof.len() <= PROOF_LINES_MAX).ok_or(Refusal::Malformed)?;
        Ok(Self { old, proof, note })
    }

    /// Writes a body, as [`Request::read`] reads it.
    pub fn write(&self) -> String {
        let proof: Vec<String> = self.proof.iter().map(|hash| STANDARD.encode(hash) + "\n").collect();
        format!("old {}\n{}\n{}", self.old, proof.concat(), self.note)
    }

    /// Opens the checkpoint with the keys of the logs that a witness knows.
    ///
    /// # Errors
    /// [`Refusal::Malformed`], [`Refusal::UnknownLog`] or [`Refusal::Unsigned`].
    pub fn open(&self, logs: &[VerifierKey]) -> Result<Checkpoint, Refusal> {
        let origin = checkpoint::read_unsigned(self.note).map_err(|_| Refusal::Malformed)?.origin;
        let keys: Vec<VerifierKey> = logs.iter().filter(|key| key.name() == origin).cloned().collect();
        if keys.is_empty() {
            return Err(Refusal::UnknownLog);
        }
        checkpoint::open(self.note, &keys).map_err(|error| match error {
            BadNote::Malformed => Refusal::Malformed,
            BadNote::Unknown | BadNote::BadSignature | BadNote::Ended { .. } => Refusal::Unsigned,
        })
    }

    /// Judges an opened checkpoint beside the one that was cosigned last, if there is one.
    ///
    /// # Errors
    /// It does not continue that one, or the client started from another one.
    pub fn judge(&self, new: &Checkpoint, last: Option<&Checkpoint>) -> Result<(), Refusal> {
        if self.old > new.size {
            return Err(Refusal::Malformed);
        }
        let (size, root) = last.map_or_else(|| (0, Frontier::EMPTY.root()), |last| (last.size, last.root));
        if self.old != size {
            return Err(Refusal::Stale { size });
        }
        if new.size == size && new.root != root {
            return Err(Refusal::Forked);
        }
        // Every tree begins with the empty one, and only the empty proof says so.
        let holds = match size {
            0 => self.proof.is_empty(),
            _ => proof::extends(size, new.size, &self.proof, &root, &new.root),
        };
        if holds { Ok(()) } else { Err(Refusal::Unproven) }
    }
}

/// Reads a size: digits without leading zeroes.
pub fn size(text: &str) -> Option<u64> {
    text.parse().ok().filter(|size: &u64| size.to_string() == text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{audit::tree::leaf_hash, crypto::sign::LogKey};

    const LOG: &str = "example.com/log";

    fn root(size: u64, salt: u64) -> Hash {
        let mut frontier = Frontier::EMPTY;
        (0..size)
            .for_each(|n| drop(frontier.push(leaf_hash(&[n.to_be_bytes(), salt.to_be_bytes()].concat()))));
        frontier.root()
    }

    fn checkpoint(size: u64, salt: u64) -> Checkpoint {
        Checkpoint { origin: LOG.to_owned(), size, root: root(size, salt), extensions: Vec::new() }
    }

    fn proof(from: u64, to: u64) -> Vec<Hash> {
        let ranges = proof::consistency(from, to).unwrap_or_default();
        let hash = |range: &std::ops::Range<u64>| {
            let mut frontier = Frontier::EMPTY;
            let salt = 0_u64.to_be_bytes();
            range.clone().for_each(|n| drop(frontier.push(leaf_hash(&[n.to_be_bytes(), salt].concat()))));
            frontier.root()
        };
        ranges.iter().map(hash).collect()
    }

    fn request(old: u64, proof: Vec<Hash>) -> Request<'static> {
        Request { old, proof, note: "" }
    }

    proptest! {
        /// Over any two sizes and any statement of the client: a witness moves only from its last checkpoint to one that
        /// begins with it, and never back or aside.
        #[test]
        fn a_witness_follows_one_history_and_only_forward(
            last in 0_u64..200, new in 0_u64..200, old in 0_u64..200, fork in any::<bool>(), cut in any::<bool>(),
        ) {
            let known = (last > 0).then(|| checkpoint(last, 0));
            let salt = u64::from(fork);
            let mut proof = proof(old, new);
            if cut { proof.pop(); }
            let whole = proof == self::proof(old, new);
            let judged = request(old, proof).judge(&checkpoint(new, salt), known.as_ref());
            let is_one_history = salt == 0 || last == 0 || new == 0;
            match judged {
                Ok(()) => prop_assert!(old == last && new >= last && is_one_history && whole),
                Err(Refusal::Malformed) => prop_assert!(old > new),
                Err(Refusal::Stale { size }) => prop_assert!(size == last && old != last),
                Err(Refusal::Forked) => prop_assert!(new == last && salt == 1),
                Err(_) => prop_assert!(!is_one_history || !whole),
            }
        }

        #[test]
        fn no_body_panics_and_what_is_read_is_written_the_same(body in "(old [0-9]{1,3}\n)?([A-Za-z0-9+/=]{0,44}\n){0,3}\n?[ -~\n]{0,80}") {
            if let Ok(request) = Request::read(body.as_bytes()) {
                prop_assert_eq!(request.write(), body);
            }
        }
    }

    #[test]
    fn a_body_has_one_form() {
        let hash = STANDARD.encode([7; 32]);
        let good = format!("old 41\n{hash}\n\nnote\n");
        assert_eq!(Request::read(good.as_bytes()).unwrap().write(), good);
        let most = format!("old 41\n{}\nnote\n", format!("{hash}\n").repeat(PROOF_LINES_MAX));
        assert!(Request::read(most.as_bytes()).is_ok());
        let more = format!("old 41\n{}\nnote\n", format!("{hash}\n").repeat(PROOF_LINES_MAX + 1));
        for wrong in [
            &more,
            "",
            "\n\n",
            "old 41",
            "old 41\n",
            &good.replace("old 41", "old 041"),
            &good.replace("old 41", "old +41"),
            &good.replace("old 41", "old  41"),
            &good.replace("old 41", "Old 41"),
            &good.replace("old 41", "old -1"),
            &good.replace("old 41", "old 18446744073709551616"),
            &good.replace('\n', "\r\n"),
            &good.replace(&hash, &hash[1..]),
            &good.replace(&hash, &hash.replace('=', "")),
            &good.replace(&hash, &STANDARD.encode([7; 31])),
            &good.replace(&hash, "!"),
        ] {
            assert_eq!(Request::read(wrong.as_bytes()), Err(Refusal::Malformed), "{wrong:?}");
        }
        assert_eq!(Request::read(b"old 1\n\n\xff"), Err(Refusal::Malformed));
    }

    #[test]
    fn only_a_known_log_and_its_own_key_are_taken() {
        let [own, foreign] = [(); 2].map(|()| LogKey::generate().unwrap());
        let known = [VerifierKey::new(LOG, own.public())];
        let by = |origin: &str, signers: &[&LogKey]| checkpoint::note(origin, 1, &[7; 32], &[], signers);
        let open = |note: &str| Request { old: 0, proof: Vec::new(), note }.open(&known).map(drop);
        assert_eq!(open(&by(LOG, &[&own])), Ok(()));
        assert_eq!(open(&by(LOG, &[&foreign, &own])), Ok(()), "a signature of an unknown key says nothing");
        assert_eq!(open(&by(LOG, &[&foreign])), Err(Refusal::Unsigned));
        assert_eq!(open(&by("example.com/other", &[&own])), Err(Refusal::UnknownLog));
        assert_eq!(open(&by(LOG, &[&own]).replacen("\n1\n", "\n2\n", 1)), Err(Refusal::Unsigned));
        assert_eq!(open("no note"), Err(Refusal::Malformed));
        // A line of a trusted key that does not hold spoils the note, whatever else signed it.
        let spoilt =
            by(LOG, &[&own]) + by(LOG, &[&own]).replace("\n1\n", "\n3\n").rsplit_once("\n\n").unwrap().1;
        assert_eq!(open(&spoilt), Ok(()), "the same line twice is no other one");
        let other = checkpoint::note(LOG, 3, &[7; 32], &[], &[&own]);
        let spoilt = by(LOG, &[&own]) + other.rsplit_once("\n\n").unwrap().1;
        assert_eq!(open(&spoilt), Err(Refusal::Unsigned));
    }

    #[test]
    fn an_empty_tree_has_one_root_and_no_proof() {
        let empty = checkpoint(0, 0);
        assert_eq!(request(0, Vec::new()).judge(&empty, None), Ok(()));
        let other = Checkpoint { root: [7; 32], ..empty };
        assert_eq!(request(0, Vec::new()).judge(&other, None), Err(Refusal::Forked));
        let first = checkpoint(5, 0);
        assert_eq!(request(0, vec![[7; 32]]).judge(&first, None), Err(Refusal::Unproven));
        assert_eq!(request(5, vec![[7; 32]]).judge(&first, Some(&first)), Err(Refusal::Unproven));
        assert_eq!(request(6, Vec::new()).judge(&first, Some(&first)), Err(Refusal::Malformed));
    }
}
