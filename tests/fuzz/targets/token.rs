//! Texts of tokens: a payload has one text, a text one kind, and no error repeats a text.

use zeroize::Zeroizing;

use super::assert_silent;
use crate::{
    auth::token,
    domain::token_text::{self, APPLICATION_BYTES, SESSION_TOKEN_BYTES, TokenKind},
};

pub fn run(input: &[u8]) {
    if let Ok(text) = std::str::from_utf8(input) {
        read(text);
    }
    written::<APPLICATION_BYTES>(TokenKind::Application, input);
    written::<SESSION_TOKEN_BYTES>(TokenKind::Access, input);
    written::<SESSION_TOKEN_BYTES>(TokenKind::Refresh, input);
}

fn read(text: &str) {
    let bearer = token::parse_bearer(text);
    let (application, refresh) = (token::parse_application(text), token::parse_refresh(text));
    match token_text::check_bearer(text) {
        Ok(TokenKind::Application) => assert!(application.is_some() && bearer.is_some()),
        Ok(TokenKind::Access) => assert!(application.is_none() && bearer.is_some()),
        Ok(TokenKind::Refresh) => panic!("a refresh token is no bearer"),
        Err(error) => {
            assert_silent(error);
            assert!(application.is_none() && bearer.is_none(), "the server takes what the client refuses");
        }
    }
    assert!(refresh.is_none() || bearer.is_none(), "a token of two kinds");
    same::<APPLICATION_BYTES>(TokenKind::Application, text);
    same::<SESSION_TOKEN_BYTES>(TokenKind::Access, text);
    same::<SESSION_TOKEN_BYTES>(TokenKind::Refresh, text);
}

/// A text that reads is the one that its payload is written as.
fn same<const N: usize>(kind: TokenKind, text: &str) {
    if let Some(payload) = token_text::read::<N>(kind, text) {
        assert_eq!(token_text::write(kind, payload).expose(), text.as_bytes(), "another spelling reads");
    }
}

/// Whatever payload is written reads back, and not with a character changed.
fn written<const N: usize>(kind: TokenKind, input: &[u8]) {
    let (Some(payload), Some(at)) = (input.first_chunk::<N>(), input.get(N)) else { return };
    let secret = token_text::write(kind, Zeroizing::new(*payload));
    let text = secret.expose_text().expect("a token is ASCII").to_owned();
    let back = token_text::read::<N>(kind, &text).expect("what was written reads");
    assert_eq!(back[..N - 4], payload[..N - 4]);
    let at = usize::from(*at) % text.len();
    let changed = if text.as_bytes()[at] == b'0' { "1" } else { "0" };
    let text = [&text[..at], changed, &text[at + 1..]].concat();
    assert!(token_text::read::<N>(kind, &text).is_none(), "a changed character goes unnoticed");
}
