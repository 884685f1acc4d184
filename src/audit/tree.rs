//! The Merkle tree of RFC 6962 §2.1, kept as its frontier.

use crate::crypto::digest::{sha256, sha256_parts};

/// SHA-256.
pub type Hash = [u8; 32];

/// Levels between two stored subtrees: 2⁸, 2¹⁶, 2²⁴ … leaves.
const STORED_EVERY: u32 = 8;

/// SHA-256(0x00 ‖ record).
pub fn leaf_hash(record: &[u8]) -> Hash {
    sha256_parts(&[&[0], record])
}

/// SHA-256(0x01 ‖ left ‖ right).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    sha256_parts(&[&[1], left, right])
}

/// The hash of a complete subtree that is worth keeping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredHash {
    /// log2 of its leaves: a multiple of 8.
    pub level: u8,
    /// Its place among those of its level, from 0.
    pub index: u64,
    /// Its hash.
    pub hash: Hash,
}

/// A tree as its complete subtrees, largest first: all that appending and the root need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    nodes: Vec<Hash>,
}

/// The parts do not make a frontier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tree of that size has another number of subtrees")]
pub struct BadFrontier;

impl Frontier {
    /// The tree without leaves.
    pub const EMPTY: Self = Self { size: 0, nodes: Vec::new() };

    /// Takes what `to_parts` gave.
    ///
    /// # Errors
    /// The number of subtrees is not that of the size.
    pub fn from_parts(size: u64, nodes: Vec<Hash>) -> Result<Self, BadFrontier> {
        if nodes.len() == size.count_ones() as usize { Ok(Self { size, nodes }) } else { Err(BadFrontier) }
    }

    /// The size, and the complete subtrees, largest first.
    pub fn to_parts(&self) -> (u64, Vec<Hash>) {
        (self.size, self.nodes.clone())
    }

    /// The number of leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends 2^`level` leaves by the hash of their subtree; the tree's size must be a multiple of that.
    pub fn push_subtree(&mut self, level: u32, mut hash: Hash) {
        debug_assert!(self.size.trailing_zeros() >= level, "a subtree stands only where its size divides");
        for _ in 0..(self.size >> level).trailing_ones() {
            let left = self.nodes.pop().expect("a size has as many subtrees as ones");
            hash = node_hash(&left, &hash);
        }
        self.nodes.push(hash);
        self.size += 1 << level;
    }

    /// Appends a leaf, and says which subtrees worth storing it completes.
    pub fn push(&mut self, leaf: Hash) -> Vec<StoredHash> {
        let mut hash = leaf;
        let mut stored = Vec::new();
        for level in 1..=self.size.trailing_ones() {
            let left = self.nodes.pop().expect("a size has as many subtrees as ones");
            hash = node_hash(&left, &hash);
            if level.is_multiple_of(STORED_EVERY) {
                let level = u8::try_from(level).expect("a u64 has 64 bits");
                stored.push(StoredHash { level, index: self.size >> level, hash });
            }
        }
        self.nodes.push(hash);
        self.size += 1;
        stored
    }

    /// The root; of the tree without leaves it is the hash of nothing.
    pub fn root(&self) -> Hash {
        let mut subtrees = self.nodes.iter().rev();
        let Some(smallest) = subtrees.next() else { return sha256(b"") };
        subtrees.fold(*smallest, |right, left| node_hash(left, &right))
    }
}

/// Hashes leaves, or subtrees of one size; their number is a power of two.
pub fn subtree_hash(nodes: &[Hash]) -> Hash {
    debug_assert!(nodes.len().is_power_of_two(), "a subtree is complete");
    let mut nodes = nodes.to_vec();
    while nodes.len() > 1 {
        for n in 0..nodes.len() / 2 {
            nodes[n] = node_hash(&nodes[2 * n], &nodes[2 * n + 1]);
        }
        nodes.truncate(nodes.len() / 2);
    }
    nodes[0]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 6962 §2.1, as it is written.
    fn naive(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => sha256(b""),
            [leaf] => *leaf,
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                node_hash(&naive(&leaves[..split]), &naive(&leaves[split..]))
            }
        }
    }

    /// The vectors of the certificate-transparency reference implementation (`merkle_tree_test`).
    #[test]
    fn known_roots() {
        let hex = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
        let mut frontier = Frontier::EMPTY;
        for (leaf, root) in [
            ("", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
            ("00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
            ("10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
            ("2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
        ] {
            frontier.push(leaf_hash(&hex(leaf)));
            assert_eq!(frontier.root()[..], hex(root)[..]);
        }
    }

    proptest! {
        #[test]
        fn the_frontier_agrees_with_the_definition(count in 0_usize..600) {
            let leaves: Vec<Hash> = (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect();
            let mut frontier = Frontier::EMPTY;
            let stored: Vec<StoredHash> = leaves.iter().flat_map(|leaf| frontier.push(*leaf)).collect();
            prop_assert_eq!(frontier.root(), naive(&leaves));
            prop_assert_eq!(stored.len(), count / 256);
            for (n, one) in stored.iter().enumerate() {
                prop_assert_eq!((one.level, one.index), (8, n as u64));
                prop_assert_eq!(one.hash, naive(&leaves[n * 256..(n + 1) * 256]));
            }
            let mut by_subtree = Frontier::EMPTY;
            for leaves in leaves.chunks(256) {
                match leaves.len() {
                    256 => by_subtree.push_subtree(8, subtree_hash(leaves)),
                    _ => leaves.iter().for_each(|leaf| drop(by_subtree.push(*leaf))),
                }
            }
            prop_assert_eq!(&by_subtree, &frontier);
            let (size, nodes) = frontier.to_parts();
            prop_assert_eq!(Frontier::from_parts(size, nodes), Ok(frontier));
        }
    }
}
