//! The records after a backup, from several sources of one log: read in order, compared where they overlap, and proven
//! by the checkpoints that are at hand.

use std::collections::BTreeMap;

use crate::{
    audit::{
        archive::BLOCK,
        taken_away::TakenAway,
        tree::{Frontier, Hash, leaf_hash},
    },
    cli::error::CliError,
    storage::{StorageError, Store},
};

/// The most records after the last full block.
const BLOCK_RECORDS: usize = 256;
/// The bytes of a leaf hash that tell two records apart.
const LEAF_BYTES: usize = 16;
/// The hint for a source that lacks records.
pub(super) const WHOLE: &str = "export the whole log, without filters, with `sealroom audit export`, or pass --since once \
                                for each archive too";

/// A signed size and root, and what signs it.
pub(super) struct Signed {
    pub(super) root: Hash,
    pub(super) by: String,
    /// Holds what contradicts the checkpoint to be of another log; else a warning says so.
    pub(super) is_binding: bool,
}

/// The records after a backup.
pub(super) struct Later<'a> {
    backup: &'a Store,
    /// The number of records in the backup.
    size: u64,
    /// The sequence of the next record.
    pub(super) next: u64,
    pub(super) taken: TakenAway,
    /// The tree up to `next`; `None` from where records are missing.
    tree: Option<Frontier>,
    /// The first bytes of the leaf hashes of the newest records, from sequence `compared` on.
    leaves: Vec<[u8; LEAF_BYTES]>,
    compared: u64,
    signed: BTreeMap<u64, Signed>,
    /// The size up to which a checkpoint proves the records, and its name.
    pub(super) proven: Option<(u64, String)>,
    pub(super) contradicted: Vec<String>,
}

impl<'a> Later<'a> {
    /// Begins after the backup's last record.
    ///
    /// # Errors
    /// The backup's log cannot be read.
    pub(super) fn after(
        backup: &'a Store,
        size: u64,
        signed: BTreeMap<u64, Signed>,
    ) -> Result<Self, StorageError> {
        let mut tree = backup.frontier(size - size % BLOCK)?;
        for (_, record) in backup.records(tree.size(), BLOCK_RECORDS)?.iter().filter(|(at, _)| *at < size) {
            drop(tree.push(leaf_hash(record)));
        }
        let tree = Some(tree).filter(|tree| tree.size() == size);
        let (taken, leaves, contradicted) = (TakenAway::default(), Vec::new(), Vec::new());
        let (next, compared, proven) = (size, size, None);
        Ok(Self { backup, size, next, taken, tree, leaves, compared, signed, proven, contradicted })
    }

    /// Takes a record in: one that is known already has to be the same.
    ///
    /// # Errors
    /// It is another one, records before it are missing, or a binding checkpoint contradicts it.
    pub(super) fn accept(&mut self, source: &str, sequence: u64, record: &[u8]) -> Result<(), CliError> {
        let failed = |told: String, hint: &str| Err(CliError::failed(format!("{source}: {told}"), hint));
        if sequence < self.size {
            let own = self
                .backup
                .records(sequence, 1)
                .map_err(|error| CliError::failed(format!("the backup: {error}"), "use another backup"))?;
            return match own.first() {
                Some((at, own)) if *at == sequence && own != record => failed(
                    format!("its record {sequence} is not the backup's: it is of another vault or history"),
                    "pass an export of the vault that the backup is of",
                ),
                _ => Ok(()),
            };
        }
        let leaf = leaf_hash(record);
        let short = *leaf.first_chunk::<LEAF_BYTES>().expect("a hash has 32 bytes");
        if sequence < self.next {
            let at = sequence.checked_sub(self.compared).and_then(|at| usize::try_from(at).ok());
            let known = at.and_then(|at| self.leaves.get(at));
            return match known {
                Some(known) if *known != short => failed(
                    format!(
                        "its record {sequence} is not that of the other sources: one is of another history"
                    ),
                    "pass the sources of one history",
                ),
                _ => Ok(()),
            };
        }
        if sequence > self.next {
            return failed(format!("record {} is missing", self.next), WHOLE);
        }
        if self.taken.add(record).is_err() {
            return failed(format!("record {sequence} is damaged"), WHOLE);
        }
        self.next += 1;
        self.leaves.push(short);
        if let Some(tree) = &mut self.tree {
            drop(tree.push(leaf));
        }
        self.judge(source)
    }

    /// Goes on after archived records that no source shows.
    pub(super) fn skip_to(&mut self, sequence: u64) {
        self.taken.archived = Some((self.next, sequence - 1));
        self.tree = None;
        self.leaves.clear();
        (self.next, self.compared) = (sequence, sequence);
    }

    /// Compares the tree with the checkpoint of its size, if there is one.
    fn judge(&mut self, source: &str) -> Result<(), CliError> {
        let (Some(tree), Some(signed)) = (&self.tree, self.signed.get(&self.next)) else { return Ok(()) };
        if tree.root() == signed.root {
            self.proven = Some((self.next, signed.by.clone()));
            return Ok(());
        }
        let told = format!("the records up to {} are not those that {} signs", self.next - 1, signed.by);
        if signed.is_binding {
            let hint = "the source was changed, or is of another history: pass another one";
            return Err(CliError::failed(format!("{source}: {told}"), hint));
        }
        self.contradicted.push(told);
        Ok(())
    }
}
