//! Minting under whatever the provider, the clock and other callers do meanwhile.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    sync::{Arc, Mutex},
    time::Duration,
};

use sealroom::{
    domain::{AccessScope, Action, Actor, Event, Role, Timestamp, minutes},
    outgoing::Outgoing,
};
use serde_json::{Value, json};

use crate::support::{
    github::{GitHub, INSTALLATION, Says, app, grants, keys},
    server::{PASSPHRASE, START, TestServer, secret},
};

/// An hour after the start.
pub const END: &str = "2026-11-24T11:00:00.000Z";
/// The time limit of calls that are meant to reach it.
const SOON: Duration = Duration::from_millis(300);

pub fn path(project: &str) -> String {
    format!("/sfp/api/repository/auth-token?repositoryIdentifier={project}")
}

/// A server with two projects that may call a GitHub; `None` without openssl.
pub async fn ready() -> Option<(TestServer, GitHub)> {
    let github = GitHub::start(END)?;
    let t = with_projects(github.allowed()).await;
    Some((t, github))
}

async fn with_projects(outgoing: Outgoing) -> TestServer {
    let t = TestServer::calling(outgoing).await;
    t.project("acme/app").await;
    t.project("acme/web").await;
    t
}

pub fn stored(credentials: &Value, config: &Value) -> String {
    let body = json!({ "provider": "github", "authType": "app", "credentials": credentials, "config": config,
        "isGlobal": true });
    body.to_string()
}

/// Lets a millisecond pass: of two integrations the one with the later time is the newer.
pub fn tick(t: &TestServer) {
    t.clock.set(t.clock.now().plus(Duration::from_millis(1)));
}

/// Stores an App for every project, newer than all before; returns its id.
pub async fn store(t: &TestServer, credentials: &Value, config: &Value) -> String {
    tick(t);
    let reply = t.send("POST", "/sfp/api/integrations", &t.owner, &stored(credentials, config)).await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    reply.json()["id"].as_str().unwrap().to_owned()
}

/// The log's events about credentials, newest first.
pub async fn events(t: &TestServer) -> Vec<Value> {
    let log = t.send("GET", "/sfp/api/audit?limit=1000", &t.owner, "").await.json();
    let events = log.as_array().unwrap().iter();
    events.filter(|event| event["action"].as_str().unwrap().starts_with("credentials.")).cloned().collect()
}

async fn count(t: &TestServer, action: &str, outcome: &str) -> usize {
    let is_one = |event: &&Value| event["action"] == action && event["outcome"] == outcome;
    events(t).await.iter().filter(is_one).count()
}

