//! Sealing of rows and credentials.
//!
//! ```text
//! sealed     = 1 ‖ salt (16, random) ‖ ciphertext ‖ tag (16)
//! ciphertext = AES-256-GCM of: length (u32, LE) ‖ plaintext ‖ zeros up to a multiple of 64
//! aad        = "sealroom" ‖ 1 ‖ table ‖ file id (16) ‖ fields, each length (u32, LE) ‖ bytes
//! key, nonce = HKDF-Expand(row root key, "sealroom row 1" ‖ salt ‖ SHA-256(aad)), 32 and 12 bytes
//! ```
//!
//! Each sealing has its own key and nonce, so nonces cannot repeat (the idea of derived-key AES-GCM, as in C2SP
//! XAES-256-GCM). The padding hides the exact length of a credential.

use aes_gcm::{
    Aes256Gcm,
    aead::{AeadInOut, KeyInit},
};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use super::{
    key_bytes::lock_page,
    random::{self, RandomError},
};
use crate::domain::{AuthType, FileId, IntegrationId, Provider, Revision, Secret};

const FORMAT: u8 = 1;
const LABEL: &[u8] = b"sealroom row 1";
const SALT: usize = 16;
const TAG: usize = 16;
const PAD: usize = 64;

/// The root key of every sealing, as HMAC state at one place of the heap; wiped on drop.
pub struct RowKey(Box<Hkdf<Sha256>>);

impl RowKey {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        let key: Box<Hkdf<Sha256>> = Box::new(Hkdf::from_prk(key).expect("32 bytes are a SHA-256 key"));
        lock_page(&*key);
        Self(key)
    }
}

/// The associated data to which a sealing is bound.
pub struct Context([u8; 32]);

impl Context {
    /// Binds a row to its table and key.
    pub fn row(table: u8, file: FileId, key: &[u8]) -> Self {
        Self::new(table, file, &[key])
    }

    /// Binds a credential to its id, revision, provider and auth type. Excludes its scope, which may change without
    /// resealing.
    pub fn credential(
        table: u8,
        file: FileId,
        id: IntegrationId,
        revision: Revision,
        provider: Provider,
        auth_type: AuthType,
    ) -> Self {
        let revision = revision.number().to_le_bytes();
        Self::new(
            table,
            file,
            &[id.as_bytes(), &revision, provider.as_str().as_bytes(), auth_type.as_str().as_bytes()],
        )
    }

    fn new(table: u8, file: FileId, fields: &[&[u8]]) -> Self {
        let mut aad = Sha256::new();
        aad.update(b"sealroom");
        aad.update([FORMAT, table]);
        aad.update(file.as_bytes());
        for field in fields {
            aad.update(u32::try_from(field.len()).expect("a key is short").to_le_bytes());
            aad.update(field);
        }
        Self(aad.finalize().into())
    }
}

/// The ciphertext fails authentication; the error gives no further reason.
#[derive(Debug, thiserror::Error)]
#[error("it does not open")]
pub struct OpenFailed;

/// Seals bytes.
pub fn seal(key: &RowKey, context: &Context, plain: &[u8]) -> Result<Vec<u8>, RandomError> {
    Ok(seal_with(random::bytes()?, key, context, plain))
}

fn seal_with(salt: [u8; SALT], key: &RowKey, context: &Context, plain: &[u8]) -> Vec<u8> {
    let padded = (4 + plain.len()).next_multiple_of(PAD);
    let mut sealed = Vec::with_capacity(1 + SALT + padded + TAG);
    sealed.push(FORMAT);
    sealed.extend_from_slice(&salt);
    sealed.extend_from_slice(&u32::try_from(plain.len()).expect("a row is shorter than 4 GiB").to_le_bytes());
    sealed.extend_from_slice(plain);
    sealed.resize(1 + SALT + padded, 0);
    let (cipher, nonce) = cipher(key, &salt, context);
    let tag = cipher
        .encrypt_inout_detached(&nonce.into(), &[], (&mut sealed[1 + SALT..]).into())
        .expect("AES-GCM takes up to 64 GiB");
    sealed.extend_from_slice(&tag);
    sealed
}

