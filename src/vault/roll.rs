//! The roll of an application token: a successor with the same rights now, and an earlier end for the token before.
//!
//! Readers move from one to the other during the overlap. The successor's row keeps the time of its first audited use,
//! so that the list of tokens shows when the first reader has moved, and who still has to.

use std::time::Duration;

use super::{
    access::Admitted,
    error::Error,
    narrowing::{self, token_detail},
    state::Vault,
    tokens,
    work::{Context, Request},
};
use crate::{
    auth::{policy::Verb, token},
    crypto::random,
    domain::{
        Action, ApplicationToken, Bearer, DetailKey, Event, Roll, Secret, Timestamp, TokenId, TokenRef,
        TokenStatus,
    },
    storage::{Changes, Decision, View},
};

/// A rolled token.
pub struct Rolled {
    /// The new token.
    pub successor: ApplicationToken,
    /// Its text, which only this answer has.
    pub text: Secret,
    /// The token before, with its new end.
    pub before: ApplicationToken,
}

impl Vault {
    /// Creates a successor of a token, with its role, its narrowing of this moment, its name and its lifetime; the token
    /// itself ends after the overlap, and never later than it would have.
    ///
    /// # Errors
    /// The policy forbids it, the token has ended, or a successor of it is active, however many rolls later.
    pub async fn roll_token(
        &self,
        context: &Context,
        caller: &Admitted,
        token: TokenRef,
        overlap: Duration,
    ) -> Result<Rolled, Error> {
        let id = TokenId::new(context.now, random::bytes()?);
        let new = token::application()?;
        let digest = new.digest;
        let work = move |work: Request<'_>| {
            let now = work.context.now;
            let before = tokens::find(work.view, token)?;
            let lifetime = rollable(work.view, &before, now)?;
            let mut after = ApplicationToken::clone(&before);
            after.expires_at = before.expires_at.min(now.plus(overlap));
            after.roll.successor = Some(id);
            let successor = ApplicationToken {
                id,
                digest,
                name: before.name.clone(),
                role: before.role,
                // Not the row's own: a project that was registered anew since must not come back.
                scope: narrowing::of_token(work.view, &before, now)?,
                created_by: work.caller().actor(),
                created_at: now,
                expires_at: now.plus(lifetime),
                revoked_at: None,
                roll: Roll { predecessor: Some(before.id), ..Roll::default() },
                version: 0,
            };
            let mut changes = Changes::none();
            changes.token(successor.clone());
            changes.token(after.clone());
            let detail = token_detail(&successor)
                .text(DetailKey::ExpiresAt, successor.expires_at)
                .text(DetailKey::Rolls, before.id);
            let end = token_detail(&after)
                .text(DetailKey::ExpiresAt, after.expires_at)
                .text(DetailKey::RolledTo, id);
            let end = Event { action: Action::TokenUpdate, detail: end, ..work.event.clone() };
            let ends_now = after.expires_at <= now;
            let event = Event { detail, ..work.event };
            let decision = Decision::changing((successor, after), changes, event).also([end]);
            Ok(if ends_now { decision.revoking() } else { decision })
        };
        let (successor, before) = self.act(context, caller, Verb::RollToken, work).await?.value;
        Ok(Rolled { successor, text: new.text, before })
    }
}

/// Returns the lifetime of a successor, if the token may have one now.
fn rollable(view: &View<'_>, token: &ApplicationToken, now: Timestamp) -> Result<Duration, Error> {
    if token.status(now) != TokenStatus::Active {
        return Err(Error::TokenEnded);
    }
    let mut lifetime = token.expires_at.since(token.created_at);
    let mut next = token.roll.successor;
    while let Some(successor) = next.map(|id| view.token_by_id(id)).transpose()?.flatten() {
        if successor.status(now) == TokenStatus::Active {
            return Err(Error::TokenRolled);
        }
        // A roll has shortened the life of each but the last.
        lifetime = lifetime.max(successor.expires_at.since(successor.created_at));
        next = successor.roll.successor;
    }
    Ok(lifetime)
}

/// Notes the first use of the token that asked, beside what its request decided.
///
/// # Errors
/// The token's row cannot be read.
pub(super) fn first_use<T>(
    view: &View<'_>,
    bearer: Bearer,
    decision: Decision<T>,
    now: Timestamp,
) -> Result<Decision<T>, Error> {
    let Bearer::Application(digest) = bearer else { return Ok(decision) };
    let Some(token) = view.token(&digest)? else { return Ok(decision) };
    let mut token = ApplicationToken::clone(&token);
    token.roll.first_used_at = Some(now);
    Ok(decision.marking(token))
}
