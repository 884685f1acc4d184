//! All tables, and the keys that consist of more than one part. This is format 1, and frozen: every later version opens
//! a file written in it.
//!
//! ```text
//! meta          name                                  format, file_id, slots, log_keys, checkpoint, head, tail,
//!                                                     needs, handovers, origin_copy, slot_times
//! users         e-mail                                sealed row
//! sessions      session id ‖ token digest             sealed row
//! projects      identifier                            sealed row
//! integrations  integration id                        sealed row
//! tokens        token digest                          sealed row
//! token_ids     token id                              token digest
//! credentials   integration id ‖ revision             sealed credential
//! scopes        scope ‖ service ‖ group ‖ id          nothing
//! last_access   integration or token id, or nothing   sealed row
//! audit         sequence                              record ‖ first 8 bytes of its leaf hash
//! hashes        level ‖ index                         hash of a complete subtree
//! ```
//!
//! `tail` holds the newest records while they are few: the sequence of the first (u64, little-endian), then each row of
//! `audit` prefixed with its length (u16, little-endian).
//!
//! If records and tree disagree, the 8 bytes beside a record show which record was changed; the tree only narrows it to
//! one of up to 256.
//!
//! A group has 8 bytes for `custom`, which groups integrations by name, and none for other services. They are the first
//! 8 bytes of HMAC-SHA-256(state key, row of `scopes` with the key `scope ‖ service` and the name as its value), which
//! do not reveal the name, or zeros if there is no name. So a lookup by name need not open the other integrations.
//!
//! redb sees only `u64`, `&str` and `&[u8]`. Numbers in a key are big-endian, so that keys sort numerically. A scope is
//! `0`, or `1 ‖ length (u16) ‖ identifier`; a service is `length (u8) ‖ name`.

use redb::TableDefinition;

use crate::{
    crypto::digest::{RowTag, StateKey},
    domain::{IntegrationId, Name, ProjectId, Provider, Revision, SessionId},
};

/// The number of bytes of the leaf hash beside each record.
const CHECK: usize = 8;

/// The number of bytes of a group.
const GROUP: usize = 8;

/// The bytes of a key of `scopes` beside its project: kind, two lengths, the longest service, group and id.
const SCOPE_KEY_BYTES: usize = 1 + 2 + 1 + 24 + GROUP + 16;

/// `meta`: the few values that describe the file itself.
pub(in crate::storage) const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
/// `audit`: the records.
pub(in crate::storage) const AUDIT: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("audit");
/// `hashes`: the stored subtrees of the log.
pub(in crate::storage) const HASHES: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("hashes");

/// The keys of `meta`.
pub mod meta {
    /// The format number, u32, little-endian; every version of sealroom can read it.
    pub const FORMAT: &str = "format";
    /// The vault's id, 16 bytes.
    pub const FILE_ID: &str = "file_id";
    /// The key slots.
    pub const SLOTS: &str = "slots";
    /// The keys that sign, or signed, the log.
    pub const LOG_KEYS: &str = "log_keys";
    /// The newest signed checkpoint.
    pub const CHECKPOINT: &str = "checkpoint";
    /// The sealed head.
    pub const HEAD: &str = "head";
    /// The row version that a reader needs; absent in a file that holds only rows of version 1.
    pub const NEEDS: &str = "needs";
    /// The newest records, not yet in `audit`.
    pub const TAIL: &str = "tail";
    /// The checkpoints with which earlier log keys ended, one after the other; absent before the first.
    pub const HANDOVERS: &str = "handovers";
    /// Not empty in a copy that a backup made, until a start or a restore makes it the vault's file.
    pub const ORIGIN_COPY: &str = "origin_copy";
    /// The time of each slot's last change.
    pub const SLOT_TIMES: &str = "slot_times";
}

/// A table of rows. Each row's associated data and the state digest contain the number: it never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Table {
    /// Only the sealed head of `meta` has associated data.
    Meta = 0,
    /// Users by e-mail.
    Users = 1,
    /// Session tokens.
    Sessions = 2,
    /// Projects by identifier.
    Projects = 3,
    /// Integrations by id.
    Integrations = 4,
    /// Sealed credentials.
    Credentials = 5,
    /// Application tokens by digest.
    Tokens = 6,
    /// Digests of application tokens by id.
    TokenIds = 7,
    /// The index of integrations by scope.
    Scopes = 8,
    /// Last accesses by id of integration or token.
    LastAccess = 9,
}

