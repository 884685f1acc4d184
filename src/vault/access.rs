//! Authentication: finds the caller of a bearer token.

use std::sync::Arc;

use super::{Context, error::Error, narrowing, state::Vault};
use crate::{
    auth::policy::{self, Denied, Permit, Rules, Verb},
    domain::{
        Action, Actor, Bearer, Caller, Event, Identity, Outcome, SessionKey, SessionKind, SessionRow,
        Timestamp, TokenStatus, User,
    },
    storage::{Generation, View},
};

/// An authenticated caller, the generation that authenticated it, and the permit it was admitted with.
///
/// In the same generation authentication has the same result; in another one it is repeated.
#[derive(Debug, Clone)]
pub struct Admitted {
    caller: Arc<Caller>,
    generation: Option<Generation>,
    permit: Option<Permit>,
    /// True for a token that succeeds another and was not used so far.
    is_first_use: bool,
}

impl Admitted {
    /// The caller.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    pub(super) fn bearer(&self) -> Bearer {
        self.caller.bearer
    }

    /// Returns whether the next audited use is the first of a token that succeeds another.
    pub(super) const fn is_first_use(&self) -> bool {
        self.is_first_use
    }

    /// Returns whether a view shows the generation that authenticated the caller.
    pub(super) fn is_current(&self, view: &View<'_>) -> bool {
        self.generation.is_some() && self.generation == view.generation()
    }

    /// Returns the permit that the caller was admitted with, or asks the policy if that permit was for another verb.
    pub(super) fn permit(&self, verb: Verb, rules: &Rules) -> Result<Permit, Denied> {
        match &self.permit {
            Some(permit) if permit.verb() == verb => Ok(permit.clone()),
            _ => policy::authorize(&self.caller, verb, rules),
        }
    }
}

impl Vault {
    /// Finds the caller behind a token.
    ///
    /// # Errors
    /// The vault is locked, or the token is not valid.
    pub fn authenticate(&self, bearer: Bearer, context: &Context) -> Result<Admitted, Error> {
        let open = self.opened()?;
        let view = open.writer.view();
        match authenticate(&view, bearer, context.now) {
            // The view may have mixed rows of two states: decide on one snapshot.
            Err(_) if view.generation().is_none() => {
                authenticate(&open.writer.fresh_view(), bearer, context.now)
            }
            found => found,
        }
    }

    /// Authenticates and authorizes a caller for `verb`, before anything of the request is parsed.
    ///
    /// # Errors
    /// The vault is locked, the token is not valid (which is counted), or the policy forbids it (which is recorded).
    pub async fn admit(
        &self,
        context: &Context,
        bearer: Option<Bearer>,
        verb: impl Fn(&Caller) -> Verb,
    ) -> Result<Admitted, Error> {
        let found = match bearer {
            Some(bearer) => self.authenticate(bearer, context),
            None => self.opened().and(Err(Error::Unauthenticated)),
        };
        let admitted = match found {
            Ok(admitted) => admitted,
            Err(error @ (Error::Unauthenticated | Error::TokenExpired { .. })) => {
                self.count_unauthenticated(context);
                return Err(error);
            }
            // A row of the caller fails authentication: the caller is unknown.
            Err(error) => {
                let host = self.settings().host.clone();
                return Err(self.note(context, host, Action::RequestDenied, error).await);
            }
        };
        let permit = self.permit(context, &admitted, verb(&admitted.caller)).await?;
        Ok(Admitted { permit: Some(permit), ..admitted })
    }

    /// Returns a caller's permit for `verb`, or records that the policy denies it.
    pub(super) async fn permit(
        &self,
        context: &Context,
        admitted: &Admitted,
        verb: Verb,
    ) -> Result<Permit, Error> {
        match admitted.permit(verb, &self.rules()) {
            Ok(permit) => Ok(permit),
            Err(denied) => Err(self.refuse(context, admitted.bearer(), verb, denied.into()).await),
        }
    }

    /// Authenticates and authorizes a caller again, during a long read.
    pub(super) fn admit_again(
        &self,
        view: &View<'_>,
        admitted: &Admitted,
        now: Timestamp,
        verb: Verb,
    ) -> Result<Permit, Error> {
        Ok(authenticate(view, admitted.bearer(), now)?.permit(verb, &self.rules())?)
    }

    /// Logs the cause of an error outside the corridor, and records it if a row fails authentication.
    pub(super) async fn note(&self, context: &Context, actor: Actor, action: Action, error: Error) -> Error {
        let error = error.into_logged(context.request);
        if error.is_tampered() && self.tally.count_refusal(&actor) {
            let event = Event { outcome: Outcome::Failed, ..context.event(actor, action) };
            if let Err(error) = self.record(event).await {
                tracing::error!(%error, "a row that failed authentication could not be recorded");
            }
        }
        error
    }

    /// Passes a result on; an error goes through [`Vault::note`].
    pub(super) async fn noted<T>(
        &self,
        context: &Context,
        actor: Actor,
        action: Action,
        result: Result<T, Error>,
    ) -> Result<T, Error> {
        match result {
            Ok(value) => Ok(value),
            Err(error) => Err(self.note(context, actor, action, error).await),
        }
    }
}

