//! The folder of an authority and of the certificate that it issued, and its four files.
//!
//! The certificate's file begins with a line of its names: text before a block is no part of it (RFC 7468 §2), and a
//! renewal reads it.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use crate::cli::{error::CliError, secrets};

/// The first word of the line of names.
const NAMES: &str = "Names:";

/// The four files.
pub(super) struct Place {
    pub(super) folder: PathBuf,
    /// The authority's certificate, for clients.
    pub(super) authority: PathBuf,
    /// The authority's key.
    pub(super) authority_key: PathBuf,
    /// The server's certificate.
    pub(super) certificate: PathBuf,
    /// The server's key.
    pub(super) key: PathBuf,
}

/// The permission of a file to take another's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    Kept,
    Replaced,
}

impl Place {
    pub(super) fn at(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            authority: folder.join("ca.pem"),
            authority_key: folder.join("ca.key"),
            certificate: folder.join("tls.crt"),
            key: folder.join("tls.key"),
        }
    }

    /// Creates the folder with mode 0700 if it is missing.
    ///
    /// # Errors
    /// Others may write to it, or it cannot be created.
    pub(super) fn prepare(&self) -> Result<(), CliError> {
        let shown = self.folder.display();
        match fs::metadata(&self.folder) {
            Ok(found) if !found.is_dir() => {
                Err(CliError::failed(format!("--dir: {shown} is not a folder"), "name a folder"))
            }
            Ok(found) if found.mode() & 0o022 != 0 => Err(CliError::failed(
                format!("--dir: others can write to {shown} (mode {:04o})", found.mode() & 0o7777),
                format!("chmod go-w {shown}, or name a folder of your own"),
            )),
            Ok(_) => Ok(()),
            Err(_) => fs::DirBuilder::new().mode(0o700).create(&self.folder).map_err(|error| {
                CliError::failed(
                    format!("--dir: {shown}: {error}"),
                    "name a folder, or a new one in a folder that exists",
                )
            }),
        }
    }

    /// Returns the names in the certificate's file.
    pub(super) fn names(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.certificate).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(NAMES)).unwrap_or_default();
        line.split_whitespace().map(str::to_owned).collect()
    }

    /// Returns the text of the certificate's file.
    pub(super) fn certificate_text(names: &[String], certificate: &str) -> String {
        format!("{NAMES} {}\n{certificate}", names.join(" "))
    }
}

/// A file that is written and not in its place yet.
pub(super) struct Staged {
    path: PathBuf,
    file: NamedTempFile,
    existing: Existing,
}

impl Staged {
    /// Writes a file beside its place. One that takes another's place gets its owner, group and mode: a service that could
    /// read the old one reads the new one.
    ///
    /// # Errors
    /// The folder refuses, or the owner of the old file cannot be given to the new one.
    pub(super) fn write(path: &Path, bytes: &[u8], mode: u32, existing: Existing) -> Result<Self, CliError> {
        let staged = || -> io::Result<NamedTempFile> {
            // Created with mode 0600: nobody reads a key before its mode is set.
            let mut file = NamedTempFile::new_in(folder_of(path))?;
            file.write_all(bytes)?;
            let old = fs::metadata(path).ok().filter(|_| existing == Existing::Replaced);
            let own = file.as_file().metadata()?;
            if let Some(old) = &old
                && (old.uid(), old.gid()) != (own.uid(), own.gid())
            {
                fchown(file.as_file(), Some(old.uid()), Some(old.gid()))?;
            }
            let mode = old.map_or(mode, |old| old.mode() & 0o777);
            file.as_file().set_permissions(Permissions::from_mode(mode))?;
            file.as_file().sync_all()?;
            Ok(file)
        };
        let file = staged().map_err(|error| failed(path, &error))?;
        Ok(Self { path: path.to_owned(), file, existing })
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// The folder refuses, or a file is there and is to be kept.
    pub(super) fn place(self) -> Result<(), CliError> {
        let Self { path, file, existing } = self;
        let placed = match existing {
            Existing::Kept => file.persist_noclobber(&path),
            Existing::Replaced => file.persist(&path),
        };
        let synced = placed.map_err(|error| error.error);
        let synced = synced.and_then(|_| File::open(folder_of(&path))?.sync_all());
        synced.map_err(|error| failed(&path, &error))
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn failed(path: &Path, error: &io::Error) -> CliError {
    CliError::failed(
        format!("{}: {}", path.display(), secrets::cause(error)),
        "check the owner and mode of the folder and of the file, and the free space",
    )
}
