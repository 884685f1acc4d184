//! Error codes: each is what the contract and the document say, provoked over a real socket.

use std::time::Duration;

use sealroom::{
    domain::{AccessScope, Role},
    http::Limits,
};

use crate::support::server::{Client, PASSWORD, TestServer};

const GITHUB: &str = r#""provider":"github","authType":"pat","credentials":{"token":"ghp_example"}"#;
const ID: &str = "0192f5a4-7c1e-7b3a-9d52-3f1c8e6a4b70";

/// An error's body as a client sees it, but for the one thing in it that differs each time.
fn golden_body(reply: &crate::support::server::Reply) -> String {
    let id = reply.json()["requestId"].as_str().unwrap().to_owned();
    reply.body.replace(&id, "…") + "\n"
}

#[tokio::test]
async fn a_request_that_breaks_a_rule_is_answered_with_the_code_of_that_rule() {
    let t = TestServer::start().await;
    let integrations = "/sfp/api/integrations";
    let global = format!(r#"{{{GITHUB},"isGlobal":true}}"#);
    let mut golden = String::new();
    for (status, code, method, path, body) in [
        (404, "route_not_found", "GET", "/sfp/api/nothing", ""),
        (405, "method_not_allowed", "PATCH", "/sfp/api/projects", ""),
        (400, "unknown_parameter", "GET", "/sfp/api/projects?x=1", ""),
        (400, "repeated_parameter", "GET", "/sfp/api/audit?limit=1&limit=2", ""),
        (400, "empty_parameter", "GET", "/sfp/api/audit?limit=", ""),
        (400, "invalid_parameter", "GET", "/sfp/api/audit?limit=0", ""),
        (400, "invalid_parameter", "GET", "/sfp/api/audit?cursor=x", ""),
        (400, "out_of_range", "GET", "/sfp/api/audit/proof?sequence=0&size=99999", ""),
        (400, "invalid_field", "GET", "/sfp/api/integrations/x", ""),
        (400, "invalid_field", "GET", "/sfp/api/audit?action=x", ""),
        (400, "malformed_json", "POST", "/sfp/api/users", "{"),
        (400, "missing_field", "POST", "/sfp/api/users", "{}"),
        (400, "unknown_field", "POST", "/sfp/api/users", r#"{"x":1}"#),
        (400, "invalid_field", "POST", "/sfp/api/users", r#"{"email":"x"}"#),
        (400, "duplicate_field", "POST", integrations, r#"{"authType":"pat","auth_type":"pat"}"#),
        (400, "invalid_scope", "POST", integrations, &format!("{{{GITHUB}}}")),
        (400, "project_not_registered", "POST", integrations, &format!(r#"{{{GITHUB},"projects":["a/b"]}}"#)),
        (
            400,
            "expiry_past",
            "POST",
            integrations,
            &format!(r#"{{{GITHUB},"isGlobal":true,"expiresAt":"2000-01-01T00:00:00Z"}}"#),
        ),
        (404, "integration_not_found", "GET", "/sfp/api/integrations/credentials", ""),
        (404, "integration_not_found", "GET", &format!("/sfp/api/integrations/{ID}"), ""),
        (404, "project_not_found", "GET", "/sfp/api/projects/acme/app", ""),
        (404, "token_not_found", "DELETE", &format!("/sfp/api/application-tokens/{ID}"), ""),
        (404, "user_not_found", "GET", "/sfp/api/users/nobody@example.com", ""),
        (409, "user_exists", "POST", "/sfp/api/users", r#"{"email":"member@example.com"}"#),
        (409, "last_owner", "DELETE", "/sfp/api/users/owner@example.com", ""),
    ] {
        let reply = t.send(method, path, &t.owner, body).await;
        let found = (reply.status, reply.json()["code"].as_str().map(str::to_owned));
        assert_eq!(found, (status, Some(code.to_owned())), "{method} {path}: {}", reply.body);
        golden += &golden_body(&reply);
    }
    for (bearer, path) in [("", integrations), (&t.member, integrations), (&t.app, "/sfp/api/users")] {
        golden += &golden_body(&t.send("GET", path, bearer, "").await);
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/errors.txt");
    if std::env::var_os("SEALROOM_UPDATE").is_some() {
        std::fs::write(file, &golden).unwrap();
    }
    assert_eq!(golden, std::fs::read_to_string(file).unwrap(), "SEALROOM_UPDATE=1 writes the file anew");
    assert_eq!(t.send("GET", integrations, "", "").await.json()["code"], "unauthorized");
    assert_eq!(t.send("GET", integrations, &t.member, "").await.json()["code"], "forbidden");
    let text = t.send_with("POST", integrations, &t.owner, "Content-Type: text/plain\r\n", &global).await;
    assert_eq!((text.status, text.json()["code"].as_str()), (415, Some("unsupported_media_type")));
    let large = format!(r#"{{"x":"{}"}}"#, "x".repeat(64 * 1024));
    let large = t.send("POST", integrations, &t.owner, &large).await;
    assert_eq!((large.status, large.json()["code"].as_str()), (413, Some("body_too_large")));
}

#[tokio::test]
async fn a_request_that_the_stored_data_forbids_is_answered_with_the_code_of_that_reason() {
    let t = TestServer::start().await;
    t.project("acme/app").await;
    let scoped = t.github("ghp_example", r#""projects":["acme/app"]"#).await;
    let custom = r#"{"provider":"custom","authType":"pat","name":"x","credentials":{"a":1},"isGlobal":true}"#;
    let custom = t.send("POST", "/sfp/api/integrations", &t.owner, custom).await.json();
    let custom = format!("/sfp/api/integrations/{}", custom["id"].as_str().unwrap());
    let scoped = format!("/sfp/api/integrations/{scoped}");
    let again = r#"{"identifier":"acme/app","remoteUrl":"https://github.com/acme/app"}"#;
    for (status, code, method, path, body) in [
        (400, "name_needed", "PATCH", custom, r#"{"name":null}"#),
        (404, "revision_not_found", "POST", format!("{scoped}/rollback"), r#"{"revision":9}"#),
        (409, "project_exists", "POST", "/sfp/api/projects".to_owned(), again),
        (409, "project_in_use", "DELETE", "/sfp/api/projects/acme/app".to_owned(), ""),
    ] {
        let reply = t.send(method, &path, &t.owner, body).await;
        assert_eq!((reply.status, reply.json()["code"].as_str()), (status, Some(code)), "{}", reply.body);
    }
    for (status, code, revision) in [(400, "invalid_if_match", "x"), (412, "revision_conflict", "9")] {
        let headers = format!("Content-Type: application/json\r\nIf-Match: {revision}\r\n");
        let body = r#"{"credentials":{"token":"ghp_example"}}"#;
        let path = format!("{scoped}/credentials");
        let reply = t.send_with("PUT", &path, &t.owner, &headers, body).await;
        assert_eq!((reply.status, reply.json()["code"].as_str()), (status, Some(code)), "{}", reply.body);
    }
}

#[tokio::test]
async fn a_wrong_password_has_its_code_and_too_many_have_another() {
    let t = TestServer::start().await;
    t.user("ada@example.com", Role::Member, AccessScope::default()).await;
    let login = |password: &str| format!(r#"{{"email":"ada@example.com","password":"{password}"}}"#);
    let own = r#"{"password":"password-example-2","currentPassword":"wrong"}"#;
    let own = t.send("PUT", "/sfp/api/users/member@example.com", &t.member, own).await;
    assert_eq!((own.status, own.json()["code"].as_str()), (403, Some("wrong_password")));
    for _ in 0..5 {
        let reply = t.send("POST", "/sfp/api/auth/login", "", &login("wrong-example")).await;
        assert_eq!((reply.status, reply.json()["code"].as_str()), (401, Some("bad_login")));
    }
    let reply = t.send("POST", "/sfp/api/auth/login", "", &login(PASSWORD)).await;
    assert_eq!((reply.status, reply.json()["code"].as_str()), (429, Some("too_many_tries")));
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let limits = Limits { request_timeout: Duration::from_millis(50), ..Limits::STANDARD };
    let t = TestServer::start_with(limits).await;
    let head = format!(
        "POST /sfp/api/projects HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{{",
        t.owner
    );
    let reply = Client::connect(&t.address).await.raw(&head, "POST").await.expect("an answer");
    assert_eq!((reply.status, reply.json()["code"].as_str()), (408, Some("request_timeout")));
}

#[tokio::test]
async fn a_request_without_form_is_refused_before_its_route_is_looked_up() {
    let t = TestServer::start().await;
    for (code, head) in [
        ("invalid_host", "GET /sfp/api/projects HTTP/1.1\r\n\r\n"),
        ("invalid_host", "GET /nowhere HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        ("invalid_target", "GET /sfp/api/projects/%zz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("invalid_target", "GET /nowhere?%ff HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ] {
        let reply = Client::connect(&t.address).await.raw(head, "GET").await.expect("an answer");
        assert_eq!((reply.status, reply.json()["code"].as_str()), (400, Some(code)), "{head}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_request() {
    let t = TestServer::start().await;
    let head = format!(
        "POST /sfp/api/projects HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nno chunk size\r\n",
        t.owner
    );
    let reply = Client::connect(&t.address).await.raw(&head, "POST").await.expect("an answer");
    assert_eq!((reply.status, reply.json()["code"].as_str()), (400, Some("broken_body")));
}
