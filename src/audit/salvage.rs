//! Salvage: the records that a damaged file still shows.

use std::{
    collections::BTreeMap,
    io::{self, Read},
};

use super::{record::RECORD_BYTES_MAX, tree::leaf_hash, verify::START};

/// The bytes searched in one piece.
const PIECE: usize = 1 << 20;
/// The longest record, and the hash beside it.
const ROW_BYTES_MAX: usize = RECORD_BYTES_MAX + 8;

/// The first sequence whose record is damaged, or that is nowhere before the last one found.
///
/// Pages that do not hold together are nothing to walk; records can be told by how they begin, in a file's raw bytes,
/// each judged by the hash beside it.
pub fn first_damaged(mut file: impl Read) -> io::Result<Option<u64>> {
    let (mut found, mut piece) = (Found::default(), Vec::new());
    loop {
        let held = piece.len();
        let read = file.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
        // A record that begins too near to the piece's end is read with the next piece.
        let end = if read == 0 { held } else { piece.len().saturating_sub(ROW_BYTES_MAX + START.len()) };
        found.look_at(&piece, end);
        if read == 0 {
            return Ok(found.first_damaged());
        }
        piece.drain(..end);
    }
}

#[derive(Default)]
struct Found {
    /// A bit for each sequence, by its 64th part.
    good: BTreeMap<u64, u64>,
    damaged: Option<u64>,
}

impl Found {
    /// Looks at the records that begin before `end`.
    fn look_at(&mut self, bytes: &[u8], end: usize) {
        let mut at = 0;
        while let Some(start) = find(&bytes[at..]).map(|found| at + found).filter(|start| *start < end) {
            let row = &bytes[start..bytes.len().min(start + ROW_BYTES_MAX)];
            let digits = row[START.len()..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            let number = std::str::from_utf8(&row[START.len()..START.len() + digits]).ok();
            if let Some(sequence) = number.and_then(|number| number.parse::<u64>().ok()) {
                self.record(sequence, is_intact(row));
            }
            at = start + START.len();
        }
    }

    fn record(&mut self, sequence: u64, is_intact: bool) {
        if is_intact {
            *self.good.entry(sequence / 64).or_default() |= 1 << (sequence % 64);
        } else {
            self.damaged = Some(self.damaged.map_or(sequence, |first| first.min(sequence)));
        }
    }

    fn first_damaged(&self) -> Option<u64> {
        let is_missing = |sequence: &u64| {
            self.good.get(&(sequence / 64)).is_none_or(|bits| bits & (1 << (sequence % 64)) == 0)
        };
        let last = self.good.last_key_value().map(|(word, bits)| word * 64 + u64::from(bits.ilog2()));
        let missing = (0..last.unwrap_or(0)).find(is_missing);
        self.damaged.into_iter().chain(missing).min()
    }
}

/// Returns whether a record with its hash begins here.
fn is_intact(row: &[u8]) -> bool {
    let ends = row.iter().enumerate().filter(|(_, byte)| **byte == b'}').map(|(at, _)| at + 1);
    ends.into_iter()
        .any(|end| row.get(end..end + 8).is_some_and(|check| leaf_hash(&row[..end])[..8] == *check))
}

/// Finds the beginning of a record, even with one wrong byte: an unused page may hold the same record whole.
fn find(within: &[u8]) -> Option<usize> {
    let wrong = |bytes: &[u8]| bytes.iter().zip(START).filter(|(is, should)| is != should).count();
    // One of its first two bytes is right, which rules out most places.
    let begins = |bytes: &[u8]| (bytes[0] == START[0] || bytes[1] == START[1]) && wrong(bytes) < 2;
    within.windows(START.len()).position(begins)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(sequence: u64) -> Vec<u8> {
        let record = [START, format!(r#"{sequence},"x":"{}"}}"#, "y".repeat(300)).as_bytes()].concat();
        [&record[..], &leaf_hash(&record)[..8]].concat()
    }

    #[test]
    fn a_damaged_or_missing_record_is_found_wherever_a_piece_ends() {
        let rows: Vec<Vec<u8>> = (0..4_000).map(row).collect();
        assert_eq!(first_damaged(&rows.concat()[..]).unwrap(), None);
        for sequence in (0..rows.len()).step_by(997).chain(3_090..3_110) {
            let mut changed = rows.clone();
            changed[sequence][40] ^= 1;
            assert_eq!(first_damaged(&changed.concat()[..]).unwrap(), Some(sequence as u64));
            changed.remove(sequence);
            assert_eq!(first_damaged(&changed.concat()[..]).unwrap(), Some(sequence as u64));
        }
    }

    #[test]
    fn a_record_whose_beginning_is_damaged_is_found_also_beside_an_older_copy() {
        let rows = [row(0), row(1), row(2)];
        for at in 0..START.len() {
            let mut changed = rows[2].clone();
            changed[at] ^= 1;
            let file = [&rows.concat()[..], &changed].concat();
            assert_eq!(first_damaged(&file[..]).unwrap(), Some(2), "byte {at}");
        }
    }

    #[test]
    fn a_sequence_beyond_all_others_costs_nothing() {
        let rows = [row(0), row(u64::MAX)].concat();
        assert_eq!(first_damaged(&rows[..]).unwrap(), Some(1));
    }
}
