//! Golden bytes of format 1, written by hand from the tables in `codec.rs` and `head.rs`, not by the encoder.
//!
//! A failing test here means that files of this format no longer read: raise the format, never change the bytes.

use proptest::prelude::*;

use super::{Row, decode, encode};
use crate::{
    audit::tree::Frontier,
    crypto::{
        digest::{StateDigest, sha256},
        kdf::KdfParams,
        keys::{Keys, SlotHeader, SlotKind, VaultKey, Wrapped},
        seal::{self, Context},
    },
    domain::{
        AccessScope, Actor, AuthType, Digest, FileId, Integration, IntegrationId, Json, KeptRevision,
        PasswordHash, Platform, Project, ProjectId, Provider, Revision, Role, Scope, SessionId, SessionKey,
        SessionKind, SessionRow, Timestamp, TokenId, User, UserId,
    },
    storage::{Head, LastAccess, LogKeys, Slot, decode_slots, encode_slots},
};

/// A time that needs all eight bytes: 2026-11-24T10:00:00Z.
const NOW: u64 = 1_795_514_400_000;
/// `NOW` as a variable-length integer.
pub(super) const NOW_BYTES: &[u8] = b"\xfd\x00\x7d\xff\x0c\xa2\x01\x00\x00";

pub(super) fn now() -> Timestamp {
    Timestamp::from_millis(NOW)
}

/// Asserts that a row encodes to these bytes and decodes from them under that key. Truncated, extended and empty input
/// must fail.
pub(super) fn golden<R: Row>(row: &R, key: &[u8], parts: &[&[u8]]) {
    let expected = parts.concat();
    assert_eq!(row.key(), key, "the key");
    assert_eq!(row.to_bytes(), expected, "the row");
    let read = R::from_bytes(key, &expected).expect("golden bytes read");
    assert_eq!((read.key(), read.to_bytes()), (key.to_vec(), expected.clone()), "read back");
    for end in 0..expected.len() {
        assert!(R::from_bytes(key, &expected[..end]).is_none(), "cut to {end} bytes it reads");
    }
    let longer = [expected.as_slice(), &[0]].concat();
    assert!(R::from_bytes(key, &longer).is_none(), "with a byte more it reads");
}

#[test]
fn a_number_takes_the_bytes_that_its_size_needs() {
    for (number, bytes) in [
        (0_u64, &b"\x00"[..]),
        (250, b"\xfa"),
        (251, b"\xfb\xfb\x00"),
        (65_535, b"\xfb\xff\xff"),
        (65_536, b"\xfc\x00\x00\x01\x00"),
        (1 << 32, b"\xfd\x00\x00\x00\x00\x01\x00\x00\x00"),
        (NOW, NOW_BYTES),
    ] {
        assert_eq!(encode(number), bytes, "{number}");
        assert_eq!(decode::<u64>(bytes), Some(number));
    }
}

#[test]
fn a_length_that_lies_is_refused_before_it_is_allocated() {
    let claimed = b"\xfd\xff\xff\xff\xff\xff\xff\xff\x7f";
    assert_eq!(decode::<Vec<u8>>(claimed), None);
    assert_eq!(decode::<String>(claimed), None);
    assert_eq!(decode::<Vec<[u8; 32]>>(claimed), None);
}

pub(super) fn user() -> User {
    User {
        id: UserId::from_bytes([1; 16]),
        email: "ada@example.com".parse().unwrap(),
        first_name: Some("Ada".parse().unwrap()),
        last_name: None,
        role: Role::Member,
        scope: AccessScope {
            projects: Some(vec!["acme/app".parse().unwrap(), "12345".parse().unwrap()]),
            ..AccessScope::default()
        },
        disabled: true,
        password: PasswordHash { memory_kib: 65_536, passes: 2, lanes: 1, salt: [2; 16], hash: [3; 32] },
        factor: None,
        epoch: 250,
        created_at: now(),
        last_login_at: Some(Timestamp::from_millis(1_000)),
        version: 251,
    }
}