impl Table {
    /// The tables under the state digest, in the order in which a check reads them.
    pub const STATE: [Self; 8] = [
        Self::Users,
        Self::Sessions,
        Self::Projects,
        Self::Integrations,
        Self::Credentials,
        Self::Tokens,
        Self::TokenIds,
        Self::Scopes,
    ];

    /// The number of tables.
    pub(in crate::storage) const COUNT: usize = Self::LastAccess as usize + 1;

    /// Returns the name in the file and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Users => "users",
            Self::Sessions => "sessions",
            Self::Projects => "projects",
            Self::Integrations => "integrations",
            Self::Credentials => "credentials",
            Self::Tokens => "tokens",
            Self::TokenIds => "token_ids",
            Self::Scopes => "scopes",
            Self::LastAccess => "last_access",
        }
    }

    /// Returns the number in associated data.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Returns whether the state digest covers the table's rows.
    pub fn is_state(self) -> bool {
        Self::STATE.contains(&self)
    }

    pub(in crate::storage) const fn definition(
        self,
    ) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
        TableDefinition::new(self.name())
    }
}

/// Returns a key of `credentials`: integration id ‖ revision.
pub fn credential_key(id: IntegrationId, revision: Revision) -> Vec<u8> {
    [id.as_bytes().as_slice(), &revision.number().to_be_bytes()].concat()
}

/// Returns a key prefix of `sessions`: all tokens of a session.
pub fn session_prefix(session: SessionId) -> Vec<u8> {
    session.as_bytes().to_vec()
}

/// Returns a key prefix of `scopes`: the entries of one scope; `None` is the global one.
pub fn scope_prefix(project: Option<&ProjectId>) -> Vec<u8> {
    let mut key = Vec::with_capacity(SCOPE_KEY_BYTES + project.map_or(0, |project| project.as_str().len()));
    match project {
        None => key.push(0),
        Some(project) => {
            let length = u16::try_from(project.as_str().len()).expect("an identifier has at most 200 bytes");
            key.push(1);
            key.extend_from_slice(&length.to_be_bytes());
            key.extend_from_slice(project.as_str().as_bytes());
        }
    }
    key
}

/// Returns a key prefix of `scopes`: the entries of one scope and service.
pub fn scope_service_prefix(project: Option<&ProjectId>, provider: Provider) -> Vec<u8> {
    let name = provider.service().as_str();
    let length = u8::try_from(name.len()).expect("a provider's name is short");
    let mut key = scope_prefix(project);
    key.push(length);
    key.extend_from_slice(name.as_bytes());
    key
}

/// Returns a key prefix of `scopes`: the entries of one scope, service and group.
pub fn scope_group_prefix(
    state: &StateKey,
    project: Option<&ProjectId>,
    provider: Provider,
    name: Option<&Name>,
) -> Vec<u8> {
    let mut prefix = scope_service_prefix(project, provider);
    if provider == Provider::Custom {
        let tag = name.map(|name| state.row(Table::Scopes.number(), &prefix, name.as_str().as_bytes()));
        prefix.extend_from_slice(&tag.map_or([0; GROUP], RowTag::first));
    }
    prefix
}

/// Returns the integration that a key of `scopes` refers to; `None` if the key is too short.
pub fn scope_key_id(key: &[u8]) -> Option<IntegrationId> {
    key.last_chunk::<16>().map(|bytes| IntegrationId::from_bytes(*bytes))
}

/// Returns a row of `audit`: record ‖ check.
pub fn audit_row(mut record: Vec<u8>, leaf_hash: &[u8; 32]) -> Vec<u8> {
    record.extend_from_slice(&leaf_hash[..CHECK]);
    record
}

/// Splits a row of `audit` into record and check; `None` if the row is too short.
pub fn split_audit_row(row: &[u8]) -> Option<(&[u8], &[u8])> {
    row.split_at_checked(row.len().checked_sub(CHECK)?)
}

/// Encodes `meta/tail`: the rows, whose sequences are consecutive.
pub fn tail(rows: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    extend_tail(&mut bytes, rows);
    bytes
}

/// Appends rows, which continue its sequences, to a tail that may be empty.
pub(in crate::storage) fn extend_tail(tail: &mut Vec<u8>, rows: &[(u64, Vec<u8>)]) {
    let Some((first, _)) = rows.first() else { return };
    if tail.is_empty() {
        tail.extend_from_slice(&first.to_le_bytes());
    }
    for (_, row) in rows {
        let length = u16::try_from(row.len()).expect("a record has at most 1,024 bytes");
        tail.extend_from_slice(&length.to_le_bytes());
        tail.extend_from_slice(row);
    }
}

