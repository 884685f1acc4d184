//! Where secrets come from: a file, standard input, a prompt without echo; never the arguments.

use std::{
    fs::File,
    io::{self, IsTerminal, Read},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use clap::Args;
use rustix::fs::StatVfsMountFlags;

use super::{error::CliError, output::Output};
use crate::domain::Secret;

/// No passphrase or password is longer.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// The sources of the passphrase.
#[derive(Debug, Clone, Args)]
pub(super) struct PassphraseArgs {
    /// Read the passphrase from this file (mode 0600).
    #[arg(long, env = "SEALROOM_PASSPHRASE_FILE", value_name = "FILE")]
    pub(super) passphrase_file: Option<PathBuf>,
    /// Read the passphrase from standard input.
    #[arg(long, conflicts_with = "passphrase_file")]
    pub(super) passphrase_stdin: bool,
}

/// Whether a passphrase is typed once or, where a mistake cannot be mended, twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asking {
    Once,
    Twice,
}

impl PassphraseArgs {
    /// Takes the config file's word where no flag and no environment variable says anything.
    pub(super) fn fall_back(&mut self, passphrase_file: Option<PathBuf>) {
        if !self.passphrase_stdin {
            self.passphrase_file = self.passphrase_file.take().or(passphrase_file);
        }
    }

    /// Whether a passphrase can be had at all.
    pub(super) fn has_source(&self) -> bool {
        self.passphrase_file.is_some() || self.passphrase_stdin || io::stdin().is_terminal()
    }

    /// Reads the passphrase.
    pub(super) fn read(&self, asking: Asking, output: &Output) -> Result<Secret, CliError> {
        let secret = match &self.passphrase_file {
            Some(path) => from_file(path, output)?,
            None if self.passphrase_stdin => from_reader(io::stdin().lock(), "standard input")?,
            None if io::stdin().is_terminal() => prompt("Passphrase", asking)?,
            None => {
                return Err(CliError::usage(
                    "no passphrase: standard input is no terminal",
                    "pass --passphrase-file FILE, SEALROOM_PASSPHRASE_FILE or --passphrase-stdin",
                ));
            }
        };
        if secret.is_empty() {
            return Err(CliError::failed("the passphrase is empty", "use a long one that you can remember"));
        }
        Ok(secret)
    }
}

/// Reads a secret file that nobody else can read.
pub(super) fn from_file(path: &Path, output: &Output) -> Result<Secret, CliError> {
    let shown = path.display();
    let failed =
        |error: io::Error| CliError::failed(format!("{shown}: {error}"), "check the path and its mode");
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(CliError::failed(
            format!("{shown} is not a regular file"),
            "name a file with the secret in it",
        ));
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        let mount = rustix::fs::fstatvfs(&file).map_err(|error| failed(error.into()))?;
        if !mount.f_flag.contains(StatVfsMountFlags::RDONLY) {
            return Err(CliError::failed(
                format!("{shown} can be read by others (mode {:04o})", metadata.mode() & 0o7777),
                format!("chmod 600 {shown}"),
            ));
        }
        output.warning(&format!("{shown} can be read by others; accepted, since its mount is read-only"));
    }
    from_reader(file, &shown.to_string())
}

fn from_reader(reader: impl Read, name: &str) -> Result<Secret, CliError> {
    // Room for all of it at once, so that no half-read copy is left behind by a growing buffer.
    let mut bytes = Vec::with_capacity(4096);
    let read = reader.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| CliError::failed(format!("{name}: {error}"), "check the source of the secret"))?;
    if bytes.len() as u64 > SECRET_BYTES_MAX {
        return Err(CliError::failed(
            format!("{name} holds more than 64 KiB"),
            "name a file with the secret alone",
        ));
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    Ok(Secret::new(bytes))
}

fn prompt(what: &str, asking: Asking) -> Result<Secret, CliError> {
    let ask = |text: String| {
        let typed = rpassword::prompt_password(text);
        typed
            .map(Secret::from)
            .map_err(|error| CliError::failed(format!("nothing was typed: {error}"), "try again"))
    };
    let first = ask(format!("{what}: "))?;
    if asking == Asking::Twice {
        let again = ask(format!("{what} once more: "))?;
        if !crate::crypto::digest::equal(first.expose(), again.expose()) {
            return Err(CliError::failed("the two do not match", "try again"));
        }
    }
    Ok(first)
}

/// A secret as text, for showing it this once.
pub(super) fn shown(secret: &Secret) -> String {
    String::from_utf8_lossy(secret.expose()).into_owned()
}