#[tokio::test]
async fn no_answer_of_a_provider_hangs_leaks_or_is_taken_for_a_token() {
    let Some(github) = GitHub::start(END) else { return };
    let t = with_projects(github.allowed_for(Duration::from_secs(2))).await;
    store(&t, &app(&keys().unwrap().0), &json!({ "api_base_url": github.url() })).await;
    let canary = json!({ "message": "canary", "token": "ghs_example_canary" });
    let raw = |status, body: &str| Says::Raw(status, Vec::new(), body.as_bytes().to_vec());
    let at_token = |says: Says| (false, says);
    let at_look_up = |says: Says| (true, says);
    for ((looks_up, says), status, reason, advice) in [
        (at_look_up(Says::Json(401, canary.clone())), 502, "status_401", "App's id and private key"),
        (at_look_up(Says::Json(403, canary.clone())), 502, "status_403", "permissions"),
        (at_look_up(Says::Json(404, canary.clone())), 404, "not_installed", "Repository not found"),
        (at_look_up(Says::Json(500, canary.clone())), 502, "status_500", "it answered 500"),
        (at_look_up(Says::Json(200, json!({ "id": "canary" }))), 502, "unreadable", "could not be read"),
        (at_look_up(Says::Hangup), 502, "broken", "ended the connection"),
        (at_token(Says::Json(401, canary.clone())), 502, "status_401", "clock"),
        (at_token(Says::Json(404, canary.clone())), 404, "not_installed", "Repository not found"),
        (at_token(Says::Json(422, canary.clone())), 502, "status_422", "permissions"),
        (at_token(Says::Json(200, canary.clone())), 502, "status_200", "it answered 200"),
        (at_token(Says::Json(201, canary.clone())), 502, "unreadable", "could not be read"),
        (at_token(raw(201, "<html>canary")), 502, "unreadable", "could not be read"),
        (at_token(raw(201, &"canary".repeat(100_000))), 502, "too_long", "too long"),
        (at_token(raw(204, "")), 502, "status_204", "it answered 204"),
        (
            at_token(grants("ghs_example_canary", "acme/web", END)),
            502,
            "too_wide",
            "not for the one repository",
        ),
        (at_token(grants("ghs example canary", "acme/app", END)), 502, "unreadable", "could not be read"),
        (at_token(grants("ghs_example_canary", "acme/app", "soon")), 502, "unreadable", "could not be read"),
        (at_token(Says::Hangup), 502, "broken", "ended the connection"),
        (at_token(Says::Never), 502, "timed_out", "in time"),
    ] {
        let told = format!("{says:?}");
        github.says(move |asked| match asked.line.starts_with("GET ") {
            true if !looks_up => Says::Json(200, json!({ "id": INSTALLATION })),
            _ => says.clone(),
        });
        let reply = t.send("GET", &path("acme/app"), &t.app, "").await;
        assert_eq!(reply.status, status, "{told}: {}", reply.body);
        let code = if status == 404 { "app_not_installed" } else { "provider_unreachable" };
        assert_eq!(reply.json()["code"], code, "{told}");
        assert!(reply.json()["message"].as_str().unwrap().contains(advice), "{told}: {}", reply.body);
        assert!(!reply.body.contains("canary"), "{}", reply.body);
        let event = events(&t).await.remove(0);
        assert_eq!(
            (&event["action"], &event["outcome"]),
            (&json!("credentials.mint"), &json!("failed")),
            "{told}"
        );
        assert_eq!(
            (&event["detail"], &event["revision"]),
            (&json!({ "reason": reason }), &json!(1)),
            "{told}"
        );
        // No failure is another repository's, and none stays longer than a minute.
        github.recovers(END);
        let id = t.send("GET", &path("acme/web"), &t.app, "").await;
        assert_eq!(id.status, 200, "{told}: {}", id.body);
        t.clock.set(t.clock.now().plus(minutes(1)));
    }
    github.recovers(END);
    assert_eq!(t.send("GET", &path("acme/app"), &t.app, "").await.status, 200);
}

#[tokio::test]
async fn a_provider_that_asks_for_patience_is_not_called_before() {
    let Some((t, github)) = ready().await else { return };
    store(&t, &app(&keys().unwrap().0), &json!({ "api_base_url": github.url() })).await;
    let mut now = t.clock.now();
    for (status, told, waits) in [
        (429, Some("20"), 20),
        (429, None, 60),
        (403, Some("7"), 7),
        (503, Some("86400"), 300),
        (429, Some("soon"), 60),
    ] {
        let before = github.asked().len();
        let headers: Vec<_> = told.map(|secs| ("retry-after", secs.to_owned())).into_iter().collect();
        github.says(move |_| Says::Raw(status, headers.clone(), b"{}".to_vec()));
        for _ in 0..3 {
            let reply = t.send("GET", &path("acme/app"), &t.app, "").await;
            let told = (reply.status, reply.header("retry-after"));
            assert_eq!(told, (502, Some(waits.to_string())), "{status}: {}", reply.body);
        }
        assert_eq!(github.asked().len(), before + 1, "{status}");
        github.recovers(END);
        now = now.plus(Duration::from_secs(waits));
        t.clock.set(now.minus(Duration::from_millis(1)));
        assert_eq!(t.send("GET", &path("acme/app"), &t.app, "").await.status, 502);
        t.clock.set(now);
        assert_eq!(t.send("GET", &path("acme/app"), &t.app, "").await.status, 200);
        // A new version has no token yet.
        let id = events(&t).await[0]["integrationId"].as_str().unwrap().to_owned();
        let renamed = json!({ "name": format!("{status} {waits}") }).to_string();
        t.send("PATCH", &format!("/sfp/api/integrations/{id}"), &t.owner, &renamed).await;
    }
}

