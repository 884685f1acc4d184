//! The vault key, the slots that wrap it, and the keys derived from it.
//!
//! A slot wraps the vault key with XChaCha20-Poly1305 under the master key; the associated data is
//!
//! ```text
//! "sealroom slot 1" ‖ id (u32) ‖ kind ‖ kdf ‖ memory (u32) ‖ passes (u32) ‖ lanes (u32) ‖ salt, numbers little-endian
//! ```

use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305};
use hkdf::Hkdf;
use sha2::Sha256;

use super::{
    digest::StateKey,
    error::WrongKey,
    kdf::{self, KdfFailed, KdfParams},
    key_bytes::KeyBytes,
    random::{self, RandomError},
    seal::RowKey,
    sign::LogWrapKey,
};
use crate::domain::Secret;

/// The code of argon2id, the key derivation of secrets that a person keeps.
const ARGON2ID: u8 = 1;
/// The code of HKDF-SHA256 (RFC 5869), the key derivation of machine keys: 32 random bytes need no cost.
const HKDF: u8 = 2;
const MACHINE_LABEL: &[u8] = b"sealroom machine slot 1";
const SLOT_LABEL: &[u8] = b"sealroom slot 1";
const ROW_LABEL: &[u8] = b"sealroom row root key 1";
const STATE_LABEL: &[u8] = b"sealroom state key 1";
const LOG_LABEL: &[u8] = b"sealroom log-key wrap key 1";
const WITNESS_LABEL: &[u8] = b"sealroom witness-key wrap key 1";

/// The random root of every other key of the file.
pub struct VaultKey(KeyBytes<32>);

impl VaultKey {
    /// Generates a vault key.
    pub fn generate() -> Result<Self, RandomError> {
        random::secret().map(Self)
    }
}

/// The kind of a slot's secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotKind {
    /// A passphrase that a person chose.
    Passphrase,
    /// A printed recovery key.
    Recovery,
    /// A key file for unattended starts.
    Machine,
}

impl SlotKind {
    /// Returns the number on disk.
    pub const fn code(self) -> u8 {
        match self {
            Self::Passphrase => 1,
            Self::Recovery => 2,
            Self::Machine => 3,
        }
    }

    /// Reads the number on disk.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Passphrase),
            2 => Some(Self::Recovery),
            3 => Some(Self::Machine),
            _ => None,
        }
    }

    /// Returns the number on disk of its key derivation.
    pub const fn kdf_code(self) -> u8 {
        match self {
            Self::Passphrase | Self::Recovery => ARGON2ID,
            Self::Machine => HKDF,
        }
    }

    /// Returns the name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passphrase => "passphrase",
            Self::Recovery => "recovery",
            Self::Machine => "machine",
        }
    }
}

/// The unsealed part of a slot.
#[derive(Debug, Clone, Copy)]
pub struct SlotHeader {
    /// The slot's number.
    pub id: u32,
    /// The kind of its secret.
    pub kind: SlotKind,
    /// The cost of its key derivation; without meaning for a machine key.
    pub params: KdfParams,
    /// The salt of its key derivation.
    pub salt: [u8; 16],
}

impl SlotHeader {
    fn associated_data(&self) -> Vec<u8> {
        let mut data = SLOT_LABEL.to_vec();
        data.extend_from_slice(&self.id.to_le_bytes());
        data.extend_from_slice(&[self.kind.code(), self.kind.kdf_code()]);
        for number in [self.params.memory_kib(), self.params.passes(), self.params.lanes()] {
            data.extend_from_slice(&number.to_le_bytes());
        }
        data.extend_from_slice(&self.salt);
        data
    }
}

/// A vault key, wrapped under a master key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapped {
    /// The nonce: 192 random bits.
    pub nonce: [u8; 24],
    /// Key and tag.
    pub ciphertext: [u8; 48],
}

/// The key derived from a slot's secret.
pub struct MasterKey(KeyBytes<32>);

impl MasterKey {
    /// Derives the key of a slot's secret.
    pub fn derive(secret: &Secret, salt: &[u8; 16], params: KdfParams) -> Result<Self, KdfFailed> {
        let mut key = KeyBytes::zeroed();
        kdf::derive(secret, salt, params, key.bytes_mut())?;
        Ok(Self(key))
    }

    /// Derives the key of a slot: with argon2id, or with HKDF-SHA256 for a machine key.
    ///
    /// # Errors
    /// There is no memory for the derivation.
    pub fn of_slot(secret: &Secret, header: &SlotHeader) -> Result<Self, KdfFailed> {
        if header.kind != SlotKind::Machine {
            return Self::derive(secret, &header.salt, header.params);
        }
        let mut key = KeyBytes::<32>::zeroed();
        let root = Hkdf::<Sha256>::new(Some(&header.salt), secret.expose());
        root.expand(MACHINE_LABEL, key.bytes_mut()).expect("HKDF gives 32 bytes");
        Ok(Self(key))
    }

    /// Wraps a vault key for a slot.
    pub fn wrap(&self, header: &SlotHeader, key: &VaultKey) -> Result<Wrapped, RandomError> {
        Ok(self.wrap_with(random::bytes()?, header, key))
    }

