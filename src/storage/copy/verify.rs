//! The check of a finished copy: every row opens, every index entry agrees, the state has the head's digest, and the
//! tree is recomputed from the records.
//!
//! Rows are read without a key in hand, and opened a chunk at a time.

use super::{
    chunk::{Row as Raw, Source},
    error::CopyError,
    steps::Steps,
};
use crate::{
    audit::tree::{Frontier, leaf_hash},
    crypto::{
        digest::StateDigest,
        keys::Keys,
        seal::{self, Context},
    },
    disk::Medium,
    domain::{ApplicationToken, FileId, Integration, Project, SessionRow, User},
    storage::{
        commit::changes::Scoping,
        engine::Engine,
        error::StorageError,
        format::{
            codec::Row,
            head::Head,
            last_access::LastAccess,
            tables::{Table, credential_key, meta},
        },
        read::{integrity, snapshot::Snapshot},
    },
};

/// The page cache of the check.
const CACHE_BYTES: usize = 4 << 20;
/// The most records in memory.
const RECORDS_CHUNK: usize = 1024;

/// The keys of the copy.
pub(super) enum KeysOf<'a> {
    /// The source's: in hand only for the length of a call.
    Source(&'a Source),
    /// Those that the copy was sealed anew with.
    New(&'a Keys),
}

impl KeysOf<'_> {
    fn with<T>(&self, with: impl FnOnce(&Keys) -> Result<T, StorageError>) -> Result<T, CopyError> {
        match self {
            Self::Source(source) => with(&source.state()?.keys),
            Self::New(keys) => with(keys),
        }
        .map_err(CopyError::unverified)
    }
}

/// Opens a copy and verifies all of it against the head that it must have; returns the number of its records. Writes
/// nothing to it.
pub(super) fn copy(
    medium: &Medium,
    file: FileId,
    keys: &KeysOf<'_>,
    head: &[u8],
    steps: &mut Steps<'_, '_>,
) -> Result<u64, CopyError> {
    let engine = Engine::open(medium.clone(), CACHE_BYTES).map_err(CopyError::unverified)?;
    let snapshot = engine.snapshot().map_err(CopyError::unverified)?;
    let sealed = snapshot.required_meta(meta::HEAD).map_err(CopyError::unverified)?;
    if sealed != head {
        return Err(disagrees("meta", meta::HEAD));
    }
    let head = keys.with(|keys| Head::open(&sealed, keys, file))?;
    integrity::check_meta(&snapshot, &head, file).map_err(CopyError::unverified)?;
    let mut check =
        Check { snapshot, file, keys, digest: StateDigest::ZERO, counts: Counts::default(), steps };
    for table in Table::STATE.into_iter().chain([Table::LastAccess]) {
        check.table(table)?;
    }
    check.counts.agree()?;
    if check.digest != head.state {
        return Err(disagrees("meta", "state digest"));
    }
    check.log(&head)?;
    Ok(head.frontier.size())
}

fn disagrees(table: &'static str, key: impl Into<String>) -> CopyError {
    CopyError::unverified(StorageError::tampered(table, key))
}

/// The entries that rows demand of other tables, and those found there.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    credentials: (u64, u64),
    scopes: (u64, u64),
    tokens: (u64, u64),
}

impl Counts {
    fn agree(&self) -> Result<(), CopyError> {
        for (table, (named, held)) in
            [("credentials", self.credentials), ("scopes", self.scopes), ("token_ids", self.tokens)]
        {
            if named != held {
                return Err(disagrees(table, format!("{held} of {named} rows")));
            }
        }
        Ok(())
    }
}

struct Check<'a, 'b, 'c> {
    snapshot: Snapshot,
    file: FileId,
    keys: &'a KeysOf<'a>,
    digest: StateDigest,
    counts: Counts,
    steps: &'a mut Steps<'b, 'c>,
}

