//! The identity of the calls: none, a token, or a saved session.

use tokio::sync::Mutex;

use super::{Session, SessionFile};
use crate::domain::Secret;

/// Identity of the calls.
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
