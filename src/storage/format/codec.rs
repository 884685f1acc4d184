//! Encoding of rows on disk. The only module that names bincode.
//!
//! A row is the bincode 2.0.1 form (standard configuration: little-endian, variable-length integers) of one of the
//! structs below, fields in their order:
//!
//! ```text
//! u8            one byte
//! u32, u64      0..=250 in one byte; 251 ‖ u16, 252 ‖ u32, 253 ‖ u64 beyond
//! bool          0 or 1
//! [u8; N]       N bytes
//! String        length (u64 as above) ‖ UTF-8
//! Vec<T>        count (u64 as above) ‖ items
//! Option<T>     0, or 1 ‖ T
//! ```
//!
//! Each row has a version. Version 1 is the struct alone. A later version begins with a mark:
//!
//! ```text
//! 255 ‖ version u8, 2 or more ‖ the struct of that version
//! ```
//!
//! No row of version 1 begins with 255: no integer or length does, and an id begins with its time, whose first byte is
//! below 255 until the year 10,855. A row is written in the oldest version that holds all of it, so that an older
//! program reads a file whose newer fields are not in use. Every version opens for ever.
//!
//! Closed sets (roles, providers, …) are stored as text, so that a reordered enum cannot change a meaning. Times are
//! milliseconds since 1970; ids are 16 bytes. Golden bytes in the tests pin all of it.

use bincode::{Decode, Encode, config};

use super::tables::Table;
use crate::domain::{
    AccessScope, Digest, Json, Project, ProjectId, Provider, RemoteUrl, SessionId, SessionKey, SessionRow,
    Timestamp, UserId,
};

/// The longest row, in bytes: the request body of at most 64 KiB keeps every row below it. A longer length is damage,
/// and allocates nothing.
const ROW_BYTES_MAX: usize = 1 << 20;

/// The newest version of a row that this program knows, of any table.
pub(in crate::storage) const ROW_VERSION: u8 = 4;
/// The first byte of a row of version 2 or later.
const MARK: u8 = 255;

/// A row of a newer version than this program knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::storage) struct NewerRow {
    pub(in crate::storage) found: u8,
    /// The newest version that this program knows for its table.
    pub(in crate::storage) known: u8,
}

/// A value that is stored as a row.
pub(in crate::storage) trait Row: Sized + Send + Sync + 'static {
    /// Its table.
    const TABLE: Table;
    /// The newest version of its encoding.
    const VERSION: u8 = 1;

    /// Returns the row's key.
    fn key(&self) -> Vec<u8>;

    /// Encodes the row, before sealing.
    fn to_bytes(&self) -> Vec<u8>;

    /// Decodes the bytes that `to_bytes` made for that key; `None` for anything else.
    fn from_bytes(key: &[u8], bytes: &[u8]) -> Option<Self>;

    /// Decodes the bytes; `Ok(None)` for bytes that are no row of a version that this program knows.
    ///
    /// # Errors
    /// A newer program wrote the row.
    fn read(key: &[u8], bytes: &[u8]) -> Result<Option<Self>, NewerRow> {
        match version(bytes) {
            Some((found, _)) if found > Self::VERSION => Err(NewerRow { found, known: Self::VERSION }),
            Some(_) => Ok(Self::from_bytes(key, bytes)),
            None => Ok(None),
        }
    }
}

/// Returns the version of a row's bytes, and its struct; `None` for a mark without a version.
pub(in crate::storage) fn version(bytes: &[u8]) -> Option<(u8, &[u8])> {
    match bytes {
        [MARK, version, rest @ ..] if *version >= 2 => Some((*version, rest)),
        [MARK, ..] => None,
        _ => Some((1, bytes)),
    }
}

/// Encodes a row of version 2 or later.
fn encode_version(version: u8, value: impl Encode) -> Vec<u8> {
    let mut bytes = vec![MARK, version];
    bytes.append(&mut encode(value));
    bytes
}

pub(in crate::storage) fn encode(value: impl Encode) -> Vec<u8> {
    bincode::encode_to_vec(value, config::standard()).expect("encoding plain data into memory cannot fail")
}

pub(in crate::storage) fn decode<T: Decode<()>>(bytes: &[u8]) -> Option<T> {
    let limits = config::standard().with_limit::<ROW_BYTES_MAX>();
    let (value, read) = bincode::decode_from_slice(bytes, limits).ok()?;
    (read == bytes.len()).then_some(value)
}

#[derive(Encode, Decode)]
struct StoredScope {
    projects: Option<Vec<String>>,
    providers: Option<Vec<String>>,
}

impl StoredScope {
    fn new(scope: &AccessScope) -> Self {
        Self {
            projects: scope.projects.as_deref().map(texts),
            providers: scope.providers.as_deref().map(texts),
        }
    }

