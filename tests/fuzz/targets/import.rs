//! Inputs of `sealroom import`, of every format, up to the integrations that they would become.

use super::assert_silent;
use crate::cli::probe;

/// The messages that show a name, which a reader has to find in the input.
const NAMING: [&str; 3] =
    ["these cannot be names of integrations: ", "FILE has two values for ", "the input has two values for "];
/// The longest of them: twenty names of sixty characters, each of which may be shown as an escape.
const NAMING_BYTES_MAX: usize = 20 * 60 * 4 + 500;

pub fn run(input: &[u8]) {
    match probe::import(input) {
        // Every credential that is to be stored is one that the server takes.
        Ok(credentials) => {
            for json in credentials {
                crate::api::strict::check(json.as_bytes()).expect("credentials are strict JSON");
            }
        }
        Err(error) => {
            let names = NAMING.iter().any(|begin| error.starts_with(begin));
            assert!(!names || error.len() <= NAMING_BYTES_MAX, "{error}");
            if !names {
                assert_silent(&error);
            }
            assert!(!error.contains(['\n', '\r', '\u{1b}']), "an error of more than one line: {error:?}");
        }
    }
}
