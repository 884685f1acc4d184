//! The saved session: one file of the user's, mode 0600, replaced whole, under a lock beside it.
//!
//! ```text
//! session.json       {"version":1,"server":…,"email":…,"role":…,"access_token":…,"refresh_token":…,"expires_at":…}
//! session.json.lock  empty; whoever changes the session holds it
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

use super::text;
use crate::domain::{Secret, Timestamp};

/// What a session takes on the disk at most, but for a path to authorities that is longer than any: reserved before the
/// token that brings it is spent.
const RESERVED_BYTES: usize = 8 * 1024;
/// The layout that this version writes.
const VERSION: u32 = 1;

/// A login that goes on.
pub struct Session {
    /// The server that it is for, and no other.
    pub server: String,
    /// Who logged in.
    pub email: String,
    /// Role of the user.
    pub role: String,
    /// The access token.
    pub access: Secret,
    /// What gets the next pair.
    pub refresh: Secret,
    /// When the access token ends.
    pub expires_at: Timestamp,
    /// The authorities that the server was trusted by.
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

/// Why a session cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// There is no folder for it.
    #[error("no folder for the session: neither XDG_CONFIG_HOME nor HOME is set")]
    NoFolder,
    /// The operating system refuses.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// What was touched.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Its folder takes no file. Nothing was spent: the session goes on once it does.
    #[error("the session cannot be saved in {folder}: {source}", folder = .folder.display())]
    Unwritable {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is not what a login writes.
    #[error("the saved session {path} is damaged", path = .0.display())]
    Damaged(PathBuf),
    /// Others can read it.
    #[error("the saved session {path} can be read by others", path = .0.display())]
    Shared(PathBuf),
    /// The server does not continue it.
    #[error("the session has ended")]
    Ended,
    /// It was there when the command began, and is gone or another's now.
    #[error("another command ended or replaced the session")]
    Gone,
}

/// Where a session is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionFile {
    path: PathBuf,
}

/// The right to change the session.
pub(super) struct Locked<'a> {
    file: &'a SessionFile,
    _lock: File,
}

/// A place on the disk for the next session, taken before the one-time token that brings it is spent.
pub struct Place<'a> {
    locked: Locked<'a>,
    next: NamedTempFile,
}

impl SessionFile {
    /// In that file.
    pub const fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// `sealroom/session.json` in the user's config folder.
    ///
    /// # Errors
    /// The user has none.
    pub fn of_user() -> Result<Self, SessionError> {
        let folders = etcetera::choose_base_strategy().map_err(|_| SessionError::NoFolder)?;
        Ok(Self::at(folders.config_dir().join("sealroom").join("session.json")))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The session; `None` where nobody has logged in.
    ///
    /// # Errors
    /// It cannot be read, is damaged, or others can read it.
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

    /// Takes a place for a session that is still to come, before anything is spent on it.
    ///
    /// # Errors
    /// The folder takes no file.
    pub async fn reserve(&self) -> Result<Place<'_>, SessionError> {
        self.lock().await?.reserve()
    }

    /// Replaces the session, or begins the first.
    ///
    /// # Errors
    /// The operating system refuses.
    pub async fn save(&self, session: &Session) -> Result<(), SessionError> {
        self.reserve().await?.save(session)
    }

    /// Forgets the session.
    ///
    /// # Errors
    /// The operating system refuses.
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
        // Waiting is the operating system's, so it is done where it stops nothing else.
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

    /// Elsewhere the user's own folder keeps others out.
    #[cfg(not(unix))]
    #[allow(clippy::unnecessary_wraps, clippy::unused_self, reason = "as on unix")]
    fn check_mode(&self) -> Result<(), SessionError> {
        Ok(())
    }

    fn failed(&self, source: io::Error) -> SessionError {
        SessionError::Io { path: self.path.clone(), source }
    }
}

impl<'a> Locked<'a> {
    pub(super) fn load(&self) -> Result<Option<Session>, SessionError> {
        self.file.load()
    }

    /// A full disk takes an empty file, so the place is written.
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
    /// Whole or not at all: the temporary file (mode 0600) takes the session's place.
    ///
    /// # Errors
    /// The operating system refuses all the same.
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

/// The cause without the temporary file's name, which says nothing to a user.
fn nameless(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

#[cfg(unix)]
fn make_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn make_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}