impl Check<'_, '_, '_> {
    fn table(&mut self, table: Table) -> Result<(), CopyError> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let (rows, has_more) = self.snapshot.chunk(table, after.as_deref())?;
            after = rows.last().map(|(key, _)| key.clone());
            if table.is_state() {
                let tag = |keys: &Keys, (key, value): &Raw| keys.state().row(table.number(), key, value);
                let tags =
                    self.keys.with(|keys| Ok(rows.iter().map(|row| tag(keys, row)).collect::<Vec<_>>()))?;
                tags.into_iter().for_each(|tag| self.digest.add(tag));
            }
            self.open(table, &rows)?;
            self.steps.advance(rows.len())?;
            if !has_more {
                return Ok(());
            }
        }
    }

    fn open(&mut self, table: Table, rows: &[Raw]) -> Result<(), CopyError> {
        let count = rows.len() as u64;
        match table {
            Table::Users => drop(self.opened::<User>(rows)?),
            Table::Sessions => drop(self.opened::<SessionRow>(rows)?),
            Table::Projects => drop(self.opened::<Project>(rows)?),
            Table::LastAccess => drop(self.opened::<LastAccess>(rows)?),
            Table::Integrations => {
                let integrations = self.opened::<Integration>(rows)?;
                integrations.iter().try_for_each(|one| self.integration(one))?;
            }
            Table::Tokens => {
                for token in self.opened::<ApplicationToken>(rows)? {
                    let named = self.read(Table::TokenIds, token.id.as_bytes())?;
                    if named.as_deref() != Some(&token.digest.0[..]) {
                        return Err(disagrees(Table::TokenIds.name(), token.id.to_string()));
                    }
                }
                self.counts.tokens.0 += count;
            }
            Table::TokenIds => self.counts.tokens.1 += count,
            Table::Credentials => self.counts.credentials.1 += count,
            Table::Scopes => self.counts.scopes.1 += count,
            Table::Meta => {}
        }
        Ok(())
    }

    fn opened<R: Row>(&self, rows: &[Raw]) -> Result<Vec<R>, CopyError> {
        let open = |keys: &Keys, (key, sealed): &Raw| {
            let context = Context::row(R::TABLE.number(), self.file, key);
            let opened = seal::open(keys.row(), &context, sealed).ok();
            let row = opened.and_then(|plain| R::from_bytes(key, plain.expose()));
            row.ok_or_else(|| StorageError::tampered_row(R::TABLE.name(), key))
        };
        self.keys.with(|keys| rows.iter().map(|row| open(keys, row)).collect())
    }

    /// Opens every kept credential of an integration, and finds every entry of the index that leads to it.
    fn integration(&mut self, integration: &Integration) -> Result<(), CopyError> {
        for kept in &integration.kept {
            let key = credential_key(integration.id, kept.revision);
            let bad = || StorageError::tampered_row(Table::Credentials.name(), &key);
            let sealed = self.read(Table::Credentials, &key)?.ok_or_else(|| CopyError::unverified(bad()))?;
            let Integration { id, provider, auth_type, .. } = *integration;
            let number = Table::Credentials.number();
            let context = Context::credential(number, self.file, id, kept.revision, provider, auth_type);
            self.keys.with(|keys| seal::open(keys.row(), &context, &sealed).map(drop).map_err(|_| bad()))?;
            self.counts.credentials.0 += 1;
        }
        let entries = self.keys.with(|keys| Ok(Scoping::of(integration).keys(keys.state())))?;
        for entry in entries {
            if self.read(Table::Scopes, &entry)?.is_none() {
                return Err(disagrees(Table::Scopes.name(), integration.id.to_string()));
            }
            self.counts.scopes.0 += 1;
        }
        Ok(())
    }

    fn read(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, CopyError> {
        self.snapshot.row(table, key).map_err(CopyError::unverified)
    }

    /// Recomputes the tree over the records that the file holds, on top of the subtrees of the archived ones.
    fn log(&mut self, head: &Head) -> Result<(), CopyError> {
        let mut frontier = Frontier::EMPTY;
        for level in (0..u64::BITS).rev().filter(|level| head.first_sequence >> level & 1 == 1) {
            let range = frontier.size()..frontier.size() + (1 << level);
            let hash = self.snapshot.tree_hash(&range).map_err(CopyError::unverified)?;
            frontier.push_subtree(level, hash);
        }
        loop {
            let next = frontier.size();
            let records = self.snapshot.records(next, RECORDS_CHUNK).map_err(CopyError::unverified)?;
            if records.is_empty() {
                break;
            }
            for (sequence, record) in &records {
                if *sequence != frontier.size() {
                    return Err(disagrees("audit", frontier.size().to_string()));
                }
                for stored in frontier.push(leaf_hash(record)) {
                    let held = self.snapshot.stored(stored.level, stored.index);
                    if held.map_err(CopyError::unverified)? != Some(stored.hash) {
                        return Err(disagrees("hashes", format!("{} {}", stored.level, stored.index)));
                    }
                }
            }
            self.steps.advance(records.len())?;
        }
        if frontier == head.frontier { Ok(()) } else { Err(disagrees("audit", "the tree")) }
    }
}
