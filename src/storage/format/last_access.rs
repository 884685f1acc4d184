//! Last accesses: who last used what, rebuilt from the log where the file does not know yet.
//!
//! A row is (sequence u64, time u64, actor String) in the codec's form.

use super::{
    codec::{Row, decode, encode},
    tables::Table,
};
use crate::domain::{Actor, Timestamp};

/// Who last used an integration, or when a token was last used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastAccess {
    /// The integration's or the token's id.
    pub id: [u8; 16],
    /// The event that says so.
    pub sequence: u64,
    /// When.
    pub time: Timestamp,
    /// Who.
    pub actor: Actor,
}

impl Row for LastAccess {
    const TABLE: Table = Table::LastAccess;

    fn key(&self) -> Vec<u8> {
        self.id.to_vec()
    }

    fn to_bytes(&self) -> Vec<u8> {
        encode((self.sequence, self.time.millis(), self.actor.to_string()))
    }

    fn from_bytes(key: &[u8], bytes: &[u8]) -> Option<Self> {
        let (sequence, time, actor): (u64, u64, String) = decode(bytes)?;
        Some(Self {
            id: key.try_into().ok()?,
            sequence,
            time: Timestamp::from_millis(time),
            actor: actor.parse().ok()?,
        })
    }
}
