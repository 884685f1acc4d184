//! Last accesses of integrations and tokens, rebuilt from the log for events newer than their watermark.
//!
//! A row is (sequence u64, time u64, actor String) in the codec's form.

use super::{
    codec::{Row, decode, encode},
    tables::Table,
};
use crate::domain::{Actor, Timestamp};

/// The last read of an integration's credential, or the last use of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastAccess {
    /// The id of the integration or token.
    pub id: [u8; 16],
    /// The sequence of its event.
    pub sequence: u64,
    /// The time of the event.
    pub time: Timestamp,
    /// The actor of the event.
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
