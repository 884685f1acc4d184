//! Second factors: the codes of an authenticator, and printed one-time codes.
//!
//! Owns the decision whether a submitted code counts, and what it uses up. Knows no users and no limits.

use crate::{
    auth::password,
    crypto::{
        digest::{equal, sha256},
        otp,
        random::RandomError,
    },
    domain::{Digest, OneTimeCode, SecondFactor, Secret, Timestamp},
};

/// The number of one-time codes on a printed list.
pub const CODES: u8 = 10;
/// The number of steps in a day. A clock that was a day ahead was wrong.
const DAY_STEPS: u64 = 86_400 / otp::STEP_SECS;
/// Groups of five letters in a one-time code: 50 random bits. The limiter lets through ten guesses an hour.
const GROUPS: usize = 2;

/// The part of a second factor that a code used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Used {
    /// A step of the authenticator.
    Step(u64),
    /// A one-time code, by its number.
    Code(u8),
}

/// Generates a list of one-time codes: what is printed, and what is stored.
pub fn generate_codes() -> Result<(Vec<Secret>, Vec<OneTimeCode>), RandomError> {
    let mut list = (Vec::new(), Vec::new());
    for number in 1..=CODES {
        let text = password::groups(GROUPS)?;
        let digest = digest(&text).expect("a generated code is ASCII");
        list.1.push(OneTimeCode { number, digest });
        list.0.push(text);
    }
    Ok(list)
}

/// Returns the second factor without what the submitted code uses up; `None` for a code that does not count.
pub fn take(factor: &SecondFactor, submitted: &Secret, now: Timestamp) -> Option<(SecondFactor, Used)> {
    let text = Secret::from(letters(submitted)?);
    let mut after = factor.clone();
    if text.expose().len() == otp::DIGITS {
        let step = step_of(&factor.secret, submitted, now)?;
        // A clock that was far ahead has left a step that no code reaches: without this, none would count until then.
        let was_ahead = factor.used_step > step + DAY_STEPS;
        if step <= factor.used_step && !was_ahead {
            return None;
        }
        after.used_step = step;
        return Some((after, Used::Step(step)));
    }
    let digest = digest(&text)?;
    let mut used = None;
    // All of the list is compared: the time reveals nothing about a code.
    for code in &factor.codes {
        if equal(&code.digest.0, &digest.0) {
            used = Some(code.number);
        }
    }
    let number = used?;
    after.codes.retain(|code| code.number != number);
    Some((after, Used::Code(number)))
}

/// Returns the step of an authenticator's code, if it counts at that time.
pub fn step_of(secret: &Secret, submitted: &Secret, now: Timestamp) -> Option<u64> {
    let text = Secret::from(letters(submitted)?);
    otp::step_of(secret, text.expose_text()?, now)
}

/// Returns the URI that an authenticator reads from a QR code.
pub fn uri(secret: &Secret, account: &str) -> Secret {
    let account = percent_encoding::utf8_percent_encode(account, percent_encoding::NON_ALPHANUMERIC);
    let text = otp::to_text(secret);
    let text = text.expose_text().expect("base32 is ASCII");
    let (digits, period) = (otp::DIGITS, otp::STEP_SECS);
    Secret::from(format!(
        "otpauth://totp/sealroom:{account}?secret={text}&issuer=sealroom&algorithm=SHA1&digits={digits}&period={period}"
    ))
}

/// Returns the digest of a one-time code as typed: case, blanks and hyphens do not count, nor does which of two letters
/// that look alike was typed. The row of the digests is sealed: it needs no salt.
fn digest(code: &Secret) -> Option<Digest> {
    let plain = |c: char| match c.to_ascii_lowercase() {
        'o' => '0',
        'i' | 'l' => '1',
        c => c,
    };
    let text = Secret::from(letters(code)?.chars().map(plain).collect::<String>());
    Some(Digest(sha256(text.expose())))
}

/// Returns a code without the blanks and hyphens that group it.
fn letters(code: &Secret) -> Option<String> {
    Some(code.expose_text()?.chars().filter(|c| !c.is_whitespace() && *c != '-').collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// RFC 6238, appendix B: at 59 s the code is 287082.
    const NOW: Timestamp = Timestamp::from_millis(59_000);

    fn secret(text: &str) -> Secret {
        Secret::from(text.to_owned())
    }

    fn factor() -> (SecondFactor, Vec<Secret>) {
        let (printed, codes) = generate_codes().unwrap();
        let secret = Arc::new(secret("12345678901234567890"));
        (SecondFactor { secret, used_step: 0, codes }, printed)
    }

    #[test]
    fn a_code_of_the_authenticator_counts_once_and_then_neither_it_nor_an_older_one() {
        let (before, _) = factor();
        let (after, used) = take(&before, &secret(" 287 082 "), NOW).unwrap();
        assert_eq!((used, after.used_step, after.codes.len()), (Used::Step(1), 1, usize::from(CODES)));
        assert!(take(&after, &secret("287082"), NOW).is_none(), "again");
        let ahead = SecondFactor { used_step: 2, ..before };
        assert!(take(&ahead, &secret("287082"), NOW).is_none(), "an older one");
    }

    #[test]
    fn a_clock_that_was_far_ahead_shuts_nobody_out_and_one_that_was_a_little_ahead_revives_no_code() {
        let (before, _) = factor();
        let code = secret("287082");
        for (used_step, counts) in
            [(2, false), (1 + DAY_STEPS, false), (2 + DAY_STEPS, true), (u64::MAX, true)]
        {
            let ahead = SecondFactor { used_step, ..before.clone() };
            let taken = take(&ahead, &code, NOW);
            assert_eq!(taken.is_some(), counts, "{used_step}");
            if let Some((after, _)) = taken {
                assert!(take(&after, &code, NOW).is_none(), "again");
            }
        }
    }

    #[test]
    fn a_one_time_code_counts_once_however_it_is_typed() {
        let (mut factor, printed) = factor();
        for (number, code) in (1..=CODES).zip(&printed) {
            let text = code.expose_text().unwrap();
            assert_eq!((text.len(), &text[5..6]), (11, "-"));
            let typed = secret(&match number % 3 {
                0 => text.to_uppercase().replace('0', "O"),
                1 => text.replace('-', " ").replace('1', "l"),
                _ => text.replace('-', ""),
            });
            let (after, used) = take(&factor, &typed, NOW).unwrap();
            assert_eq!((used, after.codes.len()), (Used::Code(number), usize::from(CODES - number)));
            assert!(take(&after, &typed, NOW).is_none(), "again");
            factor = after;
        }
    }

    #[test]
    fn no_two_codes_of_a_list_are_alike_and_nothing_else_counts() {
        let (factor, printed) = factor();
        let mut texts: Vec<_> = printed.iter().map(|code| code.expose().to_vec()).collect();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), usize::from(CODES));
        for wrong in ["", " ", "287083", "abcde-fghjk", "28708", "2870822"] {
            assert!(take(&factor, &secret(wrong), NOW).is_none(), "{wrong}");
        }
        assert!(take(&factor, &Secret::new(vec![0xff; 6]), NOW).is_none());
    }

    #[test]
    fn an_authenticator_reads_issuer_account_and_secret_from_the_uri() {
        let uri = uri(&secret("12345678901234567890"), "ada+x@example.com");
        assert_eq!(
            uri.expose_text().unwrap(),
            "otpauth://totp/sealroom:ada%2Bx%40example%2Ecom?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=sealroom&algorithm=SHA1&digits=6&period=30"
        );
    }
}
