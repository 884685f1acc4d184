//! Bearer tokens of the calls, and the refresh of a session.

use super::{Client, Error, Notice, Pair, Session, SessionError, SessionFile, identity::Auth};
use crate::domain::{Secret, Timestamp, minutes, seconds};

/// Returns whether the access token expires so soon that it must be replaced before use.
fn is_spent(session: &Session, now: Timestamp) -> bool {
    session.expires_at.minus(seconds(30)) <= now
}

impl Client {
    /// Returns the token of the next call.
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

    /// Refreshes after a 401 to a call that carried `used`; returns whether there is another token to try.
    pub(super) async fn renew(&self, used: Option<&Secret>) -> Result<bool, Error> {
        let Auth::Session { file, current } = &self.auth else { return Ok(false) };
        let mut current = current.lock().await;
        if used.is_some_and(|used| used.expose() == current.access.expose()) {
            self.refresh(file, &mut current).await?;
        }
        Ok(true)
    }

    /// Obtains the next pair under the session file's lock, after reserving a place to store it. Of several commands at
    /// once the first refreshes, and the others find the pair that it saved.
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
        let pair = match Box::pin(self.refresh_pair(&saved.refresh)).await {
            Ok(pair) => pair,
            Err(Error::Refused(refusal)) if refusal.status == 401 => return Err(SessionError::Ended.into()),
            Err(error) => return Err(error),
        };
        *current = Session { ca_file: saved.ca_file, ..self.session(pair) };
        // The old token is spent: this command continues with the new one even if the file cannot be saved.
        if let Err(error) = place.save(current) {
            (self.notify)(Notice::SessionUnsaved(error.to_string()));
        }
        Ok(())
    }

    /// Returns the session that a pair begins or continues.
    pub(super) fn session(&self, pair: Pair) -> Session {
        // The sessions of a throw-away server do not end; a number that large is no valid time.
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
