//! Logs, parts of logs and archives, held against checkpoints and receipts.

use super::*;
use crate::{
    audit::tree::{leaf_hash, subtree_hash},
    crypto::digest::sha256,
    domain::{Action, Event, Timestamp},
};

fn record(sequence: u64) -> Vec<u8> {
    let actor = "host:root".parse().unwrap();
    record::encode(sequence, &Event::new(Timestamp::from_millis(1), actor, Action::CredentialsRead))
}

fn leaf(sequence: u64) -> Hash {
    leaf_hash(&record(sequence))
}

fn tree(size: u64) -> Frontier {
    let mut frontier = Frontier::EMPTY;
    (0..size).for_each(|n| drop(frontier.push(leaf(n))));
    frontier
}

fn checkpoint(size: u64) -> Checkpoint {
    Checkpoint { origin: "log".to_owned(), size, root: tree(size).root(), extensions: Vec::new() }
}

/// The receipt for these records, as a server makes it.
fn receipt(first: u64, last: u64) -> Receipt {
    let leaves: Vec<Hash> = (first..=last).map(leaf).collect();
    Receipt { first, last, hash: if first == last { leaves[0] } else { sha256(leaves.as_flattened()) } }
}

/// A check that has taken in the records of that range.
fn taken(mut verifier: Verifier, records: std::ops::Range<u64>) -> Verifier {
    records.for_each(|n| verifier.push(&record(n), leaf(n)).unwrap());
    verifier
}

