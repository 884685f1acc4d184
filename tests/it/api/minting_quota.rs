//! The share that one caller can take from an App, and from the other callers, by minting that fails or is slow.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex, mpsc},
    task::Poll,
    time::Duration,
};

use sealroom::domain::{AccessScope, Action, Actor, Event, ProjectId, Role, Timestamp, minutes};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::minting::{END, path, ready, store};
use crate::support::{
    github::{GitHub, INSTALLATION, Says, app, grants, keys},
    server::{PASSPHRASE, Reply, START, TestServer, context, secret},
};

/// Asks as often as a loop would, as several callers; every answer has that status and the same text.
async fn insist(t: &TestServer, project: &str, status: u16) -> Reply {
    let first = t.send("GET", &path(project), &t.app, "").await;
    for bearer in [&t.app, &t.member, &t.owner, &t.app] {
        let next = t.send("GET", &path(project), bearer, "").await;
        let told = |reply: &Reply| (reply.json()["code"].clone(), reply.json()["message"].clone());
        assert_eq!((next.status, told(&next)), (status, told(&first)));
        assert_eq!(next.header("retry-after"), first.header("retry-after"));
    }
    first
}

fn pass(t: &TestServer, time: Duration) {
    t.clock.set(t.clock.now().plus(time));
}

/// GitHub's answers: to the look-up, or to the request for a token.
fn refusing(github: &GitHub, looks_up: bool, says: Says) {
    github.says(move |asked| match asked.line.starts_with("GET ") {
        true if !looks_up => Says::Json(200, json!({ "id": INSTALLATION })),
        _ => says.clone(),
    });
}

#[tokio::test]
async fn a_refusal_of_the_provider_is_not_asked_for_again_within_a_minute() {
    let Some((t, github)) = ready().await else { return };
    store(&t, &app(&keys().unwrap().0), &json!({ "api_base_url": github.url() })).await;
    let moved = Says::Raw(301, vec![("location", github.url())], Vec::new());
    let wide = grants("ghs_example", "acme/web", END);
    for (looks_up, says, status, kept) in [
        (true, Says::Json(404, json!({})), 404, 60_000),
        (true, Says::Json(401, json!({})), 502, 60_000),
        (true, Says::Json(403, json!({})), 502, 60_000),
        (true, moved, 502, 60_000),
        (false, Says::Json(404, json!({})), 404, 60_000),
        (false, Says::Json(401, json!({})), 502, 60_000),
        (false, Says::Json(403, json!({})), 502, 60_000),
        (false, Says::Json(422, json!({})), 502, 60_000),
        (false, wide, 502, 60_000),
        // A fault of the provider may be over soon, but a loop is no reason to ask a thousand times.
        (true, Says::Json(500, json!({})), 502, 1_000),
        (true, Says::Hangup, 502, 1_000),
        (false, Says::Json(201, json!({})), 502, 1_000),
    ] {
        let told = format!("{says:?}");
        refusing(&github, looks_up, says);
        let before = github.asked().len();
        insist(&t, "acme/app", status).await;
        let calls = if looks_up { 1 } else { 2 };
        assert_eq!(github.asked().len(), before + calls, "{told}");
        pass(&t, Duration::from_millis(kept - 1));
        insist(&t, "acme/app", status).await;
        assert_eq!(github.asked().len(), before + calls, "{told}");
        pass(&t, Duration::from_millis(1));
        insist(&t, "acme/app", status).await;
        assert_eq!(github.asked().len(), before + 2 * calls, "{told}");
        pass(&t, Duration::from_millis(kept));
    }
    github.recovers(END);
    assert_eq!(t.send("GET", &path("acme/app"), &t.app, "").await.status, 200);
}

