//! Logins and logouts.

use std::{
    sync::{Arc, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use super::{
    access::Admitted,
    audited::silent,
    error::Error,
    state::{Open, SessionLife, Vault},
    work::{Context, Request},
};
use crate::{
    auth::{
        limiter::Limiter,
        password,
        policy::Verb,
        second_factor::{self, Used},
        token::{self, NewToken},
    },
    crypto::{kdf::KdfParams, random},
    domain::{
        Action, Actor, Detail, DetailKey, Email, Event, Identity, Outcome, PasswordHash, Peer, Secret,
        SessionId, SessionKey, SessionKind, SessionRow, Timestamp, User,
    },
    storage::{Changes, Decision, View},
};

/// The most of the oldest session rows that a login checks for expiry.
const SWEPT_MAX: usize = 64;

/// A new pair of tokens.
pub struct LoggedIn {
    /// `sfp_usr_…`
    pub access: Secret,
    /// `sfp_ref_…`
    pub refresh: Secret,
    /// The lifetime of the access token.
    pub lives_for: Duration,
    /// The user who owns them.
    pub user: User,
}

/// A pair of tokens before its rows are written.
pub(super) struct Pair {
    pub(super) access: (NewToken, SessionKey),
    pub(super) refresh: (NewToken, SessionKey),
}

impl Pair {
    pub(super) fn new(session: SessionId) -> Result<Self, Error> {
        let new = |kind| token::session(kind, session);
        Ok(Self { access: new(SessionKind::Access)?, refresh: new(SessionKind::Refresh)? })
    }

    fn rows(&self, user: &User, now: Timestamp, life: SessionLife) -> [SessionRow; 2] {
        let row = |key, kind, life| SessionRow {
            key,
            kind,
            user: user.id,
            email: user.email.clone(),
            epoch: user.epoch,
            issued_at: now,
            expires_at: now.plus(life),
            used_at: None,
            version: 0,
        };
        [
            row(self.access.1, SessionKind::Access, life.access),
            row(self.refresh.1, SessionKind::Refresh, life.refresh),
        ]
    }

    fn into_answer(self, user: User, life: SessionLife) -> LoggedIn {
        LoggedIn { access: self.access.0.text, refresh: self.refresh.0.text, lives_for: life.access, user }
    }
}

impl Vault {
    /// Logs a user in. A wrong password, an unknown user and a disabled user get the same answer, and cost one argon2
    /// run for each spelling of the submitted password.
    ///
    /// # Errors
    /// The e-mail or password is wrong, the user is disabled, or there were too many attempts.
    pub async fn login(&self, context: &Context, email: &str, password: Secret) -> Result<LoggedIn, Error> {
        self.login_with_code(context, email, password, None).await
    }

    /// Logs a user in with a code of the second factor; a user without one needs none.
    ///
    /// # Errors
    /// As [`Self::login`]. [`Error::OtpRequired`] and [`Error::WrongLoginCode`] only where the password is right.
    pub async fn login_with_code(
        &self,
        context: &Context,
        email: &str,
        password: Secret,
        code: Option<Secret>,
    ) -> Result<LoggedIn, Error> {
        self.opened()?;
        if self.is_disk_low() {
            return Err(Error::DiskLow);
        }
        let email: Option<Email> = email.parse().ok();
        let peer = context.peer.unwrap_or(Peer::Unix);
        self.limit(email.as_ref(), peer, context.now).inspect_err(|_| self.tally.login(context.peer))?;
        let outcome = self.login_with(context, email.as_ref(), password, code).await;
        let host = self.settings().host.clone();
        let outcome = self.noted(context, host, Action::SessionLogin, outcome).await;
        match &outcome {
            Ok(_) => self.login_succeeded(email.as_ref(), peer, context.now),
            Err(Error::BadLogin) => self.tally.login(context.peer),
            // Stays counted until a login succeeds. The wrong code has an event of its own.
            Err(Error::OtpRequired | Error::WrongLoginCode) => {}
            // A failing disk does not count as a wrong password.
            Err(_) => self.limiter().undecided(email.as_ref(), peer, context.now),
        }
        outcome
    }

    async fn login_with(
        &self,
        context: &Context,
        email: Option<&Email>,
        password: Secret,
        code: Option<Secret>,
    ) -> Result<LoggedIn, Error> {
        let open = self.opened()?;
        let user = match email {
            Some(email) => open.writer.fresh_view().user(email)?,
            None => None,
        };
        let (hash, kdf) = (user.as_ref().map(|user| user.password.clone()), self.settings().password_kdf);
        let peer = context.peer.unwrap_or(Peer::Unix);
        let right = self.is_password(hash, kdf, password, peer).await?;
        let checked = user.filter(|user| right && !user.disabled).ok_or(Error::BadLogin)?;
        let code = code.filter(|_| checked.factor.is_some());
        if checked.factor.is_some() && code.is_none() {
            return Err(Error::OtpRequired);
        }
        let limited = code.is_some().then(|| (checked.email.clone(), peer));
        if let Some((email, peer)) = &limited {
            self.limit_code(email, *peer, context.now).inspect_err(|_| self.tally.login(context.peer))?;
        }
        let outcome = self.open_session(&open, context, checked, code).await;
        match (&limited, &outcome) {
            (Some((email, _)), Err(Error::WrongLoginCode)) => {
                tracing::warn!(user = %email, "login with the right password and a wrong code");
                // Somebody else may have the password: the log must name the user.
                let event = context.event(Actor::User(email.clone()), Action::SessionLogin);
                let detail = Detail::NONE.truth(DetailKey::Otp, false);
                open.record(vec![Event { outcome: Outcome::Denied, detail, ..event }]).await?;
            }
            (Some((email, peer)), _) => self.limiter().code_not_wrong(email, *peer, context.now),
            (None, _) => {}
        }
        outcome
    }

    /// Opens a session of a user whose password is right, with the code of a second factor if one is set.
    async fn open_session(
        &self,
        open: &Open,
        context: &Context,
        checked: Arc<User>,
        code: Option<Secret>,
    ) -> Result<LoggedIn, Error> {
        let pair = Pair::new(SessionId::new(context.now, random::bytes()?))?;
        let (life, context) = (self.settings().sessions, *context);
        let (measure, tally) = (self.measure(), Arc::clone(&self.tally));
        let [access, refresh] = pair.rows(&checked, context.now, life);
        let decide = move |view: &View<'_>| {
            let user = view.user(&checked.email).map_err(|error| silent(error.into()))?;
            // Changing the password, the role, the second factor or `disabled` since the check has raised the epoch.
            let user =
                user.filter(|user| user.id == checked.id && user.epoch == checked.epoch && !user.disabled);
            let mut user = User::clone(&*user.ok_or_else(|| silent(Error::BadLogin))?);
            // On the newest row: of two logins with one code only the first finds it unused.
            let detail = use_code(&mut user, code.as_ref(), context.now).map_err(silent)?;
            let actor = Actor::User(user.email.clone());
            measure.session(&actor, context.now, &tally).map_err(silent)?;
            user.last_login_at = Some(context.now);
            let mut changes = Changes::none();
            sweep(view, &mut changes, context.now).map_err(silent)?;
            changes.session(access);
            changes.session(refresh);
            changes.user(user.clone());
            let event = Event { detail, ..context.event(actor, Action::SessionLogin) };
            Ok(Decision::changing(user, changes, event))
        };
        let user = open.decide(context.request, decide).await?.value;
        Ok(pair.into_answer(user, life))
    }

    /// Ends the caller's session.
    pub async fn logout(&self, context: &Context, caller: &Admitted) -> Result<(), Error> {
        let work = move |work: Request<'_>| {
            let mut changes = Changes::none();
            if let Identity::User { session, .. } = &work.caller().identity {
                for row in work.view.session_tokens(*session)? {
                    changes.remove_session(&row.key);
                }
            }
            Ok(Decision::changing((), changes, work.event).revoking())
        };
        self.act(context, caller, Verb::Logout, work).await.map(drop)
    }

    /// Returns whether the password matches the hash; without a hash it never does, at the same cost.
    pub(super) async fn is_password(
        &self,
        hash: Option<PasswordHash>,
        kdf: KdfParams,
        password: Secret,
        peer: Peer,
    ) -> Result<bool, Error> {
        let runs = Arc::clone(&self.password_runs);
        let _place = self.passwords.place(peer, self.settings().passwords_waiting)?;
        let check = move || {
            let trial = match hash {
                Some(hash) => password::verify(&hash, &password),
                None => password::verify_absent(kdf, &password),
            }?;
            // Count here: the runs have happened even if the client disconnects.
            runs.fetch_add(trial.runs, Ordering::Relaxed);
            Ok(trial.is_right)
        };
        self.passwords.derive(check).await
    }

    /// Returns the password verifications since the start, in argon2 runs: one for each spelling of a submitted
    /// password.
    pub fn password_runs(&self) -> u64 {
        self.password_runs.load(Ordering::Relaxed)
    }

    pub(super) fn limiter(&self) -> MutexGuard<'_, Limiter> {
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn login_succeeded(&self, email: Option<&Email>, peer: Peer, now: Timestamp) {
        let mut limiter = self.limiter();
        limiter.succeeded(email, peer, now);
        if let Some(email) = email {
            limiter.know(email, peer, now);
        }
    }

    pub(super) fn limit_refresh(&self, peer: Peer, now: Timestamp) -> Result<(), Error> {
        self.limiter()
            .check_refresh(peer, now)
            .map_err(|retry| Error::TooManyTries { retry_after_secs: retry.seconds })
    }

    pub(super) fn limit(&self, email: Option<&Email>, peer: Peer, now: Timestamp) -> Result<(), Error> {
        self.limiter()
            .check(email, peer, now)
            .map_err(|retry| Error::TooManyTries { retry_after_secs: retry.seconds })
    }
}

