//! Common secrets: those that are guessed first.
//!
//! A new password or passphrase is none of the most common ones, nor one of them with digits around it, with letters
//! replaced by digits, or repeated; nor a repetition, a run along the keyboard, or the user's own address. `common.txt` has the list, its source and its licence. One that
//! was set before still lets its user in.

use crate::domain::{Email, Invalid, Secret};

/// The list, lines of `#` aside; in lower case.
const LIST: &str = include_str!("common.txt");
/// The length below which only the list counts: a passphrase may be short, with a warning of its own.
const PATTERN_CHARS_MIN: usize = 12;
/// The longest unit of a repetition: `abcdabcdabcd`.
const UNIT_CHARS_MAX: usize = 4;
/// Common words that are shorter than those of the list.
const SHORT: [&str; 8] = ["admin", "guest", "hello", "login", "love", "pass", "root", "user"];
/// The letters of a word that is too short to be a password's only one.
const ONLY_WORD_MIN: usize = 6;
/// The shortest word whose repetition is looked up.
const REPEATED_MIN: usize = 4;
/// The letters and digits that a password must have beside an address's own words.
const BESIDE_MIN: usize = 6;
/// The shortest word of an address that counts.
const WORD_CHARS_MIN: usize = 3;
/// Rows and columns of keyboards, and the alphabet. A run goes along one of them, in either direction.
const ROWS: [&str; 18] = [
    "12345678901",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertzuiop",
    "yxcvbnm",
    "azertyuiop",
    "qsdfghjklm",
    "wxcvbn",
    "abcdefghijklmnopqrstuvwxyz",
    "1qaz",
    "2wsx",
    "3edc",
    "4rfv",
    "5tgb",
    "6yhn",
    "7ujm",
    "!@#$%^&*()",
];

/// Checks that a new secret is not among those that are guessed first; `email` is its user's.
///
/// # Errors
/// It is one of them, by list or by pattern.
pub fn check(secret: &Secret, what: &'static str, email: Option<&Email>) -> Result<(), Invalid> {
    let Some(text) = secret.expose_text() else { return Ok(()) };
    let folded = Secret::from(text.to_lowercase());
    let text = folded.expose_text().unwrap_or_default();
    let invalid = |rule| Err(Invalid { what, rule });
    if is_listed(text) {
        return invalid("less common: this one is among those that are guessed first");
    }
    if text.chars().count() < PATTERN_CHARS_MIN {
        return Ok(());
    }
    if is_short_word(text) {
        return invalid("more than one short word with digits and signs around it");
    }
    if is_repetition(text) || is_run(text) {
        return invalid("more than a repetition or a run along the keyboard");
    }
    if is_address(text, email) {
        return invalid("more than the e-mail address or this program's name, and a few characters");
    }
    Ok(())
}

/// Returns whether the list has the text, its word without the digits and signs around it, that word with letters for
/// the digits and signs within it, or the word that it repeats.
fn is_listed(text: &str) -> bool {
    let word = word_of(text);
    let spelt: Secret = word.chars().map(letter_of).collect::<String>().into();
    let spelt = spelt.expose_text().unwrap_or_default();
    [text, word, spelt].into_iter().any(is_common) || is_repeated_word(text)
}

fn is_common(word: &str) -> bool {
    SHORT.contains(&word) || LIST.lines().any(|line| !line.starts_with('#') && line == word)
}

/// Returns the text without the digits and signs around it.
fn word_of(text: &str) -> &str {
    text.trim_matches(|c: char| !c.is_alphabetic())
}

/// Returns the letter that a digit or a sign often stands for.
const fn letter_of(c: char) -> char {
    match c {
        '@' | '4' => 'a',
        '3' => 'e',
        '1' | '!' => 'i',
        '0' => 'o',
        '5' | '$' => 's',
        '7' => 't',
        c => c,
    }
}

/// Returns whether the text is one short word, and digits and signs.
fn is_short_word(text: &str) -> bool {
    let word = word_of(text);
    !word.is_empty() && word.chars().all(char::is_alphabetic) && word.chars().count() < ONLY_WORD_MIN
}

/// Returns whether the text is a common word again and again, with signs and digits between and behind.
fn is_repeated_word(text: &str) -> bool {
    let plain: String = text.chars().filter(|c| c.is_alphanumeric()).collect();
    let plain = Secret::from(plain);
    let plain = plain.expose_text().unwrap_or_default().trim_end_matches(|c: char| c.is_ascii_digit());
    let units = (REPEATED_MIN..=plain.len() / 2).filter(|unit| plain.len().is_multiple_of(*unit));
    units
        .filter_map(|unit| plain.get(..unit))
        .any(|unit| plain.replace(unit, "").is_empty() && is_common(unit))
}

/// Returns whether the text is a short unit again and again.
fn is_repetition(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    (1..=UNIT_CHARS_MAX).any(|unit| chars.iter().zip(&chars[unit..]).all(|(one, next)| one == next))
}

/// Returns whether the text is made of runs of four characters and more on average.
fn is_run(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    let breaks = chars.windows(2).filter(|two| !are_neighbours(two[0], two[1])).count();
    (breaks + 1) * 4 <= chars.len()
}

