//! Measure for the known: what one caller may take of memory, log and places.

use std::net::Ipv4Addr;

use sealroom::{
    domain::{AccessScope, Role, minutes},
    http::Limits,
    vault::{CallerLimits, Settings, Vault},
};
use serde_json::json;
use tokio::net::TcpSocket;

use crate::support::{
    memory_disk::{image, shared, unlock},
    server::{Client, PASSPHRASE, PASSWORD, TestServer, plan, settings},
};

const CREDENTIALS: &str = "/sfp/api/integrations/credentials";

async fn server(callers: CallerLimits) -> TestServer {
    let (_, medium) = shared(&[]);
    Vault::create(medium.clone(), 1 << 20, &plan()).unwrap();
    let vault = Vault::open(medium, Settings { callers, ..settings() }).unwrap();
    TestServer::over(vault, Limits::STANDARD, "127.0.0.1:0", false).await
}

fn callers() -> CallerLimits {
    settings().callers
}

#[tokio::test]
async fn an_answer_has_a_size_in_bytes_and_the_rest_comes_in_pages() {
    let t = server(CallerLimits { answer_bytes: 200_000, ..callers() }).await;
    let big = "x".repeat(50_000);
    for n in 0..10 {
        t.github(&format!("ghp_example_{n}_{big}"), r#""isGlobal":true"#).await;
    }
    let whole = t.send("GET", CREDENTIALS, &t.app, "").await;
    assert_eq!((whole.status, &whole.json()["code"]), (400, &json!("too_many_matches")));
    let (mut read, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = t.send("GET", &format!("{CREDENTIALS}?limit=1000{cursor}"), &t.app, "").await;
        assert!(page.status == 200 && page.body.len() < 210_000, "{} {}", page.status, page.body.len());
        read.extend(page.json().as_array().unwrap().iter().map(|one| one["integration_id"].clone()));
        match page.header("x-next-cursor") {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    read.dedup();
    assert_eq!(read.len(), 10);
}

#[tokio::test]
async fn disclosures_beyond_a_callers_minute_are_refused_and_become_one_event() {
    let t = server(CallerLimits { disclosures_per_minute: 20, ..callers() }).await;
    for n in 0..10 {
        t.github(&format!("ghp_example_{n}"), r#""isGlobal":true"#).await;
    }
    let other = t.token(Role::Application, AccessScope::default()).await;
    let read = async |bearer: &str| t.send("GET", CREDENTIALS, bearer, "").await;
    assert_eq!([read(&t.app).await.status, read(&t.app).await.status], [200, 200]);
    for _ in 0..5 {
        let refused = read(&t.app).await;
        assert_eq!((refused.status, &refused.json()["code"]), (429, &json!("too_many_disclosures")));
        assert!(refused.header("retry-after").is_some() && !refused.body.contains("ghp_"));
    }
    assert_eq!(read(&other).await.status, 200, "another caller is not touched");
    t.vault.record_counts(t.clock.now()).await.map_err(drop).unwrap();
    let events = t.send("GET", "/sfp/api/audit?action=request.refused", &t.owner, "").await.json();
    assert_eq!(events.as_array().unwrap().len(), 1, "{events}");
    assert_eq!(events[0]["detail"], json!({ "reason": "too_many_disclosures", "count": 5 }));
    let page = t.send("GET", "/metrics", "", "").await.body;
    assert!(page.contains("sealroom_requests_over_budget_total 5"), "{page}");
    t.clock.set(t.clock.now().plus(minutes(1)));
    assert_eq!(read(&t.app).await.status, 200, "the next minute");
    // With little disk left the noisiest is refused first.
    t.clock.set(t.clock.now().plus(minutes(2)));
    t.vault.set_free_bytes(settings().disk_low_bytes + 1);
    assert_eq!([read(&t.app).await.status, read(&t.app).await.status], [200, 429]);
}

const INTEGRATIONS: &str = "/sfp/api/integrations";
const MINE: &str = "/sfp/api/integrations/mine";

/// Sends until the answer is that the caller wrote too much; returns how often it did not get that answer.
async fn until_refused(t: &TestServer, method: &str, path: &str, bearer: &str, body: &str) -> usize {
    for n in 0..150 {
        let reply = t.send(method, path, bearer, body).await;
        if reply.status == 429 {
            assert_eq!(reply.json()["code"], "too_many_writes", "{method} {path}");
            assert_eq!(reply.header("retry-after").as_deref(), Some("60"));
            return n;
        }
        assert!(matches!(reply.status, 200 | 201), "{method} {path}: {}", reply.body);
    }
    panic!("{method} {path} goes on without end");
}

#[tokio::test]
async fn no_caller_can_fill_the_disk_with_what_it_stores_or_asks() {
    let t = server(CallerLimits { writes_per_minute: 100, ..callers() }).await;
    let big = format!(
        r#"{{"provider":"github","authType":"pat","credentials":{{"token":"{}"}},"isGlobal":true}}"#,
        "x".repeat(60_000)
    );
    let config = format!(
        r#"{{"provider":"github","authType":"pat","credentials":{{"token":"x"}},"isGlobal":true,"config":{{"note":"{}"}}}}"#,
        "x".repeat(10_000)
    );
    let member = async |n: usize| {
        let email = format!("m{n}@example.com");
        let bearer = t.user(&email, Role::Member, AccessScope::default()).await;
        let small = r#"{"provider":"npm","authType":"pat","credentials":{"token":"x"},"isGlobal":true}"#;
        let made = t.send("POST", INTEGRATIONS, &bearer, small).await.json();
        (email, bearer, format!("{INTEGRATIONS}/{}", made["id"].as_str().unwrap()))
    };
    let mut last = None;
    for (n, (method, what, body, most)) in [
        ("POST", "", big.as_str(), 3),
        ("POST", "", config.as_str(), 19),
        ("GET", "mine", "", 99),
        ("PATCH", "own", r#"{"name":"again"}"#, 99),
        ("PUT", "credentials", r#"{"credentials":{"token":"y"}}"#, 99),
        ("PUT", "self", r#"{"firstName":"Ada"}"#, 99),
    ]
    .into_iter()
    .enumerate()
    {
        let (email, bearer, own) = member(n).await;
        let path = match what {
            "" => INTEGRATIONS.to_owned(),
            "mine" => MINE.to_owned(),
            "own" => own,
            "self" => format!("/sfp/api/users/{email}"),
            under => format!("{own}/{under}"),
        };
        let n = until_refused(&t, method, &path, &bearer, body).await;
        assert!((1..=most).contains(&n), "{method} {what}: {n} of {most}");
        // It is its own minute alone, and what it reads has another.
        assert_eq!(t.send("GET", MINE, &t.member, "").await.status, 200);
        assert_eq!(t.send("GET", &format!("{CREDENTIALS}?limit=1"), &bearer, "").await.status, 200);
        t.login(&email).await;
        last = Some(bearer);
    }
    let auditor = t.token(Role::Auditor, AccessScope::default()).await;
    assert_eq!(until_refused(&t, "GET", "/sfp/api/audit?limit=1", &auditor, "").await, 100);
    t.clock.set(t.clock.now().plus(minutes(1)));
    assert_eq!(t.send("GET", MINE, &last.unwrap(), "").await.status, 200, "the next minute");
    t.vault.set_free_bytes(settings().disk_low_bytes + 1);
    assert_eq!(until_refused(&t, "GET", MINE, &t.member, "").await, 1, "a nearly full disk");
}

#[tokio::test]
async fn who_wrote_too_much_can_still_take_away_and_is_one_event() {
    let t = server(CallerLimits { writes_per_minute: 100, ..callers() }).await;
    let id = t.github("ghp_example", r#""isGlobal":true"#).await;
    t.user("joe@example.com", Role::Member, AccessScope::default()).await;
    until_refused(&t, "GET", INTEGRATIONS, &t.owner, "").await;
    for (method, path, body) in [
        ("PATCH", format!("{INTEGRATIONS}/{id}"), r#"{"isGlobal":true}"#),
        ("DELETE", format!("{INTEGRATIONS}/{id}"), ""),
        ("PUT", "/sfp/api/users/joe@example.com".to_owned(), r#"{"disabled":true}"#),
        ("DELETE", "/sfp/api/users/joe@example.com".to_owned(), ""),
    ] {
        assert_eq!(t.send(method, &path, &t.owner, body).await.status, 200, "{method} {path}");
    }
    assert_eq!(t.send("GET", INTEGRATIONS, &t.owner, "").await.status, 429);
    t.vault.record_counts(t.clock.now()).await.map_err(drop).unwrap();
    t.clock.set(t.clock.now().plus(minutes(1)));
    let events = t.send("GET", "/sfp/api/audit?action=request.refused", &t.owner, "").await.json();
    assert_eq!(events.as_array().unwrap().len(), 1, "{events}");
    assert_eq!(events[0]["detail"], json!({ "reason": "too_many_writes", "count": 2 }));
}

#[tokio::test]
async fn a_session_cannot_be_refreshed_without_end() {
    let t = server(CallerLimits { writes_per_minute: 50, ..callers() }).await;
    let login = json!({ "email": "member@example.com", "password": PASSWORD }).to_string();
    let mut pair = t.send("POST", "/sfp/api/auth/login", "", &login).await.json();
    let mut refreshed = 0;
    loop {
        let body = json!({ "refresh_token": pair["refresh_token"] }).to_string();
        let reply = t.send("POST", "/sfp/api/auth/refresh", "", &body).await;
        if reply.status == 429 {
            assert_eq!(reply.json()["code"], "too_many_writes");
            break;
        }
        (pair, refreshed) = (reply.json(), refreshed + 1);
        assert!(reply.status == 200 && refreshed < 100, "{refreshed}: {}", reply.body);
    }
    assert_eq!(t.send("POST", "/sfp/api/auth/login", "", &login).await.status, 429);
    // The refused token was not used up, and what the session may do otherwise it still may.
    assert_eq!(t.send("GET", MINE, pair["access_token"].as_str().unwrap(), "").await.status, 200);
    t.clock.set(t.clock.now().plus(minutes(1)));
    let body = json!({ "refresh_token": pair["refresh_token"] }).to_string();
    assert_eq!(t.send("POST", "/sfp/api/auth/refresh", "", &body).await.status, 200);
}

#[tokio::test]
async fn answers_that_nobody_reads_hold_a_bounded_part_of_the_memory() {
    let limits = CallerLimits { answer_bytes: 8 << 20, answers_bytes: 32 << 20, ..callers() };
    let t = server(limits).await;
    let big = "x".repeat(60_000);
    for n in 0..100 {
        t.github(&format!("ghp_example_{n}_{big}"), r#""isGlobal":true"#).await;
    }
    // Each answer is 6 MB, more than a socket takes: whoever reads nothing makes the server keep it.
    let mut held = Vec::new();
    let mut refused = 0;
    for n in 0..6 {
        let mut client = Client::connect(&t.address).await;
        let request = format!(
            "GET {CREDENTIALS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n",
            t.app
        );
        client.write(&request).await;
        let start = client.read_some(12).await;
        refused += usize::from(start.ends_with("503"));
        assert!(n > 0 || start.ends_with("200"), "{start}");
        held.push(client);
    }
    assert!(refused >= 4, "one caller gets a quarter of 32 MB: {refused}");
    let other = t.token(Role::Application, AccessScope::default()).await;
    assert_eq!(t.send("GET", &format!("{CREDENTIALS}?limit=2"), &other, "").await.status, 200);
    drop(held);
    for _ in 0..500 {
        if t.send("GET", &format!("{CREDENTIALS}?limit=100"), &t.app, "").await.status == 200 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the memory of connections that ended is not given back");
}

/// Only credentials counted: with 200 projects of 60 KB, one application token that read no answer took 800 MB.
#[tokio::test]
async fn lists_that_nobody_reads_hold_a_bounded_part_of_the_memory_too() {
    let t = server(CallerLimits { answer_bytes: 8 << 20, answers_bytes: 32 << 20, ..callers() }).await;
    let big = "x".repeat(60_000);
    for n in 0..150 {
        let project = json!({ "identifier": format!("acme/{n}"), "configuration": { "note": big } });
        let made = t.send("POST", "/sfp/api/projects", &t.owner, &project.to_string()).await;
        assert_eq!(made.status, 201, "{}", made.body);
    }
    let mut held = Vec::new();
    for n in 0..4 {
        let mut client = Client::connect(&t.address).await;
        let request = format!(
            "GET /sfp/api/projects HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n",
            t.app
        );
        client.write(&request).await;
        let start = client.read_some(12).await;
        // The first is larger than a caller's part, and has no pages.
        assert!(start.ends_with(if n == 0 { "200" } else { "503" }), "{n}: {start}");
        held.push(client);
    }
    let other = t.token(Role::Application, AccessScope::default()).await;
    assert_eq!(t.send("GET", "/sfp/api/projects", &other, "").await.status, 200, "another caller");
    let made = t.send("POST", "/sfp/api/projects", &t.owner, r#"{"identifier":"acme/more"}"#).await;
    assert_eq!(made.status, 201);
}

#[tokio::test]
async fn one_callers_exports_leave_room_for_the_others() {
    let t = TestServer::start().await;
    let auditor = t.token(Role::Auditor, AccessScope::default()).await;
    let mut held = Vec::new();
    for n in 0..16 {
        let mut client = Client::connect(&t.address).await;
        let request = format!(
            "GET /sfp/api/audit/export?follow=true HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {auditor}\r\n\r\n"
        );
        client.write(&request).await;
        let start = client.read_some(12).await;
        assert_eq!(start.ends_with("200"), n < 4, "{n}: {start}");
        held.push(client);
    }
    assert_eq!(t.send("GET", "/sfp/api/audit/export", &t.owner, "").await.status, 200);
}

async fn try_from(t: &TestServer, address: Ipv4Addr, email: &str, password: &str) -> u16 {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((address, 0).into()).unwrap();
    let stream = socket.connect(t.address.parse().unwrap()).await.unwrap();
    let body = json!({ "email": email, "password": password }).to_string();
    Client::over(stream).send("POST", "/sfp/api/auth/login", "", &body).await.unwrap().status
}

#[tokio::test]
async fn a_stranger_cannot_keep_an_owner_from_its_own_desk() {
    let (disk, medium) = shared(&[]);
    Vault::create(medium.clone(), 1 << 20, &plan()).unwrap();
    let vault = Vault::open(medium, settings()).unwrap();
    let t = TestServer::over(vault, Limits::STANDARD, "127.0.0.1:0", false).await;
    let email = "member@example.com";
    let desk = Ipv4Addr::new(127, 0, 0, 9);
    assert_eq!(try_from(&t, desk, email, PASSWORD).await, 200);
    for n in 0..50 {
        let stranger = Ipv4Addr::new(127, 9, 0, u8::try_from(n / 5).unwrap() + 1);
        assert_eq!(try_from(&t, stranger, email, "wrong-wrong-wrong").await, 401, "{n}");
    }
    assert_eq!(try_from(&t, Ipv4Addr::new(127, 9, 1, 1), email, PASSWORD).await, 429, "from elsewhere");
    assert_eq!(try_from(&t, desk, email, PASSWORD).await, 200);
    // Nor a neighbour behind its address, nor refreshes that fail there.
    for n in 0..60 {
        let other = format!("u{n}@example.com");
        try_from(&t, desk, &other, "wrong-wrong-wrong").await;
    }
    assert_eq!(try_from(&t, desk, "other@example.com", PASSWORD).await, 429);
    assert_eq!(try_from(&t, desk, email, PASSWORD).await, 200);
    // A restart forgets nothing: the log says from where who logged in.
    let fresh = unlock(&image(&disk), PASSPHRASE).await.unwrap();
    let t = TestServer::serving(std::sync::Arc::new(fresh), t.clock.now()).await;
    let mut next = 0;
    while let Some(after) = t.vault.check_log(next).map_err(drop).unwrap() {
        next = after;
    }
    for n in 0..50 {
        let stranger = Ipv4Addr::new(127, 9, 0, u8::try_from(n / 5).unwrap() + 1);
        try_from(&t, stranger, email, "wrong-wrong-wrong").await;
    }
    assert_eq!(try_from(&t, desk, email, PASSWORD).await, 200, "after a restart");
}