/// A tree that grows by blocks has the roots of one that grows by leaves, wherever a checkpoint lies.
#[test]
fn a_checkpoint_inside_a_block_is_judged_as_well() {
    let records: Vec<String> =
        (0..1_100).map(|n| format!(r#"{{"v":1,"sequence":{n},"time":"x"}}"#)).collect();
    let leaves: Vec<Hash> = records.iter().map(|record| leaf_hash(record.as_bytes())).collect();
    let signed = |size: usize| {
        let mut frontier = Frontier::EMPTY;
        leaves[..size].iter().for_each(|leaf| drop(frontier.push(*leaf)));
        let (origin, root) = ("log".to_owned(), frontier.root());
        Checkpoint { origin, size: size as u64, root, extensions: Vec::new() }
    };
    let walk = |kept: Vec<Checkpoint>| {
        let mut verifier = Verifier::new(kept, Vec::new()).awaiting_end();
        for (records, leaves) in records.chunks(256).zip(leaves.chunks(256)) {
            for (record, leaf) in records.iter().zip(leaves) {
                verifier.place(record.as_bytes(), *leaf).unwrap();
            }
            verifier.grow(leaves, (leaves.len() == 256).then(|| subtree_hash(leaves)));
        }
        verifier
    };
    let sizes = [1, 255, 256, 257, 300, 511, 512, 1_024, 1_100];
    assert_eq!(walk(sizes.map(signed).to_vec()).finish_at(signed(1_100)).unwrap().count, 1_100);
    for size in sizes {
        let forged = Checkpoint { root: [7; 32], ..signed(size) };
        let flaw = walk(vec![forged]).finish_at(signed(1_100)).unwrap_err();
        assert_eq!(flaw, Flaw::Root { first: 0, last: size as u64 - 1 });
    }
    let added = walk(Vec::new()).finish_at(signed(1_000)).unwrap_err();
    assert_eq!(added, Flaw::Added { first: 1_000, last: 1_099 });
    let cut = walk(Vec::new()).finish_at(Checkpoint { size: 1_101, ..signed(1_100) }).unwrap_err();
    assert_eq!(cut, Flaw::Cut { missing: 1, size: 1_100, signed: 1_101 });
    assert!(cut.to_string().starts_with("1 record is missing"));
}

#[test]
fn the_first_bytes_of_a_record_have_one_spelling_of_its_sequence() {
    let of = |digits: &str| sequence(format!(r#"{{"v":1,"sequence":{digits},"time":"x"}}"#).as_bytes());
    for number in [0, 1, 10, 909, u64::MAX] {
        assert_eq!(of(&number.to_string()), Some(number));
    }
    for digits in ["", "00", "01", "-1", "+1", " 1", "1 ", "1.0", "1e3", "18446744073709551616"] {
        assert_eq!(of(digits), None, "{digits:?}");
    }
    let whole = r#"{"v":1,"sequence":7,"time":"x"}"#;
    assert_eq!(sequence(whole.as_bytes()), Some(7));
    for other in [
        whole.replace("\"v\":1", "\"v\":2"),
        whole.replace("time", "tide"),
        whole.replace('}', "} "),
        whole.replace('x', &"x".repeat(record::RECORD_BYTES_MAX)),
        whole[..22].to_owned() + "}",
        String::new(),
    ] {
        assert_eq!(sequence(other.as_bytes()), None, "{other}");
    }
}

#[test]
fn a_receipt_is_judged_by_the_records_that_it_names_and_by_where_the_log_begins_and_ends() {
    let whole = |receipt| taken(Verifier::new(Vec::new(), vec![receipt]), 0..20).finish();
    let part = |receipt| taken(Verifier::new(Vec::new(), vec![receipt]), 5..20).finish();
    for (first, last) in [(0, 0), (3, 3), (3, 5), (19, 19), (0, 19)] {
        assert_eq!(whole(receipt(first, last)).unwrap().count, 20);
        let other = Receipt { hash: [7; 32], ..receipt(first, last) };
        assert_eq!(whole(other), Err(Flaw::Receipt { sequence: first }));
    }
    assert_eq!(whole(receipt(20, 20)), Err(Flaw::ReceiptBeyond { sequence: 20, last: 19 }));
    assert_eq!(whole(receipt(18, 20)), Err(Flaw::ReceiptBeyond { sequence: 20, last: 19 }));
    assert_eq!(part(receipt(4, 5)), Err(Flaw::ReceiptBefore { sequence: 4, first: 5 }));
    let endless = whole(Receipt { first: 3, last: u64::MAX, hash: [7; 32] });
    assert_eq!(endless, Err(Flaw::ReceiptBeyond { sequence: u64::MAX, last: 19 }), "at no cost");
    let good = part(receipt(5, 19)).unwrap();
    assert_eq!((good.first, good.count, good.root), (5, 15, None));
}

#[test]
fn checkpoints_are_judged_by_their_size_and_the_own_one_like_the_others() {
    let forged = |size| Checkpoint { root: [7; 32], ..checkpoint(size) };
    let kept = Verifier::new(vec![forged(13), checkpoint(5)], Vec::new());
    assert_eq!(taken(kept, 0..20).finish(), Err(Flaw::Root { first: 5, last: 12 }));
    let whole = || taken(Verifier::new(Vec::new(), Vec::new()).awaiting_end(), 0..20);
    assert_eq!(whole().finish_at(checkpoint(20)).unwrap().vouched, 20);
    assert_eq!(whole().finish_at(forged(20)), Err(Flaw::Root { first: 0, last: 19 }));
}

#[test]
fn a_log_whose_first_records_are_archived_goes_on_from_their_tree() {
    let later = |kept, receipts| taken(Verifier::new(kept, receipts).starting_at(tree(8)), 8..20);
    let good = later(vec![checkpoint(8), checkpoint(13)], vec![receipt(8, 8)]).finish().unwrap();
    assert_eq!((good.first, good.count, good.root), (8, 12, Some(tree(20).root())));
    let forged = Checkpoint { root: [7; 32], ..checkpoint(8) };
    assert!(matches!(later(vec![forged], Vec::new()).finish(), Err(Flaw::Root { .. })), "before the first");
    let outside = Flaw::Outside { size: 7, first: 8, last: 19 };
    assert_eq!(later(vec![checkpoint(7)], Vec::new()).finish(), Err(outside));
    let archived = Flaw::ArchivedReceipt { sequence: 7 };
    assert_eq!(later(Vec::new(), vec![receipt(7, 8)]).finish(), Err(archived));
    let unexplained = later(Vec::new(), Vec::new()).accounted().finish();
    assert_eq!(unexplained, Err(Flaw::Unaccounted { last: 7 }));
    assert!(taken(Verifier::new(Vec::new(), Vec::new()).accounted(), 0..3).finish().is_ok());
}

#[test]
fn an_archive_makes_the_signed_root_with_what_follows_it() {
    let archive = |kept| taken(Verifier::new(kept, Vec::new()).starting_at(tree(8)), 8..16);
    let rest = [(2, subtree_hash(&[16, 17, 18, 19].map(leaf)))];
    let own = checkpoint(20);
    let good = archive(vec![checkpoint(8), checkpoint(16), own.clone()]).finish_within(&own, &rest).unwrap();
    assert_eq!((good.first, good.count, good.vouched), (8, 8, 16));
    assert_eq!(archive(Vec::new()).finish_within(&own, &rest).unwrap().vouched, 16);
    for size in [7, 17] {
        let outside = Err(Flaw::Outside { size, first: 8, last: 15 });
        assert_eq!(archive(vec![checkpoint(size)]).finish_within(&own, &rest), outside);
    }
    for (own, rest) in [
        (own.clone(), &[][..]),
        (own.clone(), &[(2, [7; 32])][..]),
        (Checkpoint { size: 21, ..own.clone() }, &rest[..]),
        (Checkpoint { root: [7; 32], ..own }, &rest[..]),
    ] {
        let flaw = archive(Vec::new()).finish_within(&own, rest);
        assert_eq!(flaw, Err(Flaw::Root { first: 8, last: 15 }));
    }
}

#[test]
fn a_record_that_no_checkpoint_vouches_for_is_the_next_one_in_its_one_form() {
    let mut verifier = taken(Verifier::new(Vec::new(), Vec::new()), 0..2);
    assert_eq!(verifier.push(&record(3), leaf(3)), Err(Flaw::Order { expected: 2, found: 3 }));
    let loose = br#"{"v":1,"sequence":2,"time":"x"}"#;
    assert_eq!(verifier.push(loose, leaf_hash(loose)), Err(Flaw::Form { sequence: 2 }));
    // A version before this one may have written what a checkpoint vouches for.
    let loose = |n: u64| format!(r#"{{"v":1,"sequence":{n},"time":"x"}}"#).into_bytes();
    let root = leaf_hash(&loose(0));
    let mut older = Verifier::new(vec![Checkpoint { root, ..checkpoint(1) }], Vec::new());
    older.push(&loose(0), root).unwrap();
    assert_eq!(older.push(&loose(1), leaf_hash(&loose(1))), Err(Flaw::Form { sequence: 1 }));
    assert!(older.finish().is_ok());
    let mut kept = Verifier::new(vec![checkpoint(3)], Vec::new());
    assert_eq!(kept.push(&record(1), leaf(1)), Err(Flaw::Order { expected: 0, found: 1 }));
}
