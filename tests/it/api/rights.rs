//! A right that a narrowing, a setting or a role takes away stays away, whatever was stored or registered before.

use sealroom::domain::{AccessScope, Role, days, seconds};
use serde_json::{Value, json};

use crate::support::server::{Client, OWNER, PASSWORD, TestServer};

const CREDENTIALS: &str = "/sfp/api/integrations/credentials";

fn to(project: &str) -> AccessScope {
    AccessScope { projects: Some(vec![project.parse().unwrap()]), ..AccessScope::default() }
}

async fn store(t: &TestServer, bearer: &str, scope: &str) -> String {
    let body = format!(
        r#"{{"provider":"github","authType":"pat","credentials":{{"token":"ghp_example"}},{scope}}}"#
    );
    let made = t.send("POST", "/sfp/api/integrations", bearer, &body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    made.json()["id"].as_str().unwrap().to_owned()
}

/// Rotates and rolls back; returns both statuses.
async fn renew(t: &TestServer, bearer: &str, id: &str) -> [u16; 2] {
    let path = format!("/sfp/api/integrations/{id}");
    let rotated =
        t.send("PUT", &format!("{path}/credentials"), bearer, r#"{"credentials":{"token":"x"}}"#).await;
    let back = t.send("POST", &format!("{path}/rollback"), bearer, r#"{"revision":1}"#).await;
    [rotated.status, back.status]
}

#[tokio::test]
async fn a_narrowed_member_rotates_nothing_outside_its_narrowing() {
    let t = TestServer::start().await;
    for project in ["acme/x", "acme/y"] {
        t.project(project).await;
    }
    let global = store(&t, &t.member, r#""isGlobal":true"#).await;
    let [x, y, both] = [r#"["acme/x"]"#, r#"["acme/y"]"#, r#"["acme/x","acme/y"]"#];
    let x_then_global = store(&t, &t.member, &format!(r#""projects":{x}"#)).await;
    let own = store(&t, &t.member, &format!(r#""projects":{x}"#)).await;
    let other = store(&t, &t.member, &format!(r#""projects":{y}"#)).await;
    let both = store(&t, &t.member, &format!(r#""projects":{both}"#)).await;
    assert_eq!(renew(&t, &t.member, &other).await, [200, 200], "before");
    t.change_user("member@example.com", r#"{"projects":["acme/x"]}"#).await;
    let path = format!("/sfp/api/integrations/{x_then_global}");
    assert_eq!(t.send("PATCH", &path, &t.owner, r#"{"isGlobal":true}"#).await.status, 200);
    assert_eq!(renew(&t, &t.member, &own).await, [200, 200]);
    for (what, id) in
        [("global", &global), ("other", &other), ("both", &both), ("global since", &x_then_global)]
    {
        assert_eq!(renew(&t, &t.member, id).await, [403, 403], "{what}");
    }
    let path = format!("/sfp/api/integrations/{other}/credentials");
    let refused = t.send("PUT", &path, &t.member, r#"{"credentials":{"token":"x"}}"#).await;
    assert_eq!(refused.json()["code"], "outside_projects");
}

#[tokio::test]
async fn a_project_registered_anew_gives_nothing_to_who_was_narrowed_to_the_one_before() {
    let t = TestServer::start().await;
    for project in ["acme/app", "acme/kept"] {
        t.project(project).await;
    }
    let both = AccessScope {
        projects: Some(["acme/app", "acme/kept"].map(|text| text.parse().unwrap()).to_vec()),
        ..AccessScope::default()
    };
    let token = t.token(Role::Application, to("acme/app")).await;
    let wide = t.token(Role::Application, both.clone()).await;
    let member = t.user("joe@example.com", Role::Member, to("acme/app")).await;
    let wide_member = t.user("eve@example.com", Role::Member, both).await;
    let old = [&token, &wide, &member, &wide_member];
    let read = async |bearer: &str, query: &str| {
        t.send("GET", &format!("{CREDENTIALS}{query}"), bearer, "").await.status
    };
    let id = store(&t, &t.owner, r#""projects":["acme/app"]"#).await;
    for bearer in old {
        assert_eq!(read(bearer, "?project=acme/app").await, 200);
    }
    t.send("DELETE", &format!("/sfp/api/integrations/{id}"), &t.owner, "").await;
    assert_eq!(t.send("DELETE", "/sfp/api/projects/acme%2Fapp", &t.owner, "").await.status, 200);
    t.clock.set(t.clock.now().plus(seconds(1)));
    t.project("acme/app").await;
    store(&t, &t.owner, r#""projects":["acme/app"]"#).await;
    store(&t, &t.owner, r#""isGlobal":true"#).await;
    for (n, bearer) in old.into_iter().enumerate() {
        assert_eq!(read(bearer, "?project=acme/app").await, 403, "{n}: by name");
        // Without a project: only the other one's fallback, and nothing for who had no other.
        let is_wide = n % 2 == 1;
        assert_eq!(read(bearer, "").await, if is_wide { 200 } else { 404 }, "{n}: without a project");
        let projects = t.send("GET", "/sfp/api/projects", bearer, "").await.body;
        assert_eq!(projects.contains("acme/kept"), is_wide, "{n}: {projects}");
        assert!(!projects.contains("acme/app"), "{n}: {projects}");
    }
    let create = r#"{"provider":"npm","authType":"pat","credentials":{"token":"x"},"projects":["acme/app"]}"#;
    assert_eq!(t.send("POST", "/sfp/api/integrations", &member, create).await.status, 403);
    // The log says which members lost it, and a narrowing that is set now means the new project.
    let events = t.send("GET", "/sfp/api/audit?action=user.update", &t.owner, "").await.json();
    let emails: Vec<&Value> =
        events.as_array().unwrap().iter().map(|event| &event["detail"]["email"]).collect();
    assert_eq!(emails.len(), 2, "{events}");
    t.change_user("joe@example.com", r#"{"projects":["acme/app"]}"#).await;
    assert_eq!(read(&member, "?project=acme/app").await, 200);
    let new = t.token(Role::Application, to("acme/app")).await;
    assert_eq!(read(&new, "?project=acme/app").await, 200);
}

/// A clock that was set back made the project that was registered anew look like the one before.
#[tokio::test]
async fn no_clock_gives_an_old_token_the_project_that_was_registered_anew() {
    // The clock at the registration, and after it, in seconds since the tokens were made.
    for (then, after) in [(0, 0), (-200, -200), (-200, 0), (200, 0), (200, 60), (60, 200)] {
        let t = TestServer::start().await;
        let start = t.clock.now();
        let at = |offset: i64| {
            sealroom::domain::Timestamp::from_millis(start.millis().saturating_add_signed(offset * 1000))
        };
        for project in ["acme/app", "acme/kept"] {
            t.project(project).await;
        }
        let projects = |texts: &[&str]| AccessScope {
            projects: Some(texts.iter().map(|text| text.parse().unwrap()).collect()),
            ..AccessScope::default()
        };
        let narrow = t.token(Role::Application, projects(&["acme/app"])).await;
        let wide = t.token(Role::Application, projects(&["acme/app", "acme/kept"])).await;
        let kept = t.token(Role::Application, projects(&["acme/kept"])).await;
        assert_eq!(t.send("DELETE", "/sfp/api/projects/acme%2Fapp", &t.owner, "").await.status, 200);
        let body = r#"{"name":"early","expiresIn":30,"projects":["acme/app"]}"#;
        let early = t.send("POST", "/sfp/api/application-tokens", &t.owner, body).await;
        assert_eq!(early.status, 400, "no token is narrowed to a project that is not there yet");
        t.clock.set(at(then));
        t.project("acme/app").await;
        t.clock.set(at(after));
        store(&t, &t.owner, r#""projects":["acme/app"]"#).await;
        store(&t, &t.owner, r#""isGlobal":true"#).await;
        let read = async |bearer: &str, query: &str| {
            t.send("GET", &format!("{CREDENTIALS}{query}"), bearer, "").await.status
        };
        for (bearer, without) in [(&narrow, 404), (&wide, 200), (&kept, 200)] {
            assert_eq!(read(bearer, "?project=acme/app").await, 403, "{then} {after}");
            assert_eq!(read(bearer, "").await, without, "{then} {after}");
        }
        let new = t.token(Role::Application, to("acme/app")).await;
        assert_eq!(read(&new, "?project=acme/app").await, 200, "{then} {after}");
        let events = t.send("GET", "/sfp/api/audit?action=token.update", &t.owner, "").await.json();
        let mut left: Vec<&Value> =
            events.as_array().unwrap().iter().map(|event| &event["detail"]["projects"]).collect();
        left.sort_by_key(|left| left.as_array().unwrap().len());
        assert_eq!(left, [&json!([]), &json!(["acme/kept"])], "{then} {after}: {events}");
        let tokens = t.send("GET", "/sfp/api/application-tokens", &t.owner, "").await.json();
        let naming =
            tokens.as_array().unwrap().iter().filter(|token| token["projects"] == json!(["acme/app"]));
        assert_eq!(naming.count(), 1, "only the new one: {tokens}");
    }
}

/// Sends from another loopback address, as another desk would.
async fn refresh_from(t: &TestServer, address: [u8; 4], token: &str) -> (u16, Value) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((std::net::Ipv4Addr::from(address), 0).into()).unwrap();
    let stream = socket.connect(t.address.parse().unwrap()).await.unwrap();
    let body = json!({ "refresh_token": token }).to_string();
    let reply = Client::over(stream).send("POST", "/sfp/api/auth/refresh", "", &body).await.unwrap();
    (reply.status, reply.json())
}

const HERE: [u8; 4] = [127, 0, 0, 1];
const THERE: [u8; 4] = [127, 9, 0, 1];

async fn login(t: &TestServer) -> (String, String) {
    let body = json!({ "email": OWNER, "password": PASSWORD }).to_string();
    let login = t.send("POST", "/sfp/api/auth/login", "", &body).await.json();
    let [access, refresh] =
        ["access_token", "refresh_token"].map(|name| login[name].as_str().unwrap().to_owned());
    (access, refresh)
}

#[tokio::test]
async fn a_stolen_refresh_token_cannot_fork_a_session_unseen() {
    let t = TestServer::start().await;
    let me =
        async |access: &Value| t.send("GET", "/sfp/api/users/me", access.as_str().unwrap(), "").await.status;
    // The same desk, at once: the same pair, and only one chain goes on.
    let (_, first) = login(&t).await;
    let (status, pair) = refresh_from(&t, HERE, &first).await;
    let (again, same) = refresh_from(&t, HERE, &first).await;
    assert_eq!((status, again), (200, 200));
    assert_eq!(
        (&pair["access_token"], &pair["refresh_token"]),
        (&same["access_token"], &same["refresh_token"])
    );
    t.clock.set(t.clock.now().plus(seconds(20)));
    assert_eq!(refresh_from(&t, HERE, &first).await.1["expires_in"], 3_580);
    let second = pair["refresh_token"].as_str().unwrap();
    let (_, next) = refresh_from(&t, HERE, second).await;
    assert_eq!(me(&next["access_token"]).await, 200);
    // From another desk, however soon, and at the same desk later: the session ends for both.
    for (from, later) in [(THERE, seconds(0)), (THERE, seconds(31)), (HERE, seconds(31)), (HERE, days(1))] {
        let (access, used) = login(&t).await;
        let (_, pair) = refresh_from(&t, HERE, &used).await;
        t.clock.set(t.clock.now().plus(later));
        assert_eq!(refresh_from(&t, from, &used).await.0, 401, "{from:?} {later:?}");
        let renewed = pair["refresh_token"].as_str().unwrap();
        assert_eq!(refresh_from(&t, HERE, renewed).await.0, 401, "{from:?} {later:?}: the victim's too");
        for access in [&json!(access), &pair["access_token"]] {
            assert_eq!(me(access).await, 401, "{from:?} {later:?}");
        }
    }
    let owner = t.login(OWNER).await;
    let events =
        t.send("GET", "/sfp/api/audit?action=session.refresh&outcome=denied", &owner, "").await.json();
    let reasons: Vec<&Value> =
        events.as_array().unwrap().iter().map(|event| &event["detail"]["reason"]).collect();
    assert_eq!(reasons, vec!["reused"; 4], "{events}");
}

#[tokio::test]
async fn a_session_ends_after_ninety_days_however_often_it_is_refreshed() {
    let t = TestServer::start().await;
    let begin = t.clock.now();
    let (_, mut token) = login(&t).await;
    let mut pair = Value::Null;
    for day in [25, 50, 75, 89] {
        t.clock.set(begin.plus(days(day)));
        let (status, next) = refresh_from(&t, HERE, &token).await;
        assert_eq!(status, 200, "day {day}: {next}");
        token = next["refresh_token"].as_str().unwrap().to_owned();
        pair = next;
    }
    t.clock.set(begin.plus(days(90)));
    let (status, ended) = refresh_from(&t, HERE, &token).await;
    assert_eq!((status, &ended["code"]), (401, &json!("token_expired")), "{ended}");
    // Nor does its last access token outlive it.
    let (_, late) = {
        let (_, token) = login(&t).await;
        let at = t.clock.now();
        let mut token = token;
        for day in [29, 58, 87] {
            t.clock.set(at.plus(days(day)));
            token = refresh_from(&t, HERE, &token).await.1["refresh_token"].as_str().unwrap().to_owned();
        }
        t.clock.set(at.plus(days(90)).minus(seconds(60)));
        refresh_from(&t, HERE, &token).await
    };
    assert_eq!(late["expires_in"], 60, "{late} after {pair}");
}

#[tokio::test]
async fn the_options_of_an_integration_are_shown_to_owners_alone() {
    let t = TestServer::start().await;
    let body = json!({
        "provider": "github", "authType": "pat", "credentials": { "token": "ghp_example" },
        "isGlobal": true, "config": { "api_base_url": "https://ghe.internal.example" },
    });
    let made = t.send("POST", "/sfp/api/integrations", &t.member, &body.to_string()).await.json();
    let auditor = t.token(Role::Auditor, AccessScope::default()).await;
    for (bearer, is_owner) in [(&t.owner, true), (&auditor, false)] {
        let listed = t.send("GET", "/sfp/api/integrations", bearer, "").await;
        assert_eq!(listed.status, 200);
        assert_eq!(listed.body.contains("ghe.internal.example"), is_owner, "{}", listed.body);
        assert_eq!(listed.json()[0]["config"] == json!({}), !is_owner);
    }
    let id = made["id"].as_str().unwrap();
    let path = format!("/sfp/api/integrations/{id}/credentials");
    for (bearer, is_owner) in [(&t.member, false), (&t.owner, true)] {
        let rotated = t.send("PUT", &path, bearer, r#"{"credentials":{"token":"x"}}"#).await;
        assert_eq!(rotated.body.contains("ghe.internal.example"), is_owner, "{}", rotated.body);
    }
}