#[tokio::test]
async fn a_refusal_ends_with_what_it_was_for_and_no_clock_prolongs_it() {
    let Some((t, github)) = ready().await else { return };
    let config = json!({ "api_base_url": github.url() });
    let id = store(&t, &app(&keys().unwrap().0), &config).await;
    let at = format!("/sfp/api/integrations/{id}");
    pass(&t, minutes(30));
    for mended in ["rotated", "configured", "locked", "set back"] {
        refusing(&github, true, Says::Json(404, json!({})));
        let refused = t.send("GET", &path("acme/app"), &t.app, "").await;
        assert_eq!(refused.status, 404, "{mended}: {}", refused.body);
        github.recovers(END);
        assert_eq!(t.send("GET", &path("acme/app"), &t.app, "").await.status, 404, "{mended}: kept");
        let other = t.send("GET", &path("acme/web"), &t.app, "").await;
        assert_eq!(other.status, 200, "{mended}: another repository is not concerned");
        let change = async |method: &str, at: &str, body: Value| {
            assert_eq!(t.send(method, at, &t.owner, &body.to_string()).await.status, 200, "{mended}");
        };
        match mended {
            "rotated" => {
                let anew = json!({ "credentials": app(&keys().unwrap().1) });
                change("PUT", &format!("{at}/credentials"), anew).await;
            }
            "configured" => {
                let config = json!({ "api_base_url": github.url(), "permissions": { "contents": "read" } });
                change("PATCH", &at, json!({ "config": config })).await;
            }
            "locked" => {
                let (host, now) = (Actor::host("test"), t.clock.now());
                t.vault.lock(Event::new(now, host.clone(), Action::VaultLock)).await.unwrap();
                t.vault.unlock(secret(PASSPHRASE), host, now, None).await.unwrap();
            }
            _ => t.clock.set(t.clock.now().minus(minutes(20))),
        }
        let reply = t.send("GET", &path("acme/app"), &t.app, "").await;
        assert_eq!(reply.status, 200, "{mended}: {}", reply.body);
        change("PATCH", &at, json!({ "name": format!("App, {mended}") })).await;
    }
}

#[tokio::test]
async fn a_rate_limit_that_one_repository_meets_holds_for_the_whole_app() {
    let Some((t, github)) = ready().await else { return };
    t.project("acme/lib").await;
    t.project("acme/own").await;
    let config = json!({ "api_base_url": github.url() });
    store(&t, &app(&keys().unwrap().0), &config).await;
    let own = json!({ "provider": "github", "authType": "app", "credentials": app(&keys().unwrap().0),
        "config": config, "projects": ["acme/own"] });
    assert_eq!(t.send("POST", "/sfp/api/integrations", &t.owner, &own.to_string()).await.status, 201);
    for (status, told, waits) in
        [(429, Some("20"), 20), (429, None, 60), (403, Some("7"), 7), (503, Some("9"), 9)]
    {
        // In memory since before.
        assert_eq!(t.send("GET", &path("acme/web"), &t.app, "").await.status, 200, "{status}");
        let headers: Vec<_> = told.map(|secs| ("retry-after", secs.to_owned())).into_iter().collect();
        refusing(&github, true, Says::Raw(status, headers, b"{}".to_vec()));
        let before = github.asked().len();
        for project in ["acme/app", "acme/lib"] {
            let reply = insist(&t, project, 502).await;
            assert_eq!(reply.header("retry-after"), Some(waits.to_string()), "{status} {project}");
        }
        assert_eq!(github.asked().len(), before + 1, "{status}: one call, for both");
        assert_eq!(t.send("GET", &path("acme/web"), &t.app, "").await.status, 200, "{status}: in memory");
        github.recovers(END);
        let other = t.send("GET", &path("acme/own"), &t.app, "").await;
        assert_eq!(other.status, 200, "{status}: another App is not held back: {}", other.body);
        pass(&t, Duration::from_secs(waits).saturating_sub(Duration::from_millis(1)));
        insist(&t, "acme/lib", 502).await;
        pass(&t, Duration::from_millis(1));
        // A token that is minted now would stay for the next round: only that it is asked for counts.
        let before = github.asked().len();
        refusing(&github, true, Says::Json(500, json!({})));
        insist(&t, "acme/lib", 502).await;
        insist(&t, "acme/app", 502).await;
        assert_eq!(github.asked().len(), before + 2, "{status}: called again, for each");
        github.recovers(END);
        pass(&t, Duration::from_secs(1));
    }
}

