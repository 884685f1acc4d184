//! The text of a token: its kind, its digits, its checksum.
//!
//! Server and client read it alike: the server finds a row by what a text holds, the client refuses a text that no
//! server can have made before it sends it.
//!
//! ```text
//! sfp_app_ ‖ base62( random 32 ‖ crc32 4 )                   49 digits
//! sfp_usr_ ‖ base62( session id 16 ‖ random 32 ‖ crc32 4 )   70 digits
//! sfp_ref_ ‖ likewise
//! ```
//! Numbers are big-endian and padded with zeros, so that a payload has one text and a text one payload. The checksum
//! covers prefix and payload: a mistyped token costs no look-up, and no kind of token passes for another. It is no
//! protection (the 32 random bytes are), and any holder of a token can compute it.

mod base62;

use zeroize::Zeroizing;

use super::Secret;

const CHECKSUM_BYTES: usize = 4;
/// Random bytes of every token.
pub const RANDOM_BYTES: usize = 32;
/// Bytes of the session id in a session's token.
pub const SESSION_BYTES: usize = 16;
/// Payload of an application token.
pub const APPLICATION_BYTES: usize = RANDOM_BYTES + CHECKSUM_BYTES;
/// Payload of a session's token.
pub const SESSION_TOKEN_BYTES: usize = SESSION_BYTES + RANDOM_BYTES + CHECKSUM_BYTES;

/// The kinds of token, told apart by their prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// An application token.
    Application,
    /// A session's access token.
    Access,
    /// A session's refresh token.
    Refresh,
}

impl TokenKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Application, Self::Access, Self::Refresh];

    /// The first eight characters of its texts.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Application => "sfp_app_",
            Self::Access => "sfp_usr_",
            Self::Refresh => "sfp_ref_",
        }
    }

    /// The number of characters of its texts.
    pub const fn chars(self) -> usize {
        self.prefix().len()
            + match self {
                Self::Application => base62::width(APPLICATION_BYTES),
                Self::Access | Self::Refresh => base62::width(SESSION_TOKEN_BYTES),
            }
    }

    fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| text.starts_with(kind.prefix()))
    }

    fn fits(self, text: &str) -> bool {
        match self {
            Self::Application => read::<APPLICATION_BYTES>(self, text).is_some(),
            Self::Access | Self::Refresh => read::<SESSION_TOKEN_BYTES>(self, text).is_some(),
        }
    }
}

/// Completes the payload with its checksum and writes the token's text.
pub fn write<const N: usize>(kind: TokenKind, mut payload: Zeroizing<[u8; N]>) -> Secret {
    let body = N - CHECKSUM_BYTES;
    let checksum = checksum(kind, &payload[..body]);
    payload[body..].copy_from_slice(&checksum);
    base62::write(kind.prefix(), payload)
}

/// Reads the payload of a token of that kind, its checksum included; `None` where no such token has that text.
pub fn read<const N: usize>(kind: TokenKind, text: &str) -> Option<Zeroizing<[u8; N]>> {
    let payload = base62::read::<N>(text.strip_prefix(kind.prefix())?)?;
    let (body, found) = payload.split_at(N - CHECKSUM_BYTES);
    (found == checksum(kind, body)).then_some(payload)
}

fn checksum(kind: TokenKind, body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut crc = crc32fast::Hasher::new();
    crc.update(kind.prefix().as_bytes());
    crc.update(body);
    crc.finalize().to_be_bytes()
}

/// A reason why a text is no token that a server accepts as a bearer. Holds no part of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedToken {
    /// There is nothing.
    #[error("it is empty")]
    Empty,
    /// It was copied with its quotes.
    #[error("it is in quotes")]
    Quoted,
    /// It was copied from an `Authorization` header.
    #[error("it begins with `Bearer `")]
    Scheme,
    /// A token is in there, after something else: a variable's name, say.
    #[error("there is other text before the token")]
    Preceded,
    /// It is several words or lines.
    #[error("there is a blank, a line end or a control character in it")]
    Blank,
    /// It has none of the prefixes.
    #[error("it begins with neither sfp_app_ nor sfp_usr_")]
    Foreign,
    /// It only renews a session.
    #[error("it is a refresh token (sfp_ref_), which no command takes")]
    Refresh,
    /// Its end is missing.
    #[error("it was truncated: {found} of {whole} characters are present")]
    Cut {
        /// The number of characters found.
        found: usize,
        /// The number of characters that a token of its kind has.
        whole: usize,
    },
    /// Something follows it.
    #[error("it is too long: {found} characters, where a token of its kind has {whole}")]
    Long {
        /// The number of characters found.
        found: usize,
        /// The number of characters that a token of its kind has.
        whole: usize,
    },
    /// A character was changed.
    #[error("its checksum does not fit: a character was changed")]
    Checksum,
}

