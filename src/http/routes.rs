//! The route table: every method and path with who is let in. What is not here does not exist.

use self::{
    Access::{Local, Login, Needs, Open, OwnOr},
    Endpoint as E,
};
use crate::auth::policy::{Verb, Verb as V};

/// What answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// Liveness and state.
    Health,
    /// `pong`.
    Ping,
    /// Numbers for an operator.
    Metrics,
    /// E-mail and password for a pair of tokens.
    Login,
    /// A refresh token for another pair.
    Refresh,
    /// The end of a session.
    Logout,
    /// Who is asking.
    OwnUser,
    /// All users.
    ListUsers,
    /// A new user.
    CreateUser,
    /// One user.
    ReadUser,
    /// A changed user.
    UpdateUser,
    /// The end of one, named in the path.
    DeleteUser,
    /// The end of one, named in the body.
    DeleteUserByBody,
    /// Metadata of all integrations.
    ListIntegrations,
    /// A new integration.
    CreateIntegration,
    /// The disclosure.
    ReadCredentials,
    /// Metadata of one.
    ShowIntegration,
    /// Changed metadata.
    UpdateIntegration,
    /// The end of one.
    DeleteIntegration,
    /// A new credential under the same id.
    RotateCredentials,
    /// An older credential again.
    RollbackCredentials,
    /// All projects.
    ListProjects,
    /// A new project.
    CreateProject,
    /// One project.
    ReadProject,
    /// The end of one.
    DeleteProject,
    /// All application tokens.
    ListTokens,
    /// A new application token.
    CreateToken,
    /// The end of one.
    RevokeToken,
    /// Events.
    ReadEvents,
    /// A proof of the tree.
    ReadProof,
    /// The records themselves.
    ExportAudit,
    /// The newest checkpoint.
    ReadCheckpoint,
    /// The newest verifier key.
    ReadVerifierKey,
}

/// Who is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anyone, also while the vault is locked.
    Open,
    /// Anyone, unless the vault is locked: the logins.
    Login,
    /// Whom the policy lets do this.
    Needs(Verb),
    /// Anyone who comes in where only this host can and no proxy stands before it; elsewhere, whom the policy lets.
    Local(Verb),
    /// A user about itself for the first, and everybody else for the second.
    OwnOr(Verb, Verb),
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// The method.
    pub method: &'static str,
    /// The path: `{name}` is one segment, `{name...}` all that follow.
    pub path: &'static str,
    /// Who is let in.
    pub access: Access,
    /// What answers.
    pub endpoint: Endpoint,
}

const fn route(method: &'static str, path: &'static str, access: Access, endpoint: Endpoint) -> Route {
    Route { method, path, access, endpoint }
}