#[tokio::test]
async fn a_given_installation_never_mints_for_another_owner() {
    let Some((t, github)) = ready().await else { return };
    t.project("other/app").await;
    let mut credentials = app(&keys().unwrap().0);
    credentials["installation_id"] = json!(INSTALLATION);
    store(&t, &credentials, &json!({ "api_base_url": github.url() })).await;
    assert_eq!(t.send("GET", &path("acme/app"), &t.app, "").await.status, 200);
    assert_eq!(github.asked().len(), 1, "no look-up");
    // The installation of acme has a repository of that name: its token is for acme/app.
    let reply = t.send("GET", &path("other/app"), &t.app, "").await;
    assert_eq!((reply.status, &reply.json()["code"]), (404, &json!("app_not_installed")), "{}", reply.body);
    // An App that was installed anew has another installation, which GitHub names.
    github.says(|asked| match asked.line.as_str() {
        "GET /repos/acme/web/installation" => Says::Json(200, json!({ "id": 43 })),
        "POST /app/installations/43/access_tokens" => grants("ghs_example_anew", "acme/web", END),
        _ => Says::Json(404, json!({})),
    });
    assert_eq!(t.send("GET", &path("acme/web"), &t.app, "").await.json()["token"], "ghs_example_anew");
    // Permissions that the installation has not: the same installation again, and no third call.
    github.says(|asked| match asked.line.starts_with("GET ") {
        true => Says::Json(200, json!({ "id": INSTALLATION })),
        false => Says::Json(422, json!({})),
    });
    t.project("acme/lib").await;
    let before = github.asked().len();
    assert_eq!(t.send("GET", &path("acme/lib"), &t.app, "").await.status, 502);
    assert_eq!(github.asked().len(), before + 2);
}

#[tokio::test]
async fn no_redirect_is_followed_and_no_untrusted_certificate_is_accepted() {
    let (Some(github), Some(other)) = (GitHub::start(END), GitHub::start(END)) else { return };
    let hosts = || [&github, &other].map(|one| one.host().parse().unwrap()).to_vec();
    let both = [github.ca(), other.ca()].concat();
    let t = with_projects(Outgoing::new(hosts(), Some(&both), Duration::from_secs(30)).unwrap()).await;
    store(&t, &app(&keys().unwrap().0), &json!({ "api_base_url": github.url() })).await;
    for status in [301, 302, 307, 308] {
        let location = format!("{}/repos/acme/app/installation", other.url());
        github.says(move |_| Says::Raw(status, vec![("location", location.clone())], Vec::new()));
        let reply = t.send("GET", &path("acme/app"), &t.app, "").await;
        assert_eq!((reply.status, &reply.json()["code"]), (502, &json!("provider_unreachable")), "{status}");
        t.clock.set(t.clock.now().plus(minutes(1)));
    }
    assert_eq!((github.asked().len(), other.asked().len()), (4, 0));
    // The other's certificate is of an authority that is not trusted here; a name that is not in it is no better.
    let t = with_projects(Outgoing::new(hosts(), Some(&github.ca()), Duration::from_secs(30)).unwrap()).await;
    store(&t, &app(&keys().unwrap().0), &json!({ "api_base_url": other.url() })).await;
    let reply = t.send("GET", &path("acme/app"), &t.app, "").await;
    assert!(reply.body.contains("its certificate is not trusted"), "{}", reply.body);
    assert_eq!(events(&t).await[0]["detail"]["reason"], "certificate");
    let port = other.port;
    let host = format!("localhost:{port}").parse().unwrap();
    let named = Outgoing::new(vec![host], Some(&other.ca()), Duration::from_secs(30));
    let t = with_projects(named.unwrap()).await;
    store(&t, &app(&keys().unwrap().0), &json!({ "api_base_url": format!("https://localhost:{port}") }))
        .await;
    assert!(
        t.send("GET", &path("acme/app"), &t.app, "").await.body.contains("its certificate is not trusted")
    );
    assert_eq!(other.asked().len(), 0);
}

