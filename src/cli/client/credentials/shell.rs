//! `--format env`: lines that a POSIX shell evaluates.

use zeroize::Zeroizing;

use super::names::Variable;
use crate::cli::error::CliError;

/// Returns one `export` line for each variable. Within single quotes a shell takes every character literally (POSIX XCU
/// 2.2.2) except the quote itself, which goes between two quoted parts.
///
/// # Errors
/// A value has a NUL, which no variable can contain.
pub(super) fn exports(variables: &[Variable]) -> Result<Zeroizing<String>, CliError> {
    let mut text = Zeroizing::new(String::new());
    for variable in variables {
        if variable.value.contains('\0') {
            return Err(variable.refused("an environment", "it has a NUL in it"));
        }
        text.push_str("export ");
        text.push_str(&variable.name);
        text.push_str("='");
        for (index, part) in variable.value.split('\'').enumerate() {
            if index > 0 {
                text.push_str(r"'\''");
            }
            text.push_str(part);
        }
        text.push_str("'\n");
    }
    Ok(text)
}
