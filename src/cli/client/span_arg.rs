//! Spans of time in flags: a whole number and its unit.

use std::time::Duration;

use crate::domain::seconds;

/// Parses a span like `90s`, `30m`, `1h`, `2d` or `4w`.
///
/// # Errors
/// The text has another form.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let rule = || "write a number and its unit: s, m, h, d or w".to_owned();
    let at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(rule)?;
    let (number, unit) = text.split_at(at);
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return Err(rule()),
    };
    let number: u64 = number.parse().map_err(|_| rule())?;
    number.checked_mul(factor).map(seconds).ok_or_else(rule)
}

/// Parses a span of whole days like `30d`, `4w` or `30`, at most ten years.
///
/// # Errors
/// The text has another form, or the span is no such number of days.
pub(super) fn days(text: &str) -> Result<u64, String> {
    let rule = || "write a number of days from 1d to 3650d".to_owned();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let span = span(&if is_number { format!("{text}d") } else { text.to_owned() }).map_err(|_| rule())?;
    let days = span.as_secs() / 86_400;
    let is_whole = days * 86_400 == span.as_secs() && (1..=3650).contains(&days);
    if is_whole { Ok(days) } else { Err(rule()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_a_number_and_a_unit() {
        for (text, secs) in
            [("0s", 0), ("90s", 90), ("30m", 1_800), ("1h", 3_600), ("2d", 172_800), ("1w", 604_800)]
        {
            assert_eq!(span(text), Ok(seconds(secs)), "{text}");
        }
        for text in
            ["", "1", "h", "-1h", "1.5h", "1 h", "1H", "1y", "99999999999999999999d", "9999999999999999999w"]
        {
            assert!(span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn days_are_whole_and_may_go_without_their_unit() {
        for (text, count) in [("30", 30), ("30d", 30), ("4w", 28), ("48h", 2), ("3650d", 3650)] {
            assert_eq!(days(text), Ok(count), "{text}");
        }
        for text in ["", "0", "0d", "36h", "3651d", "d", "x", "1e2"] {
            assert!(days(text).is_err(), "{text}");
        }
    }
}