#[tokio::test]
async fn no_metadata_address_and_no_silent_host_is_ever_waited_for() {
    let Some((_, one)) = keys() else { return };
    // A listener that never shakes hands, and a port without one.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let mute = format!("127.0.0.1:{}", mute.local_addr().unwrap().port());
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (host, reason) in [
        ("169.254.169.254".to_owned(), "forbidden_address"),
        ("[::ffff:169.254.169.254]".to_owned(), "forbidden_address"),
        ("[fd00:ec2::254]:8443".to_owned(), "forbidden_address"),
        ("0.0.0.0".to_owned(), "forbidden_address"),
        ("2852039166".to_owned(), "forbidden_address"),
        (mute, "timed_out"),
        (format!("127.0.0.1:{closed}"), "unreachable"),
    ] {
        let github = GitHub::start(END).unwrap();
        let limit = if reason == "timed_out" { SOON } else { Duration::from_secs(30) };
        let t = with_projects(Outgoing::new(vec![host.parse().unwrap()], Some(&github.ca()), limit).unwrap())
            .await;
        store(&t, &app(one), &json!({ "api_base_url": format!("https://{host}/api/v3") })).await;
        let reply = t.send("GET", &path("acme/app"), &t.app, "").await;
        assert_eq!(reply.status, 502, "{host}: {}", reply.body);
        assert_eq!(events(&t).await[0]["detail"]["reason"], reason, "{host}");
        assert!(!reply.body.contains(&host), "{}", reply.body);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_at_the_same_time_share_one_call_and_each_has_its_record() {
    const CALLERS: usize = 24;
    let Some(github) = GitHub::start(END) else { return };
    for outcome in [200, 502] {
        let limit = Duration::from_secs(if outcome == 200 { 30 } else { 2 });
        let t = Arc::new(with_projects(github.allowed_for(limit)).await);
        store(&t, &app(&keys().unwrap().0), &json!({ "api_base_url": github.url() })).await;
        let before = github.asked().len();
        if outcome == 502 {
            github.says(|_| Says::Never);
        }
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let t = Arc::clone(&t);
                tokio::spawn(async move { t.send("GET", &path("acme/app"), &t.app, "").await })
            })
            .collect();
        let mut tokens = BTreeMap::new();
        for caller in callers {
            let reply = caller.await.unwrap();
            assert_eq!(reply.status, outcome, "{}", reply.body);
            *tokens.entry(reply.json()["token"].to_string()).or_insert(0) += 1;
        }
        assert_eq!(tokens.into_values().collect::<Vec<_>>(), [CALLERS]);
        if outcome == 200 {
            assert_eq!(github.asked().len(), before + 2);
            assert_eq!(count(&t, "credentials.mint", "allowed").await, 1);
            assert_eq!(count(&t, "credentials.read", "allowed").await, CALLERS - 1);
        } else {
            // Those who come a second after the failure call again; those who waited share it.
            assert!(github.asked().len() < before + CALLERS / 2, "{}", github.asked().len());
            assert_eq!(count(&t, "credentials.mint", "failed").await, CALLERS);
        }
    }
}