/// Opens bytes that [`seal`] sealed under the same key and context.
///
/// # Errors
/// The bytes fail authentication.
pub fn open(key: &RowKey, context: &Context, sealed: &[u8]) -> Result<Secret, OpenFailed> {
    let (head, rest) = sealed.split_at_checked(1 + SALT).ok_or(OpenFailed)?;
    let (body, tag) = rest.split_last_chunk::<TAG>().ok_or(OpenFailed)?;
    let salt = head[1..].try_into().map_err(|_| OpenFailed)?;
    if head[0] != FORMAT || body.is_empty() || !body.len().is_multiple_of(PAD) {
        return Err(OpenFailed);
    }
    let (cipher, nonce) = cipher(key, &salt, context);
    let mut plain = Zeroizing::new(body.to_vec());
    let opened =
        cipher.decrypt_inout_detached(&nonce.into(), &[], plain.as_mut_slice().into(), &(*tag).into());
    opened.map_err(|_| OpenFailed)?;
    let (length, content) = plain.split_first_chunk::<4>().ok_or(OpenFailed)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| OpenFailed)?;
    if length > content.len() {
        return Err(OpenFailed);
    }
    // In place: a secret wipes its whole buffer, the padding too.
    plain.drain(..4);
    plain.truncate(length);
    Ok(Secret::new(std::mem::take(&mut *plain)))
}

