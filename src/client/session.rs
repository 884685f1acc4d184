//! A saved session: a file of the user, mode 0600, replaced atomically, under a lock next to it.
//!
//! ```text
//! NAME.json       {"version":1,"server":…,"email":…,"role":…,"access_token":…,"refresh_token":…,"expires_at":…}
//! NAME.json.lock  empty; held by the command that changes the session
//! ```

use std::{
    fs::{self, File},
    io::{self, Seek, Write},
    path::{Path, PathBuf},
};

use etcetera::BaseStrategy;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::{
    api::text,
    domain::{Secret, Timestamp},
};

/// Maximum size of a session on the disk, unless the path of its authorities is extremely long: reserved before the
/// token that obtains it is spent.
const RESERVED_BYTES: usize = 8 * 1024;
/// The version of the layout that this program writes.
const VERSION: u32 = 1;

/// A login that can be continued.
pub struct Session {
    /// The only server that it is for.
    pub server: String,
    /// The user's address.
    pub email: String,
    /// Role of the user.
    pub role: String,
    /// The access token.
    pub access: Secret,
    /// The token that obtains the next pair.
    pub refresh: Secret,
    /// The expiry of the access token.
    pub expires_at: Timestamp,
    /// The file of the authorities that the server was trusted by.
    pub ca_file: Option<PathBuf>,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    version: u32,
    server: String,
    email: String,
    role: String,
    access_token: Zeroizing<String>,
    refresh_token: Zeroizing<String>,
    #[serde(with = "text")]
    expires_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ca_file: Option<PathBuf>,
}

/// The reason why a session cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// There is no folder for its file.
    #[error("no folder for the session: neither XDG_CONFIG_HOME nor HOME is set")]
    NoFolder,
    /// The operating system refuses.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The folder accepts no file. No token was spent: the session continues once the folder does.
    #[error("the session cannot be saved in {folder}: {source}", folder = .folder.display())]
    Unwritable {
        /// The folder.
        folder: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is not what a login writes.
    #[error("the saved session {path} is damaged", path = .0.display())]
    Damaged(PathBuf),
    /// Other users can read it.
    #[error("the saved session {path} can be read by others", path = .0.display())]
    Shared(PathBuf),
    /// The server does not continue the session.
    #[error("the session has ended")]
    Ended,
    /// The session existed when the command began; now it is gone, or another took its place.
    #[error("another command ended or replaced the session")]
    Gone,
}

/// The file that stores a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionFile {
    path: PathBuf,
}

/// The lock that permits a change of the session.
pub(super) struct Locked<'a> {
    file: &'a SessionFile,
    _lock: File,
}

/// Disk space for the next session, reserved before the one-time token that obtains it is spent.
pub struct Place<'a> {
    locked: Locked<'a>,
    next: NamedTempFile,
}

