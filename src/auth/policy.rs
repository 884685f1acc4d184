//! The one policy table: which role may do what.
//!
//! Owns [`Permit`], [`Disclosure`], [`KeptDisclosure`] and [`Restoration`], the proofs that a question was asked and
//! answered with yes; they are made here and nowhere else. Knows no routes, and no rows except those in its arguments.

mod proofs;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::domain::{
    AccessScope, Action, Caller, Email, Integration, ProjectId, Provider,
    Role::{self, Application, Auditor, Member, Operator, Owner},
    Scope,
};

pub use proofs::{Disclosure, KeptDisclosure, Restoration};

macro_rules! policy {
    ($($(#[$meta:meta])+ $verb:ident: [$($role:ident),+] $action:ident;)+) => {
        /// An action that a caller may ask for: one for each authenticated route of contract §2.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Verb {
            $($(#[$meta])+ $verb,)+
        }

        impl Verb {
            /// Every verb, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$verb,)+];

            /// The roles that may, before [`Rules`].
            pub const fn allowed(self) -> &'static [Role] {
                match self {
                    $(Self::$verb => &[$($role),+],)+
                }
            }

            /// The action under which a refusal is recorded; `request.denied` where the route has none of its own.
            pub const fn action(self) -> Action {
                match self {
                    $(Self::$verb => Action::$action,)+
                }
            }
        }
    };
}

#[rustfmt::skip]
policy! {
    /// `GET /integrations`
    ListIntegrations:    [Owner, Auditor]             IntegrationList;
    /// `GET /integrations/mine`: what the caller created.
    ListOwnIntegrations: [Owner, Member]              IntegrationList;
    /// `POST /integrations`; the configuration can take it from members.
    CreateIntegration:   [Owner, Member]              IntegrationCreate;
    /// `GET /integrations/credentials`
    ReadCredentials:     [Owner, Member, Application] CredentialsRead;
    /// `GET /integrations/{id}`
    ShowIntegration:     [Owner]                      IntegrationRead;
    /// `PATCH /integrations/{id}`; a member what it created, but not its scope: [`Permit::owns`].
    UpdateIntegration:   [Owner, Member]              IntegrationUpdate;
    /// `PUT /integrations/{id}/credentials`; a member what it created and could create now: [`Permit::owns`].
    RotateCredentials:   [Owner, Member]              IntegrationRotate;
    /// `POST /integrations/{id}/rollback`; likewise.
    RollbackCredentials: [Owner, Member]              IntegrationRollback;
    /// `GET /integrations/{id}/revisions`
    ReadRevisions:       [Owner]                      CredentialsRead;
    /// `DELETE /integrations/{id}`
    DeleteIntegration:   [Owner]                      IntegrationDelete;
    /// `GET /projects`
    ListProjects:        [Owner, Member, Application] RequestDenied;
    /// `GET /projects/{identifier}`
    ReadProject:         [Owner, Member, Application] RequestDenied;
    /// `POST /projects`
    CreateProject:       [Owner]                      ProjectCreate;
    /// `DELETE /projects/{identifier}`
    DeleteProject:       [Owner]                      ProjectDelete;
    /// `GET /application-tokens`
    ListTokens:          [Owner]                      TokenList;
    /// `POST /application-tokens`
    CreateToken:         [Owner]                      TokenCreate;
    /// `DELETE /application-tokens/{token}`
    RevokeToken:         [Owner]                      TokenRevoke;
    /// `POST /application-tokens/{token}/roll`
    RollToken:           [Owner]                      TokenCreate;
    /// `GET /due`
    ListDue:             [Owner, Auditor]             DueList;
    /// `GET /users/me`
    ReadSelf:            [Owner, Member]              RequestDenied;
    /// `POST /auth/logout`
    Logout:              [Owner, Member]              SessionLogout;
    /// `GET /users`
    ListUsers:           [Owner]                      UserList;
    /// `GET /users/{email}`
    ReadUser:            [Owner]                      UserRead;
    /// `POST /users`
    CreateUser:          [Owner]                      UserCreate;
    /// `PUT /users/{email}`, another user's.
    UpdateUser:          [Owner]                      UserUpdate;
    /// `PUT /users/{own email}`
    UpdateSelf:          [Owner, Member]              UserUpdate;
    /// `POST /users/{email}/leave`
    LeaveUser:           [Owner]                      UserUpdate;
    /// `DELETE /users/{email}` and `DELETE /users`
    DeleteUser:          [Owner]                      UserDelete;
    /// `POST /users/me/otp`: begins to set a second factor.
    BeginOtp:            [Owner, Member]              UserUpdate;
    /// `POST /users/me/otp/confirm`: sets it.
    ConfirmOtp:          [Owner, Member]              UserUpdate;
    /// `POST /users/me/otp/codes`: prints the one-time codes anew.
    RenewOtpCodes:       [Owner, Member]              UserUpdate;
    /// `DELETE /users/me/otp`
    RemoveOwnOtp:        [Owner, Member]              UserUpdate;
    /// `DELETE /users/{email}/otp`, another user's: [`Permit::another`].
    RemoveOtp:           [Owner]                      UserUpdate;
    /// `GET /audit`, `/audit/checkpoint`, `/audit/exposure`, `/audit/key`, `/audit/proof`
    ReadAudit:           [Owner, Auditor]             AuditRead;
    /// `GET /audit/export`
    ExportAudit:         [Owner, Auditor]             AuditExport;
    /// `POST /backup`
    CreateBackup:        [Owner, Operator]            BackupCreate;
    /// `GET /metrics`, where it is not open.
    ReadMetrics:         [Owner, Operator]            RequestDenied;
    /// `GET /repository/auth-token`
    RepositoryToken:     [Owner, Member, Application] CredentialsRead;
}

/// The part of the table that the configuration changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Allows members to store integrations.
    pub members_may_create: bool,
    /// Keeps an owner without a second factor from everything except setting one.
    pub owners_need_otp: bool,
}

impl Rules {
    fn allowed(self, verb: Verb) -> &'static [Role] {
        match verb {
            // A rotation or a new name decides what pipelines read, as a creation does.
            Verb::CreateIntegration
            | Verb::UpdateIntegration
            | Verb::RotateCredentials
            | Verb::RollbackCredentials
                if !self.members_may_create =>
            {
                &[Owner]
            }
            _ => verb.allowed(),
        }
    }

    /// Returns whether the caller must set a second factor before it may do that.
    fn demands_enrolment(self, caller: &Caller, verb: Verb) -> bool {
        let enrols = matches!(verb, Verb::ReadSelf | Verb::Logout | Verb::BeginOtp | Verb::ConfirmOtp);
        self.owners_need_otp && caller.role == Owner && !caller.has_factor && !enrols
    }
}

