//! `.env` files, as dotenv of Node.js, python-dotenv, compose and the exports of Infisical and Doppler write them.
//!
//! | value | reading |
//! |---|---|
//! | `'…'` and `` `…` `` | as it stands, over several lines too; `'\''` inside is one quote, as a shell has it |
//! | `"…"` | `\n`, `\r`, `\t`, `\\`, `\"`, `\$`, `\'` and a backtick are unescaped, any other backslash stays |
//! | else | to the end of the line, without blanks around it and without a comment that a blank precedes |
//!
//! Nothing is expanded: `$NAME` is stored as it stands, and the caller is told.

use zeroize::Zeroizing;

use super::found::Unreadable;

/// One variable.
pub(super) struct Entry {
    /// Its name.
    pub(super) name: String,
    /// Its value.
    pub(super) value: Zeroizing<String>,
    /// `true` if other readers would put another variable's value into this one.
    pub(super) refers: bool,
}

/// Parses a whole file.
///
/// # Errors
/// [`Unreadable`] for the first line that is no assignment.
pub(super) fn parse(text: &str) -> Result<Vec<Entry>, Unreadable> {
    let mut reader = Reader { rest: text, line: 1 };
    let mut entries = Vec::new();
    while reader.skip_to_entry() {
        entries.push(reader.entry()?);
    }
    Ok(entries)
}

/// Returns whether a line begins an assignment.
pub(super) fn is_assignment(line: &str) -> bool {
    let line = line.trim_start();
    let line = line.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t'])).unwrap_or(line);
    line.split_once('=').is_some_and(|(name, _)| is_name(name.trim()))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Reader<'a> {
    /// Skips blank lines and comments; returns whether anything is left.
    fn skip_to_entry(&mut self) -> bool {
        loop {
            let rest = self.rest.trim_start();
            self.take(self.rest.len() - rest.len());
            if !self.rest.starts_with('#') {
                return !self.rest.is_empty();
            }
            self.take(self.line_end());
        }
    }

    fn entry(&mut self) -> Result<Entry, Unreadable> {
        let line = self.line;
        let head = &self.rest[..self.line_end()];
        if !is_assignment(head) {
            return Err(Unreadable::at(line, "is no assignment like NAME=value"));
        }
        let equals = head.find('=').unwrap_or(head.len());
        let name = head[..equals].trim();
        let name = name.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t'])).unwrap_or(name);
        let name = name.trim().to_owned();
        self.take((equals + 1).min(self.rest.len()));
        let blanks = self.rest.len() - self.rest.trim_start_matches([' ', '\t']).len();
        self.take(blanks);
        let (value, refers) = match self.rest.as_bytes().first() {
            Some(b'\'') => (self.single(line)?, false),
            Some(b'`') => (Zeroizing::new(self.quoted('`', line)?.to_owned()), false),
            Some(b'"') => {
                let inside = self.quoted('"', line)?;
                (unescape(inside), refers(inside))
            }
            _ => {
                let plain = self.plain();
                (Zeroizing::new(plain.to_owned()), refers(plain))
            }
        };
        Ok(Entry { name, value, refers })
    }

    /// Takes an unquoted value.
    fn plain(&mut self) -> &'a str {
        let whole = &self.rest[..self.line_end()];
        self.take(whole.len());
        if whole.starts_with('#') {
            return "";
        }
        let comment = whole.find(" #").into_iter().chain(whole.find("\t#")).min();
        whole[..comment.unwrap_or(whole.len())].trim()
    }

    /// Takes a single-quoted value, and what a shell joins to it.
    fn single(&mut self, line: usize) -> Result<Zeroizing<String>, Unreadable> {
        let mut parts = vec![self.inside('\'', line)?];
        while self.rest.starts_with("\\''") {
            self.take(2);
            parts.extend(["'", self.inside('\'', line)?]);
        }
        self.end_of_value(line)?;
        Ok(Zeroizing::new(parts.concat()))
    }

    /// Takes a quoted value and the end of its line.
    fn quoted(&mut self, quote: char, line: usize) -> Result<&'a str, Unreadable> {
        let inside = self.inside(quote, line)?;
        self.end_of_value(line)?;
        Ok(inside)
    }

    /// Takes the text between two quotes; only in double quotes a backslash escapes the quote.
    fn inside(&mut self, quote: char, line: usize) -> Result<&'a str, Unreadable> {
        let text = &self.rest[1..];
        let mut escaped = false;
        let end = text.char_indices().find(|(_, c)| {
            let closes = *c == quote && !escaped;
            escaped = quote == '"' && *c == '\\' && !escaped;
            closes
        });
        let Some((end, _)) = end else {
            return Err(Unreadable::at(line, "opens a quote that is never closed"));
        };
        self.take(end + 2);
        Ok(&text[..end])
    }

    /// Takes what may follow a closing quote: blanks and a comment.
    fn end_of_value(&mut self, line: usize) -> Result<(), Unreadable> {
        let rest = &self.rest[..self.line_end()];
        let after = rest.trim_start();
        if after.is_empty() || after.starts_with('#') {
            self.take(rest.len());
            return Ok(());
        }
        Err(Unreadable::at(line, "has text after a closing quote"))
    }

    fn line_end(&self) -> usize {
        self.rest.find('\n').unwrap_or(self.rest.len())
    }

    fn take(&mut self, bytes: usize) {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += taken.bytes().filter(|byte| *byte == b'\n').count();
        self.rest = rest;
    }
}