impl SessionFile {
    /// Returns the session file at that path.
    pub const fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Returns the path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the session; `None` if there was no login.
    ///
    /// # Errors
    /// It cannot be read, is damaged, or is readable by other users.
    pub fn load(&self) -> Result<Option<Session>, SessionError> {
        let text = match fs::read(&self.path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed(error)),
        };
        self.check_mode()?;
        let damaged = || SessionError::Damaged(self.path.clone());
        let saved: Saved = serde_json::from_slice(&text).map_err(|_| damaged())?;
        if saved.version != VERSION {
            return Err(damaged());
        }
        let secret = |text: &Zeroizing<String>| Secret::new(text.as_bytes().to_vec());
        Ok(Some(Session {
            access: secret(&saved.access_token),
            refresh: secret(&saved.refresh_token),
            server: saved.server,
            email: saved.email,
            role: saved.role,
            expires_at: saved.expires_at,
            ca_file: saved.ca_file,
        }))
    }

    /// Reserves space for a future session, before any token is spent on it.
    ///
    /// # Errors
    /// The folder accepts no file.
    pub async fn reserve(&self) -> Result<Place<'_>, SessionError> {
        self.lock().await?.reserve()
    }

    /// Replaces the session, or stores the first.
    pub async fn save(&self, session: &Session) -> Result<(), SessionError> {
        self.reserve().await?.save(session)
    }

    /// Removes the session.
    pub async fn remove(&self) -> Result<(), SessionError> {
        let _locked = self.lock().await?;
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed(error)),
            _ => Ok(()),
        }
    }

    /// Waits until no other command changes the session.
    pub(super) async fn lock(&self) -> Result<Locked<'_>, SessionError> {
        let folder = self.folder();
        let unwritable = |source| SessionError::Unwritable { folder: folder.to_owned(), source };
        make_folder(folder).map_err(unwritable)?;
        let path = self.path.with_extension("json.lock");
        // The operating system's lock blocks, so a blocking thread waits for it.
        let taken = tokio::task::spawn_blocking(move || {
            let file = File::options().create(true).truncate(false).write(true).open(path)?;
            file.lock()?;
            Ok(file)
        });
        let lock = taken.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        Ok(Locked { file: self, _lock: lock.map_err(unwritable)? })
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    #[cfg(unix)]
    fn check_mode(&self) -> Result<(), SessionError> {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(&self.path).map_err(|error| self.failed(error))?.permissions().mode();
        if mode & 0o077 != 0 { Err(SessionError::Shared(self.path.clone())) } else { Ok(()) }
    }

    /// Elsewhere the user's own folder protects the file.
    #[cfg(not(unix))]
    #[allow(clippy::unnecessary_wraps, clippy::unused_self, reason = "as on unix")]
    fn check_mode(&self) -> Result<(), SessionError> {
        Ok(())
    }

    fn failed(&self, source: io::Error) -> SessionError {
        SessionError::Io { path: self.path.clone(), source }
    }
}

/// Returns `sealroom` in the user's config folder.
pub(super) fn config_folder() -> Result<PathBuf, SessionError> {
    let folders = etcetera::choose_base_strategy().map_err(|_| SessionError::NoFolder)?;
    Ok(folders.config_dir().join("sealroom"))
}

impl<'a> Locked<'a> {
    pub(super) fn load(&self) -> Result<Option<Session>, SessionError> {
        self.file.load()
    }

    /// Writes the reserved space: a full disk still accepts an empty file.
    pub(super) fn reserve(self) -> Result<Place<'a>, SessionError> {
        let folder = self.file.folder();
        let reserved = NamedTempFile::new_in(folder).and_then(|mut next| {
            next.write_all(&[b' '; RESERVED_BYTES])?;
            next.as_file().sync_all()?;
            Ok(next)
        });
        match reserved {
            Ok(next) => Ok(Place { locked: self, next }),
            Err(error) => {
                let source = nameless(&error);
                Err(SessionError::Unwritable { folder: folder.to_owned(), source })
            }
        }
    }
}

impl Place<'_> {
    /// Saves atomically: the temporary file (mode 0600) replaces the session.
    ///
    /// # Errors
    /// The operating system refuses in spite of the reservation.
    pub fn save(mut self, session: &Session) -> Result<(), SessionError> {
        let text = |secret: &Secret| {
            let text = secret.expose_text().ok_or_else(|| io::Error::other("a token is not UTF-8"));
            text.map(|text| Zeroizing::new(text.to_owned())).map_err(|error| self.locked.file.failed(error))
        };
        let saved = Saved {
            version: VERSION,
            server: session.server.clone(),
            email: session.email.clone(),
            role: session.role.clone(),
            access_token: text(&session.access)?,
            refresh_token: text(&session.refresh)?,
            expires_at: session.expires_at,
            ca_file: session.ca_file.clone(),
        };
        let file = self.locked.file;
        let written = serde_json::to_vec(&saved).map_err(io::Error::other).and_then(|bytes| {
            let bytes = Zeroizing::new(bytes);
            self.next.rewind()?;
            self.next.write_all(&bytes)?;
            self.next.as_file().set_len(bytes.len() as u64)?;
            self.next.as_file().sync_all()?;
            self.next.persist(&file.path).map(drop).map_err(|error| error.error)
        });
        written.map_err(|error| file.failed(nameless(&error)))
    }
}

/// Returns the cause without the name of the temporary file, which is of no use to a user.
fn nameless(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

#[cfg(unix)]
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(not(unix))]
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}