/// A refusal. The text is for the caller; it names no row, since the caller may not know that it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The role may not.
    #[error("Forbidden - Requires role: {}", published(.required))]
    Role {
        /// The roles that may.
        required: &'static [Role],
    },
    /// The project, or the global scope, is outside the caller's scope.
    #[error("Forbidden - this caller is narrowed to other projects")]
    Project,
    /// The provider is outside the caller's scope.
    #[error("Forbidden - this caller is narrowed to other providers")]
    Provider,
    /// The integration is outside the caller's scope.
    #[error("Forbidden - this caller is narrowed to other integrations")]
    Integration,
    /// The configuration demands a second factor of owners, and this one has none.
    #[error("Forbidden - Owners need a second factor here; set one with POST /sfp/api/users/me/otp")]
    EnrolmentRequired,
    /// The own second factor takes its own code to remove.
    #[error("Forbidden - Remove your own second factor with DELETE /sfp/api/users/me/otp")]
    OwnFactor,
    /// A member may change only its own creations.
    #[error("Forbidden - Requires role: owner, or to have created this integration")]
    NotCreator,
}

impl Denied {
    /// Only an owner may.
    pub const OWNER_ONLY: Self = Self::Role { required: &[Owner] };
}

/// The roles of the published API: our own do not change its texts (contract §1).
fn published(roles: &[Role]) -> String {
    let published = roles.iter().filter(|role| matches!(role, Owner | Member | Application));
    published.map(|role| role.as_str()).collect::<Vec<_>>().join(" or ")
}

