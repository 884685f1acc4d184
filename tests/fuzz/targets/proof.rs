//! Proofs of the tree: each that is made convinces a verifier written from RFC 9162, and a changed one does not.

use super::Choices;
use crate::audit::{
    archive,
    proof::{OutOfRange, consistency, inclusion, split, subtree},
    tree::{Frontier, Hash, leaf_hash, node_hash},
};

pub fn run(input: &[u8]) {
    let mut choices = Choices(input);
    huge(choices.number(), choices.number());
    let size = u64::from(choices.byte()) + 1;
    let leaves: Vec<Hash> = (0..size).map(|n| leaf_hash(&[choices.byte(), n as u8])).collect();
    let (at, from) = (u64::from(choices.byte()) % size, u64::from(choices.byte()) % size + 1);
    let root = root(&leaves);
    let mut frontier = Frontier::EMPTY;
    leaves.iter().for_each(|leaf| drop(frontier.push(*leaf)));
    assert_eq!(frontier.root(), root);

    let mut path = hashes(&leaves, &inclusion(at, size).unwrap());
    assert!(includes(leaves[at as usize], at, size, &path, &root));
    if damage(&mut path, &mut choices) {
        assert!(!includes(leaves[at as usize], at, size, &path, &root), "a changed proof convinces");
    }
    let first = self::root(&leaves[..from as usize]);
    let path = hashes(&leaves, &consistency(from, size).unwrap());
    assert!(extends(from, size, &path, &first, &root));
    if from < size {
        assert!(!extends(from, size, &path, &leaf_hash(b"x"), &root), "another history is extended");
    }
}

/// Sizes of any magnitude are answered at once, or out of range.
fn huge(one: u64, other: u64) {
    assert_eq!(inclusion(one, other).is_ok(), one < other);
    assert_eq!(consistency(one, other).is_ok(), one > 0 && one <= other);
    for path in [inclusion(one, other), consistency(one, other)].into_iter().flatten() {
        assert!(path.len() <= 65 && path.iter().all(|range| range.start < range.end && range.end <= other));
    }
    if one > 1 {
        assert!(split(one).is_power_of_two() && split(one) < one && one <= split(one).saturating_mul(2));
    }
    let levels = archive::levels(one, other);
    assert_eq!(
        levels.iter().map(|level| 1_u128 << level).sum::<u128>(),
        u128::from(other.saturating_sub(one))
    );
}

fn damage(path: &mut Vec<Hash>, choices: &mut Choices<'_>) -> bool {
    if path.is_empty() {
        return false;
    }
    let at = choices.below(path.len());
    match choices.below(3) {
        0 => path[at][choices.below(32)] ^= choices.byte() | 1,
        1 => drop(path.remove(at)),
        _ => path.insert(at, path[at]),
    }
    true
}

fn root(leaves: &[Hash]) -> Hash {
    if let [leaf] = leaves {
        return *leaf;
    }
    let (left, right) = leaves.split_at(split(leaves.len() as u64) as usize);
    node_hash(&root(left), &root(right))
}

fn hashes(leaves: &[Hash], ranges: &[std::ops::Range<u64>]) -> Vec<Hash> {
    let mut known = |level: u8, index: u64| -> Result<Option<Hash>, OutOfRange> {
        Ok((level == 0).then(|| leaves[index as usize]))
    };
    ranges.iter().map(|range| subtree(range, &mut known).unwrap()).collect()
}

/// RFC 9162 §2.1.3.2.
fn includes(leaf: Hash, sequence: u64, size: u64, path: &[Hash], wanted: &Hash) -> bool {
    let (mut node, mut last, mut hash) = (sequence, size - 1, leaf);
    for step in path {
        if last == 0 {
            return false;
        }
        if node % 2 == 1 || node == last {
            hash = node_hash(step, &hash);
            while node.is_multiple_of(2) && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            hash = node_hash(&hash, step);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    last == 0 && hash == *wanted
}

/// RFC 9162 §2.1.4.2.
fn extends(from: u64, to: u64, path: &[Hash], first: &Hash, second: &Hash) -> bool {
    if from == to {
        return path.is_empty() && first == second;
    }
    let known = if from.is_power_of_two() { &[*first][..] } else { &[] };
    let steps: Vec<Hash> = known.iter().chain(path).copied().collect();
    let Some((start, steps)) = steps.split_first() else { return false };
    let (mut node, mut last) = (from - 1, to - 1);
    while node % 2 == 1 {
        (node, last) = (node >> 1, last >> 1);
    }
    let (mut old, mut new) = (*start, *start);
    for step in steps {
        if last == 0 {
            return false;
        }
        if node % 2 == 1 || node == last {
            (old, new) = (node_hash(step, &old), node_hash(step, &new));
            while node.is_multiple_of(2) && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            new = node_hash(&new, step);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    last == 0 && old == *first && new == *second
}
