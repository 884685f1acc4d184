//! The row version that a reader of the file needs.
//!
//! ```text
//! row version u32, little-endian ‖ version of the program that first wrote such a row, text
//! ```
//!
//! The commit that writes the first row of a newer version writes this value too, so that an older program refuses the
//! file when it opens, and names the version, instead of failing at one row. The value is not authenticated: a reader
//! that does not find it fails at the row.

use super::codec::ROW_VERSION;

/// The longest version text that a message repeats.
const TEXT_MAX: usize = 32;

/// The row version that the file needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::storage) struct Needs {
    /// The newest version of a row in the file.
    pub(in crate::storage) rows: u32,
    /// The program that wrote it.
    pub(in crate::storage) program: String,
}

impl Needs {
    /// Returns the needs of rows of this version that this program writes.
    pub(in crate::storage) fn of(rows: u32) -> Self {
        Self { rows, program: env!("CARGO_PKG_VERSION").to_owned() }
    }

    /// Returns whether this program can read every row.
    pub(in crate::storage) fn is_known(&self) -> bool {
        self.rows <= u32::from(ROW_VERSION)
    }

    pub(in crate::storage) fn to_bytes(&self) -> Vec<u8> {
        [&self.rows.to_le_bytes(), self.program.as_bytes()].concat()
    }

    /// Decodes the value; `None` stands for a file of version-1 rows.
    pub(in crate::storage) fn from_bytes(bytes: Option<&[u8]>) -> Option<Self> {
        let (rows, text) = bytes.unwrap_or(&[1, 0, 0, 0]).split_first_chunk::<4>()?;
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b".-+".contains(byte);
        let text = text.iter().copied().filter(plain).take(TEXT_MAX).map(char::from).collect();
        Some(Self { rows: u32::from_le_bytes(*rows), program: text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_needs_are_a_number_and_a_text_that_controls_no_terminal() {
        let needs = Needs { rows: 5, program: "0.3.0".to_owned() };
        assert_eq!(needs.to_bytes(), b"\x05\0\0\x000.3.0");
        assert_eq!(Needs::from_bytes(Some(&needs.to_bytes())), Some(needs.clone()));
        assert!(!needs.is_known() && Needs::of(4).is_known());
        assert_eq!(Needs::from_bytes(None).map(|needs| needs.rows), Some(1));
        assert_eq!(Needs::from_bytes(Some(b"\x03\0")), None);
        let strange = [&b"\x02\0\0\0\x1b[31m 1"[..], &[b'9'; 99]].concat();
        let read = Needs::from_bytes(Some(&strange)).unwrap();
        assert_eq!((read.rows, read.program.len(), read.program.contains('\x1b')), (2, 32, false));
    }
}