/// Finds the caller behind a token on one state.
pub(super) fn authenticate(view: &View<'_>, bearer: Bearer, now: Timestamp) -> Result<Admitted, Error> {
    let mut is_first_use = false;
    let caller = match bearer {
        Bearer::Application(digest) => {
            let token = view.token(&digest)?.ok_or(Error::Unauthenticated)?;
            match token.status(now) {
                TokenStatus::Active => {}
                TokenStatus::Expired => return Err(Error::TokenExpired { since: token.expires_at }),
                TokenStatus::Revoked => return Err(Error::Unauthenticated),
            }
            is_first_use = token.awaits_first_use();
            Caller {
                identity: Identity::Token(token.id),
                role: token.role,
                scope: narrowing::of_token(view, &token, now)?,
                bearer,
                token_expires_at: Some(token.expires_at),
                has_factor: false,
            }
        }
        Bearer::Access(session, digest) => {
            let (user, row) = session_user(view, &SessionKey { session, digest }, SessionKind::Access)?;
            if row.is_expired(now) {
                return Err(Error::TokenExpired { since: row.expires_at.min(now) });
            }
            Caller {
                identity: Identity::User { id: user.id, email: user.email.clone(), session },
                role: user.role,
                scope: user.effective_scope(),
                bearer,
                token_expires_at: None,
                has_factor: user.factor.is_some(),
            }
        }
    };
    Ok(Admitted { caller: Arc::new(caller), generation: view.generation(), permit: None, is_first_use })
}

/// Returns the user of a session's token if the user is enabled, is the same one still, and has the session's epoch.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        auth::token,
        domain::{Role, days, minutes},
        vault::tests::{NOW, commit, secret, unlocked},
    };

    const REQUEST: Context = Context { now: NOW, request: None, peer: None };

    /// Returns an owner's session, and its end.
    async fn session(vault: &Vault) -> (Bearer, Timestamp) {
        let login = vault.login(&REQUEST, "owner@example.com", secret()).await.map_err(drop).unwrap();
        (token::parse_bearer(login.access.expose_text().unwrap()).unwrap(), NOW.plus(login.lives_for))
    }

    /// A decision keeps a permit of the same state. Anything else must be asked again, or a revocation is passed by.
    #[tokio::test]
    async fn a_caller_of_another_state_or_of_none_is_never_taken_for_current() {
        let (_, vault) = unlocked().await;
        let (bearer, _) = session(&vault).await;
        let open = vault.opened().map_err(drop).unwrap();
        let admitted = vault.authenticate(bearer, &REQUEST).map_err(drop).unwrap();
        assert!(admitted.is_current(&open.writer.view()));
        commit(&open.writer, false).await.map(drop).unwrap();
        assert!(admitted.is_current(&open.writer.view()), "a record changes no state");
        // A view without the number of its state equals no view, not even one like it.
        let fresh = open.writer.fresh_view();
        let unnumbered = authenticate(&fresh, bearer, NOW).map_err(drop).unwrap();
        for view in [&fresh, &open.writer.fresh_view()] {
            assert!(!unnumbered.is_current(view) && !admitted.is_current(view));
        }
        assert!(!unnumbered.is_current(&open.writer.view()));
        commit(&open.writer, true).await.map(drop).unwrap();
        assert!(!admitted.is_current(&open.writer.view()));
    }

    #[tokio::test]
    async fn a_permit_for_one_verb_never_serves_another() {
        let (_, vault) = unlocked().await;
        let (bearer, _) = session(&vault).await;
        let rules = vault.rules();
        let strict = Rules { owners_need_otp: true, ..rules };
        let admitted = vault.admit(&REQUEST, Some(bearer), |_| Verb::ReadSelf).await.map_err(drop).unwrap();
        let permit = |verb, rules| admitted.permit(verb, rules).map(|permit| permit.verb());
        assert_eq!(permit(Verb::ReadSelf, &strict), Ok(Verb::ReadSelf));
        for verb in Verb::ALL.iter().copied().filter(|verb| verb.allowed().contains(&Role::Owner)) {
            assert_eq!(permit(verb, &rules), Ok(verb));
        }
        for verb in [Verb::ReadCredentials, Verb::CreateToken, Verb::CreateBackup, Verb::RepositoryToken] {
            assert_eq!(permit(verb, &strict), Err(Denied::EnrolmentRequired), "{verb:?}");
        }
    }

    /// A clock that was ahead at the login gives the session an end that is still to come by the clock of today.
    #[tokio::test]
    async fn a_session_that_ended_never_names_an_end_that_is_still_to_come() {
        let (_, vault) = unlocked().await;
        let (bearer, end) = session(&vault).await;
        let open = vault.opened().map_err(drop).unwrap();
        let ended = |now| match authenticate(&open.writer.view(), bearer, now) {
            Err(Error::TokenExpired { since }) => Some(since),
            Err(error) => panic!("{error}"),
            Ok(_) => None,
        };
        let earlier = NOW.minus(days(1));
        for (now, since) in [
            (NOW, None),
            (end, Some(end)),
            (end.plus(minutes(10)), Some(end)),
            (end.plus(days(4)), Some(end)),
            (earlier, Some(earlier)),
        ] {
            assert_eq!(ended(now), since, "{now}");
        }
    }
}
