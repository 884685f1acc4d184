//! `--format dotenv`: a file that its common readers parse alike.
//!
//! There is no standard for these files. A line is written only if each of these readers returns the value byte for
//! byte: a POSIX shell (`. ./.env`), python-dotenv 1.2, `node --env-file` (20 to 24), npm's dotenv 16 and compose-go 2
//! (`docker compose`). `docker run --env-file` is not among them: it reads quotes as part of the value.
//!
//! | in the value | within single quotes | within double quotes |
//! |---|---|---|
//! | line feed, `#`, blanks, `=`, any other character | all: as it is | all: as it is |
//! | `"` `` ` `` `$` | all: as it is | ends, runs or expands in some |
//! | `'` | ends: sh, node. `\'`: python-dotenv, compose-go | all: as it is |
//! | `\` before another character | all: as it is | an escape, of other letters in each |
//! | `\\` | one in python-dotenv, two in the others | likewise |
//! | `\` at the end | escapes the quote: python-dotenv, compose-go, npm before some values | escapes the quote |
//! | `${` | expanded: python-dotenv, whatever the quotes | expanded: all but node and npm |
//! | carriage return | line feed in python-dotenv and npm, dropped by node | likewise |
//! | NUL | no environment holds one | likewise |
//!
//! Omitting the quotes is worse in every row. So the writer uses single quotes, or double quotes if the value has a
//! single quote and nothing that is active within double quotes. It refuses the rest.

use zeroize::Zeroizing;

use super::names::Variable;
use crate::cli::error::CliError;

/// Characters that are active within double quotes.
const ACTIVE: [char; 4] = ['"', '\\', '$', '`'];

/// Returns one line for each variable.
///
/// # Errors
/// A value has no spelling that all readers parse alike.
pub(super) fn lines(variables: &[Variable]) -> Result<Zeroizing<String>, CliError> {
    let mut text = Zeroizing::new(String::new());
    for variable in variables {
        let quote = quote(&variable.value).map_err(|reason| variable.refused("a .env file", reason))?;
        text.push_str(&variable.name);
        text.push('=');
        text.push(quote);
        text.push_str(&variable.value);
        text.push(quote);
        text.push('\n');
    }
    Ok(text)
}

/// Returns the quote character that preserves the value literally, or the reason why neither does.
fn quote(value: &str) -> Result<char, &'static str> {
    if value.contains('\0') {
        return Err("it has a NUL in it, which no environment holds");
    }
    if value.contains('\r') {
        return Err("it has a carriage return in it, which python-dotenv and node change");
    }
    if value.contains("${") {
        return Err("it has ${ in it, which python-dotenv expands within any quotes");
    }
    if value.contains(r"\\") {
        return Err("it has two backslashes in a row, which python-dotenv reads as one");
    }
    if value.ends_with('\\') {
        return Err("it ends with a backslash, which python-dotenv takes for an escape of the closing quote");
    }
    match (value.contains('\''), value.contains(ACTIVE)) {
        (false, _) => Ok('\''),
        (true, false) => Ok('"'),
        (true, true) => {
            Err("it has a single quote beside one of \" \\ $ `, and no quotes hold both in all readers")
        }
    }
}
