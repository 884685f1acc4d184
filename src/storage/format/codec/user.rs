//! The row of a user: version 1, and version 3 for a user with a second factor.
//!
//! ```text
//! 1   id [16] ‖ first name Option<String> ‖ last name Option<String> ‖ role ‖ projects Option<Vec<String>>
//!       ‖ providers Option<Vec<String>> ‖ disabled bool ‖ password (u32, u32, u32, [16], [32]) ‖ epoch u64
//!       ‖ created at u64 ‖ last login at Option<u64> ‖ version u64
//! 3   the fields of 1 ‖ secret Vec<u8> ‖ used step u64 ‖ one-time codes Vec<(number u8, SHA-256 [32])>
//! ```
//!
//! There is no version 2: a program that knows version 2 of other rows must refuse the file as a whole.

use std::sync::Arc;

use super::{Decode, Encode, Row, StoredScope, decode, encode, encode_version, key_text, text, version};
use crate::{
    domain::{Digest, Email, Name, OneTimeCode, PasswordHash, SecondFactor, Secret, Timestamp, User, UserId},
    storage::format::tables::Table,
};

#[derive(Encode, Decode)]
struct StoredUser {
    id: [u8; 16],
    first_name: Option<String>,
    last_name: Option<String>,
    role: String,
    scope: StoredScope,
    disabled: bool,
    password: (u32, u32, u32, [u8; 16], [u8; 32]),
    epoch: u64,
    created_at: u64,
    last_login_at: Option<u64>,
    version: u64,
}

/// The fields that version 3 adds.
#[derive(Encode, Decode)]
struct StoredFactor {
    secret: Vec<u8>,
    used_step: u64,
    codes: Vec<(u8, [u8; 32])>,
}

impl StoredFactor {
    fn new(factor: &SecondFactor) -> Self {
        Self {
            secret: factor.secret.expose().to_vec(),
            used_step: factor.used_step,
            codes: factor.codes.iter().map(|code| (code.number, code.digest.0)).collect(),
        }
    }

    fn read(self) -> SecondFactor {
        let code = |(number, digest)| OneTimeCode { number, digest: Digest(digest) };
        SecondFactor {
            secret: Arc::new(Secret::new(self.secret)),
            used_step: self.used_step,
            codes: self.codes.into_iter().map(code).collect(),
        }
    }
}

impl Row for User {
    const TABLE: Table = Table::Users;
    const VERSION: u8 = 3;

    fn key(&self) -> Vec<u8> {
        self.email.as_str().as_bytes().to_vec()
    }

    fn to_bytes(&self) -> Vec<u8> {
        let PasswordHash { memory_kib, passes, lanes, salt, hash } = &self.password;
        let stored = StoredUser {
            id: *self.id.as_bytes(),
            first_name: self.first_name.as_ref().map(text),
            last_name: self.last_name.as_ref().map(text),
            role: text(&self.role),
            scope: StoredScope::new(&self.scope),
            disabled: self.disabled,
            password: (*memory_kib, *passes, *lanes, *salt, *hash),
            epoch: self.epoch,
            created_at: self.created_at.millis(),
            last_login_at: self.last_login_at.map(Timestamp::millis),
            version: self.version,
        };
        match &self.factor {
            None => encode(stored),
            Some(factor) => encode_version(3, (stored, StoredFactor::new(factor))),
        }
    }

    fn from_bytes(key: &[u8], bytes: &[u8]) -> Option<Self> {
        let (stored, factor): (StoredUser, Option<StoredFactor>) = match version(bytes)? {
            (1, fields) => (decode(fields)?, None),
            (3, fields) => decode(fields).map(|(stored, factor)| (stored, Some(factor)))?,
            _ => return None,
        };
        let (memory_kib, passes, lanes, salt, hash) = stored.password;
        Some(Self {
            id: UserId::from_bytes(stored.id),
            email: key_text::<Email>(key)?,
            first_name: Name::recorded_option(stored.first_name)?,
            last_name: Name::recorded_option(stored.last_name)?,
            role: stored.role.parse().ok()?,
            scope: stored.scope.read()?,
            disabled: stored.disabled,
            password: PasswordHash { memory_kib, passes, lanes, salt, hash },
            factor: factor.map(StoredFactor::read),
            epoch: stored.epoch,
            created_at: Timestamp::from_millis(stored.created_at),
            last_login_at: stored.last_login_at.map(Timestamp::from_millis),
            version: stored.version,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{NOW_BYTES, golden, user},
        *,
    };
    const FIELDS: &[&[u8]] = &[
        &[1; 16],
        b"\x01\x03Ada",
        b"\x00",
        b"\x06member",
        b"\x01\x02\x08acme/app\x0512345",
        b"\x00",
        b"\x01",
        b"\xfc\x00\x00\x01\x00\x02\x01",
        &[2; 16],
        &[3; 32],
        b"\xfa",
        NOW_BYTES,
        b"\x01\xfb\xe8\x03",
        b"\xfb\xfb\x00",
    ];

    #[test]
    fn a_user() {
        golden(&user(), b"ada@example.com", FIELDS);
    }

    #[test]
    fn a_user_with_a_second_factor() {
        let code = |number| OneTimeCode { number, digest: Digest([number; 32]) };
        let factor = SecondFactor {
            secret: Arc::new(Secret::new(vec![7; 20])),
            used_step: 65_536,
            codes: vec![code(8), code(10)],
        };
        let added: &[&[u8]] =
            &[b"\x14", &[7; 20], b"\xfc\x00\x00\x01\x00", b"\x02\x08", &[8; 32], b"\x0a", &[10; 32]];
        let parts = [&[&b"\xff\x03"[..]], FIELDS, added].concat();
        let row = User { factor: Some(factor), ..user() };
        golden(&row, b"ada@example.com", &parts);
        let two = [&[&b"\xff\x02"[..]], FIELDS, added].concat().concat();
        assert!(User::from_bytes(b"ada@example.com", &two).is_none(), "there is no version 2");
    }
}
