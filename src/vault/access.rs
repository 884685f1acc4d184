//! From a bearer token to a caller.

use std::sync::Arc;

use super::{Context, error::Error, state::Vault};
use crate::{
    auth::policy::{self, Permit, Verb},
    domain::{
        Action, Actor, Bearer, Caller, Event, Identity, Outcome, SessionKey, SessionKind, SessionRow,
        Timestamp, TokenStatus, User,
    },
    storage::{Generation, View},
};

/// A caller that was let in, and the state of the rows on which it was: there nothing else can come out again.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// Who.
    pub caller: Caller,
    pub(super) generation: Option<Generation>,
}

impl From<&Caller> for Admitted {
    /// A caller whose state is not known any more: it is looked up again wherever it matters.
    fn from(caller: &Caller) -> Self {
        Self { caller: caller.clone(), generation: None }
    }
}

impl Vault {
    /// Finds the caller behind a token.
    ///
    /// # Errors
    /// The vault is locked, or the token lets nobody in.
    pub fn authenticate(&self, bearer: Bearer, context: &Context) -> Result<Caller, Error> {
        self.find_caller(bearer, context).map(|admitted| admitted.caller)
    }

    /// Lets a caller in for what `verb` says it asks, before anything of the request is parsed.
    ///
    /// # Errors
    /// The vault is locked, the token lets nobody in (which is counted), or the policy forbids it (which is recorded).
    pub async fn admit(
        &self,
        context: &Context,
        bearer: Option<Bearer>,
        verb: impl Fn(&Caller) -> Verb,
    ) -> Result<Admitted, Error> {
        let found = match bearer {
            Some(bearer) => self.find_caller(bearer, context),
            None => self.opened().and(Err(Error::Unauthenticated)),
        };
        let admitted = match found {
            Ok(admitted) => admitted,
            Err(error @ (Error::Unauthenticated | Error::TokenExpired { .. })) => {
                self.turned_away(context);
                return Err(error);
            }
            // A row on the way to the caller does not open: the caller is unknown.
            Err(error) => {
                self.note(context, self.settings().host.clone(), Action::RequestDenied, &error).await;
                return Err(error);
            }
        };
        let verb = verb(&admitted.caller);
        self.authorize(context, &admitted.caller, verb).await?;
        Ok(admitted)
    }

    fn find_caller(&self, bearer: Bearer, context: &Context) -> Result<Admitted, Error> {
        let open = self.opened()?;
        let view = open.writer.view();
        let caller = match authenticate(&view, bearer, context.now) {
            // Rows of two states may have met: one snapshot decides.
            Err(_) if view.generation().is_none() => {
                authenticate(&open.writer.fresh_view(), bearer, context.now)?
            }
            other => other?,
        };
        Ok(Admitted { caller, generation: view.generation() })
    }

    /// Records an error that a row which does not open led to, outside the corridor.
    pub(super) async fn note(&self, context: &Context, actor: Actor, action: Action, error: &Error) {
        if matches!(error, Error::Tampered(_)) && self.tally.refused(&actor) {
            let event = Event { outcome: Outcome::Failed, ..context.event(actor, action) };
            if let Err(error) = self.record(event).await {
                tracing::error!(%error, "a row that failed authentication could not be recorded");
            }
        }
    }

    /// Passes a result on, after [`Vault::note`] where it is an error.
    pub(super) async fn noted<T>(
        &self,
        context: &Context,
        actor: Actor,
        action: Action,
        result: Result<T, Error>,
    ) -> Result<T, Error> {
        if let Err(error) = &result {
            self.note(context, actor, action, error).await;
        }
        result
    }

    /// Asks the policy for a caller, before anything of the request is parsed.
    ///
    /// # Errors
    /// The policy forbids it; the refusal is recorded.
    pub async fn authorize<'c>(
        &self,
        context: &Context,
        caller: &'c Caller,
        verb: Verb,
    ) -> Result<Permit<'c>, Error> {
        match policy::authorize(caller, verb, &self.rules()) {
            Ok(permit) => Ok(permit),
            Err(denied) => Err(self.refuse(context, caller.bearer, verb, denied.into()).await),
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
                return Err(Error::TokenExpired { since: row.expires_at.min(now) });
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
) -> Result<(Arc<User>, Arc<SessionRow>), Error> {
    let row = view.session(key)?.filter(|row| row.kind == kind).ok_or(Error::Unauthenticated)?;
    let user = view.user(&row.email)?.ok_or(Error::Unauthenticated)?;
    if user.id == row.user && user.epoch == row.epoch && !user.disabled {
        Ok((user, row))
    } else {
        Err(Error::Unauthenticated)
    }
}
