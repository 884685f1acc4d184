//! The route table: every method and path with its access rule, its body and its endpoint.
//!
//! A new route is a row of [`ROUTES`], an [`Endpoint`] and what the compiler then asks for: a handler and a description.

use self::{
    Access::{Local, Login, Needs, Open, OwnOr},
    Endpoint as E,
};
use crate::{
    api::requests::{
        BeginOtp, ConfirmOtp, CreateIntegration, CreateProject, CreateToken, CreateUser, DeleteUser,
        LeaveUser, Login as LoginRequest, OwnOtp, Refresh, Request, RollToken, RollbackCredentials,
        RotateCredentials, UpdateIntegration, UpdateUser,
    },
    auth::policy::{Verb, Verb as V},
};

/// An operation of the API; one handler each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// Liveness and state.
    Health,
    /// A constant `pong`.
    Ping,
    /// Prometheus metrics.
    Metrics,
    /// The `OpenAPI` document.
    ApiDocs,
    /// Exchanges e-mail and password for a pair of tokens.
    Login,
    /// Exchanges a refresh token for a new pair.
    Refresh,
    /// Ends the caller's session.
    Logout,
    /// Shows the calling user.
    OwnUser,
    /// Lists users.
    ListUsers,
    /// Adds a user.
    CreateUser,
    /// Shows a user.
    ReadUser,
    /// Changes a user.
    UpdateUser,
    /// Removes the user named in the path.
    DeleteUser,
    /// Removes the user named in the body.
    DeleteUserByBody,
    /// Begins to set the caller's second factor.
    BeginOtp,
    /// Sets the caller's second factor.
    ConfirmOtp,
    /// Replaces the caller's one-time codes.
    RenewOtpCodes,
    /// Removes the caller's second factor.
    RemoveOwnOtp,
    /// Removes another user's second factor.
    RemoveOtp,
    /// Lists integrations, without credentials.
    ListIntegrations,
    /// Lists what the caller created, without credentials.
    ListOwnIntegrations,
    /// Stores an integration.
    CreateIntegration,
    /// Discloses credentials.
    ReadCredentials,
    /// Shows an integration, without its credential.
    ShowIntegration,
    /// Changes an integration's metadata.
    UpdateIntegration,
    /// Deletes an integration.
    DeleteIntegration,
    /// Replaces a credential, under the same id.
    RotateCredentials,
    /// Restores an older revision of a credential.
    RollbackCredentials,
    /// Discloses the kept revisions of a credential.
    ReadRevisions,
    /// Discloses a repository's token.
    RepositoryToken,
    /// Lists projects.
    ListProjects,
    /// Registers a project.
    CreateProject,
    /// Shows a project.
    ReadProject,
    /// Deletes a project.
    DeleteProject,
    /// Lists application tokens.
    ListTokens,
    /// Creates an application token.
    CreateToken,
    /// Revokes an application token.
    RevokeToken,
    /// Creates a token's successor, and ends the token after an overlap.
    RollToken,
    /// Lists what is due for rotation.
    ListDue,
    /// Disables a user who leaves, and revokes what it created.
    LeaveUser,
    /// Lists audit events.
    ReadEvents,
    /// Proves inclusion or consistency of the log.
    ReadProof,
    /// Streams the log's records.
    ExportAudit,
    /// Shows the newest checkpoint.
    ReadCheckpoint,
    /// Shows the newest verifier key.
    ReadVerifierKey,
    /// Lists what an actor knows that is still live.
    ReadExposure,
    /// Copies the whole vault, sealed as it is.
    CreateBackup,
    /// Cosigns a checkpoint of another vault's log.
    AddCheckpoint,
    /// Shows the checkpoint of another vault's log that was cosigned last.
    WitnessedCheckpoint,
    /// Shows the verifier key of this vault as a witness.
    WitnessKey,
}

/// The access rule of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anyone, also while the vault is locked.
    Open,
    /// Anyone, unless the vault is locked: the logins.
    Login,
    /// Callers that the policy grants this verb.
    Needs(Verb),
    /// Anyone on a listener that only this host reaches and no proxy fronts; elsewhere as [`Access::Needs`].
    Local(Verb),
    /// The first verb for a user about itself, the second for every other caller.
    OwnOr(Verb, Verb),
}

