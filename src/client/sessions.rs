//! The saved sessions of a user: one for each server, in the folder of a profile.
//!
//! ```text
//! sealroom/                  without a profile; sealroom/profiles/NAME/ with one
//!   session.json             the session of the server that was logged in to first
//!   servers/ADDRESS.json     those of the others; the address is percent-encoded
//!   current                  the server of the last login, if it is not the first one
//! ```
//!
//! A session's file depends on its server alone, so that a login elsewhere ends nothing, not even for a command that is
//! under way.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tempfile::NamedTempFile;

use super::{
    Endpoint,
    session::{Session, SessionError, SessionFile, config_folder},
};

/// Maximum length of a profile's name.
const PROFILE_CHARS_MAX: usize = 64;

/// The sessions of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sessions {
    folder: PathBuf,
}

/// The name of a profile: letters, digits, `-` and `_`, so that it names a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile(String);

/// The error of a text that names no profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a profile's name has 1 to 64 letters, digits, - and _")]
pub struct NoProfile;

impl std::str::FromStr for Profile {
    type Err = NoProfile;

    fn from_str(text: &str) -> Result<Self, NoProfile> {
        let is_valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let is_name = (1..=PROFILE_CHARS_MAX).contains(&text.len()) && text.chars().all(is_valid);
        if is_name { Ok(Self(text.to_owned())) } else { Err(NoProfile) }
    }
}

impl Sessions {
    /// Returns the sessions in the user's config folder.
    ///
    /// # Errors
    /// The user has no config folder.
    pub fn of_user(profile: Option<&Profile>) -> Result<Self, SessionError> {
        let folder = config_folder()?;
        Ok(Self {
            folder: profile.map_or(folder.clone(), |Profile(name)| folder.join("profiles").join(name)),
        })
    }

    /// Returns the session of that server, or of the last login's; `None` if there is none.
    ///
    /// # Errors
    /// As [`SessionFile::load`]; or it is not known which server the last login was for. No other session takes the place
    /// of a missing one: a credential meant for one server would be stored in another.
    pub fn load(&self, server: Option<&str>) -> Result<Option<(SessionFile, Session)>, SessionError> {
        let current = if server.is_none() { self.current()? } else { None };
        let server = server.or(current.as_deref());
        let is_meant = |session: &Session| server.is_none_or(|server| session.server == server);
        for file in server.map(|server| self.others(server)).into_iter().chain([self.first()]) {
            if let Some(session) = file.load()?.filter(is_meant) {
                return Ok(Some((file, session)));
            }
        }
        Ok(None)
    }

    /// Returns the file for a session of that server.
    pub fn file(&self, server: &str) -> SessionFile {
        let others = self.others(server);
        if others.path().exists() {
            return others;
        }
        // A login repairs a damaged file.
        match self.first().load() {
            Ok(Some(session)) if session.server != server => others,
            _ => self.first(),
        }
    }

    /// Makes that server the one that is meant where none is named.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn choose(&self, server: &str) -> Result<(), SessionError> {
        let path = self.folder.join("current");
        let failed = |source: io::Error| SessionError::Io { path: path.clone(), source };
        if self.file(server) == self.first() {
            return match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
                _ => Ok(()),
            };
        }
        let mut next = NamedTempFile::new_in(&self.folder).map_err(failed)?;
        next.write_all(server.as_bytes()).map_err(failed)?;
        next.as_file().sync_all().map_err(failed)?;
        next.persist(&path).map(drop).map_err(|error| failed(error.error))
    }

    fn first(&self) -> SessionFile {
        SessionFile::at(self.folder.join("session.json"))
    }

    fn others(&self, server: &str) -> SessionFile {
        let name = format!("{}.json", utf8_percent_encode(server, NON_ALPHANUMERIC));
        SessionFile::at(self.folder.join("servers").join(name))
    }

    /// Returns the server of the last login; `None` if that is the first session's.
    fn current(&self) -> Result<Option<String>, SessionError> {
        let path = self.folder.join("current");
        match fs::read_to_string(&path) {
            Ok(server) if server.parse::<Endpoint>().is_ok() => Ok(Some(server)),
            Ok(_) => Err(SessionError::Damaged(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(SessionError::Io { path, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Secret, Timestamp};

    fn session(server: &str, token: &str) -> Session {
        Session {
            server: server.to_owned(),
            email: "ada@example.com".to_owned(),
            role: "owner".to_owned(),
            access: Secret::from(token.to_owned()),
            refresh: Secret::from("r".to_owned()),
            expires_at: "2027-01-01T00:00:00Z".parse::<Timestamp>().unwrap(),
            ca_file: None,
        }
    }

    async fn login(sessions: &Sessions, server: &str, token: &str) {
        sessions.file(server).save(&session(server, token)).await.unwrap();
        sessions.choose(server).unwrap();
    }

    fn token(sessions: &Sessions, server: Option<&str>) -> Option<String> {
        let found = sessions.load(server).unwrap();
        found.map(|(_, session)| session.access.expose_text().unwrap().to_owned())
    }

    #[tokio::test]
    async fn a_login_elsewhere_never_ends_or_replaces_another_session() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = Sessions { folder: folder.path().join("sealroom") };
        assert_eq!(token(&sessions, None), None);
        let (a, b, c) = ("https://a.example.com", "https://b.example.com:8443", "unix:/run/../x.sock");
        login(&sessions, a, "a1").await;
        login(&sessions, b, "b1").await;
        login(&sessions, c, "c1").await;
        let all = || [None, Some(a), Some(b), Some(c)].map(|server| token(&sessions, server).unwrap());
        assert_eq!(all(), ["c1", "a1", "b1", "c1"]);
        login(&sessions, b, "b2").await;
        assert_eq!(all(), ["b2", "a1", "b2", "c1"]);
        login(&sessions, a, "a2").await;
        assert_eq!(all(), ["a2", "a2", "b2", "c1"]);
        sessions.file(a).remove().await.unwrap();
        assert_eq!((token(&sessions, Some(a)), token(&sessions, Some(b))), (None, Some("b2".to_owned())));
        assert_eq!(token(&sessions, Some("https://d.example.com")), None);
        login(&sessions, b, "b3").await;
        assert_eq!(
            (token(&sessions, None), token(&sessions, Some(b))),
            (Some("b3".to_owned()), Some("b3".to_owned()))
        );
    }

    #[tokio::test]
    async fn no_other_session_takes_the_place_of_the_last_logins() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = Sessions { folder: folder.path().join("sealroom") };
        let (a, b) = ("https://a.example.com", "https://b.example.com");
        login(&sessions, a, "a1").await;
        login(&sessions, b, "b1").await;
        for broken in ["", "\0\0\0", "https:"] {
            fs::write(sessions.folder.join("current"), broken).unwrap();
            assert!(matches!(sessions.load(None), Err(SessionError::Damaged(_))), "{broken:?}");
            assert_eq!(token(&sessions, Some(a)).as_deref(), Some("a1"), "a server that is named");
        }
        sessions.choose(b).unwrap();
        sessions.file(b).remove().await.unwrap();
        assert_eq!(token(&sessions, None), None, "logged out");
    }

    #[test]
    fn a_profile_is_never_a_path() {
        for (text, good) in [
            ("work", true),
            ("a-b_9", true),
            ("", false),
            ("..", false),
            ("a/b", false),
            ("a.b", false),
            ("ä", false),
            (&*"x".repeat(65), false),
        ] {
            assert_eq!(text.parse::<Profile>().is_ok(), good, "{text}");
        }
    }
}
