//! The row of an application token: version 1, version 2 for a token that is narrowed to integrations, and version 3 for
//! one that was rolled or succeeds another.
//!
//! ```text
//! 1   id [16] ‖ name ‖ role ‖ projects Option<Vec<String>> ‖ providers Option<Vec<String>> ‖ created by
//!       ‖ created at u64 ‖ expires at u64 ‖ revoked at Option<u64> ‖ version u64
//! 2   the fields of 1 ‖ integrations Vec<[16]>
//! 3   the fields of 1 ‖ integrations Option<Vec<[16]>> ‖ predecessor Option<[16]> ‖ successor Option<[16]>
//!       ‖ first used at Option<u64>
//! ```

use super::{Decode, Encode, Row, StoredScope, decode, encode, encode_version, text, version};
use crate::{
    domain::{AccessScope, ApplicationToken, Digest, IntegrationId, Name, Roll, Timestamp, TokenId},
    storage::format::tables::Table,
};

#[derive(Encode, Decode)]
struct StoredToken {
    id: [u8; 16],
    name: String,
    role: String,
    scope: StoredScope,
    created_by: String,
    created_at: u64,
    expires_at: u64,
    revoked_at: Option<u64>,
    version: u64,
}

/// The fields that version 2 adds.
type Integrations = Vec<[u8; 16]>;
/// The fields that version 3 adds to them: predecessor, successor, and the first use.
type StoredRoll = (Option<[u8; 16]>, Option<[u8; 16]>, Option<u64>);

impl Row for ApplicationToken {
    const TABLE: Table = Table::Tokens;
    const VERSION: u8 = 3;

    fn key(&self) -> Vec<u8> {
        self.digest.0.to_vec()
    }

    fn to_bytes(&self) -> Vec<u8> {
        let stored = StoredToken {
            id: *self.id.as_bytes(),
            name: text(&self.name),
            role: text(&self.role),
            scope: StoredScope::new(&self.scope),
            created_by: text(&self.created_by),
            created_at: self.created_at.millis(),
            expires_at: self.expires_at.millis(),
            revoked_at: self.revoked_at.map(Timestamp::millis),
            version: self.version,
        };
        let integrations = self.scope.integrations.as_ref();
        let integrations =
            integrations.map(|ids| -> Integrations { ids.iter().map(|id| *id.as_bytes()).collect() });
        match (integrations, self.roll) {
            (None, roll) if roll == Roll::default() => encode(stored),
            (Some(ids), roll) if roll == Roll::default() => encode_version(2, (stored, ids)),
            (ids, Roll { predecessor, successor, first_used_at }) => {
                let id = |id: TokenId| *id.as_bytes();
                let roll: StoredRoll =
                    (predecessor.map(id), successor.map(id), first_used_at.map(Timestamp::millis));
                encode_version(3, (stored, ids, roll))
            }
        }
    }

