//! `--format docker`: a file for `docker run --env-file`, which knows no quotes: a value is the rest of its line.

use zeroize::Zeroizing;

use super::names::Variable;
use crate::cli::error::CliError;

/// Maximum size of a line that Docker's reader accepts (Go's `bufio.MaxScanTokenSize`), less its line end.
const LINE_BYTES_MAX: usize = 64 * 1024 - 2;

/// Returns one line for each variable.
///
/// # Errors
/// A value has a line end or a NUL, or its line is too long.
pub(super) fn lines(variables: &[Variable]) -> Result<Zeroizing<String>, CliError> {
    let mut text = Zeroizing::new(String::new());
    for variable in variables {
        let refused = |reason| Err(variable.refused("a file for docker run --env-file", reason));
        if variable.value.contains(['\n', '\r']) {
            return refused("it has a line end in it, and the format has no quotes");
        }
        if variable.value.contains('\0') {
            return refused("it has a NUL in it, which no environment holds");
        }
        if variable.name.len() + variable.value.len() > LINE_BYTES_MAX {
            return refused("it is longer than the 64 KiB that Docker reads as a line");
        }
        ["", &variable.name, "=", &variable.value, "\n"].iter().for_each(|part| text.push_str(part));
    }
    Ok(text)
}
