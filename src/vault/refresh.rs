//! Refreshes of a session: a refresh token works once.
//!
//! An answer may get lost, and two commands may refresh at once. So for a short time the used token gives the same pair
//! again, to the same address. Any other second use shows that two parties have the token: the session ends for both.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    access,
    audited::silent,
    error::Error,
    sessions::{LoggedIn, Pair},
    state::{SessionLife, Vault},
    work::Context,
};
use crate::{
    auth::{limiter::Address, token},
    domain::{
        Action, Actor, Detail, DetailKey, Digest, Event, Outcome, Peer, Secret, SessionKey, SessionKind,
        SessionRow, Timestamp, User, seconds,
    },
    storage::{Changes, Decision, Verdict, View},
};

/// The time for which a used refresh token gives its pair again.
const GRACE: Duration = seconds(30);
/// The most pairs that are kept for it: 34 refreshes a second, all the time.
const GIVEN_MAX: usize = 1_024;

impl Vault {
    /// Exchanges a refresh token for a new pair, once. A second use within the grace period and from the same address
    /// returns the same pair; any other one ends the session.
    ///
    /// # Errors
    /// The token is not valid or no longer valid, or there were too many attempts.
    pub async fn refresh(&self, context: &Context, refresh_token: &Secret) -> Result<LoggedIn, Error> {
        let peer = context.peer.unwrap_or(Peer::Unix);
        self.opened()?;
        self.limit_refresh(peer, context.now).inspect_err(|_| self.tally.login(context.peer))?;
        let refreshed = self.refresh_with(context, refresh_token).await;
        let host = self.settings().host.clone();
        let refreshed = self.noted(context, host, Action::SessionRefresh, refreshed).await;
        match &refreshed {
            Err(Error::Unauthenticated | Error::TokenExpired { .. }) => self.tally.login(context.peer),
            // A failing disk does not count as a wrong token.
            Ok(_) | Err(_) => self.limiter().refreshed(peer),
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
        let refresh = Refresh { context: *context, key, life: self.settings().sessions };
        let given = Arc::clone(&open.given);
        let decide = move |view: &View<'_>| refresh.decide(view, pair, &given);
        let committed = open.decide(context.request, decide).await?;
        self.settle(committed).await?.value.ok_or(Error::Unauthenticated)
    }
}

/// One use of a refresh token.
struct Refresh {
    context: Context,
    key: SessionKey,
    life: SessionLife,
}

impl Refresh {
    fn decide(&self, view: &View<'_>, pair: Pair, given: &GivenPairs) -> Verdict<Option<LoggedIn>, Error> {
        let now = self.context.now;
        let (user, row) = access::session_user(view, &self.key, SessionKind::Refresh).map_err(silent)?;
        let end = self.key.session.time().plus(self.life.whole);
        if row.is_expired(now) || now >= end {
            return Err(silent(Error::TokenExpired { since: row.expires_at.min(end).min(now) }));
        }
        let event = self.context.event(Actor::User(user.email.clone()), Action::SessionRefresh);
        if row.used_at.is_some() {
            return match given.again(&self.key.digest, self.context.peer, now) {
                Some((access, refresh, lives_for)) => {
                    let again = LoggedIn { access, refresh, lives_for, user: User::clone(&user) };
                    Ok(Decision::recording(Some(again), vec![event]))
                }
                None => self.end(view, event),
            };
        }
        let tokens = view.session_tokens(self.key.session).map_err(|error| silent(error.into()))?;
        let mut changes = Changes::none();
        tokens
            .iter()
            .filter(|token| token.is_expired(now))
            .for_each(|token| changes.remove_session(&token.key));
        changes.session(SessionRow { used_at: Some(now), ..SessionRow::clone(&row) });
        let fresh = |key, kind, life| SessionRow {
            key,
            kind,
            issued_at: now,
            expires_at: now.plus(life).min(end),
            used_at: None,
            version: 0,
            ..SessionRow::clone(&row)
        };
        let access = fresh(pair.access.1, SessionKind::Access, self.life.access);
        let ends = access.expires_at;
        changes.session(access);
        changes.session(fresh(pair.refresh.1, SessionKind::Refresh, self.life.refresh));
        let (access, refresh) = (pair.access.0.text, pair.refresh.0.text);
        given.keep(self.key.digest, Given::new(self.context.peer, now, ends, (&access, &refresh)), now);
        let new = LoggedIn { access, refresh, lives_for: ends.since(now), user: User::clone(&user) };
        Ok(Decision::changing(Some(new), changes, event))
    }

    /// Ends the session: a second party has a copy of the token.
    fn end(&self, view: &View<'_>, event: Event) -> Verdict<Option<LoggedIn>, Error> {
        let tokens = view.session_tokens(self.key.session).map_err(|error| silent(error.into()))?;
        let mut changes = Changes::none();
        tokens.iter().for_each(|token| changes.remove_session(&token.key));
        let detail = Detail::NONE.text(DetailKey::Reason, "reused");
        let event = Event { outcome: Outcome::Denied, detail, ..event };
        Ok(Decision::changing(None, changes, event).revoking())
    }
}

/// The pairs that were given out within the grace period, by the digest of the used token.
#[derive(Default)]
pub(super) struct GivenPairs(Mutex<HashMap<Digest, Given>>);

struct Given {
    at: Timestamp,
    peer: Option<Address>,
    access: Secret,
    refresh: Secret,
    /// The end of the access token.
    ends: Timestamp,
}

impl Given {
    fn new(peer: Option<Peer>, at: Timestamp, ends: Timestamp, pair: (&Secret, &Secret)) -> Self {
        let [access, refresh] = [pair.0, pair.1].map(|text| Secret::new(text.expose().to_vec()));
        Self { at, peer: peer.map(Address::of), access, refresh, ends }
    }

    fn is_over(&self, now: Timestamp) -> bool {
        // A use far in the future was noted before the clock was corrected: do not wait for that day.
        now.since(self.at).max(self.at.since(now)) > GRACE
    }
}

impl GivenPairs {
    fn keep(&self, digest: Digest, given: Given, now: Timestamp) {
        let mut pairs = self.lock();
        pairs.retain(|_, given| !given.is_over(now));
        if pairs.len() >= GIVEN_MAX {
            let oldest = pairs.iter().min_by_key(|(_, given)| given.at).map(|(digest, _)| *digest);
            oldest.and_then(|digest| pairs.remove(&digest));
        }
        pairs.insert(digest, given);
    }

    /// Returns the pair and the rest of its access token's life.
    fn again(
        &self,
        digest: &Digest,
        peer: Option<Peer>,
        now: Timestamp,
    ) -> Option<(Secret, Secret, Duration)> {
        let pairs = self.lock();
        let given = pairs.get(digest)?;
        if given.is_over(now) || given.peer != peer.map(Address::of) {
            return None;
        }
        let [access, refresh] =
            [&given.access, &given.refresh].map(|text| Secret::new(text.expose().to_vec()));
        Some((access, refresh, given.ends.since(now)))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Given>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
