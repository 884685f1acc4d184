//! The head: the summary with which the whole file must agree, and the two unsealed lists that it authenticates.
//!
//! `meta/head` is sealed like a row of table 0 under the key `head`, and rewritten by every commit. Its plaintext is
//! the bincode form of
//!
//! ```text
//! version u64 ‖ tree size u64 ‖ root [32] ‖ frontier Vec<[32]> ‖ first sequence held u64 ‖ newest time u64
//!   ‖ SHA-256 of meta/slots [32] ‖ SHA-256 of meta/log_keys [32] ‖ state digest [32]
//! ```

use super::{
    codec::{decode, encode},
    tables::{Table, meta},
};
use crate::{
    audit::tree::Frontier,
    crypto::{
        digest::{StateDigest, sha256},
        kdf::KdfParams,
        keys::{Keys, SlotHeader, SlotKind, Wrapped},
        seal::{self, Context},
    },
    domain::{FileId, Timestamp},
    storage::error::StorageError,
};

/// The summary with which the whole file must agree.
#[derive(Debug, Clone)]
pub struct Head {
    /// Incremented by each commit.
    pub version: u64,
    /// The frontier of the log's tree.
    pub frontier: Frontier,
    /// The root of that tree.
    pub root: [u8; 32],
    /// The first record that the file still holds.
    pub first_sequence: u64,
    /// The newest event's time.
    pub newest_time: Timestamp,
    /// SHA-256 of the key slots.
    pub slots_hash: [u8; 32],
    /// SHA-256 of the log keys.
    pub log_keys_hash: [u8; 32],
    /// The digest of all state rows.
    pub state: StateDigest,
}

type HeadTuple = (u64, u64, [u8; 32], Vec<[u8; 32]>, u64, u64, [u8; 32], [u8; 32], [u8; 32]);

impl Head {
    /// Returns the head of a file that holds only these slots and log keys.
    pub fn new(slots: &[u8], log_keys: &[u8]) -> Self {
        Self {
            version: 0,
            frontier: Frontier::EMPTY,
            root: Frontier::EMPTY.root(),
            first_sequence: 0,
            newest_time: Timestamp::from_millis(0),
            slots_hash: sha256(slots),
            log_keys_hash: sha256(log_keys),
            state: StateDigest::ZERO,
        }
    }

    /// Seals the head.
    pub fn seal(&self, keys: &Keys, file: FileId) -> Result<Vec<u8>, StorageError> {
        let (size, nodes) = self.frontier.to_parts();
        let fields: HeadTuple = (
            self.version,
            size,
            self.root,
            nodes,
            self.first_sequence,
            self.newest_time.millis(),
            self.slots_hash,
            self.log_keys_hash,
            *self.state.as_bytes(),
        );
        seal::seal(keys.row(), &context(file), &encode(fields)).map_err(|_| StorageError::Random)
    }

    /// Opens a head that [`Head::seal`] made.
    ///
    /// # Errors
    /// It fails authentication, or its parts disagree.
    pub fn open(sealed: &[u8], keys: &Keys, file: FileId) -> Result<Self, StorageError> {
        let opened = seal::open(keys.row(), &context(file), sealed).map_err(|_| tampered())?;
        let fields: HeadTuple = decode(opened.expose()).ok_or_else(tampered)?;
        let (version, size, root, nodes, first_sequence, newest, slots_hash, log_keys_hash, state) = fields;
        let frontier = Frontier::from_parts(size, nodes).map_err(|_| tampered())?;
        if frontier.root() != root || first_sequence > size {
            return Err(tampered());
        }
        Ok(Self {
            version,
            frontier,
            root,
            first_sequence,
            newest_time: Timestamp::from_millis(newest),
            slots_hash,
            log_keys_hash,
            state: StateDigest::from_bytes(state),
        })
    }
}

fn context(file: FileId) -> Context {
    Context::row(Table::Meta.number(), file, meta::HEAD.as_bytes())
}

fn tampered() -> StorageError {
    StorageError::tampered("meta", meta::HEAD)
}

/// The most key slots: an unlock may derive a key for each, before anything authenticates them.
pub const SLOTS_MAX: usize = 8;

/// One slot of the vault key; `meta/slots` is a list of these.
#[derive(Clone)]
pub struct Slot {
    /// The kind of its secret, and the parameters of the key derivation.
    pub header: SlotHeader,
    /// The vault key, wrapped under the derived key.
    pub wrapped: Wrapped,
}

type SlotTuple = (u32, u8, u8, u32, u32, u32, [u8; 16], [u8; 24], Vec<u8>);

/// Encodes `meta/slots`: for each slot id, kind, KDF, memory, passes, lanes, salt, nonce, wrapped key.
pub fn encode_slots(slots: &[Slot]) -> Vec<u8> {
    let tuple = |slot: &Slot| -> SlotTuple {
        let SlotHeader { id, kind, params, salt } = &slot.header;
        let Wrapped { nonce, ciphertext } = &slot.wrapped;
        let (m, t, p) = (params.memory_kib(), params.passes(), params.lanes());
        (*id, kind.code(), kind.kdf_code(), m, t, p, *salt, *nonce, ciphertext.to_vec())
    };
    encode(slots.iter().map(tuple).collect::<Vec<_>>())
}

/// Decodes `meta/slots`, which is not yet authenticated: bounds every number before use.
///
/// # Errors
/// The bytes do not decode, or ask for more memory, passes or lanes than any slot that this program writes.
pub fn decode_slots(bytes: &[u8]) -> Result<Vec<Slot>, StorageError> {
    let bad = || StorageError::tampered("meta", meta::SLOTS);
    let tuples: Vec<SlotTuple> =
        decode(bytes).filter(|all: &Vec<_>| all.len() <= SLOTS_MAX).ok_or_else(bad)?;
    let slot = |(id, kind, kdf, m, t, p, salt, nonce, ciphertext): SlotTuple| {
        let kind = SlotKind::from_code(kind).filter(|kind| kind.kdf_code() == kdf).ok_or_else(bad)?;
        let params = KdfParams::new(m, t, p).map_err(|_| bad())?;
        let ciphertext = ciphertext.try_into().map_err(|_| bad())?;
        Ok(Slot { header: SlotHeader { id, kind, params, salt }, wrapped: Wrapped { nonce, ciphertext } })
    };
    tuples.into_iter().map(slot).collect()
}

/// `meta/log_keys`: the public keys that signed the log, each from which tree size on, and the newest private key,
/// sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogKeys {
    /// Public key and the first tree size that it signed, oldest first; never empty.
    pub public: Vec<([u8; 32], u64)>,
    /// The newest private key, wrapped.
    pub private: Vec<u8>,
}

impl LogKeys {
    /// Encodes `meta/log_keys`.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode((&self.public, &self.private))
    }

    /// Decodes the bytes that `to_bytes` made.
    ///
    /// # Errors
    /// The bytes do not decode.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StorageError> {
        let bad = || StorageError::tampered("meta", meta::LOG_KEYS);
        let (public, private): (Vec<([u8; 32], u64)>, Vec<u8>) = decode(bytes).ok_or_else(bad)?;
        if public.is_empty() {
            return Err(bad());
        }
        Ok(Self { public, private })
    }

    /// Returns the newest public key.
    pub fn newest(&self) -> [u8; 32] {
        self.public.last().expect("from_bytes and init make no empty list").0
    }
}
