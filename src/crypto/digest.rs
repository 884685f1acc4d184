//! SHA-256, constant-time comparison, and the state digest.
//!
//! ```text
//! row tag      = HMAC-SHA-256(state key, table ‖ key length (u32, LE) ‖ key ‖ value length (u32, LE) ‖ value)
//! state digest = sum of all row tags mod 2²⁵⁶, each read as a little-endian number
//! ```

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::key_bytes::lock_page;

/// Returns the SHA-256 of bytes (FIPS 180-4).
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Returns the SHA-256 of the parts' concatenation.
pub fn sha256_parts(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

/// Compares two byte strings in constant time; the time reveals only their lengths.
pub fn equal(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

/// The key of the state digest and of the groups in the index of scopes.
pub struct StateKey(Box<Hmac<Sha256>>);

impl StateKey {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let key: Box<Hmac<Sha256>> =
            Box::new(Hmac::new_from_slice(key).expect("HMAC takes a key of any length"));
        lock_page(&*key);
        Self(key)
    }

    /// Returns the tag of one row.
    pub fn row(&self, table: u8, key: &[u8], value: &[u8]) -> RowTag {
        let mut mac = Hmac::clone(&self.0);
        mac.update(&[table]);
        for part in [key, value] {
            mac.update(&u32::try_from(part.len()).expect("a row is shorter than 4 GiB").to_le_bytes());
            mac.update(part);
        }
        RowTag(mac.finalize().into_bytes().into())
    }
}

/// The contribution of one row to the state digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowTag([u8; 32]);

impl RowTag {
    /// Returns the first `N` bytes.
    pub fn first<const N: usize>(self) -> [u8; N] {
        *self.0.first_chunk().expect("nobody asks for more than 32")
    }
}

/// The digest of a set of rows, independent of their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateDigest([u8; 32]);

impl StateDigest {
    /// The digest of the empty set.
    pub const ZERO: Self = Self([0; 32]);

    /// Reads bytes that `as_bytes` returned.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the sum, little-endian.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Adds a row.
    pub fn add(&mut self, tag: RowTag) {
        let mut carry = 0;
        for (sum, byte) in self.0.iter_mut().zip(tag.0) {
            carry += u16::from(*sum) + u16::from(byte);
            [*sum, _] = carry.to_le_bytes();
            carry >>= 8;
        }
    }

    /// Removes a row: adds the two's complement of its tag.
    pub fn remove(&mut self, tag: RowTag) {
        let mut one = [0; 32];
        one[0] = 1;
        self.add(RowTag(tag.0.map(|byte| !byte)));
        self.add(RowTag(one));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex(bytes: &[u8]) -> String {
        data_encoding::HEXLOWER.encode(bytes)
    }

    /// NIST's example "abc" for SHA-256.
    #[test]
    fn sha256_known_answer() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex(&sha256(b"abc")), expected);
        assert_eq!(hex(&sha256_parts(&[b"a", b"", b"bc"])), expected);
    }

    /// RFC 4231 §4.3, test case 2.
    #[test]
    fn hmac_sha256_known_answer() {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(b"Jefe").unwrap();
        mac.update(b"what do ya want for nothing?");
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex(&mac.finalize().into_bytes()), expected);
    }

    #[test]
    fn golden_row_tag() {
        let tag = StateKey::new(&[7; 32]).row(3, b"acme/app", b"value");
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&[7; 32]).unwrap();
        mac.update(b"\x03\x08\0\0\0acme/app\x05\0\0\0value");
        assert_eq!(tag.0[..], mac.finalize().into_bytes()[..]);
    }

    /// A sum that lost a row or a carry would be that of other rows, and their change would pass unseen.
    #[test]
    fn a_digest_is_the_sum_of_its_rows_with_every_carry() {
        let mut sum = StateDigest::ZERO;
        sum.add(RowTag([200; 32]));
        assert_eq!(sum.as_bytes(), &[200; 32]);
        sum.add(RowTag([200; 32]));
        let mut expected = [0x91; 32];
        expected[0] = 0x90;
        assert_eq!(sum.as_bytes(), &expected);
        sum.remove(RowTag([200; 32]));
        assert_eq!(sum.as_bytes(), &[200; 32]);
    }

    #[test]
    fn bytes_are_equal_only_where_each_of_them_is() {
        assert!(equal(b"", b"") && equal(b"abc", b"abc"));
        for other in ["abd", "bbc", "aXc", "ab", "abcd", ""] {
            assert!(!equal(b"abc", other.as_bytes()), "{other}");
        }
    }

    proptest! {
        #[test]
        fn a_digest_does_not_depend_on_the_order_and_forgets_what_is_removed(
            rows in prop::collection::vec(any::<[u8; 32]>(), 1..20),
            turn in 0_usize..20,
        ) {
            let mut forward = StateDigest::ZERO;
            rows.iter().for_each(|row| forward.add(RowTag(*row)));
            let mut turned = rows.clone();
            turned.rotate_left(turn % rows.len());
            let mut other = StateDigest::ZERO;
            turned.iter().for_each(|row| other.add(RowTag(*row)));
            prop_assert_eq!(forward, other);
            rows.iter().for_each(|row| forward.remove(RowTag(*row)));
            prop_assert_eq!(forward, StateDigest::ZERO);
        }
    }
}
