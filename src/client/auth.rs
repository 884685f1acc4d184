//! As whom a client speaks, and how a session goes on.

use tokio::sync::Mutex;

use super::{Client, Error, Notice, Pair, Session, SessionError, SessionFile};
use crate::domain::{Secret, Timestamp, minutes, seconds};

/// An access token with less left than this is replaced before it is used.
fn is_spent(session: &Session, now: Timestamp) -> bool {
    session.expires_at.minus(seconds(30)) <= now
}

/// Whose calls they are.
pub(super) enum Auth {
    Nobody,
    Token(Secret),
    Session { file: SessionFile, current: Mutex<Session> },
}

impl Auth {
    pub(super) fn session(file: SessionFile, session: Session) -> Self {
        Self::Session { file, current: Mutex::new(session) }
    }
}

impl Client {
    /// The token that the next call carries.
    pub(super) async fn bearer(&self) -> Result<Option<Secret>, Error> {
        match &self.auth {
            Auth::Nobody => Ok(None),
            Auth::Token(token) => Ok(Some(copy(token))),
            Auth::Session { file, current } => {
                let mut current = current.lock().await;
                if is_spent(&current, self.clock.now()) {
                    self.refresh(file, &mut current).await?;
                }
                Ok(Some(copy(&current.access)))
            }
        }
    }

    /// After a 401 to a call that carried `used`: whether there is another token to try with.
    pub(super) async fn renew(&self, used: Option<&Secret>) -> Result<bool, Error> {
        let Auth::Session { file, current } = &self.auth else { return Ok(false) };
        let mut current = current.lock().await;
        if used.is_some_and(|used| used.expose() == current.access.expose()) {
            self.refresh(file, &mut current).await?;
        }
        Ok(true)
    }

    /// Gets the next pair, once there is a place to keep it, under the session file's lock: of several commands at once, the first refreshes and the
    /// others find what it saved.
    async fn refresh(&self, file: &SessionFile, current: &mut Session) -> Result<(), Error> {
        let locked = file.lock().await?;
        let saved = locked.load()?.ok_or(SessionError::Gone)?;
        if saved.server != current.server || saved.email != current.email {
            return Err(SessionError::Gone.into());
        }
        let newer = saved.access.expose() != current.access.expose();
        if newer && !is_spent(&saved, self.clock.now()) {
            *current = saved;
            return Ok(());
        }
        let place = locked.reserve()?;
        let pair = match Box::pin(self.refreshed(&saved.refresh)).await {
            Ok(pair) => pair,
            Err(Error::Refused(refusal)) if refusal.status == 401 => return Err(SessionError::Ended.into()),
            Err(error) => return Err(error),
        };
        *current = Session { ca_file: saved.ca_file, ..self.session(pair) };
        // The old token is spent: this command goes on with the new one whatever becomes of the file.
        if let Err(error) = place.save(current) {
            (self.notify)(Notice::SessionUnsaved(error.to_string()));
        }
        Ok(())
    }

    /// The session that a pair begins or continues.
    pub(super) fn session(&self, pair: Pair) -> Session {
        // A throw-away server's sessions do not end; a number that large is no time.
        let life = seconds(pair.expires_in).min(minutes(60 * 24 * 365 * 100));
        Session {
            server: self.endpoint().to_string(),
            email: pair.user.email,
            role: pair.user.role,
            access: pair.access_token.into_secret(),
            refresh: pair.refresh_token.into_secret(),
            expires_at: self.clock.now().plus(life),
            ca_file: None,
        }
    }
}

fn copy(secret: &Secret) -> Secret {
    Secret::new(secret.expose().to_vec())
}
