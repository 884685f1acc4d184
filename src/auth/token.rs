//! Bearer tokens: made, read, and the digest under which the file knows them.
//!
//! Their text is [`token_text`]'s. A session's id is inside, so that its row, whose key is `session id ‖ digest`, is
//! found without a search. Knows nothing of rows, lifetimes or holders.

use zeroize::Zeroizing;

use crate::{
    crypto::{
        digest::sha256,
        random::{self, RandomError},
    },
    domain::{
        Bearer, Digest, Secret, SessionId, SessionKey, SessionKind,
        token_text::{
            self, APPLICATION_BYTES, RANDOM_BYTES, SESSION_BYTES, SESSION_TOKEN_BYTES, TokenKind, read,
        },
    },
};

/// A token at the one moment when its text exists on this side.
pub struct NewToken {
    /// The text that its holder gets, once.
    pub text: Secret,
    /// SHA-256 of the whole text, for the file.
    pub digest: Digest,
}

/// Makes an application token.
pub fn application() -> Result<NewToken, RandomError> {
    let random = Zeroizing::new(random::bytes::<RANDOM_BYTES>()?);
    let mut payload = Zeroizing::new([0; APPLICATION_BYTES]);
    payload[..RANDOM_BYTES].copy_from_slice(&*random);
    Ok(new_token(TokenKind::Application, payload))
}

/// Makes one of a session's two tokens, and the key of its row.
pub fn session(kind: SessionKind, session: SessionId) -> Result<(NewToken, SessionKey), RandomError> {
    let text_kind = match kind {
        SessionKind::Access => TokenKind::Access,
        SessionKind::Refresh => TokenKind::Refresh,
    };
    let random = Zeroizing::new(random::bytes::<RANDOM_BYTES>()?);
    let mut payload = Zeroizing::new([0; SESSION_TOKEN_BYTES]);
    payload[..SESSION_BYTES].copy_from_slice(session.as_bytes());
    payload[SESSION_BYTES..SESSION_BYTES + RANDOM_BYTES].copy_from_slice(&*random);
    let token = new_token(text_kind, payload);
    let key = SessionKey { session, digest: token.digest };
    Ok((token, key))
}

/// Reads a token that may come in an `Authorization` header; `None` where no token of ours has that text.
pub fn parse_bearer(text: &str) -> Option<Bearer> {
    if text.starts_with(TokenKind::Application.prefix()) {
        return parse_application(text).map(Bearer::Application);
    }
    session_key(TokenKind::Access, text).map(|key| Bearer::Access(key.session, key.digest))
}

/// Reads a refresh token; `None` where no refresh token of ours has that text.
pub fn parse_refresh(text: &str) -> Option<SessionKey> {
    session_key(TokenKind::Refresh, text)
}

/// Reads an application token; `None` where no application token of ours has that text.
pub fn parse_application(text: &str) -> Option<Digest> {
    read::<APPLICATION_BYTES>(TokenKind::Application, text).map(|_| digest(text))
}

fn session_key(kind: TokenKind, text: &str) -> Option<SessionKey> {
    let payload = read::<SESSION_TOKEN_BYTES>(kind, text)?;
    let session = SessionId::from_bytes(*payload.first_chunk()?);
    Some(SessionKey { session, digest: digest(text) })
}

fn digest(text: &str) -> Digest {
    Digest(sha256(text.as_bytes()))
}