    fn from_bytes(key: &[u8], bytes: &[u8]) -> Option<Self> {
        let (stored, integrations, roll): (StoredToken, Option<Integrations>, StoredRoll) =
            match version(bytes)? {
                (1, fields) => (decode(fields)?, None, StoredRoll::default()),
                (2, fields) => {
                    decode(fields).map(|(stored, ids)| (stored, Some(ids), StoredRoll::default()))?
                }
                (3, fields) => decode(fields)?,
                _ => return None,
            };
        let (predecessor, successor, first_used_at) = roll;
        let integrations = integrations.map(|ids| ids.into_iter().map(IntegrationId::from_bytes).collect());
        Some(Self {
            id: TokenId::from_bytes(stored.id),
            digest: Digest(key.try_into().ok()?),
            name: Name::recorded(&stored.name)?,
            role: stored.role.parse().ok()?,
            scope: AccessScope { integrations, ..stored.scope.read()? },
            created_by: stored.created_by.parse().ok()?,
            created_at: Timestamp::from_millis(stored.created_at),
            expires_at: Timestamp::from_millis(stored.expires_at),
            revoked_at: stored.revoked_at.map(Timestamp::from_millis),
            roll: Roll {
                predecessor: predecessor.map(TokenId::from_bytes),
                successor: successor.map(TokenId::from_bytes),
                first_used_at: first_used_at.map(Timestamp::from_millis),
            },
            version: stored.version,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            NewerRow, ROW_VERSION,
            tests::{NOW_BYTES, golden, now},
        },
        *,
    };
    use crate::domain::{Integration, Project, Provider, Role, SessionRow, User};

    fn token(integrations: Option<Vec<IntegrationId>>) -> ApplicationToken {
        let scope =
            AccessScope { projects: Some(Vec::new()), providers: Some(vec![Provider::Npm]), integrations };
        ApplicationToken {
            id: TokenId::from_bytes([8; 16]),
            digest: Digest([9; 32]),
            name: "build".parse().unwrap(),
            role: Role::Application,
            scope,
            created_by: "host:root".parse().unwrap(),
            created_at: Timestamp::from_millis(1_000),
            expires_at: now(),
            revoked_at: Some(Timestamp::from_millis(65_536)),
            roll: Roll::default(),
            version: 3,
        }
    }

    const FIELDS: &[&[u8]] = &[
        &[8; 16],
        b"\x05build",
        b"\x0bapplication",
        b"\x01\x00",
        b"\x01\x01\x03npm",
        b"\x09host:root",
        b"\xfb\xe8\x03",
        NOW_BYTES,
        b"\x01\xfc\x00\x00\x01\x00",
        b"\x03",
    ];

    #[test]
    fn an_application_token() {
        golden(&token(None), &[9; 32], FIELDS);
    }

    #[test]
    fn an_application_token_for_single_integrations() {
        let ids = vec![IntegrationId::from_bytes([6; 16]), IntegrationId::from_bytes([7; 16])];
        let parts = [&[&b"\xff\x02"[..]], FIELDS, &[&b"\x02"[..], &[6; 16], &[7; 16]]].concat();
        golden(&token(Some(ids)), &[9; 32], &parts);
        let parts = [&[&b"\xff\x02"[..]], FIELDS, &[&b"\x00"[..]]].concat();
        golden(&token(Some(Vec::new())), &[9; 32], &parts);
    }

    #[test]
    fn an_application_token_of_a_roll() {
        let roll = Roll {
            predecessor: Some(TokenId::from_bytes([4; 16])),
            successor: None,
            first_used_at: Some(Timestamp::from_millis(1_000)),
        };
        let ends = [&[1][..], &[4; 16], &[0], b"\x01\xfb\xe8\x03"].concat();
        let parts = [&[&b"\xff\x03"[..]], FIELDS, &[&b"\x00"[..], &ends]].concat();
        golden(&ApplicationToken { roll, ..token(None) }, &[9; 32], &parts);
        let roll = Roll { successor: Some(TokenId::from_bytes([5; 16])), ..Roll::default() };
        let ends = [&[0, 1][..], &[5; 16], &[0]].concat();
        let parts = [&[&b"\xff\x03"[..]], FIELDS, &[&b"\x01\x01"[..], &[6; 16], &ends]].concat();
        let ids = vec![IntegrationId::from_bytes([6; 16])];
        golden(&ApplicationToken { roll, ..token(Some(ids)) }, &[9; 32], &parts);
    }

    #[test]
    fn a_row_of_a_newer_version_cannot_be_read_as_one_of_a_known_version() {
        let fields = FIELDS.concat();
        for found in 4..=255 {
            let bytes = [&[255, found][..], &fields, &[0]].concat();
            let newer = ApplicationToken::read(&[9; 32], &bytes).map(drop);
            assert_eq!(newer, Err(NewerRow { found, known: 3 }));
            assert!(ApplicationToken::from_bytes(&[9; 32], &bytes).is_none());
        }
        let two = [&[255, 2][..], &fields].concat();
        assert_eq!(Project::read(b"a/b", &two).map(drop), Err(NewerRow { found: 2, known: 1 }));
        let four = [&[255, 4][..], &fields].concat();
        assert_eq!(User::read(b"a@example.com", &four).map(drop), Err(NewerRow { found: 4, known: 3 }));
        // A mark without a version of its own is damage, not news.
        for bytes in [vec![255], [&[255, 0][..], &fields].concat(), [&[255, 1][..], &fields].concat()] {
            assert!(ApplicationToken::read(&[9; 32], &bytes).is_ok_and(|row| row.is_none()));
        }
        let known = [User::VERSION, SessionRow::VERSION, Project::VERSION, Integration::VERSION, 3];
        assert_eq!(known.into_iter().max(), Some(ROW_VERSION), "what the file says it needs");
    }
}