#[test]
fn a_session() {
    let row = SessionRow {
        key: SessionKey { session: SessionId::from_bytes([4; 16]), digest: Digest([5; 32]) },
        kind: SessionKind::Refresh,
        user: UserId::from_bytes([1; 16]),
        email: "ada@example.com".parse().unwrap(),
        epoch: 7,
        issued_at: Timestamp::from_millis(1_000),
        expires_at: now(),
        used_at: None,
        version: 1,
    };
    let key = [&[4; 16][..], &[5; 32]].concat();
    let parts: &[&[u8]] = &[
        b"\x07refresh",
        &[1; 16],
        b"\x0fada@example.com",
        b"\x07",
        b"\xfb\xe8\x03",
        NOW_BYTES,
        b"\x00",
        b"\x01",
    ];
    golden(&row, &key, parts);
    let bytes = parts.concat();
    assert!(SessionRow::from_bytes(&key[..47], &bytes).is_none(), "a digest of 31 bytes");
    assert!(SessionRow::from_bytes(&key[..15], &bytes).is_none(), "a session of 15 bytes");
}

#[test]
fn a_project() {
    let row = Project {
        identifier: "acme/app".parse().unwrap(),
        remote_url: Some("https://github.com/acme/app".parse().unwrap()),
        platform: Platform::AzureDevops,
        configuration: Json::new_checked(r#"{"a": 1}"#.to_owned()),
        created_at: Timestamp::from_millis(1_000),
        updated_at: now(),
        version: 2,
    };
    let parts: &[&[u8]] = &[
        b"\x1bhttps://github.com/acme/app",
        b"\x0cazure-devops",
        b"\x08{\"a\": 1}",
        b"\xfb\xe8\x03",
        NOW_BYTES,
        b"\x02",
    ];
    golden(&row, b"acme/app", parts);
    let bare = Project { remote_url: None, identifier: "payments".parse().unwrap(), ..row };
    golden(&bare, b"payments", &[&[&b"\x00"[..]], &parts[1..]].concat());
}

#[test]
fn a_project_of_looser_rules_opens_for_ever() {
    let rest: &[&[u8]] = &[b"\x05other", b"\x02{}", b"\x01", b"\x01", b"\x01"];
    for (key, url) in [
        (&b"contoso/My%20Project/app"[..], &b"\x13javascript:alert(1)"[..]),
        (b"acme/app", b"\x14git:secret@host:path"),
        (b"acme/app", b"\x14ssh://-oProxy=x/path"),
    ] {
        let bytes = [&[url], rest].concat().concat();
        let row = Project::from_bytes(key, &bytes).unwrap();
        assert_eq!((row.key(), row.to_bytes()), (key.to_vec(), bytes));
    }
    for key in [&b""[..], b"a//b", b"a/..", b"a\0b"] {
        assert!(Project::from_bytes(key, &[&[&b"\x00"[..]], rest].concat().concat()).is_none(), "{key:?}");
    }
    let scope = Scope::Projects(vec![ProjectId::recorded("contoso/My%20Project/app").unwrap()]);
    let row = integration(scope);
    assert_eq!(Integration::from_bytes(&row.key(), &row.to_bytes()).unwrap().scope, row.scope);
}

fn integration(scope: Scope) -> Integration {
    let kept =
        |number, expires_at| KeptRevision { revision: Revision::new(number), expires_at, stored_at: None };
    Integration {
        id: IntegrationId::from_bytes([6; 16]),
        provider: Provider::AzureDevops,
        auth_type: AuthType::Pat,
        name: Some("ci".parse().unwrap()),
        scope,
        config: Some(Json::empty_object()),
        kept: vec![kept(2, Some(now())), kept(1, None)],
        created_at: Timestamp::from_millis(1_000),
        created_by: "user:ada@example.com".parse().unwrap(),
        creator: Some(UserId::from_bytes([1; 16])),
        updated_at: Timestamp::from_millis(1_000),
        is_canary: false,
        version: 2,
    }
}

#[test]
fn an_integration_of_either_scope() {
    let projects = Scope::Projects(vec!["acme/app".parse().unwrap()]);
    for (scope, scope_bytes) in [(Scope::Global, &b"\x00"[..]), (projects, b"\x01\x01\x08acme/app")] {
        let parts: &[&[u8]] = &[
            b"\x0cazure-devops",
            b"\x03pat",
            b"\x01\x02ci",
            scope_bytes,
            b"\x01\x02{}",
            b"\x02",
            b"\x02\x01",
            NOW_BYTES,
            b"\x01\x00",
            b"\xfb\xe8\x03",
            b"\x14user:ada@example.com",
            b"\x01",
            &[1; 16],
            b"\xfb\xe8\x03",
            b"\x02",
        ];
        golden(&integration(scope.clone()), &[6; 16], parts);
        let mut row = integration(scope.clone());
        row.kept[0].stored_at = Some(Timestamp::from_millis(1_000));
        golden(&row, &[6; 16], &[&[&b"\xff\x03"[..]], parts, &[&b"\x00\x01\xfb\xe8\x03"[..]]].concat());
        row.kept[1].stored_at = Some(Timestamp::from_millis(2));
        let times = &b"\x00\x02\x01\xfb\xe8\x03\x01\x02"[..];
        golden(&row, &[6; 16], &[&[&b"\xff\x04"[..]], parts, &[times]].concat());
        row.kept[0].stored_at = None;
        golden(&row, &[6; 16], &[&[&b"\xff\x04"[..]], parts, &[&b"\x00\x02\x00\x01\x02"[..]]].concat());
        let marked = [&[&b"\xff\x03"[..]], parts, &[&b"\x01\x00"[..]]].concat();
        golden(&Integration { is_canary: true, ..integration(scope) }, &[6; 16], &marked);
    }
}

#[test]
fn a_canary_of_any_kind_is_one_after_it_is_read_back_and_no_other_row_is() {
    for is_canary in [false, true] {
        let row = Integration { is_canary, ..integration(Scope::Global) };
        assert_eq!(Integration::from_bytes(&row.key(), &row.to_bytes()).unwrap().is_canary, is_canary);
    }
    let newer = [&[255, 5][..], &integration(Scope::Global).to_bytes()].concat();
    assert!(Integration::from_bytes(&[6; 16], &newer).is_none());
    let more_times =
        [&[255, 4][..], &integration(Scope::Global).to_bytes(), b"\x00\x03\x00\x00\x00"].concat();
    assert!(Integration::from_bytes(&[6; 16], &more_times).is_none(), "two revisions, and three times");
}

#[test]
fn an_integration_without_a_current_revision_is_no_row() {
    let bytes = Integration { kept: Vec::new(), ..integration(Scope::Global) }.to_bytes();
    assert!(Integration::from_bytes(&[6; 16], &bytes).is_none());
}

#[test]
fn a_last_access() {
    let actor: Actor = "app:08080808-0808-0808-0808-080808080808".parse().unwrap();
    let row = LastAccess { id: [6; 16], sequence: 251, time: now(), actor };
    let parts: &[&[u8]] = &[b"\xfb\xfb\x00", NOW_BYTES, b"\x28app:08080808-0808-0808-0808-080808080808"];
    golden(&row, &[6; 16], parts);
}

#[test]
fn a_word_outside_its_closed_set_is_no_row() {
    let bytes = user().to_bytes();
    let at = bytes.windows(6).position(|six| six == b"member").unwrap();
    let mut other = bytes;
    other[at..at + 6].copy_from_slice(b"tenant");
    assert!(User::from_bytes(b"ada@example.com", &other).is_none());
}

#[test]
fn the_key_slots() {
    let params = KdfParams::new(65_536, 3, 4).unwrap();
    let header = SlotHeader { id: 1, kind: SlotKind::Recovery, params, salt: [1; 16] };
    let slot = Slot { header, wrapped: Wrapped { nonce: [2; 24], ciphertext: [3; 48] } };
    let parts: &[&[u8]] =
        &[b"\x01", b"\x01\x02\x01", b"\xfc\x00\x00\x01\x00\x03\x04", &[1; 16], &[2; 24], b"\x30", &[3; 48]];
    let bytes = parts.concat();
    assert_eq!(encode_slots(&[slot]), bytes);
    let read = decode_slots(&bytes).map_err(drop).unwrap();
    assert_eq!(encode_slots(&read), bytes);
    for (what, at, value) in
        [("kind", 2, 3), ("kdf", 3, 2), ("passes", 9, 17), ("lanes", 10, 0), ("key length", 51, 47)]
    {
        let mut changed = bytes.clone();
        changed[at] = value;
        assert!(decode_slots(&changed).is_err(), "{what} {value}");
    }
}

#[test]
fn the_log_keys() {
    let keys = LogKeys { public: vec![([1; 32], 0), ([2; 32], 65_536)], private: vec![3; 60] };
    let parts: &[&[u8]] = &[b"\x02", &[1; 32], b"\x00", &[2; 32], b"\xfc\x00\x00\x01\x00", b"\x3c", &[3; 60]];
    let bytes = parts.concat();
    assert_eq!(keys.to_bytes(), bytes);
    assert_eq!(LogKeys::from_bytes(&bytes).map_err(drop).unwrap(), keys);
    assert!(LogKeys::from_bytes(b"\x00\x00").is_err(), "no key at all");
}

#[test]
fn the_head() {
    let (keys, file) = (Keys::derive(&VaultKey::generate().unwrap()), FileId::from_bytes([7; 16]));
    let context = || Context::row(0, file, b"head");
    let mut frontier = Frontier::EMPTY;
    for leaf in [[1; 32], [2; 32], [3; 32]] {
        frontier.push(leaf);
    }
    let (root, (_, nodes)) = (frontier.root(), frontier.to_parts());
    let state = StateDigest::from_bytes([4; 32]);
    let head = Head {
        version: 9,
        root,
        frontier,
        first_sequence: 1,
        newest_time: now(),
        state,
        ..Head::new(b"s", b"k")
    };
    let parts: &[&[u8]] = &[
        b"\x09",
        b"\x03",
        &root,
        b"\x02",
        &nodes[0],
        &nodes[1],
        b"\x01",
        NOW_BYTES,
        &sha256(b"s"),
        &sha256(b"k"),
        &[4; 32],
    ];
    let clear = parts.concat();
    let sealed = head.seal(&keys, file).map_err(drop).unwrap();
    assert_eq!(seal::open(keys.row(), &context(), &sealed).map_err(drop).unwrap().expose(), clear);
    let reseal = |clear: &[u8]| seal::seal(keys.row(), &context(), clear).unwrap();
    let read = Head::open(&reseal(&clear), &keys, file).map_err(drop).unwrap();
    assert_eq!((read.version, read.frontier.size(), read.first_sequence), (9, 3, 1));
    for (what, at, value) in [("size", 1, 2), ("root", 2, root[0] ^ 1), ("first sequence", 99, 4)] {
        let mut changed = clear.clone();
        changed[at] = value;
        assert!(Head::open(&reseal(&changed), &keys, file).is_err(), "{what}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_row_that_writes_back_the_same_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(row) = LastAccess::from_bytes(&[6; 16], &bytes) {
            prop_assert!(LastAccess::from_bytes(&[6; 16], &row.to_bytes()) == Some(row));
        }
        drop((User::from_bytes(b"a@example.com", &bytes), Integration::from_bytes(&[6; 16], &bytes)));
        drop((decode_slots(&bytes), LogKeys::from_bytes(&bytes)));
    }

    #[test]
    fn a_last_access_reads_back(id: [u8; 16], sequence: u64, millis: u64, token: [u8; 16]) {
        let actor = Actor::App(TokenId::from_bytes(token));
        let row = LastAccess { id, sequence, time: Timestamp::from_millis(millis), actor };
        prop_assert_eq!(LastAccess::from_bytes(&id, &row.to_bytes()), Some(row));
    }

    #[test]
    fn a_flipped_byte_in_a_user_never_panics(at in 0_usize..130, mask in 1_u8..) {
        let mut bytes = user().to_bytes();
        let at = at % bytes.len();
        bytes[at] ^= mask;
        if let Some(row) = User::from_bytes(b"ada@example.com", &bytes) {
            prop_assert!(row.to_bytes() != user().to_bytes(), "two forms of one row");
        }
    }
}