/// Checks that a text may be a bearer token, and says of which kind.
///
/// # Errors
/// No server can have made it, or it is a refresh token.
pub fn check_bearer(text: &str) -> Result<TokenKind, MalformedToken> {
    let kind = TokenKind::of(text);
    match kind {
        Some(kind @ (TokenKind::Application | TokenKind::Access)) if kind.fits(text) => Ok(kind),
        Some(TokenKind::Refresh) if TokenKind::Refresh.fits(text) => Err(MalformedToken::Refresh),
        _ => Err(damage(kind, text)),
    }
}

/// Names the likeliest cause; the order goes from what a person sees at once to what only the checksum tells.
fn damage(kind: Option<TokenKind>, text: &str) -> MalformedToken {
    const QUOTES: [char; 8] = ['"', '\'', '`', '“', '”', '‘', '’', '„'];
    if text.is_empty() {
        return MalformedToken::Empty;
    }
    if text.starts_with(QUOTES) || text.ends_with(QUOTES) {
        return MalformedToken::Quoted;
    }
    if text.get(..7).is_some_and(|head| head.eq_ignore_ascii_case("bearer ")) {
        return MalformedToken::Scheme;
    }
    let Some(kind) = kind else {
        let holds_one = TokenKind::ALL.iter().any(|kind| text.contains(kind.prefix()));
        return if holds_one { MalformedToken::Preceded } else { MalformedToken::Foreign };
    };
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return MalformedToken::Blank;
    }
    let (found, whole) = (text.chars().count(), kind.chars());
    match found.cmp(&whole) {
        std::cmp::Ordering::Less => MalformedToken::Cut { found, whole },
        std::cmp::Ordering::Greater => MalformedToken::Long { found, whole },
        std::cmp::Ordering::Equal => MalformedToken::Checksum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(kind: TokenKind) -> String {
        let secret = match kind {
            TokenKind::Application => write(kind, Zeroizing::new([7; APPLICATION_BYTES])),
            TokenKind::Access | TokenKind::Refresh => write(kind, Zeroizing::new([7; SESSION_TOKEN_BYTES])),
        };
        String::from_utf8(secret.expose().to_vec()).unwrap()
    }

    #[test]
    fn a_token_has_the_length_of_its_kind() {
        for kind in TokenKind::ALL {
            assert_eq!(token(kind).len(), kind.chars());
        }
    }

    #[test]
    fn a_bearer_is_accepted_as_its_own_kind() {
        for kind in [TokenKind::Application, TokenKind::Access] {
            assert_eq!(check_bearer(&token(kind)), Ok(kind));
        }
        assert_eq!(check_bearer(&token(TokenKind::Refresh)), Err(MalformedToken::Refresh));
    }

    #[test]
    fn a_mangled_token_is_named_by_what_mangled_it() {
        let good = token(TokenKind::Application);
        let whole = good.len();
        let changed = good.replacen("sfp_app_0", "sfp_app_1", 1);
        assert_ne!(changed, good);
        for (text, damage) in [
            (String::new(), MalformedToken::Empty),
            (format!("\"{good}\""), MalformedToken::Quoted),
            (format!("'{good}"), MalformedToken::Quoted),
            (format!("“{good}”"), MalformedToken::Quoted),
            (format!("Bearer {good}"), MalformedToken::Scheme),
            (format!("bearer {good}"), MalformedToken::Scheme),
            (format!("SFP_SERVER_TOKEN={good}"), MalformedToken::Preceded),
            (format!("\u{feff}{good}"), MalformedToken::Preceded),
            (format!("{good} # deploy"), MalformedToken::Blank),
            (format!("{good}\n{good}"), MalformedToken::Blank),
            ("ghp_example".to_owned(), MalformedToken::Foreign),
            ("x".to_owned(), MalformedToken::Foreign),
            ("é".to_owned(), MalformedToken::Foreign),
            (good.to_uppercase(), MalformedToken::Foreign),
            (good[..whole - 1].to_owned(), MalformedToken::Cut { found: whole - 1, whole }),
            ("sfp_app_".to_owned(), MalformedToken::Cut { found: 8, whole }),
            (format!("{good}{good}"), MalformedToken::Long { found: 2 * whole, whole }),
            (changed, MalformedToken::Checksum),
            (
                good.replace("app", "usr"),
                MalformedToken::Cut { found: whole, whole: TokenKind::Access.chars() },
            ),
        ] {
            assert_eq!(check_bearer(&text), Err(damage), "{text}");
        }
    }
}
