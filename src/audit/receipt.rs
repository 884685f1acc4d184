//! Receipts: the proof of a disclosure that its reader keeps (contract §5), written and read only here.
//!
//! ```text
//! audit-receipt: 7:<base64 of leaf hash 7>,8:<base64 of leaf hash 8>
//! audit-receipt: 7-40:<base64 of SHA-256 over the leaf hashes 7 to 40>
//! ```

use std::{fmt::Write, ops::RangeInclusive};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::tree::Hash;
use crate::crypto::digest::sha256;

/// The name of the header.
pub const HEADER: &str = "audit-receipt";
/// The text before the receipts of a line.
pub const LABEL: &str = "audit-receipt:";
/// The header's value as a regular expression: a receipt for each credential, or one for all of them.
pub const PATTERN: &str = "^(?:[0-9]+:[0-9A-Za-z+/]{43}=(?:,[0-9]+:[0-9A-Za-z+/]{43}=)*\
    |[0-9]+-[0-9]+:[0-9A-Za-z+/]{43}=)$";

/// The most receipts of one header; more records share one.
const RECEIPTS_MAX: usize = 16;
/// The bytes of a hash in base64.
const HASH_CHARS: usize = 44;

/// A receipt for one record, or for several that follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The first record.
    pub first: u64,
    /// The last record; the first itself in a receipt for one.
    pub last: u64,
    /// The leaf hash, or SHA-256 over all of their leaf hashes.
    pub hash: Hash,
}

impl Receipt {
    /// Returns whether this is the receipt for these leaf hashes, `first` to `last`.
    pub fn fits(&self, leaves: impl Iterator<Item = Hash>) -> bool {
        let hashes: Vec<Hash> = leaves.collect();
        match &hashes[..] {
            [leaf] if self.first == self.last => *leaf == self.hash,
            hashes => self.first != self.last && sha256(hashes.as_flattened()) == self.hash,
        }
    }

    /// The records that it is for.
    pub const fn records(&self) -> RangeInclusive<u64> {
        self.first..=self.last
    }

    fn parse(text: &str) -> Option<Self> {
        let (sequences, hash) = text.split_once(':')?;
        let (first, last) = sequences.split_once('-').unwrap_or((sequences, sequences));
        let hash = STANDARD.decode(hash).ok()?.try_into().ok()?;
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last).then_some(Self { first, last, hash })
    }
}

/// Writes the header's value for the records of one answer, in their order; `None` where there are none.
pub fn header(records: impl ExactSizeIterator<Item = (u64, Hash)> + Clone) -> Option<String> {
    let ((first, _), (last, _)) = (records.clone().next()?, records.clone().last()?);
    if records.len() > RECEIPTS_MAX {
        let hashes: Vec<Hash> = records.map(|(_, hash)| hash).collect();
        return Some(format!("{first}-{last}:{}", STANDARD.encode(sha256(hashes.as_flattened()))));
    }
    let digits = |sequence: u64| sequence.checked_ilog10().unwrap_or(0) as usize + 1;
    let length: usize = records.clone().map(|(sequence, _)| digits(sequence) + 2 + HASH_CHARS).sum();
    // Its exact length, without a comma before the first: a header's value takes over a full buffer as it is.
    let mut text = String::with_capacity(length - 1);
    for (sequence, hash) in records {
        let comma = if text.is_empty() { "" } else { "," };
        write!(text, "{comma}{sequence}:").expect("writing text to memory cannot fail");
        STANDARD.encode_string(hash, &mut text);
    }
    Some(text)
}

/// Finds the receipts in a line of any text.
pub fn find_in(line: &str) -> Vec<Receipt> {
    let mut found = Vec::new();
    for (at, _) in line.match_indices(LABEL) {
        let rest = line[at + LABEL.len()..].trim_start();
        let is_part = |c: char| c.is_ascii_alphanumeric() || "+/=:,-".contains(c);
        let value = &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())];
        found.extend(value.split(',').filter_map(Receipt::parse));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_reads_back_as_it_was_written_and_fits_its_own_records_alone() {
        let leaf = |n: u64| [u8::try_from(n).unwrap(); 32];
        for count in [1, 2, 16, 17, 40] {
            let records: Vec<(u64, Hash)> = (7..7 + count).map(|n| (n, leaf(n))).collect();
            let value = header(records.iter().copied()).unwrap();
            assert!(value.starts_with('7'), "{value}");
            let line = format!("< {HEADER}: {value}\r\n");
            let receipts = find_in(&line);
            assert_eq!(receipts.len(), if count > 16 { 1 } else { records.len() }, "{line}");
            assert_eq!(receipts.iter().flat_map(Receipt::records).collect::<Vec<_>>().len(), records.len());
            for receipt in &receipts {
                assert!(receipt.fits(receipt.records().map(leaf)), "{line}");
                assert!(!receipt.fits(receipt.records().map(|n| leaf(n + 1))), "{line}");
                assert!(!receipt.fits(receipt.records().skip(1).map(leaf)), "{line}");
            }
        }
        assert_eq!(header([].into_iter()), None);
        let of_none = Receipt { first: 7, last: 7, hash: sha256(&[]) };
        assert!(!of_none.fits([].into_iter()), "a record that is not there");
        for wrong in ["7", "7:", "7:AAA", "8-7:AAAA", "x:AAAA", "-1:AAAA"] {
            let hash = format!("{}=", "A".repeat(43));
            assert_eq!(find_in(&format!("{LABEL} {}", wrong.replace("AAAA", &hash))).len(), 0, "{wrong}");
        }
    }
}
