//! One-time passwords by time (RFC 6238), as every authenticator makes them: HMAC-SHA-1, six digits, steps of 30 s.

use data_encoding::BASE32_NOPAD;
use totp_rs::{Algorithm, Builder, Totp};

use super::{
    random::{self, RandomError},
    stack::leaving_nothing,
};
use crate::domain::{Secret, Timestamp};

/// The length of a shared secret, as RFC 4226 §4 recommends it.
const SECRET_BYTES: usize = 20;
/// The digits of a code.
pub const DIGITS: usize = 6;
/// The length of a step, in seconds.
pub const STEP_SECS: u64 = 30;
/// The steps before and after the present one whose codes count too, for clocks that differ (RFC 6238 §5.2).
const SKEW: u16 = 1;

/// Generates a shared secret.
pub fn generate() -> Result<Secret, RandomError> {
    random::bytes_of_secret(SECRET_BYTES)
}

/// Returns a shared secret as people type it: base32 (RFC 4648 §6) without padding.
pub fn to_text(secret: &Secret) -> Secret {
    Secret::from(BASE32_NOPAD.encode(secret.expose()))
}

/// Returns the number of a time's step.
pub const fn step(now: Timestamp) -> u64 {
    now.millis() / 1_000 / STEP_SECS
}

/// Returns the newest step whose code counts at that time.
pub const fn newest_step(now: Timestamp) -> u64 {
    step(now) + SKEW as u64
}

/// Returns the step whose code this is, if it counts at that time.
pub fn step_of(secret: &Secret, code: &str, now: Timestamp) -> Option<u64> {
    leaving_nothing(|| totp(secret)?.check(code, now.millis() / 1_000))
}

fn totp(secret: &Secret) -> Option<Totp> {
    let secret = totp_rs::Secret::new_stack(secret.expose().try_into().ok()?);
    let builder = Builder::new().with_algorithm(Algorithm::SHA1).with_digits(6).with_skew(SKEW);
    builder.with_step_duration(STEP_SECS).with_secret(secret).build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RFC: &[u8] = b"12345678901234567890";

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    /// RFC 6238, appendix B; a code of six digits is the end of one of eight.
    #[test]
    fn the_codes_are_those_of_the_rfc() {
        let secret = Secret::new(RFC.to_vec());
        for (seconds, code) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ] {
            let code = &code[2..];
            assert_eq!(step_of(&secret, code, at(seconds)), Some(seconds / 30), "{code}");
            assert_eq!(step_of(&secret, code, at(seconds + 30)), Some(seconds / 30), "one step late");
            assert_eq!(step_of(&secret, code, at(seconds - 30)), Some(seconds / 30), "one step early");
            assert_eq!(step_of(&secret, code, at(seconds + 60)), None, "two steps late");
        }
    }

    #[test]
    fn nothing_but_six_digits_is_a_code() {
        let secret = Secret::new(RFC.to_vec());
        for code in ["", "28708", "2870820", "28708a", "+87082", "２８７０８２", "94287082"] {
            assert_eq!(step_of(&secret, code, at(59)), None, "{code}");
        }
        assert_eq!(step_of(&Secret::new(vec![1; 19]), "287082", at(59)), None, "no secret of ours");
    }

    /// RFC 4648 §10, and the example that every authenticator's documentation has.
    #[test]
    fn a_secret_is_shown_in_base32() {
        let shown = |bytes: &[u8]| to_text(&Secret::new(bytes.to_vec())).expose_text().unwrap().to_owned();
        assert_eq!(shown(b"foobar"), "MZXW6YTBOI");
        assert_eq!(shown(RFC), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(generate().unwrap().expose().len(), SECRET_BYTES);
        assert_ne!(generate().unwrap().expose(), generate().unwrap().expose());
    }

    #[test]
    fn the_newest_step_is_the_last_that_counts() {
        assert_eq!((step(at(59)), newest_step(at(59))), (1, 2));
    }
}
