//! Users, as far as a running server needs them: who is asking, a new one, a changed role.

use std::sync::Arc;

use super::{
    access,
    act::{Context, Done, Work},
    error::Error,
    lifecycle::Vault,
};
use crate::{
    auth::{password, policy::Verb},
    crypto::random,
    domain::{
        Bearer, Caller, Detail, DetailKey, Email, Event, Narrowing, Role, Secret, SessionKey, SessionKind,
        User, UserId,
    },
    storage::{Changes, View},
};

impl Vault {
    /// The user who is asking; not audited.
    ///
    /// # Errors
    /// The policy forbids it.
    pub async fn own_user(&self, context: &Context, caller: &Caller) -> Result<Arc<User>, Error> {
        self.authorize(context, caller, Verb::ReadSelf).await?;
        let Bearer::Access(session, digest) = caller.bearer else { return Err(Error::Unauthenticated) };
        let open = self.opened()?;
        let view = open.writer.fresh_view();
        Ok(access::session_user(&view, &SessionKey { session, digest }, SessionKind::Access)?.0)
    }

    /// Makes a user.
    ///
    /// # Errors
    /// The policy forbids it, or the e-mail is taken.
    pub async fn create_user(
        &self,
        context: &Context,
        caller: &Caller,
        new: (Email, Role, Narrowing),
        password: Secret,
    ) -> Result<User, Error> {
        let id = UserId::new(context.now, random::bytes().map_err(|_| Error::Internal)?);
        let kdf = self.settings().password_kdf;
        let _turn = self.passwords.acquire().await.map_err(|_| Error::Internal)?;
        let hash = tokio::task::spawn_blocking(move || password::hash(&password, kdf)).await;
        let password = hash.ok().and_then(Result::ok).ok_or(Error::Internal)?;
        let (email, role, narrowing) = new;
        let work = move |work: Work<'_>| {
            if work.view.user(&email)?.is_some() {
                return Err(Error::UserExists);
            }
            let user = User {
                id,
                email,
                first_name: None,
                last_name: None,
                role,
                narrowing,
                disabled: false,
                password,
                epoch: 0,
                created_at: work.context.now,
                last_login_at: None,
                version: 0,
            };
            let mut changes = Changes::none();
            changes.user(user.clone());
            let event = Event { detail: named(&user), ..work.event };
            Ok(Done::plain(user, changes, event))
        };
        Ok(self.act(context, caller.bearer, Verb::CreateUser, work).await?.value)
    }

    /// Gives a user another role; every session of that user ends.
    ///
    /// # Errors
    /// The policy forbids it, there is none, or it is the last enabled owner.
    pub async fn change_role(
        &self,
        context: &Context,
        caller: &Caller,
        email: Email,
        role: Role,
    ) -> Result<User, Error> {
        let work = move |work: Work<'_>| {
            let mut user = User::clone(&*work.view.user(&email)?.ok_or(Error::UserNotFound)?);
            if role != Role::Owner && is_last_owner(work.view, &user)? {
                return Err(Error::LastOwner);
            }
            user.role = role;
            user.epoch += 1;
            let mut changes = Changes::none();
            changes.user(user.clone());
            let event = Event { detail: named(&user), ..work.event };
            Ok(Done::taking_away(user, changes, event))
        };
        Ok(self.act(context, caller.bearer, Verb::UpdateUser, work).await?.value)
    }
}

fn is_last_owner(view: &View<'_>, user: &User) -> Result<bool, Error> {
    let other = |one: &User| one.role == Role::Owner && !one.disabled && one.id != user.id;
    Ok(user.role == Role::Owner && !view.users()?.iter().any(other))
}

fn named(user: &User) -> Detail {
    Detail::NONE.text(DetailKey::Email, &user.email).text(DetailKey::Role, user.role)
}