fn new_token<const N: usize>(kind: TokenKind, payload: Zeroizing<[u8; N]>) -> NewToken {
    let text = token_text::write(kind, payload);
    NewToken { digest: Digest(sha256(text.expose())), text }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(token: &NewToken) -> String {
        String::from_utf8(token.text.expose().to_vec()).unwrap()
    }

    fn one_of_each() -> [String; 3] {
        let id = SessionId::from_bytes([0xa5; 16]);
        [
            text(&application().unwrap()),
            text(&session(SessionKind::Access, id).unwrap().0),
            text(&session(SessionKind::Refresh, id).unwrap().0),
        ]
    }

    fn is_ours(text: &str) -> bool {
        parse_bearer(text).is_some() || parse_refresh(text).is_some() || parse_application(text).is_some()
    }

    #[test]
    fn a_token_has_its_documented_length_and_alphabet() {
        for (text, length) in one_of_each().iter().zip([49, 70, 70]) {
            assert_eq!(text.len(), "sfp_xxx_".len() + length);
            assert!(text["sfp_xxx_".len()..].bytes().all(|byte| byte.is_ascii_alphanumeric()));
        }
    }

    #[test]
    fn the_layout_is_pinned() {
        let application = new_token(TokenKind::Application, Zeroizing::new([0; APPLICATION_BYTES]));
        let session = new_token(TokenKind::Access, Zeroizing::new([0xff; SESSION_TOKEN_BYTES]));
        assert_eq!(text(&application), PINNED_APPLICATION);
        assert_eq!(text(&session), PINNED_ACCESS);
    }

    #[test]
    fn two_tokens_are_never_alike() {
        assert_ne!(text(&application().unwrap()), text(&application().unwrap()));
        // Of one session too: its id is no secret, and the rest of the token must be.
        let id = SessionId::from_bytes([0xa5; 16]);
        for kind in [SessionKind::Access, SessionKind::Refresh] {
            let [one, other] = [session(kind, id).unwrap().0, session(kind, id).unwrap().0];
            assert_ne!(text(&one), text(&other));
        }
    }

    #[test]
    fn each_kind_is_read_as_itself_alone() {
        let [app, access, refresh] = one_of_each();
        assert!(matches!(parse_bearer(&app), Some(Bearer::Application(_))));
        assert!(matches!(parse_bearer(&access), Some(Bearer::Access(..))));
        assert_eq!(parse_bearer(&refresh), None);
        assert_eq!((parse_refresh(&app), parse_refresh(&access)), (None, None));
        assert_eq!((parse_application(&access), parse_application(&refresh)), (None, None));
    }

    #[test]
    fn another_prefix_breaks_the_checksum() {
        let [_, access, refresh] = one_of_each();
        assert!(!is_ours(&access.replace("usr", "ref")));
        assert!(!is_ours(&refresh.replace("ref", "usr")));
    }

    #[test]
    fn every_change_of_a_single_character_is_noticed() {
        for token in one_of_each() {
            for at in 0..token.len() {
                for byte in (0x20..0x7f).filter(|byte| *byte != token.as_bytes()[at]) {
                    let mut other = token.clone().into_bytes();
                    other[at] = byte;
                    assert!(!is_ours(&String::from_utf8(other).unwrap()), "at {at}");
                }
            }
        }
    }

    #[test]
    fn a_token_is_neither_trimmed_nor_completed() {
        for token in one_of_each() {
            let padded = format!("{}0{}", &token[..8], &token[8..]);
            for other in [&token[1..], &token[..token.len() - 1], &format!("{token} "), &padded, ""] {
                assert!(!is_ours(other));
            }
        }
    }

    proptest! {
        #[test]
        fn a_session_token_leads_to_its_own_row(id: [u8; 16]) {
            let id = SessionId::from_bytes(id);
            let (access, key) = session(SessionKind::Access, id).unwrap();
            prop_assert_eq!(key, SessionKey { session: id, digest: access.digest });
            prop_assert_eq!(parse_bearer(&text(&access)), Some(Bearer::Access(id, access.digest)));
            let (refresh, key) = session(SessionKind::Refresh, id).unwrap();
            prop_assert_eq!(parse_refresh(&text(&refresh)), Some(key));
        }

        #[test]
        fn no_text_makes_the_parser_panic(any in "\\PC*", digits in "[0-9A-Za-z]{0,80}") {
            prop_assert!(!is_ours(&any));
            for prefix in TokenKind::ALL.map(TokenKind::prefix) {
                prop_assert!(!is_ours(&[prefix, &digits].concat()));
                prop_assert!(!is_ours(&[prefix, &any].concat()));
            }
        }
    }

    // Computed apart from this code, with Python's integers and zlib.
    const PINNED_APPLICATION: &str = "sfp_app_00000000000000000000000000000000000000000001H2UfE";
    const PINNED_ACCESS: &str =
        "sfp_usr_ZlOZDQVAxLXddYiblIIrCJL5YzvFM2OYtpGc8dnpb5ODWJhyps3ibGFM467qXRgt4XGJaX";
}
