//! Records of the audit log: one alone, a log of them line by line, archives, and the raw bytes of a damaged file.

use super::{MARK, assert_silent};
use crate::{
    api::strict,
    audit::{
        archive::Header,
        receipt, record,
        salvage::first_damaged,
        transport,
        tree::{Frontier, leaf_hash},
        verify::{self, Verifier},
    },
};

pub fn run(input: &[u8]) {
    one(input);
    log(input);
    if let Ok(header) = Header::read(input) {
        let line = header.to_line();
        assert_eq!(Header::read(line.as_bytes()).as_ref(), Ok(&header), "a header changes");
    }
    if let Ok(text) = std::str::from_utf8(input) {
        for receipt in receipt::find_in(text) {
            assert!(receipt.first <= receipt.last);
        }
    }
    first_damaged(input).expect("reading memory cannot fail");
    for damage in [transport::of_export(input), transport::of_line(input)].into_iter().flatten() {
        assert_silent(damage);
        assert_silent(damage.remedy());
    }
}

fn one(bytes: &[u8]) {
    let leaf = leaf_hash(bytes);
    let mut row = Vec::new();
    match record::decode(bytes) {
        Ok(record) => {
            assert_eq!(verify::sequence(bytes), Some(record.sequence));
            assert_eq!(Verifier::check_form(record.sequence, bytes), Ok(()));
            assert!(
                Verifier::check_form(record.sequence ^ 1, bytes).is_err(),
                "it stands in another's place"
            );
            let shown = record::to_api_json(bytes, &leaf);
            strict::check(shown.as_bytes()).expect("a shown record is JSON");
            record::write_csv(bytes, &mut row).expect("a record is a row");
            // No field begins as a formula of a spreadsheet.
            let cells = csv::ReaderBuilder::new().has_headers(false).from_reader(&row[..]).into_records();
            for cell in
                cells.flatten().flat_map(|row| row.iter().map(ToOwned::to_owned).collect::<Vec<String>>())
            {
                assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell:?}");
            }
        }
        Err(error) => {
            assert_silent(error);
            let _ = record::write_csv(bytes, &mut row);
        }
    }
}

fn log(bytes: &[u8]) {
    let mut verifier = Verifier::new(Vec::new(), Vec::new());
    let mut tree = Frontier::EMPTY;
    for line in bytes.split(|byte| *byte == b'\n') {
        let leaf = leaf_hash(line);
        if let Err(flaw) = verifier.push(line, leaf) {
            assert_silent(flaw);
            return;
        }
        tree.push(leaf);
        assert!(record::decode(line).is_ok(), "a log holds what is no record");
    }
    match verifier.finish() {
        Ok(good) => {
            assert!(good.first > 0 || good.root == Some(tree.root()), "another root");
            assert_eq!(good.vouched, good.first, "nothing vouches for it");
        }
        Err(flaw) => assert!(!flaw.to_string().contains(MARK)),
    }
}
