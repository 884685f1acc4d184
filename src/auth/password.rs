//! Passwords: the rule, the hash, the check.
//!
//! Owns how a password is judged and stored. Knows nothing of users, sessions or limits.

use crate::{
    crypto::{
        digest::equal,
        kdf::{KdfFailed, KdfParams, password_hash},
        random::{self, RandomError},
    },
    domain::{Invalid, PasswordHash, Secret},
};

/// The shortest and the longest password, in characters (contract §6).
const CHARS: std::ops::RangeInclusive<usize> = 12..=256;

/// Letters of a generated password: lower-case base32 without those that are mistaken for others (Crockford's).
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// 25 letters of 5 bits: 125 random bits.
const LETTERS_COUNT: usize = 25;
/// Letters between two dashes.
const GROUP: usize = 5;

/// Why a password could not be hashed or checked.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// It breaks the rule.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The system gives no random bytes.
    #[error("no salt for a password")]
    Random(#[from] RandomError),
    /// The hash did not run: too little memory, or stored parameters that are out of bounds.
    #[error("a password could not be hashed")]
    Kdf(#[from] KdfFailed),
}

/// Checks that a new password keeps the rule.
///
/// # Errors
/// Where it is not UTF-8 of 12 to 256 characters.
pub fn check_rule(password: &Secret) -> Result<(), Invalid> {
    let length = std::str::from_utf8(password.expose()).map(|text| text.chars().count());
    if length.is_ok_and(|length| CHARS.contains(&length)) {
        return Ok(());
    }
    Err(Invalid { what: "password", rule: "12 to 256 characters" })
}

/// Hashes a new password with a fresh salt (argon2id, RFC 9106).
///
/// # Errors
/// Where the password breaks the rule, or the system gives no random bytes or no memory.
pub fn hash(password: &Secret, params: KdfParams) -> Result<PasswordHash, PasswordError> {
    check_rule(password)?;
    let salt = random::bytes()?;
    Ok(PasswordHash {
        memory_kib: params.memory_kib(),
        passes: params.passes(),
        lanes: params.lanes(),
        salt,
        hash: password_hash(password, &salt, params)?,
    })
}

/// Whether that is the password: one argon2 run with the stored parameters, compared in constant time.
///
/// # Errors
/// Where the stored parameters are out of bounds, or the system gives no memory.
pub fn verify(stored: &PasswordHash, password: &Secret) -> Result<bool, PasswordError> {
    let params = KdfParams::new(stored.memory_kib, stored.passes, stored.lanes)?;
    Ok(equal(&password_hash(password, &stored.salt, params)?, &stored.hash))
}

/// Does for a user that is not there what [`verify`] does for one that is, so that time does not tell them apart.
///
/// # Errors
/// As [`verify`].
pub fn verify_absent(params: KdfParams, password: &Secret) -> Result<(), PasswordError> {
    let nobody = PasswordHash {
        memory_kib: params.memory_kib(),
        passes: params.passes(),
        lanes: params.lanes(),
        salt: [0; 16],
        hash: [0; 32],
    };
    verify(&nobody, password).map(|_| ())
}

/// A password to begin with: five groups of five letters, 125 random bits.
///
/// # Errors
/// Where the system gives no random bytes.
pub fn generate() -> Result<Secret, RandomError> {
    let random = zeroize::Zeroizing::new(random::bytes::<LETTERS_COUNT>()?);
    let mut text = Vec::with_capacity(LETTERS_COUNT + LETTERS_COUNT / GROUP);
    for group in random.chunks(GROUP) {
        if !text.is_empty() {
            text.push(b'-');
        }
        text.extend(group.iter().map(|byte| LETTERS[usize::from(byte % 32)]));
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::from(text.to_owned())
    }

    #[test]
    fn the_rule_counts_characters_not_bytes() {
        for (text, fits) in [
            ("x".repeat(11), false),
            ("x".repeat(12), true),
            ("ä".repeat(11), false),
            ("ä".repeat(256), true),
            ("x".repeat(257), false),
        ] {
            assert_eq!(check_rule(&secret(&text)).is_ok(), fits, "{text}");
        }
        assert!(check_rule(&Secret::new(vec![0xff; 20])).is_err());
    }

    #[test]
    fn a_password_is_known_again_and_another_is_not() {
        let stored = hash(&secret("correct horse battery"), KdfParams::LIGHT).unwrap();
        assert!(verify(&stored, &secret("correct horse battery")).unwrap());
        assert!(!verify(&stored, &secret("correct horse batterz")).unwrap());
        assert!(!verify(&stored, &secret("")).unwrap());
    }

    #[test]
    fn one_password_hashed_twice_gives_two_hashes() {
        let once = hash(&secret("correct horse battery"), KdfParams::LIGHT).unwrap();
        let twice = hash(&secret("correct horse battery"), KdfParams::LIGHT).unwrap();
        assert!(once.salt != twice.salt && once.hash != twice.hash);
    }

    #[test]
    fn a_password_that_breaks_the_rule_is_not_hashed() {
        assert!(matches!(hash(&secret("short"), KdfParams::LIGHT), Err(PasswordError::Invalid(_))));
    }

    #[test]
    fn stored_parameters_out_of_bounds_are_refused_before_they_cost_anything() {
        let mut stored = hash(&secret("correct horse battery"), KdfParams::LIGHT).unwrap();
        stored.memory_kib = u32::MAX;
        assert!(matches!(verify(&stored, &secret("x")), Err(PasswordError::Kdf(_))));
    }

    #[test]
    fn nobody_has_a_password() {
        assert!(verify_absent(KdfParams::LIGHT, &secret("whatever it is")).is_ok());
    }

    #[test]
    fn a_generated_password_is_readable_and_keeps_the_rule() {
        let password = generate().unwrap();
        let text = std::str::from_utf8(password.expose()).unwrap();
        assert!(check_rule(&password).is_ok());
        assert_eq!(text.split('-').map(str::len).collect::<Vec<_>>(), [5; 5]);
        assert!(text.bytes().all(|byte| byte == b'-' || LETTERS.contains(&byte)));
        assert_ne!(generate().unwrap().expose(), password.expose());
    }
}
