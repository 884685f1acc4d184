//! The policy matrix: every route × every role, against a second copy of the contract's table.

use sealroom::{
    domain::{AccessScope, Provider, Role},
    http::routes::{Access, ROUTES},
};

use crate::support::server::TestServer;

/// Contract section 2, by hand: method, path, then owner, member, application, auditor, operator.
const MATRIX: &[(&str, &str, [bool; 5])] = &[
    // On a loopback listener it is open; another is tried elsewhere.
    ("GET", "//metrics", [true, true, true, true, true]),
    ("GET", "/users", [true, false, false, false, false]),
    ("POST", "/users", [true, false, false, false, false]),
    ("DELETE", "/users", [true, false, false, false, false]),
    ("GET", "/users/{email}", [true, false, false, false, false]),
    // The e-mail below is neither caller's own; the own one is tried elsewhere.
    ("PUT", "/users/{email}", [true, false, false, false, false]),
    ("DELETE", "/users/{email}", [true, false, false, false, false]),
    ("POST", "/users/{email}/leave", [true, false, false, false, false]),
    ("POST", "/users/me/otp", [true, true, false, false, false]),
    ("POST", "/users/me/otp/confirm", [true, true, false, false, false]),
    ("POST", "/users/me/otp/codes", [true, true, false, false, false]),
    ("DELETE", "/users/me/otp", [true, true, false, false, false]),
    // Not the owner's own, which is tried elsewhere.
    ("DELETE", "/users/{email}/otp", [true, false, false, false, false]),
    ("POST", "/auth/logout", [true, true, false, false, false]),
    ("GET", "/users/me", [true, true, false, false, false]),
    ("GET", "/integrations", [true, false, false, true, false]),
    ("GET", "/integrations/mine", [true, true, false, false, false]),
    ("POST", "/integrations", [true, true, false, false, false]),
    ("GET", "/integrations/credentials", [true, true, true, false, false]),
    ("GET", "/integrations/{id}", [true, false, false, false, false]),
    ("DELETE", "/integrations/{id}", [true, false, false, false, false]),
    // A member only what it created; the id below is unknown to it.
    ("PATCH", "/integrations/{id}", [true, false, false, false, false]),
    ("PUT", "/integrations/{id}/credentials", [true, false, false, false, false]),
    ("POST", "/integrations/{id}/rollback", [true, false, false, false, false]),
    ("GET", "/integrations/{id}/revisions", [true, false, false, false, false]),
    ("GET", "/repository/auth-token", [true, true, true, false, false]),
    ("GET", "/projects", [true, true, true, false, false]),
    ("POST", "/projects", [true, false, false, false, false]),
    ("GET", "/projects/{identifier...}", [true, true, true, false, false]),
    ("DELETE", "/projects/{identifier...}", [true, false, false, false, false]),
    ("GET", "/application-tokens", [true, false, false, false, false]),
    ("POST", "/application-tokens", [true, false, false, false, false]),
    ("DELETE", "/application-tokens/{token}", [true, false, false, false, false]),
    ("POST", "/application-tokens/{token}/roll", [true, false, false, false, false]),
    ("GET", "/due", [true, false, false, true, false]),
    ("GET", "/audit", [true, false, false, true, false]),
    ("GET", "/audit/proof", [true, false, false, true, false]),
    ("GET", "/audit/export", [true, false, false, true, false]),
    ("GET", "/audit/checkpoint", [true, false, false, true, false]),
    ("GET", "/audit/key", [true, false, false, true, false]),
    ("GET", "/audit/exposure", [true, false, false, true, false]),
    ("POST", "/backup", [true, false, false, false, true]),
];

const OPEN: &[(&str, &str)] = &[
    ("GET", ""),
    ("GET", "/health"),
    ("GET", "//health"),
    ("GET", "/ping"),
    ("GET", "//sfp/apidocs-json"),
    // A 404 for everybody unless the server is a witness.
    ("POST", "//witness/add-checkpoint"),
    ("GET", "//witness/key"),
    ("GET", "//witness/{origin}/checkpoint"),
];
const LOGINS: &[(&str, &str)] =
    &[("POST", "/auth/admin/login"), ("POST", "/auth/login"), ("POST", "/auth/refresh")];

