//! `--format github`: the environment of the later steps of a GitHub Actions job.
//!
//! ```text
//! stdout       ::add-mask::VALUE          one for each line of a secret value, before anything else
//! $GITHUB_ENV  NAME<<DELIMITER ↵ VALUE ↵ DELIMITER ↵
//! ```
//!
//! The delimiter is random: a member who knew it could end the value early and set other variables.

use std::{
    env,
    fs::File,
    io::{self, Write},
    path::PathBuf,
};

use rustls::crypto::ring;
use zeroize::Zeroizing;

use super::names::Variable;
use crate::cli::{error::CliError, secrets::cause, terminal::output::Output};

/// Random bytes in a delimiter.
const DELIMITER_BYTES: usize = 16;

/// `$GITHUB_ENV`, open for appending.
pub(super) struct Job {
    path: PathBuf,
    file: File,
}

impl Job {
    /// Opens the file before anything is disclosed.
    ///
    /// # Errors
    /// There is no such file.
    pub(super) fn of_environment() -> Result<Self, CliError> {
        let Some(path) = env::var_os("GITHUB_ENV").filter(|path| !path.is_empty()).map(PathBuf::from) else {
            return Err(CliError::failed(
                "GITHUB_ENV is not set",
                "--format github is for a step of GitHub Actions; elsewhere use --format env or `sealroom exec`",
            ));
        };
        match File::options().append(true).open(&path) {
            Ok(file) => Ok(Self { path, file }),
            Err(error) => Err(failed(&path, &error)),
        }
    }

    /// Masks the secret values in the job's log, then appends all variables at once.
    ///
    /// # Errors
    /// A value has a NUL, or a file cannot be written: then nothing was appended.
    pub(super) fn set(mut self, variables: &[Variable], output: Output) -> Result<(), CliError> {
        let mut text = Zeroizing::new(String::new());
        for variable in variables {
            if variable.value.contains('\0') {
                return Err(variable.refused("an environment", "it has a NUL in it"));
            }
            let delimiter = delimiter(&variable.value)?;
            let parts = [&variable.name, "<<", &delimiter, "\n", &variable.value, "\n", &delimiter, "\n"];
            parts.iter().for_each(|part| text.push_str(part));
        }
        output.bytes(masks(variables, output).as_bytes())?;
        self.file.write_all(text.as_bytes()).map_err(|error| failed(&self.path, &error))
    }
}

fn masks(variables: &[Variable], output: Output) -> Zeroizing<String> {
    let mut masks = Zeroizing::new(String::new());
    for variable in variables.iter().filter(|variable| variable.is_secret()) {
        if let Some(reason) = variable.unmaskable() {
            output.warning(&reason);
            continue;
        }
        for line in &variable.maskable_lines() {
            masks.push_str("::add-mask::");
            for c in line.chars() {
                match c {
                    // The runner decodes these three.
                    '%' => masks.push_str("%25"),
                    '\r' => masks.push_str("%0D"),
                    c => masks.push(c),
                }
            }
            masks.push('\n');
        }
    }
    masks
}

/// Returns a line that the value does not contain.
fn delimiter(value: &str) -> Result<String, CliError> {
    loop {
        let mut bytes = [0; DELIMITER_BYTES];
        ring::default_provider().secure_random.fill(&mut bytes).map_err(|_| {
            CliError::failed(
                "the operating system gives no random bytes",
                "let this process use getrandom(2) or /dev/urandom",
            )
        })?;
        let digits = bytes
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 15])
            .map(|digit| char::from_digit(digit.into(), 16).expect("a nibble is a hexadecimal digit"));
        let text = format!("sealroom_{}", digits.collect::<String>());
        if !value.contains(&text) {
            return Ok(text);
        }
    }
}

fn failed(path: &std::path::Path, error: &io::Error) -> CliError {
    CliError::failed(
        format!("GITHUB_ENV: {}: {}", path.display(), cause(error)),
        "no variable was set; check the runner",
    )
}