/// The JSON body that a route reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Body {
    /// The name of the request type.
    pub name: &'static str,
    /// The names of its fields.
    pub fields: &'static [&'static str],
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// The method.
    pub method: &'static str,
    /// The path: `{name}` is one segment, `{name...}` all that follow.
    pub path: &'static str,
    /// The access rule.
    pub access: Access,
    /// The JSON body; the server leaves every other body unread.
    pub body: Option<Body>,
    /// The operation.
    pub endpoint: Endpoint,
}

impl Route {
    /// Returns whether a request to it may change anything.
    pub const fn changes_state(&self) -> bool {
        !matches!(self.method.as_bytes(), b"GET" | b"HEAD")
    }
}

const fn route(
    method: &'static str,
    path: &'static str,
    access: Access,
    body: Option<Body>,
    endpoint: Endpoint,
) -> Route {
    Route { method, path, access, body, endpoint }
}

const fn json<T: Request>() -> Body {
    Body { name: T::NAME, fields: T::FIELDS }
}

/// All routes.
#[rustfmt::skip]
pub static ROUTES: &[Route] = &[
    route("GET",    "/sfp/api",                                   Open,                               None,                                 E::Health),
    route("GET",    "/sfp/api/health",                            Open,                               None,                                 E::Health),
    route("GET",    "/health",                                    Open,                               None,                                 E::Health),
    route("GET",    "/sfp/api/ping",                              Open,                               None,                                 E::Ping),
    route("GET",    "/metrics",                                   Local(V::ReadMetrics),              None,                                 E::Metrics),
    route("GET",    "/sfp/apidocs-json",                          Open,                               None,                                 E::ApiDocs),
    route("POST",   "/sfp/api/auth/admin/login",                  Login,                              Some(json::<LoginRequest>()),         E::Login),
    route("POST",   "/sfp/api/auth/login",                        Login,                              Some(json::<LoginRequest>()),         E::Login),
    route("POST",   "/sfp/api/auth/refresh",                      Login,                              Some(json::<Refresh>()),              E::Refresh),
    route("POST",   "/sfp/api/auth/logout",                       Needs(V::Logout),                   None,                                 E::Logout),
    route("GET",    "/sfp/api/users/me",                          Needs(V::ReadSelf),                 None,                                 E::OwnUser),
    route("POST",   "/sfp/api/users/me/otp",                      Needs(V::BeginOtp),                 Some(json::<BeginOtp>()),             E::BeginOtp),
    route("POST",   "/sfp/api/users/me/otp/confirm",              Needs(V::ConfirmOtp),               Some(json::<ConfirmOtp>()),           E::ConfirmOtp),
    route("POST",   "/sfp/api/users/me/otp/codes",                Needs(V::RenewOtpCodes),            Some(json::<OwnOtp>()),               E::RenewOtpCodes),
    route("DELETE", "/sfp/api/users/me/otp",                      Needs(V::RemoveOwnOtp),             Some(json::<OwnOtp>()),               E::RemoveOwnOtp),
    route("DELETE", "/sfp/api/users/{email}/otp",                 Needs(V::RemoveOtp),                None,                                 E::RemoveOtp),
    route("GET",    "/sfp/api/users",                             Needs(V::ListUsers),                None,                                 E::ListUsers),
    route("POST",   "/sfp/api/users",                             Needs(V::CreateUser),               Some(json::<CreateUser>()),           E::CreateUser),
    route("DELETE", "/sfp/api/users",                             Needs(V::DeleteUser),               Some(json::<DeleteUser>()),           E::DeleteUserByBody),
    route("GET",    "/sfp/api/users/{email}",                     Needs(V::ReadUser),                 None,                                 E::ReadUser),
    route("PUT",    "/sfp/api/users/{email}",                     OwnOr(V::UpdateSelf, V::UpdateUser), Some(json::<UpdateUser>()),           E::UpdateUser),
    route("DELETE", "/sfp/api/users/{email}",                     Needs(V::DeleteUser),               None,                                 E::DeleteUser),
    route("POST",   "/sfp/api/users/{email}/leave",               Needs(V::LeaveUser),                Some(json::<LeaveUser>()),            E::LeaveUser),
    route("GET",    "/sfp/api/integrations",                      Needs(V::ListIntegrations),         None,                                 E::ListIntegrations),
    route("POST",   "/sfp/api/integrations",                      Needs(V::CreateIntegration),        Some(json::<CreateIntegration>()),    E::CreateIntegration),
    route("GET",    "/sfp/api/integrations/credentials",          Needs(V::ReadCredentials),          None,                                 E::ReadCredentials),
    route("GET",    "/sfp/api/integrations/mine",                 Needs(V::ListOwnIntegrations),      None,                                 E::ListOwnIntegrations),
    route("GET",    "/sfp/api/integrations/{id}",                 Needs(V::ShowIntegration),          None,                                 E::ShowIntegration),
    route("PATCH",  "/sfp/api/integrations/{id}",                 Needs(V::UpdateIntegration),        Some(json::<UpdateIntegration>()),    E::UpdateIntegration),
    route("DELETE", "/sfp/api/integrations/{id}",                 Needs(V::DeleteIntegration),        None,                                 E::DeleteIntegration),
    route("PUT",    "/sfp/api/integrations/{id}/credentials",     Needs(V::RotateCredentials),        Some(json::<RotateCredentials>()),    E::RotateCredentials),
    route("POST",   "/sfp/api/integrations/{id}/rollback",        Needs(V::RollbackCredentials),      Some(json::<RollbackCredentials>()),  E::RollbackCredentials),
    route("GET",    "/sfp/api/integrations/{id}/revisions",       Needs(V::ReadRevisions),            None,                                 E::ReadRevisions),
    route("GET",    "/sfp/api/repository/auth-token",             Needs(V::RepositoryToken),          None,                                 E::RepositoryToken),
    route("GET",    "/sfp/api/projects",                          Needs(V::ListProjects),             None,                                 E::ListProjects),
    route("POST",   "/sfp/api/projects",                          Needs(V::CreateProject),            Some(json::<CreateProject>()),        E::CreateProject),
    route("GET",    "/sfp/api/projects/{identifier...}",          Needs(V::ReadProject),              None,                                 E::ReadProject),
    route("DELETE", "/sfp/api/projects/{identifier...}",          Needs(V::DeleteProject),            None,                                 E::DeleteProject),
    route("GET",    "/sfp/api/application-tokens",                Needs(V::ListTokens),               None,                                 E::ListTokens),
    route("POST",   "/sfp/api/application-tokens",                Needs(V::CreateToken),              Some(json::<CreateToken>()),          E::CreateToken),
    route("DELETE", "/sfp/api/application-tokens/{token}",        Needs(V::RevokeToken),              None,                                 E::RevokeToken),
    route("POST",   "/sfp/api/application-tokens/{token}/roll",   Needs(V::RollToken),                Some(json::<RollToken>()),            E::RollToken),
    route("GET",    "/sfp/api/due",                               Needs(V::ListDue),                  None,                                 E::ListDue),
    route("GET",    "/sfp/api/audit",                             Needs(V::ReadAudit),                None,                                 E::ReadEvents),
    route("GET",    "/sfp/api/audit/checkpoint",                  Needs(V::ReadAudit),                None,                                 E::ReadCheckpoint),
    route("GET",    "/sfp/api/audit/proof",                       Needs(V::ReadAudit),                None,                                 E::ReadProof),
    route("GET",    "/sfp/api/audit/export",                      Needs(V::ExportAudit),              None,                                 E::ExportAudit),
    route("GET",    "/sfp/api/audit/key",                         Needs(V::ReadAudit),                None,                                 E::ReadVerifierKey),
    route("GET",    "/sfp/api/audit/exposure",                    Needs(V::ReadAudit),                None,                                 E::ReadExposure),
    route("POST",   "/sfp/api/backup",                            Needs(V::CreateBackup),             None,                                 E::CreateBackup),
    // C2SP `tlog-witness`: its prefix is no part of this API, and its callers have no token.
    route("POST",   "/witness/add-checkpoint",                    Open,                               None,                                 E::AddCheckpoint),
    route("GET",    "/witness/key",                               Open,                               None,                                 E::WitnessKey),
    route("GET",    "/witness/{origin}/checkpoint",               Open,                               None,                                 E::WitnessedCheckpoint),
];