    fn wrap_with(&self, nonce: [u8; 24], header: &SlotHeader, key: &VaultKey) -> Wrapped {
        let mut ciphertext = [0; 48];
        let (body, tag_place) = ciphertext.split_at_mut(32);
        body.copy_from_slice(key.0.bytes());
        let tag = self
            .cipher()
            .encrypt_inout_detached(&nonce.into(), &header.associated_data(), body.into())
            .expect("XChaCha20-Poly1305 takes 32 bytes");
        tag_place.copy_from_slice(&tag);
        Wrapped { nonce, ciphertext }
    }

    /// Unwraps a key that [`MasterKey::wrap`] wrapped.
    ///
    /// # Errors
    /// The key is another, or the header was changed.
    pub fn unwrap(&self, header: &SlotHeader, wrapped: &Wrapped) -> Result<VaultKey, WrongKey> {
        let (body, tag) = wrapped.ciphertext.split_at(32);
        let mut key = KeyBytes::<32>::zeroed();
        key.bytes_mut().copy_from_slice(body);
        let tag: [u8; 16] = tag.try_into().expect("48 less 32 is 16");
        let (nonce, data) = (wrapped.nonce.into(), header.associated_data());
        self.cipher()
            .decrypt_inout_detached(&nonce, &data, key.bytes_mut().as_mut_slice().into(), &tag.into())
            .map_err(|_| WrongKey)?;
        Ok(VaultKey(key))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.0.bytes().into())
    }
}

/// The keys derived from the vault key.
pub struct Keys {
    row: RowKey,
    state: StateKey,
    log_wrap: LogWrapKey,
    witness_wrap: LogWrapKey,
}

impl Keys {
    /// Derives the keys: HKDF-SHA256 (RFC 5869) without salt, one label each.
    pub fn derive(key: &VaultKey) -> Self {
        let root = Hkdf::<Sha256>::new(None, key.0.bytes());
        let derived = |label: &[u8]| {
            let mut out = KeyBytes::<32>::zeroed();
            root.expand(label, out.bytes_mut()).expect("HKDF gives 32 bytes");
            out
        };
        Self {
            row: RowKey::new(derived(ROW_LABEL).bytes()),
            state: StateKey::new(derived(STATE_LABEL).bytes()),
            log_wrap: LogWrapKey::new(derived(LOG_LABEL)),
            witness_wrap: LogWrapKey::new(derived(WITNESS_LABEL)),
        }
    }

    /// Returns the key that seals rows and credentials.
    pub const fn row(&self) -> &RowKey {
        &self.row
    }

    /// Returns the key of the state digest.
    pub const fn state(&self) -> &StateKey {
        &self.state
    }

    /// Returns the key that wraps the log key.
    pub const fn log_wrap(&self) -> &LogWrapKey {
        &self.log_wrap
    }

    /// Returns the key that wraps the key of this vault as a witness. A key of its own: a wrapped log key in the
    /// witness's file does not open with it.
    pub const fn witness_wrap(&self) -> &LogWrapKey {
        &self.witness_wrap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SlotHeader {
        SlotHeader { id: 1, kind: SlotKind::Passphrase, params: KdfParams::LIGHT, salt: [3; 16] }
    }

    #[test]
    fn a_slot_opens_with_its_key_and_its_header_alone() {
        let master = MasterKey([1; 32].into());
        let wrapped = master.wrap(&header(), &VaultKey([9; 32].into())).unwrap();
        assert_eq!(*master.unwrap(&header(), &wrapped).map_err(drop).unwrap().0.bytes(), [9; 32]);
        let other = MasterKey([2; 32].into());
        assert!(other.unwrap(&header(), &wrapped).is_err());
        for changed in [
            SlotHeader { id: 2, ..header() },
            SlotHeader { kind: SlotKind::Recovery, ..header() },
            SlotHeader { params: KdfParams::STANDARD, ..header() },
            SlotHeader { salt: [4; 16], ..header() },
        ] {
            assert!(master.unwrap(&changed, &wrapped).is_err());
        }
    }

    /// draft-irtf-cfrg-xchacha-03 §A.3.1.
    #[test]
    fn xchacha20_poly1305_known_answer() {
        let hex = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
        let key: [u8; 32] =
            hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f").try_into().unwrap();
        let nonce: [u8; 24] = hex("404142434445464748494a4b4c4d4e4f5051525354555657").try_into().unwrap();
        let mut text =
            b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
            sunscreen would be it."
                .to_vec();
        let tag = XChaCha20Poly1305::new(&key.into())
            .encrypt_inout_detached(
                &nonce.into(),
                &hex("50515253c0c1c2c3c4c5c6c7"),
                text.as_mut_slice().into(),
            )
            .unwrap();
        assert_eq!(text[..8], hex("bd6d179d3e83d43b")[..]);
        assert_eq!(tag[..], hex("c0875924c1c7987947deafd8780acf49")[..]);
    }

    /// RFC 5869 §A.3: SHA-256 without salt and info.
    #[test]
    fn hkdf_known_answer() {
        let mut out = [0; 42];
        Hkdf::<Sha256>::new(None, &[0x0b; 22]).expand(b"", &mut out).unwrap();
        assert!(
            data_encoding::HEXLOWER
                .encode(&out)
                .starts_with("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879e")
        );
    }
}