/// Uses a code up, and returns what the login's event says about it.
///
/// # Errors
/// The code is wrong or was used before.
fn use_code(user: &mut User, code: Option<&Secret>, now: Timestamp) -> Result<Detail, Error> {
    let Some(factor) = &user.factor else { return Ok(Detail::NONE) };
    let code = code.ok_or(Error::OtpRequired)?;
    let (after, used) = second_factor::take(factor, code, now).ok_or(Error::WrongLoginCode)?;
    let detail = match used {
        Used::Step(_) => Detail::NONE.truth(DetailKey::Otp, true),
        Used::Code(number) => Detail::NONE
            .number(DetailKey::Code, number.into())
            .number(DetailKey::Count, after.codes.len() as u64),
    };
    user.factor = Some(after);
    Ok(detail)
}

/// Deletes expired sessions. Session ids are in the order of their logins, so expired ones gather at the front.
fn sweep(view: &View<'_>, changes: &mut Changes, now: Timestamp) -> Result<(), Error> {
    let oldest = view.oldest_sessions(SWEPT_MAX)?;
    // Keep sessions from a clock that was ahead: this clock may be the wrong one.
    oldest.iter().filter(|row| now >= row.expires_at).for_each(|row| changes.remove_session(&row.key));
    Ok(())
}
