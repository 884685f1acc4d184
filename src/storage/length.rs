//! The length of a file as the engine's own header states it: what is shorter was cut.

use std::io;

use super::error::OpenError;
use crate::disk::Medium;

/// The first bytes of every file of the engine.
const MAGIC: &[u8] = b"redb\x1a\x0a\xa9\x0d\x0a";
/// The engine's header, with both commit slots.
const HEADER_BYTES: usize = 320;

/// Returns the error of a file that did not open: that it was cut, if it is shorter than its header states.
pub(super) fn explain(error: OpenError, medium: &Medium) -> OpenError {
    match error {
        OpenError::Io(error) if error.kind() != io::ErrorKind::UnexpectedEof => OpenError::Io(error),
        OpenError::Io(_) | OpenError::Damaged(_) | OpenError::Foreign => truncated(medium).unwrap_or(error),
        other => other,
    }
}

fn truncated(medium: &Medium) -> Option<OpenError> {
    let bytes = medium.len().ok()?;
    let mut header = [0; HEADER_BYTES];
    let length = HEADER_BYTES.min(usize::try_from(bytes).ok()?);
    medium.read(0, &mut header[..length]).ok()?;
    if length < HEADER_BYTES {
        let is_begun = header[..length].starts_with(&MAGIC[..length.min(MAGIC.len())]);
        return Some(if is_begun {
            OpenError::Truncated { bytes, whole: HEADER_BYTES as u64 }
        } else {
            OpenError::Foreign
        });
    }
    let whole = stated(&header)?;
    (bytes < whole).then_some(OpenError::Truncated { bytes, whole })
}

/// Returns the length that the header states (redb, `docs/design.md`, "Database header"): a page for itself, then the
/// full regions and the trailing one.
fn stated(header: &[u8; HEADER_BYTES]) -> Option<u64> {
    let number = |at: usize| Some(u64::from(u32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?)));
    let (page, own, most) = (number(12)?, number(16)?, number(20)?);
    let (full, trailing) = (number(24)?, number(28)?);
    let last = if trailing == 0 { 0 } else { own.checked_add(trailing)? };
    let pages = full.checked_mul(own.checked_add(most)?)?.checked_add(last)?.checked_add(1)?;
    (header.starts_with(MAGIC)).then_some(())?;
    page.checked_mul(pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the header of a file of one region's 12 pages, with `full` regions before it.
    fn header(full: u32) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[..MAGIC.len()].copy_from_slice(MAGIC);
        for (at, number) in [(12, 4096_u32), (16, 2), (20, 100), (24, full), (28, 12)] {
            header[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
        header
    }

    #[test]
    fn the_stated_length_counts_every_region_and_no_number_overflows() {
        assert_eq!(stated(&header(0)), Some(4096 * (1 + 2 + 12)));
        assert_eq!(stated(&header(3)), Some(4096 * (1 + 3 * 102 + 2 + 12)));
        let mut absurd = header(0);
        absurd[12..32].fill(0xff);
        assert_eq!(stated(&absurd), None);
        assert_eq!(stated(&[0; HEADER_BYTES]), None);
    }
}
