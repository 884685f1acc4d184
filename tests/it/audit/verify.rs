//! `audit verify`: what it finds in files and exports that somebody changed, and what it says it rests on.

use std::fs;

use redb::{Database, ReadableTable, TableDefinition};
use sealroom::audit::{
    checkpoint::{self, Checkpoint},
    tree::leaf_hash,
    verify::{Flaw, Good, Verifier},
};

use crate::support::{
    binary::stderr,
    log::{grow, log},
};

/// Judges an export's lines as the command does.
fn judge<'a>(lines: impl IntoIterator<Item = &'a [u8]>, checkpoint: &Checkpoint) -> Result<Good, Flaw> {
    let mut verifier = Verifier::new(vec![checkpoint.clone()], Vec::new());
    for line in lines {
        let sequence = verifier.next();
        if let Err(flaw) = verifier.push(line, leaf_hash(line)) {
            return Err(Verifier::check_form(sequence, line).err().unwrap_or(flaw));
        }
    }
    verifier.finish()
}

/// Returns whether a flaw names this record, or a range with it.
fn names(flaw: &Flaw, record: u64) -> bool {
    match *flaw {
        Flaw::Form { sequence }
        | Flaw::Changed { sequence }
        | Flaw::Receipt { sequence }
        | Flaw::ReceiptBeyond { sequence, .. }
        | Flaw::ReceiptBefore { sequence, .. } => sequence == record,
        Flaw::Order { expected, found } => expected == record || found == record,
        Flaw::Subtree { first, last } | Flaw::Root { first, last } => (first..=last).contains(&record),
        Flaw::Added { first, last } => (first..=last).contains(&record),
        Flaw::Cut { .. } => false,
    }
}

#[tokio::test]
async fn every_flipped_byte_of_a_small_export_is_found() {
    let log = log(12).await;
    let size = log.checkpoint.size as usize;
    let lines: Vec<&[u8]> = log.records[..size].iter().map(String::as_bytes).collect();
    assert_eq!(judge(lines.iter().copied(), &log.checkpoint).unwrap().count, size as u64);
    for n in 0..size {
        for at in 0..lines[n].len() {
            let mut changed = lines[n].to_vec();
            changed[at] ^= 1 << (at % 8);
            let damaged = lines.iter().enumerate().map(|(m, line)| if m == n { &changed[..] } else { line });
            let flaw = judge(damaged, &log.checkpoint).unwrap_err();
            assert!(names(&flaw, n as u64), "byte {at} of record {n}: {flaw}");
        }
    }
}

#[tokio::test]
async fn dropped_doubled_swapped_and_cut_lines_are_found() {
    let log = log(1000).await;
    let size = log.checkpoint.size as usize;
    let lines: Vec<&[u8]> = log.records[..size].iter().map(String::as_bytes).collect();
    for n in 0..size {
        let dropped = lines.iter().enumerate().filter(|(m, _)| *m != n).map(|(_, line)| *line);
        match judge(dropped, &log.checkpoint).unwrap_err() {
            // Without its first record nothing shows but that it begins later.
            Flaw::Order { expected, .. } => assert_eq!(expected, n as u64),
            Flaw::Cut { missing, .. } => assert_eq!((n, missing), (size - 1, 1)),
            other => panic!("{n}: {other}"),
        }
        let doubled = lines[..=n].iter().chain(&lines[n..]).copied();
        assert_eq!(
            judge(doubled, &log.checkpoint).unwrap_err(),
            Flaw::Order { expected: n as u64 + 1, found: n as u64 }
        );
        if n + 1 < size {
            let mut swapped = lines.clone();
            swapped.swap(n, n + 1);
            let flaw = judge(swapped, &log.checkpoint).unwrap_err();
            assert!(names(&flaw, n as u64) || names(&flaw, n as u64 + 1), "{n}: {flaw}");
        }
        let signed = size as u64;
        let cut = judge(lines[..n].iter().copied(), &log.checkpoint).unwrap_err();
        assert_eq!(cut, Flaw::Cut { missing: signed - n as u64, size: n as u64, signed });
    }
}

