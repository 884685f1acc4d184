//! Logins, refreshes and logouts.

use std::{
    sync::{Arc, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use super::{
    access::{self, Admitted},
    audited::silent,
    error::{Error, InternalError},
    state::{SessionLife, Vault},
    work::{Context, Request},
};
use crate::{
    auth::{
        limiter::Limiter,
        password::{self, PasswordError},
        policy::Verb,
        token::{self, NewToken},
    },
    crypto::{kdf::KdfParams, random, stack::leaving_nothing},
    domain::{
        Action, Actor, Email, Identity, PasswordHash, Peer, Secret, SessionId, SessionKey, SessionKind,
        SessionRow, Timestamp, User, seconds,
    },
    storage::{Changes, Decision, Verdict, View},
};

/// The grace period in which a used refresh token still returns another pair: an answer got lost, or two commands ran
/// at once.
const REFRESH_GRACE: Duration = seconds(30);
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

struct Pair {
    access: (NewToken, SessionKey),
    refresh: (NewToken, SessionKey),
}

impl Pair {
    fn new(session: SessionId) -> Result<Self, Error> {
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
        self.opened()?;
        if self.is_disk_low() {
            return Err(Error::DiskLow);
        }
        let email: Option<Email> = email.parse().ok();
        let peer = context.peer.unwrap_or(Peer::Unix);
        self.limit(email.as_ref(), peer, context.now).inspect_err(|_| self.tally.login(context.peer))?;
        let outcome = self.login_with(context, email.as_ref(), password).await;
        let host = self.settings().host.clone();
        let outcome = self.noted(context, host, Action::SessionLogin, outcome).await;
        match &outcome {
            Ok(_) => self.limiter().succeeded(email.as_ref(), peer),
            Err(Error::BadLogin) => self.tally.login(context.peer),
            // A failing disk does not count as a wrong password.
            Err(_) => self.limiter().undecided(email.as_ref(), peer),
        }
        outcome
    }

    async fn login_with(
        &self,
        context: &Context,
        email: Option<&Email>,
        password: Secret,
    ) -> Result<LoggedIn, Error> {
        let open = self.opened()?;
        let user = match email {
            Some(email) => open.writer.fresh_view().user(email)?,
            None => None,
        };
        let (hash, kdf) = (user.as_ref().map(|user| user.password.clone()), self.settings().password_kdf);
        let right = self.is_password(hash, kdf, password).await?;
        let checked = user.filter(|user| right && !user.disabled).ok_or(Error::BadLogin)?;
        let pair = Pair::new(SessionId::new(context.now, random::bytes()?))?;
        let (life, context) = (self.settings().sessions, *context);
        let [access, refresh] = pair.rows(&checked, context.now, life);
        let decide = move |view: &View<'_>| {
            let user = view.user(&checked.email).map_err(|error| silent(error.into()))?;
            // Changing the password, the role or `disabled` since the check has raised the epoch.
            let user =
                user.filter(|user| user.id == checked.id && user.epoch == checked.epoch && !user.disabled);
            let mut user = User::clone(&*user.ok_or_else(|| silent(Error::BadLogin))?);
            user.last_login_at = Some(context.now);
            let mut changes = Changes::none();
            sweep(view, &mut changes, context.now).map_err(silent)?;
            changes.session(access);
            changes.session(refresh);
            changes.user(user.clone());
            let event = context.event(Actor::User(user.email.clone()), Action::SessionLogin);
            Ok(Decision::changing(user, changes, event))
        };
        let user = open.decide(context.request, decide).await?.value;
        Ok(pair.into_answer(user, life))
    }

    /// Exchanges a refresh token for a new pair, once. A second use within the grace period returns another pair; a
    /// later one ends the session.
    ///
    /// # Errors
    /// The token is not valid or no longer valid, or there were too many attempts.
    pub async fn refresh(&self, context: &Context, refresh_token: &Secret) -> Result<LoggedIn, Error> {
        let peer = context.peer.unwrap_or(Peer::Unix);
        self.opened()?;
        self.limit(None, peer, context.now).inspect_err(|_| self.tally.login(context.peer))?;
        let refreshed = self.refresh_with(context, refresh_token).await;
        let host = self.settings().host.clone();
        let refreshed = self.noted(context, host, Action::SessionRefresh, refreshed).await;
        match &refreshed {
            Ok(_) => self.limiter().succeeded(None, peer),
            Err(Error::Unauthenticated | Error::TokenExpired { .. }) => self.tally.login(context.peer),
            Err(_) => self.limiter().undecided(None, peer),
        }
        refreshed
    }

    async fn refresh_with(&self, context: &Context, refresh_token: &Secret) -> Result<LoggedIn, Error> {
        let open = self.opened()?;
        if self.is_disk_low() {
            return Err(Error::DiskLow);
        }
        let text = std::str::from_utf8(refresh_token.expose()).map_err(|_| Error::Unauthenticated)?;
        let key = token::parse_refresh(text).ok_or(Error::Unauthenticated)?;
        let pair = Pair::new(key.session)?;
        let (life, context) = (self.settings().sessions, *context);
        let keys = (pair.access.1, pair.refresh.1);
        let decide = move |view: &View<'_>| refresh_session(view, &context, &key, keys, life);
        let committed = open.decide(context.request, decide).await?;
        let user = self.settle(committed).await?.value.ok_or(Error::Unauthenticated)?;
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
    ) -> Result<bool, Error> {
        let runs = Arc::clone(&self.password_runs);
        self.derive(move || {
            let trial = match hash {
                Some(hash) => password::verify(&hash, &password),
                None => password::verify_absent(kdf, &password),
            }?;
            // Count here: the runs have happened even if the client disconnects.
            runs.fetch_add(trial.runs, Ordering::Relaxed);
            Ok(trial.is_right)
        })
        .await
    }

    /// Runs argon2 outside the serving threads, on as many cores as there are, up to three.
    pub(super) async fn derive<T: Send + 'static>(
        &self,
        run: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, Error> {
        let _turn = self.passwords.acquire().await.expect("nothing closes this semaphore");
        let ran = tokio::task::spawn_blocking(|| leaving_nothing(run)).await;
        Ok(ran.map_err(|_| InternalError::TaskPanicked)??)
    }

    /// Returns the password verifications since the start, in argon2 runs: one for each spelling of a submitted
    /// password.
    pub fn password_runs(&self) -> u64 {
        self.password_runs.load(Ordering::Relaxed)
    }

    pub(super) fn limiter(&self) -> MutexGuard<'_, Limiter> {
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn limit(&self, email: Option<&Email>, peer: Peer, now: Timestamp) -> Result<(), Error> {
        self.limiter()
            .check(email, peer, now)
            .map_err(|retry| Error::TooManyTries { retry_after_secs: retry.seconds })
    }
}

fn refresh_session(
    view: &View<'_>,
    context: &Context,
    key: &SessionKey,
    (access, refresh): (SessionKey, SessionKey),
    life: SessionLife,
) -> Verdict<Option<User>, Error> {
    let now = context.now;
    let (user, row) = access::session_user(view, key, SessionKind::Refresh).map_err(silent)?;
    if row.is_expired(now) {
        return Err(silent(Error::TokenExpired { since: row.expires_at.min(now) }));
    }
    let event = context.event(Actor::User(user.email.clone()), Action::SessionRefresh);
    let tokens = view.session_tokens(key.session).map_err(|error| silent(error.into()))?;
    let mut changes = Changes::none();
    // A use far in the future was recorded before the clock was corrected: do not wait for that day.
    let past_grace = |used: Timestamp| now.since(used).max(used.since(now)) > REFRESH_GRACE;
    if row.used_at.is_some_and(past_grace) {
        // A second party has a copy of the token: end the session for both.
        tokens.iter().for_each(|token| changes.remove_session(&token.key));
        let event = crate::domain::Event { outcome: crate::domain::Outcome::Denied, ..event };
        return Ok(Decision::changing(None, changes, event).revoking());
    }
    tokens.iter().filter(|token| token.is_expired(now)).for_each(|token| changes.remove_session(&token.key));
    let mut used = SessionRow::clone(&row);
    used.used_at = used.used_at.or(Some(now));
    changes.session(used);
    let fresh = |key, kind, life| SessionRow {
        key,
        kind,
        issued_at: now,
        expires_at: now.plus(life),
        used_at: None,
        version: 0,
        ..SessionRow::clone(&row)
    };
    changes.session(fresh(access, SessionKind::Access, life.access));
    changes.session(fresh(refresh, SessionKind::Refresh, life.refresh));
    Ok(Decision::changing(Some(User::clone(&user)), changes, event))
}

/// Deletes expired sessions. Session ids are in the order of their logins, so expired ones gather at the front.
fn sweep(view: &View<'_>, changes: &mut Changes, now: Timestamp) -> Result<(), Error> {
    let oldest = view.oldest_sessions(SWEPT_MAX)?;
    // Keep sessions from a clock that was ahead: this clock may be the wrong one.
    oldest.iter().filter(|row| now >= row.expires_at).for_each(|row| changes.remove_session(&row.key));
    Ok(())
}