fn body(path: &str, method: &str) -> &'static str {
    match (method, path) {
        ("POST", "/integrations") => {
            r#"{"provider":"jira","authType":"api_key","credentials":{"x":"y"},"isGlobal":true}"#
        }
        (_, "/users/me/otp/confirm") => r#"{"otp":"123456"}"#,
        ("POST", "/users/me/otp") => r#"{"currentPassword":"password-example"}"#,
        // Right passwords of users without a second factor.
        (_, path) if path.starts_with("/users/me/otp") => {
            r#"{"currentPassword":"password-example","otp":"123456"}"#
        }
        ("POST", "/users") => r#"{"email":"new@example.com"}"#,
        ("DELETE", "/users") => r#"{"email":"bob@example.com"}"#,
        ("PUT", path) if path.starts_with("/users") => r#"{"firstName":"Bob"}"#,
        ("PUT", _) => r#"{"credentials":{"token":"ghp_example_new"}}"#,
        ("POST", path) if path.ends_with("/rollback") => r#"{"revision":1}"#,
        ("POST", path) if path.ends_with("/roll") || path.ends_with("/leave") => "{}",
        ("PATCH", _) => r#"{"name":"other"}"#,
        ("POST", "/projects") => r#"{"identifier":"acme/new","remoteUrl":"https://github.com/acme/new"}"#,
        ("POST", "/application-tokens") => r#"{"name":"other"}"#,
        _ => "",
    }
}

#[test]
fn every_route_has_its_row_and_every_row_its_route() {
    for route in ROUTES {
        // The tables write a path outside the base path with two slashes.
        let outside = format!("/{}", route.path);
        let path =
            route.path.strip_prefix("/sfp/api").filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let path = path.unwrap_or(&outside);
        let named = |rows: &[(&str, &str)]| rows.contains(&(route.method, path));
        let known = match route.access {
            Access::Open => named(OPEN),
            Access::Login => named(LOGINS),
            Access::Needs(_) | Access::OwnOr(..) | Access::Local(_) => {
                MATRIX.iter().any(|(method, row, _)| (*method, *row) == (route.method, path))
            }
        };
        assert!(known, "{} {} has no row in the matrix", route.method, route.path);
    }
    assert_eq!(ROUTES.len(), MATRIX.len() + OPEN.len() + LOGINS.len());
}

