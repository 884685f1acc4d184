//! From a bearer token to a caller.

use super::{Context, error::Error, lifecycle::Vault};
use crate::{
    auth::policy::{self, Permit, Verb},
    domain::{Bearer, Caller, Identity, SessionKey, SessionKind, Timestamp, TokenStatus, User},
    storage::View,
};

impl Vault {
    /// Finds the caller behind a token.
    ///
    /// # Errors
    /// The vault is locked, or the token lets nobody in.
    pub fn authenticate(&self, bearer: Bearer, context: &Context) -> Result<Caller, Error> {
        let open = self.opened()?;
        let view = open.writer.view();
        match authenticate(&view, bearer, context.now) {
            // Rows of two states may have met: one snapshot decides.
            Err(_) if view.generation().is_none() => {
                authenticate(&open.writer.fresh_view(), bearer, context.now)
            }
            other => other,
        }
    }

    /// Asks the policy for a caller, before anything of the request is parsed.
    ///
    /// # Errors
    /// The policy forbids it; the refusal is recorded.
    pub async fn authorize(&self, context: &Context, caller: &Caller, verb: Verb) -> Result<Permit, Error> {
        match policy::authorize(caller, verb, &self.rules()) {
            Ok(permit) => Ok(permit),
            // The corridor refuses again, on the newest state, and records it.
            Err(denied) => match self
                .act(context, caller.bearer, verb, |_| Err::<super::act::Done<()>, _>(Error::Internal))
                .await
            {
                Err(Error::Internal) | Ok(_) => Err(denied.into()),
                Err(error) => Err(error),
            },
        }
    }
}

/// The caller behind a token, on that state.
pub(super) fn authenticate(view: &View<'_>, bearer: Bearer, now: Timestamp) -> Result<Caller, Error> {
    match bearer {
        Bearer::Application(digest) => {
            let token = view.token(&digest)?.ok_or(Error::Unauthenticated)?;
            match token.status(now) {
                TokenStatus::Active => Ok(Caller {
                    identity: Identity::Token(token.id),
                    role: token.role,
                    narrowing: token.narrowing.clone(),
                    bearer,
                    token_expires_at: Some(token.expires_at),
                }),
                TokenStatus::Expired => Err(Error::TokenExpired { since: token.expires_at }),
                TokenStatus::Revoked => Err(Error::Unauthenticated),
            }
        }
        Bearer::Access(session, digest) => {
            let (user, row) = session_user(view, &SessionKey { session, digest }, SessionKind::Access)?;
            if row.is_expired(now) {
                return Err(Error::TokenExpired { since: row.expires_at });
            }
            Ok(Caller {
                identity: Identity::User { id: user.id, email: user.email.clone(), session },
                role: user.role,
                narrowing: user.narrowing.clone(),
                bearer,
                token_expires_at: None,
            })
        }
    }
}

/// The user behind a session's token: enabled, the same user still, and of the session's epoch.
pub(super) fn session_user(
    view: &View<'_>,
    key: &SessionKey,
    kind: SessionKind,
) -> Result<(std::sync::Arc<User>, std::sync::Arc<crate::domain::SessionRow>), Error> {
    let row = view.session(key)?.filter(|row| row.kind == kind).ok_or(Error::Unauthenticated)?;
    let user = view.user(&row.email)?.ok_or(Error::Unauthenticated)?;
    if user.id == row.user && user.epoch == row.epoch && !user.disabled {
        Ok((user, row))
    } else {
        Err(Error::Unauthenticated)
    }
}