fn cipher(key: &RowKey, salt: &[u8; SALT], context: &Context) -> (Aes256Gcm, [u8; 12]) {
    let mut derived = Zeroizing::new([0; 44]);
    key.0
        .expand_multi_info(&[LABEL, salt, &context.0], derived.as_mut_slice())
        .expect("HKDF-SHA256 gives up to 8160 bytes");
    let (key, nonce) = derived.split_at(32);
    let mut key: [u8; 32] = key.try_into().expect("44 bytes begin with 32");
    let cipher = Aes256Gcm::new(&key.into());
    key.zeroize();
    (cipher, nonce.try_into().expect("44 less 32 is 12"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::crypto::digest::sha256;

    fn context(key: &[u8]) -> Context {
        Context::row(4, FileId::from_bytes([1; 16]), key)
    }

    /// The GCM specification, test case 14: AES-256, zero key, nonce and block.
    #[test]
    fn aes_256_gcm_known_answer() {
        let mut block = [0; 16];
        let tag = Aes256Gcm::new(&[0; 32].into())
            .encrypt_inout_detached(&[0; 12].into(), &[], block.as_mut_slice().into())
            .unwrap();
        assert_eq!(data_encoding::HEXLOWER.encode(&block), "cea7403d4d606b6e074ec5d3baf39d18");
        assert_eq!(data_encoding::HEXLOWER.encode(&tag), "d0d1c8a799996bf0265b98b5d48ab919");
    }

    #[test]
    fn golden_bytes() {
        let sealed = seal_with([2; 16], &RowKey::new(&[7; 32]), &context(b"k"), b"plain");
        assert_eq!(sealed.len(), 1 + 16 + 64 + 16);
        assert_eq!(sealed[..17], [&[1][..], &[2; 16]].concat());
        let digest = data_encoding::HEXLOWER.encode(&sha256(&sealed));
        assert_eq!(digest, "ab3d7616c32b62d1abb54ea7bc5dfaa66fc33b71c5c5a0555d4ef612a1bc3f17");
    }

    #[test]
    fn a_sealing_opens_only_where_it_belongs() {
        let (key, file) = (RowKey::new(&[7; 32]), FileId::from_bytes([1; 16]));
        let sealed = seal(&key, &context(b"k"), b"plain").unwrap();
        assert_eq!(open(&key, &context(b"k"), &sealed).map_err(drop).unwrap().expose(), b"plain");
        assert!(open(&key, &context(b"l"), &sealed).is_err());
        assert!(open(&key, &Context::row(5, file, b"k"), &sealed).is_err());
        assert!(open(&key, &Context::row(4, FileId::from_bytes([2; 16]), b"k"), &sealed).is_err());
        assert!(open(&RowKey::new(&[8; 32]), &context(b"k"), &sealed).is_err());
    }

    /// A ciphertext that fails authentication stays encrypted: its first bytes would pass for a length, one time in
    /// many.
    #[test]
    fn nothing_that_fails_authentication_opens_whatever_length_it_seems_to_have() {
        let key = RowKey::new(&[7; 32]);
        let sealed = seal_with([2; SALT], &key, &context(b"k"), b"plain");
        for length in 0..=60_u32 {
            let mut forged = sealed.clone();
            forged[1 + SALT..][..4].copy_from_slice(&length.to_le_bytes());
            assert_ne!(forged, sealed);
            assert!(open(&key, &context(b"k"), &forged).is_err(), "{length}");
        }
        let mut zeros = vec![0; 1 + SALT + PAD + TAG];
        zeros[0] = FORMAT;
        assert!(open(&key, &context(b"k"), &zeros).is_err());
    }

    /// Nothing authenticates the first byte, so a later format must never be read as this one.
    #[test]
    fn a_sealing_of_another_format_does_not_open() {
        let key = RowKey::new(&[7; 32]);
        let mut sealed = seal(&key, &context(b"k"), b"plain").unwrap();
        sealed[0] = FORMAT + 1;
        assert!(open(&key, &context(b"k"), &sealed).is_err());
    }

    /// Its key authenticates each of these: a later program may write them, and this one must not guess what they mean.
    #[test]
    fn a_sealing_with_a_length_or_padding_that_this_format_has_not_does_not_open() {
        let key = RowKey::new(&[7; 32]);
        let sealed = |body: &[u8]| {
            let (cipher, nonce) = cipher(&key, &[2; SALT], &context(b"k"));
            let mut sealed = [&[FORMAT][..], &[2; SALT], body].concat();
            let tag = cipher.encrypt_inout_detached(&nonce.into(), &[], sealed[1 + SALT..].as_mut().into());
            sealed.extend_from_slice(&tag.unwrap());
            sealed
        };
        for (length, bytes, opens) in [
            (0, PAD, true),
            (60, PAD, true),
            (124, 2 * PAD, true),
            (61, PAD, false),
            (u32::MAX, PAD, false),
            (0, PAD / 2, false),
            (28, PAD / 2, false),
            (60, PAD + 1, false),
        ] {
            let mut body = vec![0; bytes];
            body[..4].copy_from_slice(&length.to_le_bytes());
            let opened = open(&key, &context(b"k"), &sealed(&body));
            assert_eq!(opened.map(|secret| secret.expose().len()).ok(), opens.then_some(length as usize));
        }
        assert!(open(&key, &context(b"k"), &sealed(&[])).is_err());
    }

    #[test]
    fn no_two_sealings_share_a_key_and_nonce() {
        let key = RowKey::new(&[7; 32]);
        let sealed = [(); 2].map(|()| seal(&key, &context(b"k"), b"plain").unwrap());
        assert_ne!(sealed[0][1..=SALT], sealed[1][1..=SALT], "the salt");
        assert_ne!(sealed[0][1 + SALT..], sealed[1][1 + SALT..]);
    }

    #[test]
    fn two_fields_are_not_one() {
        let file = FileId::from_bytes([1; 16]);
        let of = |fields: &[&[u8]]| Context::new(4, file, fields).0;
        assert_ne!(of(&[b"ab", b"c"]), of(&[b"a", b"bc"]));
        assert_ne!(of(&[b"ab"]), of(&[b"a", b"b"]));
        let credential = |id: u8, revision, provider: Provider, auth_type| {
            Context::credential(
                4,
                file,
                IntegrationId::from_bytes([id; 16]),
                Revision::new(revision),
                provider,
                auth_type,
            )
            .0
        };
        let one = credential(1, 1, Provider::Github, AuthType::Pat);
        for other in [
            credential(2, 1, Provider::Github, AuthType::Pat),
            credential(1, 2, Provider::Github, AuthType::Pat),
            credential(1, 1, Provider::Gitlab, AuthType::Pat),
            credential(1, 1, Provider::Github, AuthType::App),
        ] {
            assert_ne!(one, other);
        }
    }

    proptest! {
        #[test]
        fn every_length_comes_back_and_every_flip_is_noticed(
            plain in prop::collection::vec(any::<u8>(), 0..300),
            at in any::<prop::sample::Index>(),
            bit in 0..8,
        ) {
            let key = RowKey::new(&[7; 32]);
            let mut sealed = seal(&key, &context(b"k"), &plain).unwrap();
            prop_assert_eq!((sealed.len() - 33) % 64, 0);
            let opened = open(&key, &context(b"k"), &sealed).map_err(drop).unwrap();
            prop_assert_eq!(opened.expose(), &plain[..]);
            let at = at.index(sealed.len());
            sealed[at] ^= 1_u8 << bit;
            prop_assert!(open(&key, &context(b"k"), &sealed).is_err());
        }
    }
}
