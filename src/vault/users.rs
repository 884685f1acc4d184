//! Users: create, list, update and delete.

use std::sync::Arc;

use super::{
    access::{self, Admitted},
    error::Error,
    narrowing::user_detail,
    projects::check_registered,
    shadow,
    state::Vault,
    work::{Context, Request},
};
use crate::{
    api::{
        BadRequest,
        requests::{Change, CreateUser, UpdateUser},
    },
    auth::{
        password::{self, PasswordError},
        policy::{Denied, Verb},
    },
    crypto::random,
    domain::{
        AccessScope, Bearer, Detail, DetailKey, Email, Event, PasswordHash, Peer, Role, Secret, SessionKey,
        SessionKind, User, UserId,
    },
    storage::{Changes, Decision, View},
};

impl Vault {
    /// Returns the user who asks; not audited.
    pub async fn own_user(&self, context: &Context, caller: &Admitted) -> Result<Arc<User>, Error> {
        self.permit(context, caller, Verb::ReadSelf).await?;
        let Bearer::Access(session, digest) = caller.bearer() else { return Err(Error::Unauthenticated) };
        let open = self.opened()?;
        let key = SessionKey { session, digest };
        let found = access::session_user(&open.writer.fresh_view(), &key, SessionKind::Access);
        Ok(self.noted(context, caller.caller().actor(), Verb::ReadSelf.action(), found).await?.0)
    }

    /// Returns every user, by e-mail.
    pub async fn list_users(&self, context: &Context, caller: &Admitted) -> Result<Vec<User>, Error> {
        let work = move |work: Request<'_>| {
            let users = work.view.users()?;
            let detail = Detail::NONE.number(DetailKey::Count, users.len() as u64);
            Ok(Decision::recording(users, vec![Event { detail, ..work.event }]))
        };
        Ok(self.act(context, caller, Verb::ListUsers, work).await?.value)
    }

    /// Returns one user.
    ///
    /// # Errors
    /// The policy forbids it, or the user does not exist.
    pub async fn read_user(
        &self,
        context: &Context,
        caller: &Admitted,
        email: Email,
    ) -> Result<Arc<User>, Error> {
        let work = move |work: Request<'_>| {
            let user = work.view.user(&email)?.ok_or(Error::UserNotFound)?;
            let event = Event { detail: user_detail(&user), ..work.event };
            Ok(Decision::recording(user, vec![event]))
        };
        Ok(self.act(context, caller, Verb::ReadUser, work).await?.value)
    }

    /// Creates a user; without a password it generates one, which only this call returns.
    ///
    /// # Errors
    /// The policy forbids it, the e-mail is taken, a project is not registered, or the password breaks its rule.
    pub async fn create_user(
        &self,
        context: &Context,
        caller: &Admitted,
        request: CreateUser,
    ) -> Result<(User, Option<Secret>), Error> {
        let CreateUser { email, role, first_name, last_name, password, projects } = request;
        let id = UserId::new(context.now, random::bytes()?);
        let (password, initial) = if let Some(given) = password {
            (given, None)
        } else {
            let made = password::generate()?;
            (Secret::new(made.expose().to_vec()), Some(made))
        };
        let password = self.new_password(&email, password).await?;
        let new_members_see = self.settings().new_members_see;
        let projects = match projects {
            Change::Set(projects) => Some(projects),
            Change::Keep if role == Role::Member => new_members_see.projects(),
            Change::Keep | Change::Clear => None,
        };
        let work = move |work: Request<'_>| {
            if work.view.user(&email)?.is_some() {
                return Err(Error::UserExists);
            }
            check_registered(work.view, projects.iter().flatten())?;
            let user = User {
                id,
                email,
                first_name,
                last_name,
                role,
                scope: AccessScope { projects, ..AccessScope::default() },
                disabled: false,
                password,
                factor: None,
                epoch: 0,
                created_at: work.context.now,
                last_login_at: None,
                version: 0,
            };
            let mut changes = Changes::none();
            changes.user(user.clone());
            let event = Event { detail: user_detail(&user), ..work.event };
            Ok(Decision::changing(user, changes, event))
        };
        Ok((self.act(context, caller, Verb::CreateUser, work).await?.value, initial))
    }

    /// Changes a user. A new password, role or `disabled` ends every session of that user.
    ///
    /// # Errors
    /// The policy forbids it, the user does not exist, the own password is missing or wrong, or the user is the last
    /// enabled owner.
    pub async fn update_user(
        &self,
        context: &Context,
        caller: &Admitted,
        email: Email,
        mut request: UpdateUser,
    ) -> Result<User, Error> {
        let own = caller.caller().email() == Some(&email);
        let verb = if own { Verb::UpdateSelf } else { Verb::UpdateUser };
        if request.needs_owner() && caller.caller().role != Role::Owner {
            // Refuse before any password is verified.
            return Err(self.refuse(context, caller.bearer(), verb, Denied::OWNER_ONLY.into()).await);
        }
        let fields = request.changed_fields();
        let password = match request.password.take() {
            None => None,
            Some(new) => {
                if own {
                    let current = request.current_password.take();
                    let missing = || Error::BadRequest(BadRequest::current_password_missing());
                    let current = current.ok_or_else(missing)?;
                    self.check_own_password(context, caller, verb, &email, current).await?;
                }
                Some(self.new_password(&email, new).await?)
            }
        };
        let work = move |work: Request<'_>| {
            if request.needs_owner() {
                work.permit.owner()?;
            }
            let before = work.view.user(&email)?.ok_or(Error::UserNotFound)?;
            let (after, takes_away) = updated_user(work.view, &before, request, password)?;
            let mut changes = Changes::none();
            changes.user(after.clone());
            let mut detail = user_detail(&after).list(DetailKey::Fields, &fields);
            if before.role == Role::Owner && after.role != Role::Owner {
                let left = shadow::leave_to_owners(work.view, &after, &mut changes)?;
                // Their number alone: ids could crowd the names of the changed fields out of the record.
                detail = detail.number(DetailKey::Count, left);
            }
            let event = Event { detail, ..work.event };
            let decision = Decision::changing(after, changes, event);
            Ok(if takes_away { decision.revoking() } else { decision })
        };
        Ok(self.act(context, caller, verb, work).await?.value)
    }

    /// Deletes a user; every session of that user ends.
    ///
    /// # Errors
    /// The policy forbids it, the user does not exist, or the user is the last enabled owner.
    pub async fn delete_user(&self, context: &Context, caller: &Admitted, email: Email) -> Result<(), Error> {
        let work = move |work: Request<'_>| {
            let user = work.view.user(&email)?.ok_or(Error::UserNotFound)?;
            if is_last_owner(work.view, &user)? {
                return Err(Error::LastOwner);
            }
            let mut changes = Changes::none();
            changes.remove_user(&email);
            Ok(Decision::changing((), changes, Event { detail: user_detail(&user), ..work.event }).revoking())
        };
        self.act(context, caller, Verb::DeleteUser, work).await.map(drop)
    }

    pub(super) async fn new_password(&self, email: &Email, password: Secret) -> Result<PasswordHash, Error> {
        // Check before waiting for a core.
        password::check_new(&password, email).map_err(PasswordError::from)?;
        let kdf = self.settings().password_kdf;
        self.passwords.derive(move || password::hash(&password, kdf)).await
    }

    /// Verifies a user's own password, so that an open session cannot take the account over. Attempts count as logins
    /// do.
    pub(super) async fn check_own_password(
        &self,
        context: &Context,
        caller: &Admitted,
        verb: Verb,
        email: &Email,
        password: Secret,
    ) -> Result<(), Error> {
        let peer = context.peer.unwrap_or(Peer::Unix);
        self.limit(Some(email), peer, context.now)?;
        match self.is_own_password(email, password, peer).await {
            Ok(true) => {
                self.limiter().succeeded(Some(email), peer, context.now);
                Ok(())
            }
            Ok(false) => {
                self.tally.login(context.peer);
                Err(self.refuse(context, caller.bearer(), verb, Error::WrongPassword).await)
            }
            Err(error) => {
                // A check that could not be made does not count as a wrong password.
                self.limiter().undecided(Some(email), peer, context.now);
                Err(error)
            }
        }
    }

    async fn is_own_password(&self, email: &Email, password: Secret, peer: Peer) -> Result<bool, Error> {
        let user = self.opened()?.writer.fresh_view().user(email)?;
        let hash = user.map(|user| user.password.clone());
        self.is_password(hash, self.settings().password_kdf, password, peer).await
    }
}

