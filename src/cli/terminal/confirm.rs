//! Confirmation before a loss, and passwords.

#[cfg(feature = "client")]
use std::path::PathBuf;

#[cfg(feature = "client")]
use super::prompt::Asking;
use super::{output::Output, prompt};
use crate::cli::error::CliError;
#[cfg(feature = "client")]
use crate::{cli::secrets, domain::Secret};

/// `--yes`.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(in crate::cli) struct Consent {
    /// Do not ask for confirmation.
    #[arg(long, short = 'y')]
    yes: bool,
}

impl Consent {
    /// Returns whether no question is to be asked.
    #[cfg(feature = "client")]
    pub(in crate::cli) const fn is_given(self) -> bool {
        self.yes
    }

    /// Fails if a confirmation is needed and there is no terminal, before any look-up in vain.
    pub(in crate::cli) fn check(self) -> Result<(), CliError> {
        if self.yes || prompt::is_possible() {
            return Ok(());
        }
        Err(CliError::usage(
            "this cannot be undone, and there is no terminal to confirm it at",
            "pass --yes to skip the confirmation",
        ))
    }

    /// Shows what will be lost, and asks for confirmation.
    pub(in crate::cli) fn obtain(self, loss: &str, question: &str, output: Output) -> Result<(), CliError> {
        self.check()?;
        if self.yes {
            return Ok(());
        }
        output.note(loss);
        if prompt::confirm(question)? {
            return Ok(());
        }
        Err(CliError::declined())
    }
}

/// Reads a password from a file, standard input or a prompt; `flag` names the file's flag.
#[cfg(feature = "client")]
pub(in crate::cli) fn password(
    what: &str,
    file: Option<&PathBuf>,
    flag: &str,
    asking: Asking,
    output: Output,
) -> Result<Secret, CliError> {
    let secret = match file {
        Some(path) => secrets::from_file_or_stdin(path, &output)?,
        None if prompt::is_possible() => prompt::secret(what, asking)?,
        None => {
            return Err(CliError::usage(
                format!("no {}: standard input is not a terminal", what.to_lowercase()),
                format!("pass {flag} FILE, or {flag} - for standard input"),
            ));
        }
    };
    if secret.is_empty() {
        return Err(CliError::failed(
            format!("the {} is empty", what.to_lowercase()),
            "type it, then press Enter",
        ));
    }
    if asking == Asking::Twice {
        secrets::check_new(&secret, "password", file.map(PathBuf::as_path))?;
    }
    Ok(secret)
}
