//! The folder of an authority and of the certificate that it issued, and its four files.
//!
//! The certificate's file begins with a line of its names: text before a block is no part of it (RFC 7468 §2), and a
//! renewal reads it.
//!
//! A renewal replaces two files, and can be killed between them: the new key first takes the name `tls.key.next`, then the
//! certificate its own, then the key. At each moment the certificate fits one of the two keys, and a server tries both.

use std::{
    ffi::OsStr,
    fs::{self, File, Metadata, Permissions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

use tempfile::{Builder, NamedTempFile};

use crate::{
    cli::{error::CliError, secrets},
    domain::Secret,
    http::Tls,
};

/// The first word of the line of names.
const NAMES: &str = "Names:";
/// The beginning of temporary names.
const STAGED: &str = ".sealroom-tls-";

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

/// The content of a file, which decides who may read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Key,
    Certificate,
}

impl Content {
    /// Returns the mode of a new file.
    const fn mode(self) -> u32 {
        match self {
            Self::Key => 0o600,
            Self::Certificate => 0o644,
        }
    }

    /// Returns what a file keeps at most of the mode of the one that it replaces.
    const fn mode_max(self) -> u32 {
        match self {
            Self::Key => 0o640,
            Self::Certificate => 0o644,
        }
    }
}

/// The permission of a file to take another's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    Kept,
    Replaced,
}