/// Unescapes a double-quoted value. The result is allocated once: growing it would leave unwiped copies.
fn unescape(inside: &str) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(inside.len()));
    let mut rest = inside;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let known = match rest.as_bytes().get(at + 1) {
            Some(b'n') => Some('\n'),
            Some(b'r') => Some('\r'),
            Some(b't') => Some('\t'),
            Some(byte @ (b'\\' | b'"' | b'$' | b'\'' | b'`')) => Some(char::from(*byte)),
            _ => None,
        };
        text.push(known.unwrap_or('\\'));
        rest = &rest[at + if known.is_some() { 2 } else { 1 }..];
    }
    text.push_str(rest);
    text
}

/// Returns whether a reader that expands would change this value: `$NAME`, `${…}` or `$(…)` without a backslash.
fn refers(raw: &str) -> bool {
    let mut before = ' ';
    let mut characters = raw.chars().peekable();
    while let Some(character) = characters.next() {
        let begins = |next: &char| next.is_ascii_alphabetic() || matches!(next, '_' | '{' | '(');
        if character == '$' && before != '\\' && characters.peek().is_some_and(begins) {
            return true;
        }
        before = if before == '\\' { ' ' } else { character };
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(text: &str) -> Vec<(String, String)> {
        parse(text).unwrap().into_iter().map(|one| (one.name, one.value.to_string())).collect()
    }

    fn value(text: &str) -> String {
        let all = values(text);
        assert_eq!(all.len(), 1, "{text}");
        all.into_iter().next().unwrap().1
    }

    #[test]
    fn a_value_is_what_the_common_readers_make_of_it() {
        for (line, read) in [
            ("A=x", "x"),
            ("export A=x", "x"),
            ("  A = x y  ", "x y"),
            ("A=", ""),
            ("A=#no", ""),
            ("A=x#y", "x#y"),
            ("A=x #comment", "x"),
            ("A=a=b==", "a=b=="),
            ("A='x #y $Z \\n'", "x #y $Z \\n"),
            ("A='x' # comment", "x"),
            (r"A='it'\''s'", "it's"),
            (r"A=''\''s'", "'s"),
            ("A='two\nlines'", "two\nlines"),
            (r#"A="a\nb\t\"c\" \\ \$d \q""#, "a\nb\t\"c\" \\ $d \\q"),
            ("A=\"two\r\nlines\"", "two\r\nlines"),
            ("A=`x \"y\" 'z'`", "x \"y\" 'z'"),
            ("A=x\r\n", "x"),
            ("# no\n\n\tA=x\n# no\n", "x"),
            (r"A=\n", r"\n"),
            ("A='é\u{1f600}'", "é\u{1f600}"),
            ("exported=1", "1"),
        ] {
            assert_eq!(value(line), read, "{line:?}");
        }
        assert_eq!(values("A=1\nexport B='2'\n\nC=\"3\"").len(), 3);
    }

    #[test]
    fn a_line_that_is_no_assignment_is_named_by_its_number_alone() {
        for (text, line, flaw) in [
            ("A=1\nzq1", 2, "no assignment"),
            ("=zq1", 1, "no assignment"),
            ("A B=zq1", 1, "no assignment"),
            ("A='zq1", 1, "never closed"),
            ("\n\nA=\"zq1\\\"", 3, "never closed"),
            ("A='zq1'zq1", 1, "after a closing quote"),
            ("A='1\n2'\nB=\"zq1\" zq1", 3, "after a closing quote"),
        ] {
            let error = parse(text).err().unwrap();
            assert_eq!(error.line, line, "{text:?}");
            assert!(error.flaw.contains(flaw) && !error.to_string().contains("zq1"), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_reference_to_another_variable_is_seen_and_not_followed() {
        for (line, refers) in [
            ("A=$B", true),
            ("A=x${B}", true),
            ("A=\"$(id)\"", true),
            ("A='$B'", false),
            ("A=\"\\$B\"", false),
            ("A=5$", false),
            ("A=$5", false),
            ("A=\"\\\\$B\"", true),
        ] {
            assert_eq!(parse(line).unwrap()[0].refers, refers, "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_word_of_it(text in r#"[a-zA-Z=$'"`\\# \n\r\t{}\u{0}é]{0,60}"#) {
            if let Err(error) = parse(&text) {
                prop_assert!(error.line >= 1);
            }
        }

        #[test]
        fn what_infisical_and_a_shell_quote_reads_back(value in "[^\u{0}]{0,40}") {
            let line = format!("export A='{}'\n", value.replace('\'', r"'\''"));
            prop_assert_eq!(super::tests::value(&line), value);
        }
    }
}
