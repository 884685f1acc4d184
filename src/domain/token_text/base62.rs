//! Base62 of fixed width: big-endian, digits `0-9A-Za-z`, padded with zeros.
//!
//! Ours because the crates that exist either stop at 128 bits or leave the width to the number, and none wipes what it
//! worked on; it is schoolbook division. It is an encoding, not cryptography: nothing here is constant in time.

use zeroize::Zeroizing;

use crate::domain::Secret;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Digits taken at a time: the most of which any number fits into 32 bits, five times faster than one by one.
const CHUNK: usize = 5;
const CHUNK_BASE: u64 = 62_u64.pow(5);

/// The number of digits that hold every number of `n` bytes: `⌈8n / log2 62⌉`, with log2 62 = 5.954196….
pub(super) const fn width(bytes: usize) -> usize {
    (bytes * 8 * 1_000_000).div_ceil(5_954_196)
}

/// `prefix` and the digits of `number`.
pub(super) fn write<const N: usize>(prefix: &str, mut number: Zeroizing<[u8; N]>) -> Secret {
    let mut text = vec![0; prefix.len() + width(N)];
    let (head, digits) = text.split_at_mut(prefix.len());
    head.copy_from_slice(prefix.as_bytes());
    for chunk in digits.rchunks_mut(CHUNK) {
        let mut rest = divide(&mut *number, CHUNK_BASE);
        for digit in chunk.iter_mut().rev() {
            *digit = ALPHABET[usize::try_from(rest % 62).expect("a remainder of 62 is small")];
            rest /= 62;
        }
    }
    Secret::new(text)
}

/// The number with exactly these digits; `None` for another width, another character or a number that does not fit.
pub(super) fn read<const N: usize>(digits: &str) -> Option<Zeroizing<[u8; N]>> {
    if digits.len() != width(N) {
        return None;
    }
    let mut number = Zeroizing::new([0; N]);
    for chunk in digits.as_bytes().rchunks(CHUNK).rev() {
        let value = chunk.iter().try_fold(0, |value, &byte| Some(value * 62 + digit(byte)?))?;
        // The first chunk may be shorter, which does no harm: the number is still zero then.
        multiply_add(&mut *number, CHUNK_BASE, value)?;
    }
    Some(number)
}

fn digit(byte: u8) -> Option<u64> {
    match byte {
        b'0'..=b'9' => Some(u64::from(byte - b'0')),
        b'A'..=b'Z' => Some(u64::from(byte - b'A') + 10),
        b'a'..=b'z' => Some(u64::from(byte - b'a') + 36),
        _ => None,
    }
}

/// Divides the number in place and returns the remainder; `divisor` has at most 32 bits.
fn divide(number: &mut [u8], divisor: u64) -> u64 {
    let mut rest = 0;
    for limb in number.as_chunks_mut::<4>().0 {
        let value = rest << 32 | u64::from(u32::from_be_bytes(*limb));
        *limb = low_limb(value / divisor);
        rest = value % divisor;
    }
    rest
}

/// Multiplies the number in place and adds; `None` where the result does not fit. Both have at most 32 bits.
fn multiply_add(number: &mut [u8], factor: u64, summand: u64) -> Option<()> {
    let mut carry = summand;
    for limb in number.as_chunks_mut::<4>().0.iter_mut().rev() {
        let value = u64::from(u32::from_be_bytes(*limb)) * factor + carry;
        *limb = low_limb(value);
        carry = value >> 32;
    }
    (carry == 0).then_some(())
}

fn low_limb(value: u64) -> [u8; 4] {
    let [.., a, b, c, d] = value.to_be_bytes();
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode<const N: usize>(number: [u8; N]) -> String {
        String::from_utf8(write("", Zeroizing::new(number)).expose().to_vec()).unwrap()
    }

    #[test]
    fn the_widths_are_those_that_the_largest_number_needs() {
        assert_eq!((width(36), width(52)), (49, 70));
        assert_ne!(encode([0xff_u8; 36]).as_bytes()[0], b'0');
        assert_ne!(encode([0xff_u8; 52]).as_bytes()[0], b'0');
    }

    #[test]
    fn small_numbers_are_written_by_hand() {
        assert_eq!(encode(61_u64.to_be_bytes()), "0000000000z");
        assert_eq!(encode(62_u64.to_be_bytes()), "00000000010");
        // 62^5 crosses from one chunk to the next.
        assert_eq!(encode(916_132_832_u64.to_be_bytes()), "00000100000");
        assert_eq!(encode(u64::MAX.to_be_bytes()), "LygHa16AHYF");
    }

    #[test]
    fn a_number_that_does_not_fit_is_refused() {
        assert!(read::<8>("LygHa16AHYF").is_some());
        assert!(read::<8>("LygHa16AHYG").is_none());
        assert!(read::<8>("zzzzzzzzzzz").is_none());
    }

    proptest! {
        #[test]
        fn every_number_reads_back(short: [u8; 32], long: [u8; 32]) {
            prop_assert_eq!(*read::<32>(&encode(short)).unwrap(), short);
            let mut number = [0; 52];
            number[..32].copy_from_slice(&short);
            number[20..].copy_from_slice(&long);
            prop_assert_eq!(*read::<52>(&encode(number)).unwrap(), number);
        }
    }
}