/// Returns the name of a key's successor until the successor's certificate is in place.
pub(in crate::cli::host) fn next_of(key: &Path) -> PathBuf {
    let mut next = key.as_os_str().to_owned();
    next.push(".next");
    next.into()
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
    /// Others may write to it, it belongs to another user, or it cannot be created.
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
            Ok(found) if is_foreign(&found) => Err(CliError::failed(
                format!("--dir: {shown} belongs to uid {}, who can replace the authority's key", found.uid()),
                format!("run this as that user, chown {shown}, or name a folder of your own"),
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

    /// Checks that nobody else reads or replaces the authority's key.
    ///
    /// # Errors
    /// Others may, a group too: no service reads this key.
    pub(super) fn check_authority_key(&self) -> Result<(), CliError> {
        let shown = self.authority_key.display();
        let Ok(found) = fs::metadata(&self.authority_key) else { return Ok(()) };
        if found.mode() & 0o077 != 0 {
            return Err(CliError::failed(
                format!("{shown} can be read by others (mode {:04o})", found.mode() & 0o7777),
                format!("chmod 600 {shown}: its readers can pose as every server of the authority's names"),
            ));
        }
        if is_foreign(&found) {
            return Err(CliError::failed(
                format!("{shown} belongs to uid {}, who can replace it", found.uid()),
                format!("run this as that user, or chown {shown}"),
            ));
        }
        Ok(())
    }

    /// Replaces the pair, so that the certificate fits the key or the key's successor at each moment.
    ///
    /// # Errors
    /// The folder refuses.
    pub(super) fn replace_pair(&self, key: Staged<'_>, certificate: Staged<'_>) -> Result<(), CliError> {
        self.finish().map_err(|error| unwritten(&self.key, &error))?;
        key.put_next()?;
        certificate.put()?;
        let put = fs::rename(next_of(&self.key), &self.key).and_then(|()| sync(&self.key));
        put.map_err(|error| unwritten(&self.key, &error))
    }

    /// Gives the certificate's own key its name, if a renewal that was cut short left it as the successor: the next
    /// successor takes that name.
    fn finish(&self) -> io::Result<()> {
        let next = next_of(&self.key);
        if !next.exists() {
            return Ok(());
        }
        let chain = fs::read(&self.certificate)?;
        let fits = |key: &Path| {
            let key = fs::read(key).map(Secret::new);
            key.is_ok_and(|key| Tls::new(&chain, key.expose()).is_ok())
        };
        if fits(&next) && !fits(&self.key) {
            fs::rename(&next, &self.key)?;
            sync(&self.key)?;
        }
        Ok(())
    }

    /// Keeps every other run of this command out of the folder until the value is dropped.
    ///
    /// # Errors
    /// One is under way.
    pub(super) fn hold(&self) -> Result<Option<File>, CliError> {
        let Ok(folder) = File::open(&self.folder) else { return Ok(None) };
        match folder.try_lock() {
            Err(TryLockError::WouldBlock) => Err(CliError::failed(
                format!("--dir: another `tls make` is under way in {}", self.folder.display()),
                "wait for its end, then run this again",
            )),
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Some(folder)),
        }
    }

    /// Removes the keys and certificates that killed runs left under temporary names.
    pub(super) fn clear(&self) {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let is_staged = |name: &OsStr| name.as_encoded_bytes().starts_with(STAGED.as_bytes());
        for left in entries.filter(|entry| is_staged(&entry.file_name())) {
            drop(fs::remove_file(left.path()));
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

/// Returns whether a user who is neither root nor this process's owns it.
fn is_foreign(found: &Metadata) -> bool {
    ![rustix::process::geteuid().as_raw(), 0].contains(&found.uid())
}

/// A file that is complete and synced under a temporary name.
pub(super) struct Staged<'a> {
    path: &'a Path,
    file: NamedTempFile,
    existing: Existing,
}

impl<'a> Staged<'a> {
    /// Writes a file under a temporary name beside its own. One that is to replace another file gets its owner, its
    /// group and its mode: the service reads the new one as it read the old one.
    ///
    /// # Errors
    /// The folder refuses, or the owner and group of the file that is there cannot be kept.
    pub(super) fn write(
        path: &'a Path,
        bytes: &[u8],
        content: Content,
        existing: Existing,
    ) -> Result<Self, CliError> {
        let failed = |error: io::Error| unwritten(path, &error);
        // Created with mode 0600: nobody reads a key before its mode is set.
        let mut file = Builder::new().prefix(STAGED).tempfile_in(folder_of(path)).map_err(failed)?;
        let like = match existing {
            Existing::Kept => None,
            Existing::Replaced => fs::metadata(path).ok(),
        };
        let mode = match &like {
            Some(like) => {
                keep_owner(path, file.as_file(), like)?;
                like.mode() & content.mode_max()
            }
            None => content.mode(),
        };
        let mut write = || -> io::Result<()> {
            file.write_all(bytes)?;
            file.as_file().set_permissions(Permissions::from_mode(mode))?;
            file.as_file().sync_all()
        };
        write().map_err(failed)?;
        Ok(Self { path, file, existing })
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// The folder refuses, or a file of that name exists and is to be kept.
    pub(super) fn put(self) -> Result<(), CliError> {
        let Self { path, file, existing } = self;
        let put = match existing {
            Existing::Kept => file.persist_noclobber(path),
            Existing::Replaced => file.persist(path),
        };
        put.map_err(|error| error.error).and_then(|_| sync(path)).map_err(|error| unwritten(path, &error))
    }

    /// Gives a key the name of a successor.
    fn put_next(self) -> Result<(), CliError> {
        let next = next_of(self.path);
        Staged { path: &next, file: self.file, existing: Existing::Replaced }.put()
    }
}

fn keep_owner(path: &Path, file: &File, like: &Metadata) -> Result<(), CliError> {
    let own = file.metadata().map_err(|error| unwritten(path, &error))?;
    let (user, group) = (like.uid(), like.gid());
    if (own.uid(), own.gid()) == (user, group) {
        return Ok(());
    }
    fchown(file, Some(user), Some(group)).map_err(|error| {
        CliError::failed(
            format!("{}: a new one cannot belong to uid {user} and gid {group}: {error}", path.display()),
            format!("run this as root, or as uid {user} in that group: its service must still read it"),
        )
    })
}

fn unwritten(path: &Path, error: &io::Error) -> CliError {
    CliError::failed(
        format!("{}: {}", path.display(), secrets::cause(error)),
        "check the folder's owner and mode, and the free space",
    )
}

/// Makes the name of a file last.
fn sync(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}
