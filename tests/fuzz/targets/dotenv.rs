//! `.env` files: any is read or refused in silence, and what `--format dotenv` writes reads back as it was.

use super::assert_silent;
use crate::cli::probe;

pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match probe::dotenv(text) {
        Ok(entries) => {
            for (name, value) in &entries {
                assert!(!name.is_empty() && !name.contains(char::is_whitespace), "{name:?}");
                written(value);
            }
        }
        Err(error) => assert_silent(error),
    }
    written(text);
}

fn written(value: &str) {
    match probe::write_dotenv("NAME", value) {
        Ok(line) => {
            let back = probe::dotenv(&line).expect("what was written reads");
            assert_eq!(back, [("NAME".to_owned(), value.to_owned())], "another value reads back");
        }
        Err(error) => assert_silent(error),
    }
}
