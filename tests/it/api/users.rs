//! Contract section 6: users and sessions.

use sealroom::domain::{AccessScope, Role, minutes};
use serde_json::{Value, json};

use crate::support::server::{OWNER, PASSWORD, Reply, TestServer};

const USERS: &str = "/sfp/api/users";
const LOGIN: &str = "/sfp/api/auth/login";
const ME: &str = "/sfp/api/users/me";

async fn login(t: &TestServer, email: &str, password: &str) -> Reply {
    t.send("POST", LOGIN, "", &json!({ "email": email, "password": password }).to_string()).await
}

async fn put(t: &TestServer, bearer: &str, email: &str, change: Value) -> Reply {
    t.send("PUT", &format!("{USERS}/{email}"), bearer, &change.to_string()).await
}

/// Status, code and message: what an answer tells, but for the request's own id.
fn told(reply: &Reply) -> (u16, String, String) {
    let body = reply.json();
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    (reply.status, text("code"), text("message"))
}

async fn last_event(t: &TestServer, action: &str) -> Value {
    let path = format!("/sfp/api/audit?action={action}&limit=1");
    t.send("GET", &path, &t.owner, "").await.json()[0].clone()
}

#[tokio::test]
async fn a_user_is_made_listed_shown_changed_and_removed() {
    let t = TestServer::start().await;
    t.project("acme/app").await;
    let body = r#"{"email":" Bob@Example.com","firstName":"Bob","projects":["acme/app"]}"#;
    let made = t.send("POST", USERS, &t.owner, body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let initial = made.json()["initialPassword"].as_str().unwrap().to_owned();
    assert_eq!(made.json()["email"], "bob@example.com");
    assert_eq!(made.json()["projects"], json!(["acme/app"]));
    assert_eq!(login(&t, "BOB@example.com", &initial).await.status, 200);
    let event = last_event(&t, "user.create").await;
    let detail = json!({"email":"bob@example.com","role":"member","projects":["acme/app"]});
    assert_eq!(event["detail"], detail);
    assert!(!event.to_string().contains(&initial));

    assert_eq!(t.send("POST", USERS, &t.owner, body).await.status, 409);
    let path = format!("{USERS}/bob%40example.com");
    let shown = t.send("GET", &path, &t.owner, "").await.json();
    assert_eq!((&shown["role"], &shown["disabled"]), (&json!("member"), &json!(false)));
    assert!(shown["lastLoginAt"].is_string() && shown.get("initialPassword").is_none());
    let all = t.send("GET", USERS, &t.owner, "").await.json();
    let emails: Vec<_> = all.as_array().unwrap().iter().map(|user| user["email"].clone()).collect();
    assert_eq!(emails, ["bob@example.com", "member@example.com", OWNER]);

    let changed = put(&t, &t.owner, "bob@example.com", json!({"lastName":"B","projects":null})).await;
    assert_eq!((changed.status, changed.json()["success"].clone()), (200, json!(true)));
    assert_eq!(changed.json()["user"]["projects"], Value::Null);
    let fields = &last_event(&t, "user.update").await["detail"]["fields"];
    assert_eq!(*fields, json!(["lastName", "projects"]));

    assert_eq!(
        t.send("DELETE", &path, &t.owner, "").await.json(),
        json!({"success":true,"email":"bob@example.com"})
    );
    assert_eq!(t.send("GET", &path, &t.owner, "").await.status, 404);
    assert_eq!(login(&t, "bob@example.com", &initial).await.status, 401);
    let by_body = t.send("DELETE", USERS, &t.owner, r#"{"email":"Member@example.com"}"#).await;
    assert_eq!(by_body.json(), json!({"success":true,"email":"member@example.com"}));
    assert_eq!(t.send("GET", ME, &t.member, "").await.status, 401, "its session is gone too");
}

#[tokio::test]
async fn what_breaks_a_rule_is_a_400_and_changes_nothing() {
    let t = TestServer::start().await;
    for body in [
        r#"{"email":"new@example.com","password":"elevenchars"}"#,
        r#"{"email":"new@example.com","projects":["acme/app"]}"#,
        r#"{"email":"new@example.com","role":"operator"}"#,
        r#"{"email":"new@example.com","role":"owner","projects":["acme/app"]}"#,
        r#"{"email":"new"}"#,
        "{}",
    ] {
        assert_eq!(t.send("POST", USERS, &t.owner, body).await.status, 400, "{body}");
    }
    for change in
        [json!({}), json!({"role":"auditor"}), json!({"projects":[""]}), json!({"password":"short"})]
    {
        assert_eq!(put(&t, &t.owner, "member@example.com", change.clone()).await.status, 400, "{change}");
    }
    let narrowed = json!({"role":"owner","projects":["acme/app"]});
    assert_eq!(put(&t, &t.owner, "member@example.com", narrowed).await.status, 400);
    assert_eq!(put(&t, &t.owner, "nobody", json!({"firstName":"x"})).await.status, 400);
    assert_eq!(put(&t, &t.owner, "nobody@example.com", json!({"firstName":"x"})).await.status, 404);
    assert_eq!(t.send("GET", ME, &t.member, "").await.json()["role"], "member");
}

#[tokio::test]
async fn a_wrong_password_an_unknown_and_a_disabled_user_cannot_be_told_apart() {
    let t = TestServer::start().await;
    t.user("gone@example.com", Role::Member, AccessScope::default()).await;
    t.change_user("gone@example.com", r#"{"disabled":true}"#).await;
    let mut answers = Vec::new();
    for (email, password) in [
        (OWNER, "wrong-password-example"),
        ("nobody@example.com", PASSWORD),
        ("gone@example.com", PASSWORD),
        ("no address at all", PASSWORD),
    ] {
        let runs = t.vault.password_runs();
        let reply = login(&t, email, password).await;
        answers.push((told(&reply), reply.header("www-authenticate"), t.vault.password_runs() - runs));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!((answers[0].0.0, answers[0].2), (401, 1), "one argon2 run each");
}

/// The work may depend on what was submitted, never on who is there or whether it is right.
#[tokio::test]
async fn the_spelling_of_a_password_neither_locks_out_nor_tells_who_is_there() {
    let t = TestServer::start().await;
    let (composed, decomposed) = ("caf\u{e9} example password", "cafe\u{301} example password");
    for email in ["nfc@example.com", "nfd@example.com", "off@example.com"] {
        let password = if email == "nfd@example.com" { decomposed } else { composed };
        let body = json!({"email":email,"password":password}).to_string();
        assert_eq!(t.send("POST", USERS, &t.owner, &body).await.status, 201);
    }
    t.change_user("off@example.com", r#"{"disabled":true}"#).await;
    for (password, runs) in [
        (composed, 1),
        (decomposed, 2),
        ("wrong e\u{301} example", 2),
        ("\u{fb01}e\u{301} wrong example", 3),
        ("wrong example password", 1),
    ] {
        for email in ["nfc@example.com", "nfd@example.com", "off@example.com", "nobody@example.com"] {
            let before = t.vault.password_runs();
            let status = login(&t, email, password).await.status;
            assert_eq!(t.vault.password_runs() - before, runs, "{email} {password}");
            let opens = email.starts_with("nf") && [composed, decomposed].contains(&password);
            assert_eq!(status == 200, opens, "{email} {password}");
        }
        t.clock.set(t.clock.now().plus(minutes(6)));
    }
    let bearer = login(&t, "nfc@example.com", decomposed).await.json()["access_token"].clone();
    let change = json!({"password":"another example password","currentPassword":decomposed});
    assert_eq!(put(&t, bearer.as_str().unwrap(), "nfc@example.com", change).await.status, 200);
}

#[tokio::test]
async fn no_user_gets_a_password_that_nobody_can_type() {
    let t = TestServer::start().await;
    for password in [
        " example password",
        "example password ",
        "example\tpassword",
        "example\npassword",
        "\u{feff}example password",
        "example password\u{a0}",
        "            ",
    ] {
        let body = json!({"email":"eve@example.com","password":password}).to_string();
        let made = t.send("POST", USERS, &t.owner, &body).await;
        assert_eq!(
            (made.status, told(&made).1.as_str()),
            (400, "invalid_field"),
            "{password:?}: {}",
            made.body
        );
        let changed = put(&t, &t.owner, "member@example.com", json!({ "password": password })).await;
        assert_eq!(changed.status, 400, "{password:?}");
    }
    assert_eq!(login(&t, "member@example.com", PASSWORD).await.status, 200, "nothing was changed");
}

#[tokio::test]
async fn after_five_failures_the_next_is_refused_before_any_work_known_or_not() {
    let t = TestServer::start().await;
    for email in ["member@example.com", "nobody@example.com"] {
        for spelling in ["", " ", "", " ", ""] {
            let spelt = format!("{spelling}{}", email.to_uppercase());
            assert_eq!(login(&t, &spelt, "wrong-password-example").await.status, 401);
        }
        let runs = t.vault.password_runs();
        let refused = login(&t, email, PASSWORD).await;
        assert_eq!((refused.status, refused.header("retry-after").as_deref()), (429, Some("300")));
        assert_eq!(t.vault.password_runs(), runs, "{email}");
    }
    assert_eq!(login(&t, OWNER, PASSWORD).await.status, 200, "another e-mail is not held back");
    t.clock.set(t.clock.now().plus(minutes(5)));
    assert_eq!(login(&t, "member@example.com", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn the_own_password_is_asked_for_and_guessing_it_is_limited() {
    let t = TestServer::start().await;
    let own = |current: Option<&str>| {
        let mut change = json!({"password":"another-password-example"});
        if let Some(current) = current {
            change["currentPassword"] = json!(current);
        }
        put(&t, &t.member, "Member@example.com", change)
    };
    let missing = told(&own(None).await);
    assert_eq!((missing.0, missing.1.as_str()), (400, "missing_field"));
    for _ in 0..5 {
        let wrong = own(Some("wrong-password-example")).await;
        assert_eq!((wrong.status, told(&wrong).1), (403, "wrong_password".to_owned()));
    }
    let event = last_event(&t, "user.update").await;
    assert_eq!((&event["outcome"], &event["actor"]), (&json!("denied"), &json!("user:member@example.com")));
    let runs = t.vault.password_runs();
    assert_eq!(own(Some(PASSWORD)).await.status, 429);
    assert_eq!(login(&t, "member@example.com", PASSWORD).await.status, 429, "one limiter for both places");
    assert_eq!(t.vault.password_runs(), runs);
    t.clock.set(t.clock.now().plus(minutes(5)));
    assert_eq!(own(Some(PASSWORD)).await.status, 200);
    assert_eq!(t.send("GET", ME, &t.member, "").await.status, 401, "no earlier session works");
    assert_eq!(login(&t, "member@example.com", PASSWORD).await.status, 401);
    assert_eq!(login(&t, "member@example.com", "another-password-example").await.status, 200);
}

#[tokio::test]
async fn a_member_changes_its_own_names_and_nothing_that_is_an_owners() {
    let t = TestServer::start().await;
    let own = "member@example.com";
    assert_eq!(put(&t, &t.member, own, json!({"firstName":"Mem","lastName":null})).await.status, 200);
    assert_eq!(t.send("GET", ME, &t.member, "").await.json()["firstName"], "Mem", "and its session goes on");
    for change in [json!({"role":"owner"}), json!({"disabled":false}), json!({"projects":null})] {
        let mut with_password = change.clone();
        with_password["password"] = json!("x");
        for change in [change, with_password] {
            let refused = put(&t, &t.member, own, change.clone()).await;
            assert_eq!(told(&refused).2, "Forbidden - Requires role: owner", "{change}");
        }
    }
    assert_eq!(put(&t, &t.member, OWNER, json!({"firstName":"x"})).await.status, 403);
    assert_eq!(put(&t, &t.member, "nobody@example.com", json!({"firstName":"x"})).await.status, 403);
    assert_eq!(put(&t, &t.app, own, json!({"firstName":"x"})).await.status, 403);
}

#[tokio::test]
async fn a_password_role_or_disabled_change_ends_every_session() {
    let t = TestServer::start().await;
    for (n, change) in
        [r#"{"password":"another-password-example"}"#, r#"{"role":"owner"}"#, r#"{"disabled":true}"#]
            .iter()
            .enumerate()
    {
        let email = format!("user{n}@example.com");
        t.user(&email, Role::Member, AccessScope::default()).await;
        let session = login(&t, &email, PASSWORD).await.json();
        let (access, refresh) = (session["access_token"].as_str().unwrap(), &session["refresh_token"]);
        assert_eq!(t.send("GET", ME, access, "").await.status, 200);
        t.change_user(&email, change).await;
        assert_eq!(t.send("GET", ME, access, "").await.status, 401, "{change}");
        let body = json!({ "refresh_token": refresh }).to_string();
        assert_eq!(t.send("POST", "/sfp/api/auth/refresh", "", &body).await.status, 401, "{change}");
    }
    t.change_user("user2@example.com", r#"{"disabled":false}"#).await;
    assert_eq!(login(&t, "user2@example.com", PASSWORD).await.status, 200);
}

/// A role alone says nothing of projects: who was a narrowed member before a promotion is one after the demotion.
#[tokio::test]
async fn a_demotion_cannot_widen_what_a_user_had_before_the_promotion() {
    let t = TestServer::start().await;
    for project in ["acme/app", "acme/web"] {
        t.project(project).await;
        t.github("ghp_example", &format!(r#""projects":["{project}"]"#)).await;
    }
    let only = AccessScope { projects: Some(vec!["acme/app".parse().unwrap()]), ..AccessScope::default() };
    t.user("bob@example.com", Role::Member, only).await;
    let read = async |project: &str| {
        let session = login(&t, "bob@example.com", PASSWORD).await.json();
        let path = format!("/sfp/api/integrations/credentials?project={project}");
        t.send("GET", &path, session["access_token"].as_str().unwrap(), "").await.status
    };
    let role = async |role: &str| put(&t, &t.owner, "bob@example.com", json!({ "role": role })).await.json();
    for round in 0..2 {
        assert_eq!((read("acme/app").await, read("acme/web").await), (200, 403), "round {round}");
        let promoted = role("owner").await;
        assert_eq!(promoted["user"]["projects"], Value::Null, "an owner has them all");
        assert_eq!(read("acme/web").await, 200);
        assert_eq!(last_event(&t, "user.update").await["detail"].get("projects"), None);
        // Other changes of an owner's row in between change nothing.
        assert_eq!(put(&t, &t.owner, "bob@example.com", json!({ "firstName": "Bob" })).await.status, 200);
        let demoted = role("member").await;
        assert_eq!(demoted["user"]["projects"], json!(["acme/app"]));
        assert_eq!(last_event(&t, "user.update").await["detail"]["projects"], json!(["acme/app"]));
    }
    // To widen takes the word for it, and an owner that was never narrowed gets what a new member gets.
    let widened = put(&t, &t.owner, "bob@example.com", json!({ "projects": null })).await;
    assert_eq!(widened.json()["user"]["projects"], Value::Null);
    assert_eq!(read("acme/web").await, 200);
    t.user("eve@example.com", Role::Owner, AccessScope::default()).await;
    let narrowed = json!({ "role": "member", "projects": ["acme/app"] });
    let demoted = put(&t, &t.owner, "eve@example.com", narrowed).await.json();
    assert_eq!(demoted["user"]["projects"], json!(["acme/app"]));
    let around = sealroom::storage::Surroundings { now: t.clock.now(), memory_bytes: None };
    let checks = t.vault.examine_served(around, &|_| true).unwrap();
    assert!(checks.iter().all(|check| check.status != sealroom::storage::Status::Failed), "{checks:?}");
}

#[tokio::test]
async fn the_last_enabled_owner_stays() {
    let t = TestServer::start().await;
    let path = format!("{USERS}/{OWNER}");
    let refused = async || {
        for change in [json!({"role":"member"}), json!({"disabled":true})] {
            assert_eq!(told(&put(&t, &t.owner, OWNER, change).await).1, "last_owner");
        }
        assert_eq!(told(&t.send("DELETE", &path, &t.owner, "").await).1, "last_owner");
    };
    refused().await;
    t.user("second@example.com", Role::Owner, AccessScope::default()).await;
    t.change_user("second@example.com", r#"{"disabled":true}"#).await;
    refused().await;
    t.change_user("second@example.com", r#"{"disabled":false}"#).await;
    assert_eq!(put(&t, &t.owner, OWNER, json!({"role":"member"})).await.status, 200);
    assert_eq!(t.send("GET", ME, &t.owner, "").await.status, 401);
}

#[tokio::test]
async fn a_later_user_of_an_address_inherits_neither_sessions_nor_integrations() {
    let t = TestServer::start().await;
    let bob = t.user("bob@example.com", Role::Member, AccessScope::default()).await;
    let body = r#"{"provider":"npm","authType":"pat","credentials":{"token":"one"},"isGlobal":true}"#;
    let made = t.send("POST", "/sfp/api/integrations", &bob, body).await.json();
    let path = format!("/sfp/api/integrations/{}/credentials", made["id"].as_str().unwrap());
    let rotate = r#"{"credentials":{"token":"two"}}"#;
    assert_eq!(t.send("PUT", &path, &bob, rotate).await.status, 200);
    t.send("DELETE", &format!("{USERS}/bob@example.com"), &t.owner, "").await;
    t.clock.set(t.clock.now().plus(minutes(1)));
    let other = t.user("bob@example.com", Role::Member, AccessScope::default()).await;
    assert_eq!(t.send("GET", ME, &bob, "").await.status, 401);
    assert_eq!(t.send("PUT", &path, &other, rotate).await.status, 403);
}

#[tokio::test]
async fn auditors_and_operators_do_their_own_and_never_read_a_credential() {
    let t = TestServer::start().await;
    t.github("ghp_example_canary", r#""isGlobal":true"#).await;
    let auditor = t.token(Role::Auditor, AccessScope::default()).await;
    let operator = t.token(Role::Operator, AccessScope::default()).await;
    for (bearer, allowed) in [
        (
            &auditor,
            &["/sfp/api/audit", "/sfp/api/audit/checkpoint", "/sfp/api/audit/key", "/sfp/api/integrations"][..],
        ),
        (&operator, &[]),
    ] {
        for path in [
            "/sfp/api/audit",
            "/sfp/api/audit/checkpoint",
            "/sfp/api/audit/key",
            "/sfp/api/integrations",
            "/sfp/api/integrations/credentials",
            "/sfp/api/projects",
            USERS,
            ME,
            "/sfp/api/application-tokens",
        ] {
            let reply = t.send("GET", path, bearer, "").await;
            assert_eq!(reply.status, if allowed.contains(&path) { 200 } else { 403 }, "{path}");
            assert!(!reply.body.contains("canary"), "{path}");
        }
    }
}