    fn read(self) -> Option<AccessScope> {
        Some(AccessScope {
            projects: self.projects.map_or(Some(None), |projects| recorded(&projects).map(Some))?,
            providers: parse_all_option::<Provider>(self.providers)?,
            integrations: None,
        })
    }
}

#[derive(Encode, Decode)]
struct StoredSession {
    kind: String,
    user: [u8; 16],
    email: String,
    epoch: u64,
    issued_at: u64,
    expires_at: u64,
    used_at: Option<u64>,
    version: u64,
}

impl Row for SessionRow {
    const TABLE: Table = Table::Sessions;

    fn key(&self) -> Vec<u8> {
        session_key(&self.key)
    }

    fn to_bytes(&self) -> Vec<u8> {
        encode(StoredSession {
            kind: text(&self.kind),
            user: *self.user.as_bytes(),
            email: text(&self.email),
            epoch: self.epoch,
            issued_at: self.issued_at.millis(),
            expires_at: self.expires_at.millis(),
            used_at: self.used_at.map(Timestamp::millis),
            version: self.version,
        })
    }

    fn from_bytes(key: &[u8], bytes: &[u8]) -> Option<Self> {
        let stored: StoredSession = decode(bytes)?;
        let (session, digest) = key.split_first_chunk::<16>()?;
        Some(Self {
            key: SessionKey {
                session: SessionId::from_bytes(*session),
                digest: Digest(digest.try_into().ok()?),
            },
            kind: stored.kind.parse().ok()?,
            user: UserId::from_bytes(stored.user),
            email: stored.email.parse().ok()?,
            epoch: stored.epoch,
            issued_at: Timestamp::from_millis(stored.issued_at),
            expires_at: Timestamp::from_millis(stored.expires_at),
            used_at: stored.used_at.map(Timestamp::from_millis),
            version: stored.version,
        })
    }
}

/// Returns a session row's key: session id ‖ digest.
pub(in crate::storage) fn session_key(key: &SessionKey) -> Vec<u8> {
    [key.session.as_bytes().as_slice(), &key.digest.0].concat()
}

#[derive(Encode, Decode)]
struct StoredProject {
    /// Empty if the project has none.
    remote_url: String,
    platform: String,
    configuration: String,
    created_at: u64,
    updated_at: u64,
    version: u64,
}

impl Row for Project {
    const TABLE: Table = Table::Projects;

    fn key(&self) -> Vec<u8> {
        self.identifier.as_str().as_bytes().to_vec()
    }

    fn to_bytes(&self) -> Vec<u8> {
        encode(StoredProject {
            remote_url: self.remote_url.as_ref().map_or_else(String::new, |url| url.as_str().to_owned()),
            platform: text(&self.platform),
            configuration: self.configuration.as_str().to_owned(),
            created_at: self.created_at.millis(),
            updated_at: self.updated_at.millis(),
            version: self.version,
        })
    }

    fn from_bytes(key: &[u8], bytes: &[u8]) -> Option<Self> {
        let stored: StoredProject = decode(bytes)?;
        Some(Self {
            identifier: ProjectId::recorded(std::str::from_utf8(key).ok()?)?,
            remote_url: match stored.remote_url {
                none if none.is_empty() => None,
                text => Some(RemoteUrl::recorded(text)?),
            },
            platform: stored.platform.parse().ok()?,
            configuration: Json::new_checked(stored.configuration),
            created_at: Timestamp::from_millis(stored.created_at),
            updated_at: Timestamp::from_millis(stored.updated_at),
            version: stored.version,
        })
    }
}

fn text(value: &impl std::fmt::Display) -> String {
    value.to_string()
}

fn texts<T: std::fmt::Display>(values: &[T]) -> Vec<String> {
    values.iter().map(text).collect()
}

/// Reads stored identifiers; accepts forms that an earlier version accepted.
fn recorded(projects: &[String]) -> Option<Vec<ProjectId>> {
    projects.iter().map(|text| ProjectId::recorded(text)).collect()
}

fn parse_all<T: std::str::FromStr>(texts: Vec<String>) -> Option<Vec<T>> {
    texts.into_iter().map(|text| text.parse().ok()).collect()
}

fn parse_all_option<T: std::str::FromStr>(texts: Option<Vec<String>>) -> Option<Option<Vec<T>>> {
    texts.map_or(Some(None), |texts| parse_all(texts).map(Some))
}

fn key_text<T: std::str::FromStr>(key: &[u8]) -> Option<T> {
    std::str::from_utf8(key).ok()?.parse().ok()
}

mod integration;
mod token;
mod user;

#[cfg(test)]
mod tests;
