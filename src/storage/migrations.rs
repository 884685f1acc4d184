//! The table of migrations, and the rows of a file within the transaction of one.
//!
//! Each migration brings the file from one format to the next, and each format has a fixture in `tests/fixtures`. The
//! format number is not authenticated: a migration must fail on a row that is not of its format. One that changes the
//! layout of the head or of the log must bring the older reader along, since both are read before it runs.

use std::ops::Bound;

use redb::{ReadableTable, WriteTransaction};

use super::{
    error::{StorageError, engine},
    format::tables::Table,
};
use crate::{
    crypto::{
        digest::StateDigest,
        keys::Keys,
        seal::{self, Context},
    },
    domain::FileId,
};

/// The number of rows that a rewrite holds in memory.
const ROWS_CHUNK: usize = 1024;

/// Brings the rows of a file from one format to the next.
pub type Migration = fn(&mut Migrating<'_>) -> Result<(), StorageError>;

/// Every migration: the first from format 1 to 2, each later one from where the one before ends.
#[derive(Debug, Clone, Copy)]
pub struct Migrations(pub &'static [Migration]);

impl Migrations {
    /// The migrations of this program: format 1 is the newest.
    pub const RELEASED: Self = Self(&[]);

    /// Returns the newest format.
    pub fn newest(self) -> u32 {
        u32::try_from(self.0.len() + 1).expect("a table in the program is short")
    }

    pub(super) fn after(self, format: u32) -> &'static [Migration] {
        let done = usize::try_from(format.saturating_sub(1)).unwrap_or(usize::MAX);
        self.0.get(done..).unwrap_or_default()
    }
}

/// The rows of a file within the transaction that migrates it.
pub struct Migrating<'a> {
    pub(super) txn: &'a WriteTransaction,
    pub(super) keys: &'a Keys,
    pub(super) file: FileId,
    pub(super) digest: StateDigest,
}

impl Migrating<'_> {
    /// Replaces the content of each row of a table, whose rows are sealed under their keys alone; `change` returns the
    /// new content, or `None` for a row that stays.
    ///
    /// # Errors
    /// A row fails authentication, `change` fails, or the engine refuses.
    pub fn rewrite(
        &mut self,
        table: Table,
        mut change: impl FnMut(&[u8], &[u8]) -> Result<Option<Vec<u8>>, StorageError>,
    ) -> Result<(), StorageError> {
        let mut rows = self.txn.open_table(table.definition()).map_err(engine)?;
        let mut after = Bound::Unbounded;
        loop {
            let mut chunk: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
            let range = (after.as_ref().map(Vec::as_slice), Bound::Unbounded);
            for row in rows.range::<&[u8]>(range).map_err(engine)?.take(ROWS_CHUNK) {
                let (key, value) = row.map_err(engine)?;
                chunk.push((key.value().to_vec(), value.value().to_vec()));
            }
            let Some((last, _)) = chunk.last() else { return Ok(()) };
            after = Bound::Excluded(last.clone());
            for (key, before) in &chunk {
                let context = Context::row(table.number(), self.file, key);
                let opened = seal::open(self.keys.row(), &context, before);
                let opened = opened.map_err(|_| StorageError::tampered_row(table.name(), key))?;
                let Some(content) = change(key, opened.expose())? else { continue };
                let sealed = seal::seal(self.keys.row(), &context, &content);
                let sealed = sealed.map_err(|_| StorageError::Random)?;
                if table.is_state() {
                    self.digest.remove(self.keys.state().row(table.number(), key, before));
                    self.digest.add(self.keys.state().row(table.number(), key, &sealed));
                }
                rows.insert(key.as_slice(), sealed.as_slice()).map_err(engine)?;
            }
        }
    }
}
