//! Identifiers: UUID version 7 (RFC 9562 §5.7), built from a given time and given random bytes.

use std::{fmt, str::FromStr};

use uuid::Uuid;

use super::{Invalid, Timestamp};

/// The length of the hyphenated text form.
const TEXT_LEN: usize = 36;

macro_rules! id {
    ($(#[$meta:meta] $name:ident, $what:literal;)+) => {$(
        #[$meta]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// A new identifier of this moment.
            pub fn new(now: Timestamp, random: [u8; 10]) -> Self {
                Self(uuid::Builder::from_unix_timestamp_millis(now.millis(), &random).into_uuid())
            }

            /// The moment of which it is.
            pub fn time(&self) -> Timestamp {
                let bytes = self.0.as_bytes();
                let millis = bytes[..6].iter().fold(0, |millis, byte| millis << 8 | u64::from(*byte));
                Timestamp::from_millis(millis)
            }

            /// The 16 bytes, big-endian, as they stand in keys and rows.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// Takes 16 bytes that `as_bytes` gave.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                let invalid = Invalid::new($what, "a hyphenated UUID");
                if text.len() != TEXT_LEN {
                    return Err(invalid);
                }
                Uuid::try_parse(text).map(Self).map_err(|_| invalid)
            }
        }
    )+};
}

id! {
    /// Names one stored integration.
    IntegrationId, "integration id";
    /// Names one application token; never the token itself.
    TokenId, "token id";
    /// Names one user for good, even if the e-mail later goes to another user.
    UserId, "user id";
    /// Names one login and what was refreshed from it.
    SessionId, "session id";
    /// Names one request, in the answer, the log and the audit log.
    RequestId, "request id";
    /// Names one vault, its copies included.
    FileId, "file id";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_in_any_case_and_written_in_lower_case() {
        let id = IntegrationId::new(Timestamp::from_millis(1_764_000_000_000), [7; 10]);
        assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
        assert_eq!(id.to_string(), id.to_string().to_lowercase());
        assert_eq!(&id.to_string()[14..15], "7");
    }

    #[test]
    fn other_spellings_of_a_uuid_are_refused() {
        let id = IntegrationId::new(Timestamp::from_millis(0), [1; 10]).to_string();
        for text in [
            "",
            "x",
            &id.replace('-', ""),
            &format!("{{{id}}}"),
            &format!("urn:uuid:{id}"),
            &format!("{id} "),
        ] {
            assert!(text.parse::<IntegrationId>().is_err(), "{text}");
        }
    }
}
