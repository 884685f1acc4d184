//! Proofs of the tree: that a record is in it, and that a larger tree begins with a smaller one (RFC 6962 §2.1.1, §2.1.2).
//!
//! Owns the choice of the subtrees that make a proof; the caller supplies their hashes.

use std::ops::Range;

use super::tree::{Hash, node_hash};

/// The sizes or the sequence make no proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("out of range")]
pub struct OutOfRange;

/// The ranges of leaves whose hashes, in this order, prove that leaf `sequence` is in the tree of `size` leaves.
///
/// # Errors
/// There is no such leaf.
pub fn inclusion(sequence: u64, size: u64) -> Result<Vec<Range<u64>>, OutOfRange> {
    if sequence >= size {
        return Err(OutOfRange);
    }
    let mut path = Vec::new();
    let mut within = 0..size;
    while within.end - within.start > 1 {
        let middle = within.start + split(within.end - within.start);
        let (inside, outside) = if sequence < middle {
            (within.start..middle, middle..within.end)
        } else {
            (middle..within.end, within.start..middle)
        };
        path.push(outside);
        within = inside;
    }
    path.reverse();
    Ok(path)
}

/// The ranges of leaves whose hashes, in this order, prove that the tree of `to` leaves begins with that of `from`.
///
/// # Errors
/// `from` is 0, or more than `to`.
pub fn consistency(from: u64, to: u64) -> Result<Vec<Range<u64>>, OutOfRange> {
    if from == 0 || from > to {
        return Err(OutOfRange);
    }
    let mut path = Vec::new();
    let mut within = 0..to;
    // True while the smaller tree is still the very one that the verifier knows the root of.
    let mut is_known = true;
    while within.end != from {
        let middle = within.start + split(within.end - within.start);
        if from <= middle {
            path.push(middle..within.end);
            within = within.start..middle;
        } else {
            path.push(within.start..middle);
            within = middle..within.end;
            is_known = false;
        }
    }
    if !is_known {
        path.push(within);
    }
    path.reverse();
    Ok(path)
}

/// The largest power of two below `size`, which is at least 2: where a tree divides.
pub const fn split(size: u64) -> u64 {
    1 << (u64::BITS - 1 - (size - 1).leading_zeros())
}

/// The root of the leaves in `range`, from the hashes that `known` has of complete subtrees (level, index), down to
/// single leaves, which it must have.
///
/// # Errors
/// The answer of `known`.
pub fn subtree<E>(
    range: &Range<u64>,
    known: &mut impl FnMut(u8, u64) -> Result<Option<Hash>, E>,
) -> Result<Hash, E>
where
    E: From<OutOfRange>,
{
    let size = range.end.checked_sub(range.start).filter(|size| *size > 0).ok_or(OutOfRange)?;
    if size.is_power_of_two() && range.start.is_multiple_of(size) {
        let level = u8::try_from(size.trailing_zeros()).map_err(|_| OutOfRange)?;
        if let Some(hash) = known(level, range.start >> level)? {
            return Ok(hash);
        }
    }
    if size == 1 {
        return Err(OutOfRange.into());
    }
    let middle = range.start + split(size);
    let left = subtree(&(range.start..middle), known)?;
    let right = subtree(&(middle..range.end), known)?;
    Ok(node_hash(&left, &right))
}