#[tokio::test]
async fn a_changed_byte_of_a_vault_file_is_found_and_its_record_named() {
    let log = log(20).await;
    let good = fs::read(log.folder.path().join("v.redb")).unwrap();
    assert!(log.said(&["v.redb"]).starts_with("ok: "));
    for n in (0..log.records.len()).step_by(3) {
        let record = log.records[n].as_bytes();
        // Pages that are not in use any more may hold it too.
        let places: Vec<usize> =
            (0..good.len() - record.len()).filter(|place| good[*place..].starts_with(record)).collect();
        for at in [0, 5, 20, record.len() / 2, record.len() - 1, record.len() + 3] {
            let mut found = 0;
            for place in &places {
                let mut changed = good.clone();
                changed[place + at] ^= 1;
                fs::write(log.folder.path().join("copy.redb"), &changed).unwrap();
                let output = log.verify(&["copy.redb"]);
                let is_named = stderr(&output).contains(&format!("record {n} was changed"));
                let is_told = output.status.code() == Some(1) && is_named;
                assert!(is_told || output.status.success(), "byte {at} of {n}: {}", stderr(&output));
                found += u32::from(is_told);
                let after = fs::read(log.folder.path().join("copy.redb")).unwrap();
                assert_eq!(after, changed, "nothing is written");
            }
            assert_eq!(found, 1, "byte {at} of {n}: {places:?}");
        }
    }
    // Bytes of no record, all over the file: never a panic, never believed unless they mean nothing.
    for at in (0..good.len()).step_by(good.len() / 60) {
        let mut changed = good.clone();
        changed[at] ^= 0x10;
        fs::write(log.folder.path().join("copy.redb"), &changed).unwrap();
        let output = log.verify(&["copy.redb"]);
        assert!(matches!(output.status.code(), Some(0 | 1)), "byte {at}: {:?}", output.status);
        assert!(!stderr(&output).contains("panic"), "byte {at}: {}", stderr(&output));
    }
}

/// Somebody with redb at hand rewrites rows: every page then has the checksum that it should have.
#[tokio::test]
async fn what_was_rewritten_under_fitting_page_checksums_is_found_and_named() {
    const AUDIT: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("audit");
    const HASHES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("hashes");
    type Audit<'a> = redb::Table<'a, u64, &'static [u8]>;
    let log = log(300).await;
    let folder = log.folder.path();
    let size = log.records.len() as u64 + 1;
    let row = |table: &Audit<'_>, n: u64| table.get(n).unwrap().unwrap().value().to_vec();
    let forged = |edit: &dyn Fn(&mut Audit<'_>)| {
        fs::copy(folder.join("v.redb"), folder.join("forged.redb")).unwrap();
        let database = Database::create(folder.join("forged.redb")).unwrap();
        let txn = database.begin_write().unwrap();
        edit(&mut txn.open_table(AUDIT).unwrap());
        txn.commit().unwrap();
        drop(database);
        log.said(&["forged.redb", "--key", "key"])
    };
    let changed = |n: u64, fitting: bool| {
        forged(&|table| {
            let mut row = row(table, n);
            let end = row.len() - 8;
            row[end - 20] ^= 1;
            if fitting {
                let check = leaf_hash(&row[..end]);
                row[end..].copy_from_slice(&check[..8]);
            }
            table.insert(n, row.as_slice()).unwrap();
        })
    };
    let removed = |n: u64| forged(&|table| drop(table.remove(n).unwrap()));
    let added = forged(&|table| {
        let last = String::from_utf8_lossy(&row(table, size - 1)).into_owned();
        let (record, _) = last.rsplit_once('}').unwrap();
        let record = record.replacen(&format!("{}", size - 1), &size.to_string(), 1) + "}";
        let row = [record.as_bytes(), &leaf_hash(record.as_bytes())[..8]].concat();
        table.insert(size, row.as_slice()).unwrap();
    });
    let swapped = forged(&|table| {
        let (one, other) = (row(table, 100), row(table, 200));
        table.insert(100, other.as_slice()).unwrap();
        table.insert(200, one.as_slice()).unwrap();
    });
    for (said, wanted) in [
        (forged(&|_| {}), format!("ok: {size} records")),
        (changed(0, false), "record 0 was changed".to_owned()),
        (changed(200, false), "record 200 was changed".to_owned()),
        (
            changed(200, true),
            "records 0 to 255 was changed: together they do not make their stored".to_owned(),
        ),
        (
            changed(290, true),
            format!("records 0 to {} was changed: together they do not make the signed", size - 1),
        ),
        (removed(0), "record 0 is missing: 1 stands in its place".to_owned()),
        (removed(200), "record 200 is missing: 201 stands in its place".to_owned()),
        (removed(size - 1), "1 record is missing at the end".to_owned()),
        (swapped, "record 100 is missing: 200 stands in its place".to_owned()),
        (added, format!("the records {size} to {size} were added")),
    ] {
        assert!(said.contains(&wanted), "wanted {wanted}: {said}");
    }
    let database = Database::create(folder.join("forged.redb")).unwrap();
    let txn = database.begin_write().unwrap();
    let key = [&[8], 0_u64.to_be_bytes().as_slice()].concat();
    txn.open_table(HASHES).unwrap().insert(key.as_slice(), [7; 32].as_slice()).unwrap();
    txn.commit().unwrap();
    drop(database);
    let said = log.said(&["forged.redb", "--key", "key"]);
    assert!(said.contains("records 0 to 255 was changed: together they do not make their stored"), "{said}");
}

