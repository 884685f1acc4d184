//! A log that is no vault: its records, its key, its checkpoints and proofs, as any C2SP log has them.

use base64::{Engine, engine::general_purpose::STANDARD};
use sealroom::{
    audit::{
        checkpoint::{self, VerifierKey},
        proof,
        tree::{Frontier, Hash, leaf_hash},
    },
    crypto::sign::LogKey,
};

pub struct ForeignLog {
    pub origin: String,
    pub key: LogKey,
    leaves: Vec<Hash>,
}

impl ForeignLog {
    /// A log of this many records; `history` tells two logs of one key apart from record `from` on.
    pub fn new(origin: &str, size: usize) -> Self {
        Self { origin: origin.to_owned(), key: LogKey::generate().unwrap(), leaves: leaves(size, size, 0) }
    }

    /// The same log with other records from `from` on.
    pub fn forked(&self, from: usize) -> Vec<Hash> {
        leaves(self.leaves.len(), from, 1)
    }

    pub fn verifier(&self) -> VerifierKey {
        VerifierKey::new(&self.origin, self.key.public())
    }

    pub fn note(&self, size: usize) -> String {
        self.note_of(&self.leaves[..size], &[&self.key])
    }

    pub fn note_of(&self, leaves: &[Hash], signers: &[&LogKey]) -> String {
        checkpoint::note(&self.origin, leaves.len() as u64, &root(leaves), &[], signers)
    }

    /// The body of `add-checkpoint`.
    pub fn body(&self, old: usize, size: usize) -> String {
        body(old, &consistency(&self.leaves, old, size), &self.note(size))
    }

    /// The body for a history that differs from `from` on, with the proof of that history.
    pub fn forked_body(&self, from: usize, old: usize, size: usize) -> String {
        let leaves = self.forked(from);
        let note = self.note_of(&leaves[..size], &[&self.key]);
        body(old, &consistency(&leaves, old, size), &note)
    }
}

fn leaves(size: usize, from: usize, history: u8) -> Vec<Hash> {
    (0..size)
        .map(|n| leaf_hash(&[&n.to_be_bytes()[..], &[if n < from { 0 } else { history }]].concat()))
        .collect()
}

pub fn root(leaves: &[Hash]) -> Hash {
    let mut frontier = Frontier::EMPTY;
    leaves.iter().for_each(|leaf| drop(frontier.push(*leaf)));
    frontier.root()
}

fn consistency(leaves: &[Hash], old: usize, size: usize) -> Vec<Hash> {
    let ranges = proof::consistency(old as u64, size as u64).unwrap_or_default();
    let place = |at: u64| usize::try_from(at).unwrap();
    ranges.iter().map(|range| root(&leaves[place(range.start)..place(range.end)])).collect()
}

pub fn body(old: usize, proof: &[Hash], note: &str) -> String {
    let proof: String = proof.iter().map(|hash| STANDARD.encode(hash) + "\n").collect();
    format!("old {old}\n{proof}\n{note}")
}