/// Returns the user after the change, and whether the change revokes access.
fn updated_user(
    view: &View<'_>,
    before: &User,
    request: UpdateUser,
    password: Option<PasswordHash>,
) -> Result<(User, bool), Error> {
    let mut after = before.clone();
    after.first_name = request.first_name.apply(after.first_name);
    after.last_name = request.last_name.apply(after.last_name);
    after.role = request.role.unwrap_or(before.role);
    after.disabled = request.disabled.unwrap_or(before.disabled);
    if after.role == Role::Owner && matches!(request.projects, Change::Set(_)) {
        return Err(Error::BadRequest(BadRequest::projects_of_an_owner()));
    }
    // A promotion leaves the narrowing as it is: a demotion without `projects` must not widen what it was before.
    after.scope.projects = request.projects.apply(after.scope.projects);
    if after.scope != before.scope {
        check_registered(view, after.scope.projects.iter().flatten())?;
    }
    if (after.role != Role::Owner || after.disabled) && is_last_owner(view, before)? {
        return Err(Error::LastOwner);
    }
    let ends_sessions = password.is_some() || (after.role, after.disabled) != (before.role, before.disabled);
    after.epoch += u64::from(ends_sessions);
    after.password = password.unwrap_or(after.password);
    let takes_away = ends_sessions || after.scope != before.scope;
    Ok((after, takes_away))
}

/// Returns whether this is the last enabled owner.
///
/// # Errors
/// The users cannot be read.
pub(super) fn is_last_owner(view: &View<'_>, user: &User) -> Result<bool, Error> {
    let enabled = |one: &User| one.role == Role::Owner && !one.disabled;
    Ok(enabled(user) && !view.users()?.iter().any(|one| enabled(one) && one.id != user.id))
}