#[tokio::test]
async fn what_follows_a_checkpoint_is_not_vouched_for_and_must_still_be_a_record() {
    let log = log(3).await;
    let folder = log.folder.path();
    let (export, size) = (fs::read_to_string(folder.join("export")).unwrap(), log.records.len());
    let honest = log.said(&["export", "--key", "key", "--checkpoint", "note"]);
    let vouched = log.checkpoint.size;
    assert_eq!(vouched, size as u64 - 1, "the export's own event is the one after it");
    let newer = format!("newer than the checkpoint, so not proven by it: record {vouched}\n");
    assert!(honest.contains(&newer), "{honest}");
    let forged =
        format!("{export}{{\"v\":1,\"sequence\":{size},\"time\":\"forged: the owner approved this\"}}\n");
    fs::write(folder.join("forged"), forged).unwrap();
    for args in [&["forged", "--key", "key", "--checkpoint", "note"][..], &["forged"]] {
        let said = log.said(args);
        assert!(said.contains(&format!("record {size} is damaged")), "{said}");
    }
    // A record of the right form, put behind the end of a vault file with the hash that belongs to it.
    let mut verifier = Verifier::new(Vec::new(), Vec::new()).awaiting_end();
    for line in &log.records {
        verifier.push(line.as_bytes(), leaf_hash(line.as_bytes())).unwrap();
    }
    let added = verifier.finish_at(log.checkpoint.clone()).unwrap_err();
    assert_eq!(added, Flaw::Added { first: vouched, last: size as u64 - 1 });
}

#[tokio::test]
async fn an_older_copy_of_the_file_is_caught_by_a_newer_checkpoint_or_by_one_receipt() {
    let log = log(3).await;
    let folder = log.folder.path();
    fs::copy(folder.join("v.redb"), folder.join("yesterday.redb")).unwrap();
    grow(folder, 5).await;
    assert!(
        log.said(&["v.redb", "--key", "key", "--checkpoint", "note", "--receipts", "build.log"])
            .contains("ok: ")
    );
    let alone = log.said(&["yesterday.redb", "--key", "key"]);
    assert!(
        alone.starts_with("ok: ") && alone.contains("an older copy of the whole file would pass too"),
        "{alone}"
    );
    let (now, then) = (fs::read_to_string(folder.join("note")).unwrap(), log.records.len() + 1);
    let missing = checkpoint::read_unsigned(&now).unwrap().size as usize - then;
    let caught = log.said(&["yesterday.redb", "--key", "key", "--checkpoint", "note"]);
    assert!(caught.contains(&format!("{missing} records are missing at the end")), "{caught}");
    let one = Flaw::Cut { missing: 1, size: 4, signed: 5 }.to_string();
    assert!(one.starts_with("1 record is missing at the end"), "{one}");
    let caught = log.said(&["yesterday.redb", "--key", "key", "--receipts", "build.log"]);
    assert!(caught.contains("is beyond the end of this log: its last record is"), "{caught}");
}

/// The story: a build's receipt for a read after the export was called a record that does not fit.
#[tokio::test]
async fn a_receipt_outside_a_copy_of_the_log_never_passes_and_never_sounds_like_tampering() {
    let log = log(4).await;
    let folder = log.folder.path();
    let lines: Vec<&str> = log.records.iter().map(String::as_str).collect();
    let receipts = fs::read_to_string(folder.join("build.log")).unwrap();
    let sequences: Vec<usize> = receipts
        .lines()
        .filter_map(|line| line.split_once("audit-receipt: ")?.1.split(':').next()?.parse().ok())
        .collect();
    let (first, last) = (sequences[0], *sequences.last().unwrap());
    for (part, said, hint) in [
        (
            &lines[..last],
            format!("record {last} is beyond the end of this log: its last record is {}", last - 1),
            "newer copy",
        ),
        (&lines[..=first], format!("record {} is beyond the end", first + 1), "newer copy"),
        (
            &lines[first + 1..],
            format!("record {first} is before the first record of this log, {}", first + 1),
            "begins earlier",
        ),
        (&lines[last..], format!("record {first} is before the first record"), "begins earlier"),
    ] {
        fs::write(folder.join("part"), part.join("\n") + "\n").unwrap();
        let output = log.verify(&["part", "--receipts", "build.log"]);
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(&said) && told.contains(hint), "{told}");
        assert!(!told.contains("does not fit") && !told.contains("changed"), "{told}");
    }
    // Another record in its place is a flaw of the log, or a forged receipt.
    let forged =
        receipts.replace(&format!("audit-receipt: {first}:"), &format!("audit-receipt: {}:", first - 1));
    fs::write(folder.join("forged.log"), forged).unwrap();
    assert!(log.said(&["export", "--receipts", "forged.log"]).contains("does not fit the log"));
}