impl Endpoint {
    /// Returns whether the answer discloses or streams, so that `HEAD` is not served.
    pub const fn discloses(self) -> bool {
        matches!(
            self,
            Self::ReadCredentials | Self::ReadRevisions | Self::RepositoryToken | Self::ExportAudit
        )
    }
}

impl Route {
    /// Returns whether the route serves this method; `HEAD` is served with `GET`, except by disclosures.
    fn answers(&self, method: &str) -> bool {
        self.method == method || (method == "HEAD" && self.has_head())
    }

    fn has_head(&self) -> bool {
        self.method == "GET" && !self.endpoint.discloses()
    }
}

/// The result of a lookup.
#[derive(Debug)]
pub enum Found<'p> {
    /// The row, and the text of the path's `{name}`, still percent-encoded.
    Route(&'static Route, &'p str),
    /// The path exists with other methods: the value of `Allow`.
    OtherMethod(String),
    /// No route has this path.
    Nothing,
}

/// Looks up a request's route. One trailing slash is tolerated.
pub fn find<'p>(method: &str, path: &'p str) -> Found<'p> {
    let path = path.strip_suffix('/').unwrap_or(path);
    // A literal path takes precedence over a pattern: `/integrations/credentials` is not an id. A request may spell a
    // pattern: `/users/{email}` is a path with an argument like any other.
    let literal = !path.contains('{') && ROUTES.iter().any(|route| route.path == path);
    let fits = |route: &'static Route| {
        let argument = if literal { (route.path == path).then_some("") } else { matches(route.path, path) };
        argument.map(|argument| (route, argument))
    };
    if let Some((route, argument)) = ROUTES.iter().filter(|route| route.answers(method)).find_map(fits) {
        return Found::Route(route, argument);
    }
    let fitting = ROUTES.iter().filter(|route| fits(route).is_some());
    let head = |route: &Route| if route.has_head() { Some("HEAD") } else { None };
    let methods: Vec<&str> =
        fitting.flat_map(|route| std::iter::once(route.method).chain(head(route))).collect();
    if methods.is_empty() { Found::Nothing } else { Found::OtherMethod(methods.join(", ")) }
}