/// A provider that answers its next token only when it is told to.
fn held(github: &GitHub) -> std::sync::mpsc::Sender<()> {
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let gone = Mutex::new(gone);
    github.says(move |asked| match asked.line.starts_with("GET ") {
        true => Says::Json(200, json!({ "id": INSTALLATION })),
        false => {
            let _ = gone.lock().unwrap().recv();
            grants("ghs_example_canary", "acme/app", END)
        }
    });
    go
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_taken_away_during_the_call_is_disclosed_after_it() {
    let Some(github) = GitHub::start(END) else { return };
    for (case, status) in
        [("revoke", 401), ("delete", 404), ("rescope", 404), ("rotate", 200), ("hang up", 200)]
    {
        let t = Arc::new(with_projects(github.allowed()).await);
        let id = store(&t, &app(&keys().unwrap().0), &json!({ "api_base_url": github.url() })).await;
        let (go, before) = (held(&github), github.asked().len());
        let bearer = t.token(Role::Application, AccessScope::default()).await;
        let asking = {
            let (t, bearer) = (Arc::clone(&t), bearer.clone());
            tokio::spawn(async move { t.send("GET", &path("acme/app"), &bearer, "").await })
        };
        github.called(before + 2).await;
        let at = format!("/sfp/api/integrations/{id}");
        let rotation = json!({ "credentials": app(&keys().unwrap().1) }).to_string();
        let (method, path_of, body) = match case {
            "revoke" => ("DELETE", format!("/sfp/api/application-tokens/{bearer}"), String::new()),
            "delete" => ("DELETE", at, String::new()),
            "rescope" => ("PATCH", at, json!({ "projects": ["acme/web"] }).to_string()),
            _ => ("PUT", format!("{at}/credentials"), rotation),
        };
        if case == "hang up" {
            asking.abort();
            drop(go);
            let reply = t.send("GET", &path("acme/app"), &t.app, "").await;
            assert_eq!(
                reply.status, 200,
                "the next caller does not wait for one who is gone: {}",
                reply.body
            );
            assert_eq!(count(&t, "credentials.mint", "allowed").await, 1);
            continue;
        }
        // Answered while the call goes on: the change waits for no provider.
        assert_eq!(t.send(method, &path_of, &t.owner, &body).await.status, 200, "{case}");
        drop(go);
        let reply = asking.await.unwrap();
        assert_eq!(reply.status, status, "{case}: {}", reply.body);
        assert_eq!(reply.body.contains("canary"), status == 200, "{case}");
        let minted = count(&t, "credentials.mint", "allowed").await;
        assert_eq!(minted, usize::from(status == 200), "{case}");
        if case == "rotate" {
            assert_eq!(github.asked().len(), before + 4, "minted anew, with the new key");
            assert_eq!(events(&t).await[0]["revision"], 2);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_neither_waits_for_a_provider_nor_leaves_a_token() {
    let Some((t, github)) = ready().await else { return };
    let t = Arc::new(t);
    store(&t, &app(&keys().unwrap().0), &json!({ "api_base_url": github.url() })).await;
    assert_eq!(t.send("GET", &path("acme/app"), &t.app, "").await.json()["token"], "ghs_example_app_1");
    let before = github.asked().len();
    github.says(|_| Says::Never);
    let asking = {
        let t = Arc::clone(&t);
        tokio::spawn(async move { t.send("GET", &path("acme/web"), &t.app, "").await })
    };
    github.called(before + 1).await;
    let host = Actor::host("test");
    let now = Timestamp::from_millis(START);
    let locking = t.vault.lock(Event::new(now, host.clone(), Action::VaultLock));
    let locked = tokio::time::timeout(Duration::from_secs(20), locking).await;
    assert!(locked.expect("the provider would be waited for 30 s").is_ok());
    let reply = asking.await.unwrap();
    assert_eq!((reply.status, &reply.json()["code"]), (503, &json!("locked")), "{}", reply.body);
    t.vault.unlock(secret(PASSPHRASE), host, now, None).await.unwrap();
    github.recovers(END);
    let (before, reply) = (github.mints(), t.send("GET", &path("acme/app"), &t.app, "").await);
    assert_eq!((reply.status, github.mints()), (200, before + 1), "the kept token went with the keys");
    assert_eq!(events(&t).await[0]["action"], "credentials.mint");
}
