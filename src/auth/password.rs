//! Passwords: the rule, the hash, the check.
//!
//! Owns how a password is judged and stored. Knows nothing of users, sessions or limits.

use super::{common, spelling};
use crate::{
    crypto::{
        digest::equal,
        kdf::{KdfFailed, KdfParams, password_hash},
        random::{self, RandomError},
    },
    domain::{Email, Invalid, PasswordHash, Secret},
};

/// The shortest and the longest password, in characters (contract §6).
const CHARS: std::ops::RangeInclusive<usize> = 12..=256;

/// Letters of a generated password: lower-case base32 without those that are mistaken for others (Crockford's).
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Groups of a generated password: 25 letters of 5 bits, 125 random bits.
const GROUPS: usize = 5;
/// Letters between two dashes.
const GROUP: usize = 5;

/// An error of hashing or verifying a password.
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

/// The outcome of putting a password to the test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trial {
    /// True for the right password.
    pub is_right: bool,
    /// Argon2 runs it took: one for each spelling of the submitted password, whatever the outcome.
    pub runs: u64,
}

/// Checks that a new password keeps the rule, in the form in which it is stored.
///
/// # Errors
/// The password is not 12 to 256 characters of UTF-8 that can be typed again.
pub fn check_rule(password: &Secret) -> Result<(), Invalid> {
    password.check_typable("password")?;
    let stored = spelling::stored(password);
    let length = stored.expose_text().map(|text| text.chars().count());
    if length.is_some_and(|length| CHARS.contains(&length)) {
        return Ok(());
    }
    Err(Invalid { what: "password", rule: "12 to 256 characters" })
}

/// Checks that a new password keeps the rule, and is not among those that are guessed first; `email` is its user's.
///
/// # Errors
/// The password breaks the rule, or is too common.
pub fn check_new(password: &Secret, email: &Email) -> Result<(), Invalid> {
    check_rule(password)?;
    common::check(&spelling::stored(password), "password", Some(email))
}

/// Hashes a new password in NFC, with a fresh salt (argon2id, RFC 9106).
///
/// # Errors
/// The password breaks the rule, or the system gives no random bytes or no memory.
pub fn hash(password: &Secret, params: KdfParams) -> Result<PasswordHash, PasswordError> {
    check_rule(password)?;
    let salt = random::bytes()?;
    Ok(PasswordHash {
        memory_kib: params.memory_kib(),
        passes: params.passes(),
        lanes: params.lanes(),
        salt,
        hash: password_hash(&spelling::stored(password), &salt, params)?,
    })
}

/// Puts a password to the test in each of its spellings: one argon2 run each with the stored parameters, compared in
/// constant time. A match ends nothing early, so that work and time depend only on the submitted text.
///
/// # Errors
/// The stored parameters are out of bounds, or the system gives no memory.
pub fn verify(stored: &PasswordHash, password: &Secret) -> Result<Trial, PasswordError> {
    let params = KdfParams::new(stored.memory_kib, stored.passes, stored.lanes)?;
    let mut trial = Trial { is_right: false, runs: 0 };
    for spelling in spelling::of_password(password) {
        trial.is_right |= equal(&password_hash(&spelling, &stored.salt, params)?, &stored.hash);
        trial.runs += 1;
    }
    Ok(trial)
}

/// Does for a user that is not there what [`verify`] does for one that is, so that time does not tell them apart.
pub fn verify_absent(params: KdfParams, password: &Secret) -> Result<Trial, PasswordError> {
    let nobody = PasswordHash {
        memory_kib: params.memory_kib(),
        passes: params.passes(),
        lanes: params.lanes(),
        salt: [0; 16],
        hash: [0; 32],
    };
    verify(&nobody, password).map(|trial| Trial { is_right: false, ..trial })
}

/// A password to begin with: five groups of five letters, 125 random bits.
pub fn generate() -> Result<Secret, RandomError> {
    groups(GROUPS)
}

