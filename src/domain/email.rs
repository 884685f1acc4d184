//! E-mail addresses, in the one form in which they are compared.

use std::{fmt, str::FromStr};

use super::Invalid;

/// The longest address (RFC 5321 §4.5.3.1.3, less the angle brackets).
const BYTES_MAX: usize = 254;

/// An e-mail address: ASCII, lower case, no blanks around it.
///
/// With one form, no second spelling of a known address gets round a limit; with ASCII only,
/// no look-alike letter makes two addresses of what people read as one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Email(String);

impl Email {
    /// The normalised address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Email {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid =
            Invalid::new("email", "an ASCII address like ada@example.com of at most 254 characters");
        let text = text.trim();
        let (local, host) = text.split_once('@').ok_or(invalid)?;
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic() && !br#"<>()[]:;,\""#.contains(&byte));
        if local.is_empty()
            || host.is_empty()
            || !host.bytes().all(is_host)
            || !visible
            || text.len() > BYTES_MAX
        {
            return Err(invalid);
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_blanks_do_not_tell_two_addresses_apart() {
        assert_eq!(" Ada@Example.COM ".parse::<Email>(), "ada@example.com".parse::<Email>());
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "a@b@c",
            "a da@example.com",
            "ada@exämple.com",
            "a\0@b",
            "a@0.org*",
            "a@b_c",
        ] {
            assert!(text.parse::<Email>().is_err(), "{text:?}");
        }
    }
}
