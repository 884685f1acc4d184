//! The route table: every method and path with who is let in. What is not here does not exist.

use crate::auth::policy::Verb;

/// The base path of the published API.
const BASE: &str = "/sfp/api";

/// What answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// Liveness and state.
    Health,
    /// `pong`.
    Ping,
    /// E-mail and password for a pair of tokens.
    Login,
    /// A refresh token for another pair.
    Refresh,
    /// The end of a session.
    Logout,
    /// Who is asking.
    OwnUser,
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
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// The method.
    pub method: &'static str,
    /// The path: `{name}` is one segment, `{name...}` all that follow. It stands under `/sfp/api`.
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
pub const ROUTES: &[Route] = &[
    route("GET", "", Access::Open, Endpoint::Health),
    route("GET", "/health", Access::Open, Endpoint::Health),
    route("GET", "/ping", Access::Open, Endpoint::Ping),
    route("POST", "/auth/admin/login", Access::Login, Endpoint::Login),
    route("POST", "/auth/login", Access::Login, Endpoint::Login),
    route("POST", "/auth/refresh", Access::Login, Endpoint::Refresh),
    route("POST", "/auth/logout", Access::Needs(Verb::Logout), Endpoint::Logout),
    route("GET", "/users/me", Access::Needs(Verb::ReadSelf), Endpoint::OwnUser),
    route("GET", "/integrations", Access::Needs(Verb::ListIntegrations), Endpoint::ListIntegrations),
    route("POST", "/integrations", Access::Needs(Verb::CreateIntegration), Endpoint::CreateIntegration),
    route(
        "GET",
        "/integrations/credentials",
        Access::Needs(Verb::ReadCredentials),
        Endpoint::ReadCredentials,
    ),
    route("GET", "/integrations/{id}", Access::Needs(Verb::ShowIntegration), Endpoint::ShowIntegration),
    route("PATCH", "/integrations/{id}", Access::Needs(Verb::UpdateIntegration), Endpoint::UpdateIntegration),
    route(
        "DELETE",
        "/integrations/{id}",
        Access::Needs(Verb::DeleteIntegration),
        Endpoint::DeleteIntegration,
    ),
    route(
        "PUT",
        "/integrations/{id}/credentials",
        Access::Needs(Verb::RotateCredentials),
        Endpoint::RotateCredentials,
    ),
    route(
        "POST",
        "/integrations/{id}/rollback",
        Access::Needs(Verb::RollbackCredentials),
        Endpoint::RollbackCredentials,
    ),
    route("GET", "/projects", Access::Needs(Verb::ListProjects), Endpoint::ListProjects),
    route("POST", "/projects", Access::Needs(Verb::CreateProject), Endpoint::CreateProject),
    route("GET", "/projects/{identifier...}", Access::Needs(Verb::ReadProject), Endpoint::ReadProject),
    route("DELETE", "/projects/{identifier...}", Access::Needs(Verb::DeleteProject), Endpoint::DeleteProject),
    route("GET", "/application-tokens", Access::Needs(Verb::ListTokens), Endpoint::ListTokens),
    route("POST", "/application-tokens", Access::Needs(Verb::CreateToken), Endpoint::CreateToken),
    route("DELETE", "/application-tokens/{token}", Access::Needs(Verb::RevokeToken), Endpoint::RevokeToken),
    route("GET", "/audit", Access::Needs(Verb::ReadAudit), Endpoint::ReadEvents),
    route("GET", "/audit/checkpoint", Access::Needs(Verb::ReadAudit), Endpoint::ReadCheckpoint),
    route("GET", "/audit/key", Access::Needs(Verb::ReadAudit), Endpoint::ReadVerifierKey),
];

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

/// Looks a request up. One trailing slash is tolerated; `HEAD` is `GET`, but where something is disclosed.
pub fn find<'p>(method: &str, path: &'p str) -> Found<'p> {
    // `/health` is served at the root too.
    let rest = match path {
        "/health" | "/health/" => Some("/health"),
        _ => path.strip_prefix(BASE),
    };
    let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with('/')) else {
        return Found::Nothing;
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let matching: Vec<(&Route, &str)> =
        specific(ROUTES.iter().filter_map(|route| Some((route, matches(route.path, rest)?))).collect());
    for (route, argument) in &matching {
        let head = method == "HEAD" && route.method == "GET" && route.endpoint != Endpoint::ReadCredentials;
        if route.method == method || head {
            return Found::Route(route, argument);
        }
    }
    if matching.is_empty() {
        return Found::Nothing;
    }
    let mut methods: Vec<&str> = Vec::new();
    for (route, _) in matching {
        methods.push(route.method);
        if route.method == "GET" && route.endpoint != Endpoint::ReadCredentials {
            methods.push("HEAD");
        }
    }
    Found::OtherMethod(methods.join(", "))
}

/// A literal path hides the pattern that it would fit too: `/integrations/credentials` is no id.
fn specific<'p>(matching: Vec<(&'static Route, &'p str)>) -> Vec<(&'static Route, &'p str)> {
    let literal = matching.iter().any(|(route, _)| !route.path.contains('{'));
    matching.into_iter().filter(|(route, _)| !literal || !route.path.contains('{')).collect()
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