/// The table.
#[rustfmt::skip]
pub static ROUTES: &[Route] = &[
    route("GET",    "/sfp/api",                                   Open,                            E::Health),
    route("GET",    "/sfp/api/health",                            Open,                            E::Health),
    route("GET",    "/health",                                    Open,                            E::Health),
    route("GET",    "/sfp/api/ping",                              Open,                            E::Ping),
    route("GET",    "/metrics",                                   Local(V::ReadMetrics),           E::Metrics),
    route("POST",   "/sfp/api/auth/admin/login",                  Login,                           E::Login),
    route("POST",   "/sfp/api/auth/login",                        Login,                           E::Login),
    route("POST",   "/sfp/api/auth/refresh",                      Login,                           E::Refresh),
    route("POST",   "/sfp/api/auth/logout",                       Needs(V::Logout),                E::Logout),
    route("GET",    "/sfp/api/users/me",                          Needs(V::ReadSelf),              E::OwnUser),
    route("GET",    "/sfp/api/users",                             Needs(V::ListUsers),             E::ListUsers),
    route("POST",   "/sfp/api/users",                             Needs(V::CreateUser),            E::CreateUser),
    route("DELETE", "/sfp/api/users",                             Needs(V::DeleteUser),            E::DeleteUserByBody),
    route("GET",    "/sfp/api/users/{email}",                     Needs(V::ReadUser),              E::ReadUser),
    route("PUT",    "/sfp/api/users/{email}",                     OwnOr(V::UpdateSelf, V::UpdateUser), E::UpdateUser),
    route("DELETE", "/sfp/api/users/{email}",                     Needs(V::DeleteUser),            E::DeleteUser),
    route("GET",    "/sfp/api/integrations",                      Needs(V::ListIntegrations),      E::ListIntegrations),
    route("POST",   "/sfp/api/integrations",                      Needs(V::CreateIntegration),     E::CreateIntegration),
    route("GET",    "/sfp/api/integrations/credentials",          Needs(V::ReadCredentials),       E::ReadCredentials),
    route("GET",    "/sfp/api/integrations/{id}",                 Needs(V::ShowIntegration),       E::ShowIntegration),
    route("PATCH",  "/sfp/api/integrations/{id}",                 Needs(V::UpdateIntegration),     E::UpdateIntegration),
    route("DELETE", "/sfp/api/integrations/{id}",                 Needs(V::DeleteIntegration),     E::DeleteIntegration),
    route("PUT",    "/sfp/api/integrations/{id}/credentials",     Needs(V::RotateCredentials),     E::RotateCredentials),
    route("POST",   "/sfp/api/integrations/{id}/rollback",        Needs(V::RollbackCredentials),   E::RollbackCredentials),
    route("GET",    "/sfp/api/projects",                          Needs(V::ListProjects),          E::ListProjects),
    route("POST",   "/sfp/api/projects",                          Needs(V::CreateProject),         E::CreateProject),
    route("GET",    "/sfp/api/projects/{identifier...}",          Needs(V::ReadProject),           E::ReadProject),
    route("DELETE", "/sfp/api/projects/{identifier...}",          Needs(V::DeleteProject),         E::DeleteProject),
    route("GET",    "/sfp/api/application-tokens",                Needs(V::ListTokens),            E::ListTokens),
    route("POST",   "/sfp/api/application-tokens",                Needs(V::CreateToken),           E::CreateToken),
    route("DELETE", "/sfp/api/application-tokens/{token}",        Needs(V::RevokeToken),           E::RevokeToken),
    route("GET",    "/sfp/api/audit",                             Needs(V::ReadAudit),             E::ReadEvents),
    route("GET",    "/sfp/api/audit/checkpoint",                  Needs(V::ReadAudit),             E::ReadCheckpoint),
    route("GET",    "/sfp/api/audit/proof",                       Needs(V::ReadAudit),             E::ReadProof),
    route("GET",    "/sfp/api/audit/export",                      Needs(V::ExportAudit),           E::ExportAudit),
    route("GET",    "/sfp/api/audit/key",                         Needs(V::ReadAudit),             E::ReadVerifierKey),
];

impl Endpoint {
    /// Whether it discloses or streams: then a `HEAD` has nothing to ask for.
    pub const fn discloses(self) -> bool {
        matches!(self, Self::ReadCredentials | Self::ExportAudit)
    }

    /// Whether it reads a JSON body; whatever else comes with one is not looked at.
    pub const fn takes_body(self) -> bool {
        match self {
            Self::Login
            | Self::Refresh
            | Self::CreateUser
            | Self::UpdateUser
            | Self::DeleteUserByBody
            | Self::CreateIntegration
            | Self::UpdateIntegration
            | Self::RotateCredentials
            | Self::RollbackCredentials
            | Self::CreateProject
            | Self::CreateToken => true,
            Self::Health
            | Self::Ping
            | Self::Metrics
            | Self::Logout
            | Self::OwnUser
            | Self::ListUsers
            | Self::ReadUser
            | Self::DeleteUser
            | Self::ListIntegrations
            | Self::ReadCredentials
            | Self::ShowIntegration
            | Self::DeleteIntegration
            | Self::ListProjects
            | Self::ReadProject
            | Self::DeleteProject
            | Self::ListTokens
            | Self::RevokeToken
            | Self::ReadEvents
            | Self::ReadProof
            | Self::ExportAudit
            | Self::ReadCheckpoint
            | Self::ReadVerifierKey => false,
        }
    }
}

impl Route {
    /// `HEAD` works wherever `GET` does, but where something is disclosed.
    fn answers(&self, method: &str) -> bool {
        self.method == method || (method == "HEAD" && self.has_head())
    }

    fn has_head(&self) -> bool {
        self.method == "GET" && !self.endpoint.discloses()
    }
}

/// What the table says of a request.
#[derive(Debug)]
pub enum Found<'p> {
    /// The row, and what stands in the path's place for a name (still percent-encoded).
    Route(&'static Route, &'p str),
    /// The path exists with these methods.
    OtherMethod(String),
    /// There is no such path.
    Nothing,
}

/// Looks a request up. One trailing slash is tolerated.
pub fn find<'p>(method: &str, path: &'p str) -> Found<'p> {
    let path = path.strip_suffix('/').unwrap_or(path);
    // A literal path hides the pattern that it would fit too: `/integrations/credentials` is no id.
    let literal = ROUTES.iter().any(|route| route.path == path);
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

/// The text in the pattern's one place for a name, or nothing for a literal path.
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
    fn another_method_names_those_that_there_are() {
        let Found::OtherMethod(allow) = find("BREW", "/sfp/api/integrations") else {
            panic!("no such method")
        };
        assert_eq!(allow, "GET, HEAD, POST");
    }
}
