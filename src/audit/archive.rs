//! The archive: a file of old records that proves them, after the vault file has let them go.
//!
//! ```text
//! {"archive":1,"origin":…,"first":…,"end":…,"frontier":[…],"rest":[[level,hash],…],"checkpoint":…,"key":…}
//! one record a line, byte for byte, from `first` up to `end`
//! ```
//!
//! `frontier` holds the complete subtrees of the records before `first`, largest first; `rest` those from `end` up to
//! the size that `checkpoint` signs, each with log2 of its number of leaves. Together with the records they make the
//! signed root. Hashes are base64; `first` and `end` are multiples of 256. Nothing in the header is trusted: a wrong
//! hash makes another root.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::{
    checkpoint::{self, VerifierKey},
    tree::{Frontier, Hash},
};

/// The bytes that begin every archive.
pub const START: &[u8] = br#"{"archive":"#;
/// The longest header: at most 64 subtrees on each side, and a checkpoint.
pub const HEADER_BYTES_MAX: u64 = 128 * 1024;
/// The number of records in a stored subtree, at whose bounds an archive begins and ends.
pub const BLOCK: u64 = 256;

/// The header of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The log that the records are from.
    pub origin: String,
    /// The first record's sequence.
    pub first: u64,
    /// The sequence after the last record.
    pub end: u64,
    /// The tree of the records before the first.
    pub frontier: Frontier,
    /// The subtrees after the last record, in order: level and hash.
    pub rest: Vec<(u32, Hash)>,
    /// A signed checkpoint over all of it.
    pub checkpoint: String,
    /// The key that the file names for it.
    pub key: VerifierKey,
}

/// The header is not one of an archive, or contradicts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not the header of an archive")]
pub struct BadHeader;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    archive: u32,
    origin: String,
    first: u64,
    end: u64,
    frontier: Vec<String>,
    rest: Vec<(u32, String)>,
    checkpoint: String,
    key: String,
}

/// Returns the levels of the complete subtrees from `from` to `to`, in order: each as large as its place allows.
pub fn levels(from: u64, to: u64) -> Vec<u32> {
    let (mut at, mut levels) = (from, Vec::new());
    while at < to {
        let level = at.trailing_zeros().min((to - at).ilog2());
        levels.push(level);
        at += 1 << level;
    }
    levels
}

impl Header {
    /// Returns the header's line, with its line end.
    pub fn to_line(&self) -> String {
        let text = |hash: &Hash| STANDARD.encode(hash);
        let line = Line {
            archive: 1,
            origin: self.origin.clone(),
            first: self.first,
            end: self.end,
            frontier: self.frontier.to_parts().1.iter().map(text).collect(),
            rest: self.rest.iter().map(|(level, hash)| (*level, text(hash))).collect(),
            checkpoint: self.checkpoint.clone(),
            key: self.key.to_string(),
        };
        serde_json::to_string(&line).expect("plain text and numbers are JSON") + "\n"
    }

    /// Reads the line that [`Header::to_line`] made.
    ///
    /// # Errors
    /// It has not the form, or its parts do not fit one another.
    pub fn read(line: &[u8]) -> Result<Self, BadHeader> {
        let line: Line = serde_json::from_slice(line).map_err(|_| BadHeader)?;
        let hash = |text: &String| STANDARD.decode(text).ok()?.try_into().ok();
        let nodes = line.frontier.iter().map(hash).collect::<Option<Vec<Hash>>>().ok_or(BadHeader)?;
        let rest = line.rest.iter().map(|(level, text)| Some((*level, hash(text)?)));
        let rest = rest.collect::<Option<Vec<(u32, Hash)>>>().ok_or(BadHeader)?;
        let signed = checkpoint::read_unsigned(&line.checkpoint).map_err(|_| BadHeader)?;
        let is_whole = |sequence: u64| sequence.is_multiple_of(BLOCK);
        let is_placed = is_whole(line.first) && is_whole(line.end) && line.first < line.end;
        let found: Vec<u32> = rest.iter().map(|(level, _)| *level).collect();
        if line.archive != 1 || !is_placed || line.end > signed.size || found != levels(line.end, signed.size)
        {
            return Err(BadHeader);
        }
        Ok(Self {
            origin: line.origin,
            first: line.first,
            end: line.end,
            frontier: Frontier::from_parts(line.first, nodes).map_err(|_| BadHeader)?,
            rest,
            checkpoint: line.checkpoint,
            key: line.key.parse().map_err(|_| BadHeader)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{audit::tree::leaf_hash, crypto::sign::LogKey};

    fn tree(size: u64) -> Frontier {
        let mut frontier = Frontier::EMPTY;
        (0..size).for_each(|n| drop(frontier.push(leaf_hash(&n.to_be_bytes()))));
        frontier
    }

    fn header(first: u64, end: u64, size: u64) -> Header {
        let key = LogKey::generate().unwrap();
        let rest = levels(end, size).into_iter().map(|level| (level, [7; 32])).collect();
        Header {
            origin: "sealroom/x".to_owned(),
            first,
            end,
            frontier: tree(first),
            rest,
            checkpoint: checkpoint::note("sealroom/x", size, &tree(size).root(), &[], &[&key]),
            key: VerifierKey::new("sealroom/x", key.public()),
        }
    }

    #[test]
    fn a_header_reads_back_and_one_whose_parts_disagree_is_refused() {
        for (first, end, size) in [(0, 256, 256), (256, 512, 1_000), (768, 1_024, 1_025)] {
            let header = header(first, end, size);
            let line = header.to_line();
            assert!(line.as_bytes().starts_with(START) && line.ends_with('\n'));
            assert_eq!(Header::read(line.as_bytes()), Ok(header.clone()));
            let moved = Header { end: end + 256, ..header.clone() };
            assert_eq!(Header::read(moved.to_line().as_bytes()), Err(BadHeader));
            let odd = Header { first: first + 1, ..header };
            assert_eq!(Header::read(odd.to_line().as_bytes()), Err(BadHeader));
        }
        // Each bound by itself, with parts that fit it.
        for (first, end) in [(1, 256), (257, 512), (0, 300), (256, 256)] {
            assert_eq!(
                Header::read(header(first, end, 1_000).to_line().as_bytes()),
                Err(BadHeader),
                "{first} {end}"
            );
        }
        for text in ["", "{}", "{\"archive\":1}", "null"] {
            assert_eq!(Header::read(text.as_bytes()), Err(BadHeader));
        }
    }

    #[test]
    fn the_subtrees_after_an_end_make_the_tree_of_the_whole() {
        for (from, to) in [(0, 1), (256, 1_000), (512, 512), (256, 769), (1_024, 4_097)] {
            let mut frontier = tree(from);
            let mut at = from;
            for level in levels(from, to) {
                let mut subtree = Frontier::EMPTY;
                (at..at + (1 << level)).for_each(|n| drop(subtree.push(leaf_hash(&n.to_be_bytes()))));
                frontier.push_subtree(level, subtree.root());
                at += 1 << level;
            }
            assert_eq!(frontier, tree(to), "{from} to {to}");
        }
    }
}
