//! Sources of the passphrase.

use std::path::PathBuf;

use clap::Args;

use crate::{
    cli::{
        error::CliError,
        secrets,
        terminal::{
            output::Output,
            prompt::{self, Asking},
        },
    },
    domain::Secret,
    vault::check_passphrase,
};

/// Length in bytes below which a passphrase is short: the minimum length of a password.
const SHORT: usize = 12;

/// Warns of a new passphrase that is short.
pub(super) fn warn_if_short(passphrase: &Secret, output: &Output) {
    if passphrase.expose().len() < SHORT {
        output.warning("short passphrase: anyone with the file can brute-force it");
    }
}

/// Refuses a new passphrase that the vault would refuse, before anything is done for it.
pub(super) fn check_new(passphrase: &Secret) -> Result<(), CliError> {
    check_passphrase(passphrase)
        .map_err(|invalid| CliError::failed(format!("the {invalid}"), "choose another one, of several words"))
}

/// The sources of the passphrase.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct PassphraseArgs {
    /// Read the passphrase from this file (mode 0600).
    #[arg(long, env = "SEALROOM_PASSPHRASE_FILE", value_name = "FILE")]
    pub(super) passphrase_file: Option<PathBuf>,
    /// Read the passphrase from standard input.
    #[arg(long, conflicts_with = "passphrase_file")]
    pub(super) passphrase_stdin: bool,
}

impl PassphraseArgs {
    /// Falls back to the config file if neither a flag nor an environment variable is set.
    pub(super) fn fall_back(&mut self, passphrase_file: Option<PathBuf>) {
        if !self.passphrase_stdin {
            self.passphrase_file = self.passphrase_file.take().or(passphrase_file);
        }
    }

    /// Returns whether there is any source of a passphrase.
    pub(super) fn has_source(&self) -> bool {
        self.passphrase_file.is_some() || self.passphrase_stdin || prompt::is_possible()
    }

    /// Returns whether a read would prompt for it.
    #[cfg(feature = "server")]
    pub(super) fn is_asked(&self) -> bool {
        self.passphrase_file.is_none() && !self.passphrase_stdin
    }

    /// Reads the passphrase. One that is prompted for twice is new, and must be typable again.
    pub(super) fn read(&self, asking: Asking, output: &Output) -> Result<Secret, CliError> {
        let secret = match (&self.passphrase_file, asking) {
            (Some(path), Asking::Twice) => secrets::from_file(path, output)?,
            (Some(path), Asking::Once) => secrets::known_passphrase_from_file(path, output)?,
            (None, Asking::Twice) if self.passphrase_stdin => secrets::from_stdin()?,
            (None, Asking::Once) if self.passphrase_stdin => secrets::known_passphrase_from_stdin()?,
            (None, _) if prompt::is_possible() => prompt::secret(label(asking), asking)?,
            (None, _) => {
                return Err(CliError::usage(
                    "no passphrase: standard input is not a terminal",
                    "pass --passphrase-file FILE, SEALROOM_PASSPHRASE_FILE or --passphrase-stdin",
                ));
            }
        };
        if secret.expose().iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
            return Err(CliError::failed("the passphrase is empty", "use a long one that you can remember"));
        }
        if asking == Asking::Twice {
            secrets::check_new(&secret, "passphrase", self.passphrase_file.as_deref())?;
            check_new(&secret)?;
        }
        Ok(secret)
    }
}

/// Returns the prompt's label: a passphrase that is typed twice is a new one.
const fn label(asking: Asking) -> &'static str {
    match asking {
        Asking::Once => "Passphrase",
        Asking::Twice => "New passphrase",
    }
}