#[tokio::test]
async fn every_cell_of_the_matrix_is_as_the_contract_has_it() {
    for (method, path, cells) in MATRIX {
        // A server for each row: what one row does must not colour the next.
        let t = TestServer::start().await;
        t.project("acme/app").await;
        let id = t.github("ghp_example_canary", r#""projects":["acme/app"]"#).await;
        let auditor = t.token(Role::Auditor, AccessScope::default()).await;
        let operator = t.token(Role::Operator, AccessScope::default()).await;
        t.user("bob@example.com", Role::Member, AccessScope::default()).await;
        let path = path.replace("{id}", &id).replace("{identifier...}", "acme%2Fapp");
        let path = path.replace("{email}", "Bob%40example.com");
        // Denied cells first, since the owner may delete what they ask for.
        let bearers = [&t.owner, &t.member, &t.app, &auditor, &operator];
        for at in [4, 3, 2, 1, 0] {
            let path = path.replace("{token}", "01a21198-0ea8-7d5a-987c-6ee7878c59a0");
            let url = path.strip_prefix("/").filter(|rest| rest.starts_with('/'));
            let url = url.map_or_else(|| format!("/sfp/api{path}"), str::to_owned);
            let reply = t.send(method, &url, bearers[at], body(&path, method)).await;
            let allowed = !matches!(reply.status, 401 | 403);
            assert_eq!(allowed, cells[at], "{method} {path} cell {at}: {} {}", reply.status, reply.body);
            assert!(allowed || !reply.body.contains("canary"), "{}", reply.body);
        }
        if !path.starts_with("//") {
            let nobody = t.send(method, &format!("/sfp/api{path}"), "", body(&path, method)).await;
            assert_eq!(nobody.status, 401, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_narrowed_caller_reads_its_own_projects_and_providers_alone() {
    let t = TestServer::start().await;
    t.project("acme/app").await;
    t.project("acme/web").await;
    t.github("ghp_example_app", r#""projects":["acme/app"]"#).await;
    t.github("ghp_example_web", r#""projects":["acme/web"]"#).await;
    t.github("ghp_example_global", r#""isGlobal":true"#).await;
    let projects = Some(vec!["acme/app".parse().unwrap()]);
    let token = t
        .token(Role::Application, AccessScope { projects: projects.clone(), ..AccessScope::default() })
        .await;
    let jira = t
        .token(
            Role::Application,
            AccessScope { providers: Some(vec![Provider::Jira]), ..AccessScope::default() },
        )
        .await;
    let member =
        t.user("narrow@example.com", Role::Member, AccessScope { projects, ..AccessScope::default() }).await;
    let read = "/sfp/api/integrations/credentials";
    for bearer in [&token, &member] {
        let own = t.send("GET", read, bearer, "").await;
        assert!(own.body.contains("ghp_example_app"), "{}", own.body);
        assert!(
            !own.body.contains("ghp_example_web") && !own.body.contains("ghp_example_global"),
            "{}",
            own.body
        );
        assert_eq!(t.send("GET", &format!("{read}?project=acme/web"), bearer, "").await.status, 403);
        assert_eq!(t.send("GET", "/sfp/api/projects/acme/web", bearer, "").await.status, 403);
        let denied = t.send("GET", "/sfp/api/audit?action=request.denied&limit=1", &t.owner, "").await.json();
        assert_eq!(denied[0]["outcome"], "denied", "a refusal is on record");
        assert_eq!(t.send("GET", "/sfp/api/projects", bearer, "").await.json().as_array().unwrap().len(), 1);
    }
    assert_eq!(t.send("GET", read, &jira, "").await.status, 404);
    assert_eq!(t.send("GET", &format!("{read}?provider=github"), &jira, "").await.status, 403);
    let wider = r#"{"provider":"github","authType":"pat","credentials":{"token":"x"},"isGlobal":true}"#;
    assert_eq!(t.send("POST", "/sfp/api/integrations", &member, wider).await.status, 403);
}

/// The grid's stored credentials: provider, project (or global), value.
const STORED: &[(&str, Option<&str>, &str)] = &[
    ("github", Some("acme/app"), "canary-github-app"),
    ("github", Some("acme/web"), "canary-github-web"),
    ("github", None, "canary-github-global"),
    ("npm", Some("acme/web"), "canary-npm-web"),
    ("npm", None, "canary-npm-global"),
];

/// Contract sections 3 and 5 by hand: the status, and the values that a read brings.
fn expected(
    projects: Option<&[&str]>,
    providers: Option<&[&str]>,
    project: Option<&str>,
    provider: Option<&str>,
) -> (u16, Vec<&'static str>) {
    let outside = |named: Option<&str>, allowed: Option<&[&str]>| {
        named.is_some_and(|named| allowed.is_some_and(|allowed| !allowed.contains(&named)))
    };
    if outside(project, projects) || outside(provider, providers) {
        return (403, Vec::new());
    }
    let of_project = |wanted: &str, (stored_provider, stored_project, _): &(&str, Option<&str>, &str)| {
        let own = |(other, project, _): &(&str, Option<&str>, &str)| {
            other == stored_provider && *project == Some(wanted)
        };
        *stored_project == Some(wanted) || (stored_project.is_none() && !STORED.iter().any(own))
    };
    let reached = |stored: &(&str, Option<&str>, &str)| match (project, projects) {
        (Some(project), _) => of_project(project, stored),
        (None, Some(projects)) => projects.iter().any(|project| of_project(project, stored)),
        (None, None) => true,
    };
    let admitted = |stored: &&(&str, Option<&str>, &str)| {
        provider.is_none_or(|provider| provider == stored.0)
            && providers.is_none_or(|providers| providers.contains(&stored.0))
            && reached(stored)
    };
    let values: Vec<_> = STORED.iter().filter(admitted).map(|stored| stored.2).collect();
    (if values.is_empty() { 404 } else { 200 }, values)
}

#[tokio::test]
async fn every_narrowing_reads_exactly_what_the_contract_gives_it() {
    let t = TestServer::start().await;
    t.project("acme/app").await;
    t.project("acme/web").await;
    for (provider, project, value) in STORED {
        let scope =
            project.map_or(r#""isGlobal":true"#.to_owned(), |project| format!(r#""projects":["{project}"]"#));
        let body = format!(
            r#"{{"provider":"{provider}","authType":"pat","credentials":{{"token":"{value}"}},{scope}}}"#
        );
        assert_eq!(t.send("POST", "/sfp/api/integrations", &t.owner, &body).await.status, 201);
    }
    let narrowings: &[Option<&[&str]>] =
        &[None, Some(&["acme/app"]), Some(&["acme/web"]), Some(&["acme/app", "acme/web"])];
    let services: &[Option<&[&str]>] = &[None, Some(&["github"]), Some(&["npm"]), Some(&["github", "npm"])];
    let mut cells = 0;
    for (n, projects) in narrowings.iter().enumerate() {
        for providers in services {
            let scope = AccessScope {
                projects: projects.map(|all| all.iter().map(|one| one.parse().unwrap()).collect()),
                providers: providers.map(|all| all.iter().map(|one| one.parse().unwrap()).collect()),
                ..AccessScope::default()
            };
            let mut bearers = vec![t.token(Role::Application, scope.clone()).await];
            if providers.is_none() {
                bearers.push(t.user(&format!("narrow{n}@example.com"), Role::Member, scope).await);
            }
            for project in [None, Some("acme/app"), Some("acme/web")] {
                for provider in [None, Some("github"), Some("npm")] {
                    let (status, values) = expected(*projects, *providers, project, provider);
                    let query = [("project", project), ("provider", provider)]
                        .iter()
                        .filter_map(|(name, value)| value.map(|value| format!("{name}={value}")))
                        .collect::<Vec<_>>()
                        .join("&");
                    let mark = if query.is_empty() { "" } else { "?" };
                    let url = format!("/sfp/api/integrations/credentials{mark}{query}");
                    for bearer in &bearers {
                        let reply = t.send("GET", &url, bearer, "").await;
                        let cell = format!("{projects:?} {providers:?} {query}: {}", reply.body);
                        assert_eq!(reply.status, status, "{cell}");
                        for (_, _, value) in STORED {
                            assert_eq!(reply.body.contains(value), values.contains(value), "{value} {cell}");
                        }
                        cells += 1;
                    }
                }
            }
        }
    }
    assert_eq!(cells, 4 * 4 * 9 + 4 * 9);
}

#[tokio::test]
async fn a_narrowing_to_a_project_that_is_gone_allows_nothing() {
    let t = TestServer::start().await;
    t.project("acme/gone").await;
    t.github("ghp_example_canary", r#""isGlobal":true"#).await;
    let projects = Some(vec!["acme/gone".parse().unwrap()]);
    let token = t.token(Role::Application, AccessScope { projects, ..AccessScope::default() }).await;
    let read = "/sfp/api/integrations/credentials";
    assert_eq!(t.send("GET", read, &token, "").await.status, 200, "its project falls back to the global one");
    assert_eq!(t.send("DELETE", "/sfp/api/projects/acme/gone", &t.owner, "").await.status, 200);
    for query in ["", "?provider=github", "?project=acme/gone"] {
        let reply = t.send("GET", &format!("{read}{query}"), &token, "").await;
        assert_eq!(reply.status, 404, "{query}: {}", reply.body);
        assert!(!reply.body.contains("canary"));
    }
}

#[tokio::test]
async fn a_member_rotates_what_it_created_and_cannot_tell_anothers_from_none() {
    let t = TestServer::start().await;
    let theirs = t.github("ghp_example_canary", r#""isGlobal":true"#).await;
    let body = r#"{"provider":"npm","authType":"pat","credentials":{"token":"one"},"isGlobal":true}"#;
    let own = t.send("POST", "/sfp/api/integrations", &t.member, body).await.json();
    let unknown = "01a21198-0ea8-7d5a-987c-6ee7878c59a0";
    for (method, tail, body) in [
        ("PUT", "credentials", r#"{"credentials":{"token":"two"}}"#),
        ("POST", "rollback", r#"{"revision":1}"#),
    ] {
        let send = async |id: &str| {
            t.send(method, &format!("/sfp/api/integrations/{id}/{tail}"), &t.member, body).await
        };
        assert_eq!(send(own["id"].as_str().unwrap()).await.status, 200);
        let (theirs, unknown) = (send(&theirs).await, send(unknown).await);
        assert_eq!(theirs.status, 403);
        assert_eq!(without_request(&theirs), without_request(&unknown));
    }
}

fn without_request(reply: &crate::support::server::Reply) -> (u16, serde_json::Value) {
    let mut body = reply.json();
    body.as_object_mut().unwrap().remove("requestId").unwrap();
    (reply.status, body)
}