fn are_neighbours(one: char, next: char) -> bool {
    let along = |row: &&str| {
        let mut pairs = row.chars().zip(row.chars().skip(1));
        pairs.any(|pair| pair == (one, next) || pair == (next, one))
    };
    one == next || ROWS.iter().any(along)
}

/// Returns whether too little is left of the text without the words of the address and of this program.
fn is_address(text: &str, email: Option<&Email>) -> bool {
    let plain = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    let whole = plain(text);
    let mut words: Vec<String> = vec!["sealroom".to_owned()];
    if let Some((local, domain)) = email.and_then(|email| email.as_str().split_once('@')) {
        let labels = local.split(['.', '+', '-', '_']).chain(domain.split(['.', '-']));
        words.extend([local, domain].into_iter().chain(labels).map(plain));
    }
    words.retain(|word| word.chars().count() >= WORD_CHARS_MIN);
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    let rest = words.iter().fold(whole.clone(), |rest, word| rest.replace(word.as_str(), ""));
    rest.len() < whole.len() && rest.chars().count() < BESIDE_MIN
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str, email: &str) -> Option<&'static str> {
        let email = email.parse::<Email>().ok();
        check(&Secret::from(text.to_owned()), "password", email.as_ref()).err().map(|invalid| invalid.rule)
    }

    #[test]
    fn no_common_password_or_simple_variant_of_one_is_accepted() {
        for text in [
            "unbelievable",
            "Administrator",
            "password1234",
            "PASSWORD-2026!",
            "!!football!!99",
            "1qaz2wsx3edc4rfv",
            "q1w2e3r4t5y6",
            "123456789012",
            "qwerzxcvasdf",
            "aabbccddeeff",
            "qwertyuiop12",
            "asdfghjkl123",
            "abcdefghijkl",
            "zyxwvutsrqpo",
            "azertyuiop12",
            "qwertzuiop123",
            "aaaaaaaaaaaa",
            "abcabcabcabc",
            "12341234123412",
            "äöäöäöäöäöäö",
            "!@#$%^&*()!@",
            "SealRoom-2026",
            "sealroomsealroom",
            "sealroom12345",
            "admin1234567",
            "test12345678",
            "2026-love-2026!",
            "p@ssw0rd1234",
            "Passw0rd2026!",
            "Pa$$w0rd1234",
            "passwordpassword",
            "letmein-letmein-1",
            "iloveyouiloveyou",
            "adminadmin12",
            "admin-admin-1",
        ] {
            assert!(refused(text, "").is_some(), "{text}");
        }
    }

    #[test]
    fn no_password_is_its_users_address_and_a_few_characters() {
        for text in [
            "ada.lovelace",
            "AdaLovelace12",
            "lovelace-ada!",
            "analytical.example.org",
            "analytical12",
            "ada.lovelace@analytical.example.org",
            "ada-sealroom-1",
        ] {
            assert!(refused(text, "ada.lovelace@analytical.example.org").is_some(), "{text}");
        }
        assert!(refused("ada.lovelace", "grace@example.org").is_none(), "another user's");
        assert!(refused("lovelace engine 1843", "ada.lovelace@example.org").is_none(), "more than that");
        assert!(refused("lovelace-1x3y5z", "ada.lovelace@example.org").is_none(), "six characters more");
        assert!(refused("ada-1x3y5-ada", "ada@example.org").is_some(), "a word of three letters");
        assert!(refused("jo-jo-k3w9-jo", "jo.li@example.org").is_none(), "one of two");
        assert!(refused("cordwain-1x3y5", "cord.cordwain@example.org").is_some(), "the longer word first");
    }

    #[test]
    fn what_people_and_generators_choose_is_accepted() {
        for text in [
            "correct horse battery",
            "password-example",
            "another-password-example",
            "hunter2hunter2hunter2",
            "caf\u{e9} example password",
            "パスワードを忘れないでください",
            "k3y9-x2mf-q8vw",
            "839205716482",
            "%(x?y&z=_#~v",
            "83920-a-b-c-57164",
            "zyphot839205",
            "zyphot-zyphot",
            "password-zyphotun",
            "my dog ate 7 sealrooms",
            "aaaa-bbbb-cccc-dddd-eeee-x1y2z3",
            "example of a passphrase",
        ] {
            assert_eq!(refused(text, "owner@example.com"), None, "{text}");
        }
        for _ in 0..200 {
            let made = crate::auth::password::generate().unwrap();
            assert!(check(&made, "password", None).is_ok());
        }
    }

    #[test]
    fn a_short_passphrase_is_held_against_the_list_alone() {
        for (text, fits) in [
            ("a", true),
            ("aaaa", true),
            ("nine", true),
            ("letmein1", false),
            ("qwerty", false),
            ("admin", false),
            ("p@ssw0rd", false),
        ] {
            assert_eq!(refused(text, "").is_none(), fits, "{text}");
        }
    }

    #[test]
    fn the_list_is_lower_case_and_names_its_source() {
        let entries: Vec<&str> = LIST.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(entries.len() > 2_000 && entries.is_sorted());
        assert!(entries.iter().all(|entry| *entry == entry.to_lowercase() && entry.len() >= 6));
        assert!(LIST.contains("zxcvbn") && LIST.contains("Permission is hereby granted"));
    }
}