/// A client that asked and hung up ended the call, and the next one began another: a loop of both used up what the provider
/// allows the App, and no failure was kept.
#[tokio::test]
async fn a_call_whose_client_left_goes_on_for_the_next_one() {
    let Some((t, github)) = ready().await else { return };
    store(&t, &app(&keys().unwrap().0), &json!({ "api_base_url": github.url() })).await;
    let (go, gone) = mpsc::channel::<()>();
    let gone = Mutex::new(gone);
    github.says(move |asked| {
        // Until the test says so, or has failed.
        let _ = gone.lock().unwrap().recv();
        match asked.line.starts_with("GET ") {
            true => Says::Json(200, json!({ "id": INSTALLATION })),
            false => grants("ghs_example", "acme/app", END),
        }
    });
    let (caller, project) = (t.caller(&t.app), "acme/app".parse::<ProjectId>().unwrap());
    let now = context(Timestamp::from_millis(START));
    for n in 0..5 {
        let mut asking = Box::pin(t.vault.repository_token(&now, &caller, &project));
        if n == 0 {
            tokio::select! {
                _ = &mut asking => panic!("the provider has not answered"),
                () = github.called(1) => {}
            }
        } else {
            let is_over = poll_fn(|cx| Poll::Ready(asking.as_mut().poll(cx).is_ready())).await;
            assert!(!is_over);
        }
    }
    drop(go);
    let reply = t.send("GET", &path("acme/app"), &t.app, "").await;
    assert_eq!((reply.status, &reply.json()["token"]), (200, &json!("ghs_example")), "{}", reply.body);
    assert_eq!((github.asked().len(), github.mints()), (2, 1), "one look-up and one token");
    let minted = t.send("GET", "/sfp/api/audit?action=credentials.mint", &t.owner, "").await.json();
    assert_eq!(minted.as_array().unwrap().len(), 1, "{minted}");
}

/// The origin of the slow calls of a case: callers, Apps beside the common one, and repositories of each caller.
struct Crowd {
    callers: usize,
    apps: usize,
    /// True if the other caller asks for the same App.
    same: bool,
}

#[tokio::test]
async fn slow_repositories_of_one_caller_or_one_app_keep_nobody_else_waiting() {
    const SLOW: usize = 40;
    let Some(github) = GitHub::start(END) else { return };
    github.says(|asked| match asked.line.as_str() {
        line if line.contains("/repos/slow/") => Says::Never,
        line if line.starts_with("GET ") => Says::Json(200, json!({ "id": INSTALLATION })),
        _ => grants("ghs_example", "acme/app", END),
    });
    for Crowd { callers, apps, same } in [
        Crowd { callers: 1, apps: 0, same: true },
        Crowd { callers: 1, apps: 5, same: true },
        Crowd { callers: 5, apps: 0, same: false },
    ] {
        let t = Arc::new(TestServer::calling(github.allowed_for(minutes(10))).await);
        t.project("acme/app").await;
        let slow: Vec<String> = (0..SLOW).map(|number| format!("slow/{number}")).collect();
        for project in &slow {
            t.project(project).await;
        }
        let config = json!({ "api_base_url": github.url() });
        store(&t, &app(&keys().unwrap().0), &config).await;
        let own = async |projects: &[String]| {
            let own = json!({ "provider": "github", "authType": "app", "credentials": app(&keys().unwrap().0),
                "config": config, "projects": projects });
            assert_eq!(t.send("POST", "/sfp/api/integrations", &t.owner, &own.to_string()).await.status, 201);
        };
        for app in 0..apps {
            own(&slow[app * SLOW / apps..(app + 1) * SLOW / apps]).await;
        }
        if !same {
            own(&["acme/app".to_owned()]).await;
        }
        let mut asking = JoinSet::new();
        let mut bearers = Vec::new();
        for _ in 0..callers {
            bearers.push(t.token(Role::Application, AccessScope::default()).await);
        }
        for (number, project) in slow.iter().enumerate() {
            let (t, caller) = (Arc::clone(&t), t.caller(&bearers[number * callers / SLOW]));
            let project: ProjectId = project.parse().unwrap();
            let now = context(Timestamp::from_millis(START));
            asking.spawn(async move { t.vault.repository_token(&now, &caller, &project).await.map(drop) });
        }
        // Each has run until it waits: for its turn, or for the provider.
        tokio::task::yield_now().await;
        let at = path("acme/app");
        let honest = t.send("GET", &at, &t.member, "");
        let reply = tokio::time::timeout(Duration::from_secs(60), honest).await;
        let reply =
            reply.unwrap_or_else(|_| panic!("{callers} callers, {apps} Apps: a slow call is waited for"));
        assert_eq!(reply.status, 200, "{callers} callers, {apps} Apps: {}", reply.body);
        asking.shutdown().await;
    }
}
