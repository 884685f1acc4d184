//! A user leaves: disabled, every session ended, and the tokens that the user created revoked, in one commit.
//!
//! The values that the user received are another question: the log answers it, and somebody who stays rotates it.

use super::{
    access::Admitted,
    error::Error,
    narrowing::{token_detail, user_detail},
    state::Vault,
    users::is_last_owner,
    work::{Context, Request},
};
use crate::{
    auth::policy::Verb,
    domain::{Action, Actor, ApplicationToken, DetailKey, Email, Event, User},
    storage::{Changes, Decision},
};

/// The treatment of the tokens that a user created, who leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TheirTokens {
    /// They are revoked.
    Revoke,
    /// They stay: pipelines of the team use them.
    Keep,
}

/// A user who left.
pub struct Left {
    /// The user, disabled.
    pub user: User,
    /// The tokens that were revoked.
    pub revoked: Vec<ApplicationToken>,
    /// The tokens that the user created and that stay.
    pub kept: Vec<ApplicationToken>,
}

impl Vault {
    /// Disables a user, ends the sessions, and revokes the tokens that the user created.
    ///
    /// # Errors
    /// The policy forbids it, the user does not exist, is the caller, or is the last enabled owner.
    pub async fn leave_user(
        &self,
        context: &Context,
        caller: &Admitted,
        email: Email,
        tokens: TheirTokens,
    ) -> Result<Left, Error> {
        let work = move |work: Request<'_>| {
            let mut user = User::clone(&*work.view.user(&email)?.ok_or(Error::UserNotFound)?);
            if is_last_owner(work.view, &user)? {
                return Err(Error::LastOwner);
            }
            if work.caller().email() == Some(&email) {
                return Err(Error::OwnLeave);
            }
            user.disabled = true;
            user.epoch += 1;
            let mut changes = Changes::none();
            changes.user(user.clone());
            let detail =
                user_detail(&user).list(DetailKey::Fields, &["disabled"]).text(DetailKey::Reason, "leave");
            let creator = Actor::User(email);
            let made = work.view.tokens()?.into_iter();
            // An expired one is valid again for a clock that is set back.
            let made = made.filter(|token| token.created_by == creator && token.revoked_at.is_none());
            let (mut revoked, kept): (Vec<_>, Vec<_>) = made.partition(|_| tokens == TheirTokens::Revoke);
            let mut events = Vec::with_capacity(revoked.len());
            for token in &mut revoked {
                token.revoked_at = Some(work.context.now);
                changes.token(token.clone());
                let detail = token_detail(token).text(DetailKey::Reason, "leave");
                events.push(Event { action: Action::TokenRevoke, detail, ..work.event.clone() });
            }
            let event = Event { detail, ..work.event };
            let left = Left { user, revoked, kept };
            Ok(Decision::changing(left, changes, event).also(events).revoking())
        };
        Ok(self.act(context, caller, Verb::LeaveUser, work).await?.value)
    }
}