/// Returns whether an inclusion proof holds: that leaf has that place in the tree of that size and root (RFC 9162
/// §2.1.3.2).
pub fn includes(leaf: Hash, sequence: u64, size: u64, path: &[Hash], root: &Hash) -> bool {
    if sequence >= size {
        return false;
    }
    let (mut node, mut last, mut hash) = (sequence, size - 1, leaf);
    for step in path {
        if last == 0 {
            return false;
        }
        if node % 2 == 1 || node == last {
            hash = node_hash(step, &hash);
            while node.is_multiple_of(2) && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, step);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Returns whether a consistency proof holds: the tree of the first root begins the tree of the second (RFC 9162
/// §2.1.4.2).
pub fn extends(from: u64, to: u64, path: &[Hash], first: &Hash, second: &Hash) -> bool {
    if from == 0 || from >= to {
        return from == to && path.is_empty() && first == second;
    }
    let mut steps: Vec<Hash> = path.to_vec();
    if from.is_power_of_two() {
        steps.insert(0, *first);
    }
    let Some((start, steps)) = steps.split_first() else { return false };
    let (mut node, mut last) = (from - 1, to - 1);
    while node % 2 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut old, mut new) = (*start, *start);
    for step in steps {
        if last == 0 {
            return false;
        }
        if node % 2 == 1 || node == last {
            old = node_hash(step, &old);
            new = node_hash(step, &new);
            while node.is_multiple_of(2) && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new = node_hash(&new, step);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && old == *first && new == *second
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::audit::tree::{Frontier, leaf_hash};

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
    }

    fn root(leaves: &[Hash]) -> Hash {
        let mut frontier = Frontier::EMPTY;
        leaves.iter().for_each(|leaf| drop(frontier.push(*leaf)));
        frontier.root()
    }

    fn hashes(leaves: &[Hash], ranges: &[Range<u64>]) -> Vec<Hash> {
        let place = |at: u64| usize::try_from(at).unwrap();
        ranges.iter().map(|range| root(&leaves[place(range.start)..place(range.end)])).collect()
    }

    proptest! {
        #[test]
        fn an_inclusion_proof_holds_for_its_leaf_size_and_root_alone(size in 1_u64..3000, at: prop::sample::Index, other: prop::sample::Index) {
            let leaves = leaves(size);
            let sequence = at.index(leaves.len()) as u64;
            let path = hashes(&leaves, &inclusion(sequence, size).unwrap());
            let (leaf, root) = (leaves[at.index(leaves.len())], root(&leaves));
            prop_assert!(includes(leaf, sequence, size, &path, &root));
            let wrong = other.index(leaves.len());
            if wrong as u64 != sequence {
                prop_assert!(!includes(leaves[wrong], sequence, size, &path, &root), "another leaf");
                prop_assert!(!includes(leaf, wrong as u64, size, &path, &root), "another place");
            }
            prop_assert!(!includes(leaf, sequence, size, &path, &leaf_hash(b"x")), "another root");
            if !path.is_empty() {
                prop_assert!(!includes(leaf, sequence, size, &path[1..], &root), "a step less");
                let mut changed = path.clone();
                changed[other.index(path.len())][0] ^= 1;
                prop_assert!(!includes(leaf, sequence, size, &changed, &root), "a step changed");
            }
        }

        #[test]
        fn a_consistency_proof_holds_for_its_sizes_and_roots_alone(to in 1_u64..3000, at: prop::sample::Index) {
            let leaves = leaves(to);
            let from = at.index(leaves.len()) as u64 + 1;
            let path = hashes(&leaves, &consistency(from, to).unwrap());
            let (first, second) = (root(&leaves[..usize::try_from(from).unwrap()]), root(&leaves));
            prop_assert!(extends(from, to, &path, &first, &second));
            prop_assert!(!extends(from, to, &path, &leaf_hash(b"x"), &second));
            prop_assert!(!extends(from, to, &path, &first, &leaf_hash(b"x")));
            if from < to {
                prop_assert!(!path.is_empty() && !extends(from, to, &path[1..], &first, &second));
            }
        }

        #[test]
        fn a_subtree_comes_out_the_same_from_stored_hashes_and_from_leaves(size in 1_u64..1500, at: prop::sample::Index) {
            let leaves = leaves(size);
            let mut stored = |level: u8, index: u64| -> Result<Option<Hash>, OutOfRange> {
                let first = usize::try_from(index << level).unwrap();
                Ok((level.is_multiple_of(8)).then(|| root(&leaves[first..first + (1 << level)])))
            };
            for range in inclusion(at.index(leaves.len()) as u64, size).unwrap() {
                let whole = hashes(&leaves, std::slice::from_ref(&range));
                prop_assert_eq!(subtree(&range, &mut stored).unwrap(), whole[0]);
            }
        }
    }

    #[test]
    fn what_is_out_of_range_has_no_proof() {
        assert_eq!(inclusion(0, 0), Err(OutOfRange));
        assert_eq!(inclusion(5, 5), Err(OutOfRange));
        assert_eq!(consistency(0, 5), Err(OutOfRange));
        assert_eq!(consistency(6, 5), Err(OutOfRange));
        assert_eq!(consistency(5, 5), Ok(Vec::new()));
        assert_eq!(inclusion(u64::MAX - 1, u64::MAX).unwrap().len(), 63);
    }

    /// Each proof of each small tree, held against every other place, size and path of about its length.
    #[test]
    fn no_proof_holds_for_anything_but_its_own_claim() {
        const MOST: u64 = 11;
        let leaves = leaves(MOST);
        let at = |number: u64| usize::try_from(number).unwrap();
        let roots: Vec<Hash> = (0..=MOST).map(|size| root(&leaves[..at(size)])).collect();
        // A step too many, anywhere, or one too few.
        let bent = |path: &[Hash]| {
            let longer = (0..=path.len()).map(|at| [&path[..at], &[leaves[0]], &path[at..]].concat());
            let shorter = (0..path.len()).map(|at| [&path[..at], &path[at + 1..]].concat());
            longer.chain(shorter).collect::<Vec<_>>()
        };
        for size in 1..=MOST {
            for sequence in 0..size {
                let (leaf, path) =
                    (leaves[at(sequence)], hashes(&leaves, &inclusion(sequence, size).unwrap()));
                for (other_size, other) in
                    (1..=MOST).flat_map(|size| (0..MOST).map(move |other| (size, other)))
                {
                    let holds = includes(leaf, other, other_size, &path, &roots[at(other_size)]);
                    assert_eq!(holds, (other, other_size) == (sequence, size), "{sequence} of {size}");
                }
                for path in bent(&path) {
                    assert!(!includes(leaf, sequence, size, &path, &roots[at(size)]), "{sequence} of {size}");
                }
            }
        }
        let proof = |from, to| hashes(&leaves, &consistency(from, to).unwrap());
        for (from, to) in (1..=MOST).flat_map(|to| (1..=to).map(move |from| (from, to))) {
            let path = proof(from, to);
            // A client is shown any two sizes: none, the same twice, and a log that shrank.
            for (a, b) in (0..=MOST).flat_map(|a| (0..=MOST).map(move |b| (a, b))) {
                let is_proof = if 0 < a && a <= b { path == proof(a, b) } else { a == b && path.is_empty() };
                let holds = extends(a, b, &path, &roots[at(a)], &roots[at(b)]);
                assert_eq!(holds, is_proof, "{from} to {to} for {a} to {b}");
                assert!(!extends(a, b, &path, &leaf_hash(b"x"), &roots[at(b)]));
                assert!(!extends(a, b, &path, &roots[at(a)], &leaf_hash(b"x")));
            }
            for path in bent(&path) {
                assert!(!extends(from, to, &path, &roots[at(from)], &roots[at(to)]), "{from} to {to}");
            }
        }
    }

    /// A stranger chooses sizes, roots and paths alike: a path must have the length that the sizes ask for.
    #[test]
    fn a_path_that_leads_to_the_root_of_a_tree_of_another_height_proves_nothing() {
        let leaves = leaves(8);
        let root = |size: usize| root(&leaves[..size]);
        let proof = |from, to| hashes(&leaves, &consistency(from, to).unwrap());
        assert!(!includes(leaves[1], 0, 1, &leaves[..1], &root(2)), "a step after the last");
        assert!(!includes(leaves[0], 0, 5, &leaves[1..2], &root(2)), "a step before the last");
        assert!(!extends(3, 4, &proof(7, 8), &root(7), &root(8)), "a step after the last");
        assert!(!extends(2, 8, &proof(2, 4), &root(2), &root(4)), "a step before the last");
        for (from, to) in [(5, 3), (0, 3), (3, 0)] {
            assert!(
                !extends(from, to, &[], &root(3), &root(3)),
                "one root cannot have two sizes: {from} {to}"
            );
        }
    }

    #[test]
    fn a_tree_divides_at_the_largest_power_of_two_below_its_size() {
        for (size, at) in [(2, 1), (3, 2), (4, 2), (5, 4), (8, 4), (9, 8), (u64::MAX, 1 << 63)] {
            assert_eq!(split(size), at, "{size}");
        }
    }
}