/// Generates a text of groups of five random letters.
pub(super) fn groups(count: usize) -> Result<Secret, RandomError> {
    let random = random::bytes_of_secret(count * GROUP)?;
    let mut text = Vec::with_capacity(count * (GROUP + 1));
    for group in random.expose().chunks(GROUP) {
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
            ("a\u{308}".repeat(11), false),
            ("a\u{308}".repeat(256), true),
            (" ".repeat(12), false),
            (format!(" {}", "x".repeat(12)), false),
            (format!("{}\n", "x".repeat(12)), false),
            (format!("{}\t{}", "x".repeat(6), "x".repeat(6)), false),
        ] {
            assert_eq!(check_rule(&secret(&text)).is_ok(), fits, "{text}");
        }
        assert!(check_rule(&Secret::new(vec![0xff; 20])).is_err());
    }

    #[test]
    fn a_password_is_known_again_and_another_is_not() {
        let stored = hash(&secret("correct horse battery"), KdfParams::LIGHT).unwrap();
        assert!(verify(&stored, &secret("correct horse battery")).unwrap().is_right);
        assert!(!verify(&stored, &secret("correct horse batterz")).unwrap().is_right);
        assert!(!verify(&stored, &secret("")).unwrap().is_right);
    }

    /// A password set on one system was wrong on another, whose keyboard composes letters in another way.
    #[test]
    fn a_password_is_known_again_in_every_spelling_at_the_same_work() {
        let stored = hash(&secret("caf\u{e9} na\u{ef}ve \u{c5}ngstr\u{f6}m"), KdfParams::LIGHT).unwrap();
        for (text, is_right) in [
            ("caf\u{e9} na\u{ef}ve \u{c5}ngstr\u{f6}m", true),
            ("cafe\u{301} nai\u{308}ve A\u{30a}ngstro\u{308}m", true),
            ("cafe\u{301} na\u{ef}ve \u{212b}ngstr\u{f6}m", true),
            ("caf\u{e8} na\u{ef}ve \u{c5}ngstr\u{f6}m", false),
            ("cafe naive Angstrom", false),
        ] {
            let trial = verify(&stored, &secret(text)).unwrap();
            assert_eq!(trial.is_right, is_right, "{text}");
            let absent = verify_absent(KdfParams::LIGHT, &secret(text)).unwrap();
            assert_eq!(
                trial.runs, absent.runs,
                "a user that is there costs as much as one that is not: {text}"
            );
        }
        let other = hash(&secret("cafe\u{301} na\u{ef}ve \u{c5}ngstr\u{f6}m"), KdfParams::LIGHT).unwrap();
        assert!(verify(&other, &secret("caf\u{e9} na\u{ef}ve \u{c5}ngstr\u{f6}m")).unwrap().is_right);
    }

    /// Stored by a version that took the bytes as they came.
    #[test]
    fn a_password_that_was_stored_in_another_form_still_lets_its_owner_in_as_it_was_typed() {
        for text in ["cafe\u{301} example password", "\u{fb01}ne example password", "\u{ff41}bcdefghijklmn"] {
            let salt = [7; 16];
            let hash = password_hash(&secret(text), &salt, KdfParams::LIGHT).unwrap();
            let stored = PasswordHash { memory_kib: 64, passes: 1, lanes: 1, salt, hash };
            assert!(verify(&stored, &secret(text)).unwrap().is_right, "{text}");
        }
    }

    #[test]
    fn a_common_password_is_refused_when_new_and_one_from_before_still_lets_its_user_in() {
        let (common, email) = (secret("Password-1234"), "ada@example.com".parse().unwrap());
        assert!(check_rule(&common).is_ok() && check_new(&common, &email).is_err());
        assert!(check_new(&secret("k3y9-x2mf"), &email).is_err(), "short and not common");
        let before = hash(&common, KdfParams::LIGHT).unwrap();
        assert!(verify(&before, &common).unwrap().is_right);
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
        let trial = verify_absent(KdfParams::LIGHT, &secret("whatever it is")).unwrap();
        assert_eq!(trial, Trial { is_right: false, runs: 1 });
    }

    #[test]
    fn a_generated_password_is_readable_and_keeps_the_rule() {
        let password = generate().unwrap();
        let text = std::str::from_utf8(password.expose()).unwrap();
        assert!(check_rule(&password).is_ok());
        assert_eq!(text.split('-').map(str::len).collect::<Vec<_>>(), [5; 5]);
        assert!(text.bytes().all(|byte| byte == b'-' || LETTERS.contains(&byte)));
        assert_ne!(generate().unwrap().expose(), password.expose());
        // 125 bits: any of 32 letters at each place.
        let many: Vec<Secret> = (0..200).map(|_| generate().unwrap()).collect();
        for at in (0..29).filter(|at| at % 6 != 5) {
            let found: std::collections::BTreeSet<u8> = many.iter().map(|made| made.expose()[at]).collect();
            assert!(found.len() > 24, "{at}: {found:?}");
        }
    }
}