/// Decides whether this caller may do that at all; the permit's own methods decide on what.
///
/// # Errors
/// [`Denied::Role`] where the table does not name the caller's role; [`Denied::EnrolmentRequired`] for an owner without
/// the second factor that the configuration demands; [`Denied::Project`] where a narrowed caller asks for what is about
/// all projects.
pub fn authorize(caller: &Arc<Caller>, verb: Verb, rules: &Rules) -> Result<Permit, Denied> {
    let required = rules.allowed(verb);
    if !required.contains(&caller.role) {
        return Err(Denied::Role { required });
    }
    if rules.demands_enrolment(caller, verb) {
        return Err(Denied::EnrolmentRequired);
    }
    // The log, a copy of the vault, the metrics and the list of what is due are about everything, whatever a token is narrowed to.
    let about_everything = matches!(
        verb,
        Verb::ReadAudit | Verb::ExportAudit | Verb::CreateBackup | Verb::ReadMetrics | Verb::ListDue
    );
    if about_everything && caller.scope != AccessScope::default() {
        return Err(Denied::Project);
    }
    Ok(Permit { verb, caller: Arc::clone(caller) })
}

/// The proof that a caller may do one thing, and the questions about whom and what it may do it to.
#[derive(Debug, Clone)]
pub struct Permit {
    verb: Verb,
    caller: Arc<Caller>,
}

impl Permit {
    /// The verb that it allows.
    pub const fn verb(&self) -> Verb {
        self.verb
    }

    /// The caller.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The caller's role.
    pub fn role(&self) -> Role {
        self.caller.role
    }

    /// The projects, providers and integrations that the caller may reach.
    pub fn access_scope(&self) -> &AccessScope {
        &self.caller.scope
    }

    /// Allows the part that is an owner's.
    ///
    /// # Errors
    /// [`Denied::Role`] for everybody else.
    pub fn owner(&self) -> Result<(), Denied> {
        if self.role() == Owner { Ok(()) } else { Err(Denied::OWNER_ONLY) }
    }

    /// Allows the part that is for other users than the caller.
    ///
    /// # Errors
    /// [`Denied::OwnFactor`] for the caller itself: a session alone must not take its user's second factor away.
    pub fn another(&self, email: &Email) -> Result<(), Denied> {
        if self.caller.email() == Some(email) { Err(Denied::OwnFactor) } else { Ok(()) }
    }

    /// Allows naming this project.
    ///
    /// # Errors
    /// [`Denied::Project`] where it is narrowed to others.
    pub fn project(&self, project: &ProjectId) -> Result<(), Denied> {
        if self.caller.scope.admits_project(project) { Ok(()) } else { Err(Denied::Project) }
    }

    /// Allows naming this provider.
    ///
    /// # Errors
    /// [`Denied::Provider`] where it is narrowed to others.
    pub fn provider(&self, provider: Provider) -> Result<(), Denied> {
        if self.caller.scope.admits_provider(provider) { Ok(()) } else { Err(Denied::Provider) }
    }

    /// Allows storing in this scope: a caller limited to projects creates nothing global.
    ///
    /// # Errors
    /// [`Denied::Project`] where it reaches past its narrowing.
    pub fn scope(&self, scope: &Scope) -> Result<(), Denied> {
        match scope {
            Scope::Global if self.caller.scope.projects.is_some() => Err(Denied::Project),
            Scope::Global => Ok(()),
            Scope::Projects(projects) => projects.iter().try_for_each(|project| self.project(project)),
        }
    }

