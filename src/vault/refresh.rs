//! Refreshes of a session: a refresh token works once.
//!
//! An answer may get lost, and two commands may refresh at once. So for a short time the used token gives the same pair
//! again, to the same address. Any other second use shows that two parties have the token: the session ends for both.

use std::sync::Arc;

use super::{
    access,
    audited::silent,
    credentials::Measure,
    error::Error,
    given_pairs::{Given, GivenPairs},
    refusal_counts::Tally,
    sessions::{LoggedIn, Pair},
    state::{SessionLife, Vault},
    work::Context,
};
use crate::{
    auth::token,
    domain::{
        Action, Actor, Detail, DetailKey, Event, Outcome, Peer, Secret, SessionKey, SessionKind, SessionRow,
        User,
    },
    storage::{Changes, Decision, Verdict, View},
};

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
        let (measure, tally) = (self.measure(), Arc::clone(&self.tally));
        let refresh = Refresh { context: *context, key, life: self.settings().sessions, measure, tally };
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
    measure: Measure,
    tally: Arc<Tally>,
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
        let take = || self.measure.session(&event.actor, now, &self.tally).map_err(silent);
        if row.used_at.is_some() {
            return match given.again(&self.key.digest, self.context.peer, now) {
                Some((access, refresh, lives_for)) => {
                    take()?;
                    let again = LoggedIn { access, refresh, lives_for, user: User::clone(&user) };
                    Ok(Decision::recording(Some(again), vec![event]))
                }
                None => self.end(view, event),
            };
        }
        take()?;
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