/// Returns the text of the pattern's `{name}`, empty for a literal path; `None` where they do not match.
fn matches<'p>(pattern: &str, path: &'p str) -> Option<&'p str> {
    let Some((before, place)) = pattern.split_once('{') else { return (pattern == path).then_some("") };
    let (name, after) = place.split_once('}')?;
    let argument = path.strip_prefix(before)?.strip_suffix(after)?;
    let fits = !argument.is_empty() && (name.ends_with("...") || !argument.contains('/'));
    fits.then_some(argument)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(method: &str, path: &str) -> Option<Endpoint> {
        match find(method, path) {
            Found::Route(route, _) => Some(route.endpoint),
            Found::OtherMethod(_) | Found::Nothing => None,
        }
    }

    #[test]
    fn a_path_leads_to_one_endpoint() {
        assert_eq!(endpoint("GET", "/sfp/api/integrations/"), Some(Endpoint::ListIntegrations));
        assert_eq!(endpoint("GET", "/sfp/api/integrations/credentials"), Some(Endpoint::ReadCredentials));
        assert_eq!(endpoint("HEAD", "/sfp/api/integrations/credentials"), None);
        assert_eq!(endpoint("HEAD", "/sfp/api/integrations"), Some(Endpoint::ListIntegrations));
        assert_eq!(endpoint("DELETE", "/sfp/api/integrations/credentials"), None);
        assert_eq!(endpoint("GET", "/sfp/api/projects/acme/app"), Some(Endpoint::ReadProject));
        assert_eq!(endpoint("GET", "/sfp/api/projects/acme%2Fapp"), Some(Endpoint::ReadProject));
        assert_eq!(endpoint("GET", "/health"), Some(Endpoint::Health));
        for path in
            ["/", "/sfp", "/sfp/apix", "/sfp/api//integrations", "/sfp/api/integrations//", "/integrations"]
        {
            assert_eq!(endpoint("GET", path), None, "{path}");
        }
    }

    #[test]
    fn a_path_that_spells_a_pattern_has_an_argument_like_any_other() {
        for route in ROUTES.iter().filter(|route| route.path.contains('{')) {
            let Found::Route(_, argument) = find(route.method, route.path) else {
                panic!("no route for {}", route.path)
            };
            assert!(argument.starts_with('{') && argument.ends_with('}'), "{}: {argument}", route.path);
        }
    }

    #[test]
    fn another_method_names_those_that_there_are() {
        let Found::OtherMethod(allow) = find("BREW", "/sfp/api/integrations") else {
            panic!("no such method")
        };
        assert_eq!(allow, "GET, HEAD, POST");
    }
}