/// Decodes `meta/tail`; `None` if the bytes do not decode.
pub fn tail_rows(bytes: &[u8]) -> Option<Vec<(u64, Vec<u8>)>> {
    let mut rows = Vec::new();
    walk_tail(bytes, |sequence, row| rows.push((sequence, row.to_vec())))?;
    Some(rows)
}

/// Passes each row of `meta/tail` to `visit`; `None` if the bytes do not decode.
pub(in crate::storage) fn walk_tail(bytes: &[u8], mut visit: impl FnMut(u64, &[u8])) -> Option<()> {
    if bytes.is_empty() {
        return Some(());
    }
    let (first, mut rest) = bytes.split_first_chunk::<8>()?;
    let mut sequence = u64::from_le_bytes(*first);
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (row, after) = after.split_at_checked(u16::from_le_bytes(*length).into())?;
        visit(sequence, row);
        sequence = sequence.checked_add(1)?;
        rest = after;
    }
    rest.is_empty().then_some(())
}

/// Returns a key of `hashes`: level ‖ index.
pub fn hash_key(level: u8, index: u64) -> Vec<u8> {
    [&[level], index.to_be_bytes().as_slice()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_scope_is_another_scopes_prefix() {
        let short: ProjectId = "a/b".parse().unwrap();
        let long: ProjectId = "a/bc".parse().unwrap();
        assert!(!scope_prefix(Some(&long)).starts_with(&scope_prefix(Some(&short))));
        assert!(!scope_prefix(Some(&long)).starts_with(&scope_prefix(None)));
        let npm = scope_service_prefix(None, Provider::Npm);
        assert!(
            Provider::ALL.iter().filter(|one| scope_service_prefix(None, **one).starts_with(&npm)).count()
                == 1
        );
    }

    #[test]
    fn a_group_is_a_name_of_one_scope_and_only_custom_has_any() {
        let state = StateKey::new(&[7; 32]);
        let (scope, other): (ProjectId, ProjectId) = ("a/b".parse().unwrap(), "a/c".parse().unwrap());
        let (one, two): (Name, Name) = ("one".parse().unwrap(), "two".parse().unwrap());
        let group = |scope, name| scope_group_prefix(&state, Some(scope), Provider::Custom, name);
        let service = scope_service_prefix(Some(&scope), Provider::Custom);
        assert_eq!(service, b"\x01\0\x03a/b\x06custom");
        assert_eq!(group(&scope, None), [&service[..], &[0; 8]].concat());
        let tag = state.row(8, &service, b"one").first::<8>();
        assert_eq!(group(&scope, Some(&one)), [&service[..], &tag].concat());
        assert_ne!(group(&scope, Some(&one)), group(&scope, Some(&two)));
        let ends = [group(&scope, Some(&one)), group(&other, Some(&one))]
            .map(|mut key| key.split_off(key.len() - 8));
        assert_ne!(ends[0], ends[1], "that two projects use one name shows nowhere");
        let npm = scope_group_prefix(&state, Some(&scope), Provider::Npm, Some(&one));
        assert_eq!(npm, scope_service_prefix(Some(&scope), Provider::Npm));
    }

    #[test]
    fn an_audit_row_is_the_record_and_eight_bytes_of_its_leaf_hash() {
        let row = audit_row(b"{}".to_vec(), &[7; 32]);
        assert_eq!(row, b"{}\x07\x07\x07\x07\x07\x07\x07\x07");
        assert_eq!(split_audit_row(&row), Some((&b"{}"[..], &[7; 8][..])));
        assert_eq!(split_audit_row(&[7; 7]), None);
    }

    #[test]
    fn a_tail_is_its_first_sequence_and_rows_behind_their_lengths() {
        let rows = vec![(258, b"{}".to_vec()), (259, b"[7]".to_vec())];
        let bytes = tail(&rows);
        assert_eq!(bytes, b"\x02\x01\0\0\0\0\0\0\x02\0{}\x03\0[7]");
        assert_eq!(tail_rows(&bytes), Some(rows));
        assert_eq!((tail(&[]), tail_rows(&[])), (Vec::new(), Some(Vec::new())));
        for cut in (1..bytes.len()).filter(|cut| ![8, 12].contains(cut)) {
            assert_eq!(tail_rows(&bytes[..cut]), None, "{cut}");
        }
    }
}