    /// Allows changing this integration's credential: an owner any, a member only its own creations, and of those only
    /// what it could create as they are now.
    ///
    /// # Errors
    /// [`Denied::NotCreator`]. An id that does not exist must be answered with the same. The member's own creation may
    /// lie past its narrowing since: [`Permit::scope`].
    pub fn owns(&self, integration: &Integration) -> Result<(), Denied> {
        match self.caller.role {
            Owner => Ok(()),
            Member if self.created(integration) => {
                self.scope(&integration.scope)?;
                self.provider(integration.provider)
            }
            Member | Application | Auditor | Operator => Err(Denied::NotCreator),
        }
    }

    /// Returns whether the caller created this integration.
    pub fn created(&self, integration: &Integration) -> bool {
        integration.creator.is_some() && integration.creator == self.caller.user()
    }

    /// Allows reading this integration's credential. The choice among several (a project's own before the
    /// global one) is the reader's rule and not decided here.
    ///
    /// # Errors
    /// [`Denied`] where the permit is for something else, or the integration is outside the caller's scope.
    pub fn disclose<'a>(&self, integration: &'a Integration) -> Result<Disclosure<'a>, Denied> {
        if !matches!(self.verb, Verb::ReadCredentials | Verb::RepositoryToken) {
            return Err(Denied::Role { required: Verb::ReadCredentials.allowed() });
        }
        self.within_reach(integration)?;
        Ok(Disclosure { integration })
    }

    /// Returns the proof that every kept credential of this integration may be read by this caller.
    ///
    /// # Errors
    /// [`Denied`] where the permit is for something else, or the integration is outside the caller's narrowing.
    pub fn disclose_kept<'a>(&self, integration: &'a Integration) -> Result<KeptDisclosure<'a>, Denied> {
        if self.verb != Verb::ReadRevisions {
            return Err(Denied::Role { required: Verb::ReadRevisions.allowed() });
        }
        self.within_reach(integration)?;
        Ok(KeptDisclosure { integration })
    }

    /// Returns the proof that a kept credential may be made current again by this caller.
    ///
    /// # Errors
    /// [`Denied`] where the permit is for something else, or the caller does not own the integration.
    pub fn restore<'a>(&self, integration: &'a Integration) -> Result<Restoration<'a>, Denied> {
        if self.verb != Verb::RollbackCredentials {
            return Err(Denied::Role { required: Verb::RollbackCredentials.allowed() });
        }
        self.owns(integration)?;
        Ok(Restoration { integration })
    }

    /// Allows seeing this integration's metadata in a listing.
    ///
    /// # Errors
    /// The narrowing does not admit it, or it is not the caller's own where the listing is of those.
    pub fn lists(&self, integration: &Integration) -> Result<(), Denied> {
        match self.verb {
            Verb::ListOwnIntegrations if !self.created(integration) => Err(Denied::NotCreator),
            Verb::ListOwnIntegrations => self.owns(integration),
            _ => self.within_reach(integration),
        }
    }

    /// Checks that the narrowing admits the integration.
    fn within_reach(&self, integration: &Integration) -> Result<(), Denied> {
        self.provider(integration.provider)?;
        if !self.reaches(&integration.scope) {
            return Err(Denied::Project);
        }
        if !self.access_scope().admits_integration(integration.id) {
            return Err(Denied::Integration);
        }
        Ok(())
    }

    /// Returns whether the scope names a project that the caller may name. A global one reaches every caller except
    /// the one that is narrowed to nothing.
    fn reaches(&self, scope: &Scope) -> bool {
        match scope {
            Scope::Global => self.caller.scope.projects.as_ref().is_none_or(|projects| !projects.is_empty()),
            Scope::Projects(projects) => {
                projects.iter().any(|project| self.caller.scope.admits_project(project))
            }
        }
    }
}
