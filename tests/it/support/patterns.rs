//! Lines with `[..]` in them, and the lines that fit them.

/// Returns whether a line fits a pattern with `[..]` in it.
fn fits(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split("[..]");
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

pub fn all_fit(patterns: &[String], lines: &[String]) -> bool {
    match patterns.split_first() {
        None => lines.is_empty(),
        Some((any, rest)) if any == "..." => (0..=lines.len()).any(|skip| all_fit(rest, &lines[skip..])),
        Some((first, rest)) => {
            lines.split_first().is_some_and(|(line, more)| fits(first, line) && all_fit(rest, more))
        }
    }
}

/// Replaces ids, times, tokens and secrets, which vary from run to run, by `[..]`.
pub fn veiled(line: &str, secrets: &[String]) -> String {
    let mut line = line.to_owned();
    for secret in secrets {
        line = line.replace(secret.as_str(), "[..]");
    }
    let shapes = [
        "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh",
        "dddd-dd-ddTdd:dd:dd.dddZ",
        "dddd-dd-dd dd:dd UTC",
        "dddd-dd-dd dd:dd:dd UTC",
        "xxxxx-xxxxx-xxxxx-xxxxx-xxxxx",
    ];
    let mut out = String::new();
    let mut rest = line.as_str();
    'scan: while let Some(c) = rest.chars().next() {
        for shape in shapes {
            let mut chars = rest.chars();
            let like = |kind: char, c: char| match kind {
                'h' => c.is_ascii_hexdigit(),
                'd' => c.is_ascii_digit(),
                'x' => c.is_ascii_lowercase() || c.is_ascii_digit(),
                other => c == other,
            };
            if shape.chars().all(|kind| chars.next().is_some_and(|c| like(kind, c))) {
                out.push_str("[..]");
                rest = chars.as_str();
                continue 'scan;
            }
        }
        if let Some(after) = rest.strip_prefix("sfp_") {
            out.push_str("[..]");
            rest = after.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
            continue;
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    if let Some(at) = out.find("audit-receipt: ") {
        out.truncate(at);
        out.push_str("audit-receipt: [..]");
    }
    out
}

#[test]
fn a_pattern_fits_what_it_should_and_nothing_else() {
    for (pattern, line, fit) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("a[..]", "ab", true),
        ("[..]b", "ab", true),
        ("a[..]c", "abc", true),
        ("a[..]c", "abd", false),
        ("a[..]b[..]c", "axbyc", true),
        ("a[..]b[..]c", "axyc", false),
    ] {
        assert_eq!(fits(pattern, line), fit, "{pattern} {line}");
    }
    let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    assert!(all_fit(&lines(&["a", "...", "d"]), &lines(&["a", "b", "c", "d"])));
    assert!(!all_fit(&lines(&["a", "...", "d"]), &lines(&["a", "b", "c"])));
    assert!(!all_fit(&lines(&["a"]), &lines(&["a", "b"])));
}
