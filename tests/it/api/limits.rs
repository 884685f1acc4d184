//! Limits: the most that one client may take from the others, and that a low disk takes from all.

use std::{net::Ipv4Addr, time::Duration};

use sealroom::{domain::minutes, http::Limits};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::support::server::{Client, OWNER, PASSWORD, TestServer};

const PING: &[u8] = b"GET /sfp/api/ping HTTP/1.1\r\nHost: localhost\r\n\r\n";
const CREDENTIALS: &str = "/sfp/api/integrations/credentials";
const BOUND: Duration = Duration::from_secs(5);

/// Connects from that loopback address; whether anything is answered there.
async fn is_served(t: &TestServer, from: Ipv4Addr, held: &mut Vec<TcpStream>) -> bool {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let Ok(mut socket) = socket.connect(t.address.parse().unwrap()).await else { return false };
    let mut answer = [0; 12];
    let written = socket.write_all(PING).await.is_ok();
    let read = timeout(BOUND, socket.read_exact(&mut answer)).await.unwrap();
    held.push(socket);
    written && read.is_ok() && answer == *b"HTTP/1.1 200"
}

#[tokio::test]
async fn one_address_gets_half_of_the_connections_and_leaves_room_for_others() {
    let t = TestServer::start_with(Limits { connections_max: 8, ..Limits::STANDARD }).await;
    let (greedy, other) = (Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 0, 3));
    let mut held = Vec::new();
    for n in 0..6 {
        assert_eq!(is_served(&t, greedy, &mut held).await, n < 4, "connection {n}");
    }
    for n in 0..4 {
        assert!(is_served(&t, other, &mut held).await, "connection {n} of another");
    }
    assert!(is_served(&t, Ipv4Addr::new(127, 0, 0, 4), &mut held).await, "an idle one makes room");
    held.clear();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let mut again = false;
    for _ in 0..50 {
        again = again || is_served(&t, greedy, &mut held).await;
    }
    assert!(again, "what was let go can be had again");
}

/// Two addresses took every place with bodies that never ended, and took them again whenever one timed out.
#[tokio::test]
async fn a_body_that_does_not_come_keeps_nobody_out() {
    let t = TestServer::start_with(Limits { connections_max: 8, ..Limits::STANDARD }).await;
    let (bearer, length) = (format!("Authorization: Bearer {}\r\n", t.owner), "Content-Length: 100\r\n");
    let mut held = Vec::new();
    for n in 0..8 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::new(127, 0, 0, 2 + n % 2), 0).into()).unwrap();
        let mut socket = socket.connect(t.address.parse().unwrap()).await.unwrap();
        // Strangers, and callers that were let in.
        let (path, bearer) = if n < 4 { ("auth/login", "") } else { ("integrations", &*bearer) };
        let head = format!(
            "POST /sfp/api/{path} HTTP/1.1\r\nHost: localhost\r\n{bearer}{length}\
             Content-Type: application/json\r\nExpect: 100-continue\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        // The server asks for the body, which does not come.
        let mut answer = [0; 12];
        timeout(BOUND, socket.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(answer, *b"HTTP/1.1 100", "connection {n}");
        held.push(socket);
    }
    for n in 4..8 {
        assert!(is_served(&t, Ipv4Addr::new(127, 0, 0, n), &mut held).await, "honest address {n}");
    }
}

#[tokio::test]
async fn behind_a_proxy_every_connection_is_the_proxys_and_the_peer_is_the_last_hop() {
    let limits = Limits { connections_max: 8, ..Limits::STANDARD };
    let t = TestServer::start_at(limits, "127.0.0.1:0", true).await;
    let mut held = Vec::new();
    for n in 0..7 {
        assert!(is_served(&t, Ipv4Addr::new(127, 0, 0, 2), &mut held).await, "connection {n}");
    }
    held.clear();
    for (forwarded, peer) in [
        ("X-Forwarded-For: 192.0.2.9, 198.51.100.7\r\n", "198.51.100.7"),
        ("X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-For: 192.0.2.9, 2001:db8::1\r\n", "2001:db8::1"),
    ] {
        let log = t.send_with("GET", "/sfp/api/audit?limit=1", &t.owner, forwarded, "").await;
        assert_eq!(log.json()[0]["peer"], peer, "{forwarded}");
    }
    let t = TestServer::start().await;
    let forwarded = "X-Forwarded-For: 198.51.100.7\r\n";
    let log = t.send_with("GET", "/sfp/api/audit?limit=1", &t.owner, forwarded, "").await;
    assert_eq!(log.json()[0]["peer"], "127.0.0.1", "without a proxy the header means nothing");
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answers_loses_the_connection() {
    let stall_timeout = Duration::from_millis(200);
    let t = TestServer::start_with(Limits { stall_timeout, ..Limits::STANDARD }).await;
    let mut socket = TcpStream::connect(&t.address).await.unwrap();
    // Written until nothing goes any more: the server answers into a socket that nobody reads.
    let flood = PING.repeat(1000);
    let written = timeout(BOUND, async { while socket.write_all(&flood).await.is_ok() {} }).await;
    assert!(written.is_ok(), "the server closed");
}

#[tokio::test]
async fn on_a_low_disk_nothing_is_added_or_disclosed_and_what_takes_away_goes_on() {
    let t = TestServer::start().await;
    let id = t.github("ghp_example_canary", r#""isGlobal":true"#).await;
    t.user("bob@example.com", sealroom::domain::Role::Member, Default::default()).await;
    let token = t.send("GET", "/sfp/api/application-tokens", &t.owner, "").await.json()[0]["id"].clone();
    t.vault.set_free_bytes(1 << 20);
    let health = t.send("GET", "/health", "", "").await;
    assert_eq!((health.status, &health.json()["status"]), (503, &json!("unhealthy")));
    let login = json!({ "email": OWNER, "password": PASSWORD }).to_string();
    let integration = r#"{"provider":"npm","authType":"pat","credentials":{"token":"x"},"isGlobal":true}"#;
    let rotate = format!("/sfp/api/integrations/{id}/credentials");
    for (method, path, bearer, body) in [
        ("GET", CREDENTIALS, &t.app, ""),
        ("POST", "/sfp/api/integrations", &t.owner, integration),
        ("PUT", rotate.as_str(), &t.owner, r#"{"credentials":{"token":"x"}}"#),
        (
            "POST",
            "/sfp/api/projects",
            &t.owner,
            r#"{"identifier":"a/b","remoteUrl":"https://github.com/a/b"}"#,
        ),
        ("POST", "/sfp/api/application-tokens", &t.owner, r#"{"name":"ci"}"#),
        ("POST", "/sfp/api/users", &t.owner, r#"{"email":"new@example.com"}"#),
        ("POST", "/sfp/api/auth/login", &String::new(), login.as_str()),
        ("GET", "/sfp/api/audit", &t.owner, ""),
    ] {
        let reply = t.send(method, path, bearer, body).await;
        assert_eq!((reply.status, &reply.json()["code"]), (503, &json!("disk_low")), "{method} {path}");
        assert!(reply.header("retry-after").is_some() && !reply.body.contains("canary"));
    }
    assert_eq!(t.send("GET", "/sfp/api/projects", &t.owner, "").await.status, 200, "not audited");
    assert_eq!(t.send("GET", "/sfp/api/audit", &t.app, "").await.status, 403, "a refusal stays one");
    for (method, path, bearer, body) in [
        ("PUT", "/sfp/api/users/bob@example.com".to_owned(), &t.owner, r#"{"disabled":true}"#),
        ("DELETE", "/sfp/api/users/bob@example.com".to_owned(), &t.owner, ""),
        ("DELETE", format!("/sfp/api/application-tokens/{}", token.as_str().unwrap()), &t.owner, ""),
        ("DELETE", format!("/sfp/api/integrations/{id}"), &t.owner, ""),
        ("POST", "/sfp/api/auth/logout".to_owned(), &t.member, ""),
    ] {
        let reply = t.send(method, &path, bearer, body).await;
        assert!(matches!(reply.status, 200 | 204), "{method} {path}: {}", reply.body);
    }
    t.vault.set_free_bytes(1 << 40);
    assert_eq!(t.send("GET", "/health", "", "").await.status, 200);
    assert_eq!(t.send("GET", "/sfp/api/integrations", &t.owner, "").await.body, "[]");
}

async fn events(t: &TestServer, action: &str) -> Vec<serde_json::Value> {
    let path = format!("/sfp/api/audit?action={action}&limit=1000");
    t.send("GET", &path, &t.owner, "").await.json().as_array().unwrap().clone()
}

#[tokio::test]
async fn a_callers_refusals_beyond_sixty_a_minute_are_one_event() {
    let t = TestServer::start().await;
    let mut client = Client::connect(&t.address).await;
    for _ in 0..50 {
        assert_eq!(client.send("GET", "/sfp/api/audit", &t.app, "").await.unwrap().status, 403);
        let path = format!("{CREDENTIALS}?provider=npm");
        assert_eq!(client.send("GET", &path, &t.app, "").await.unwrap().status, 404);
    }
    let all = (events(&t, "audit.read").await, events(&t, "credentials.read").await);
    let denied = all.0.iter().filter(|event| event["outcome"] == "denied").count();
    let failed = all.1.iter().filter(|event| event["outcome"] == "failed").count();
    assert_eq!((denied, failed), (30, 30));
    t.vault.record_counts(t.clock.now()).await.map_err(drop).unwrap();
    let refused = events(&t, "request.refused").await;
    assert_eq!((refused.len(), &refused[0]["detail"]), (1, &json!({"count":40})));
    assert_eq!(refused[0]["actor"], all.1[0]["actor"]);
    t.clock.set(t.clock.now().plus(minutes(1)));
    assert_eq!(client.send("GET", "/sfp/api/audit", &t.app, "").await.unwrap().status, 403);
    t.vault.record_counts(t.clock.now()).await.map_err(drop).unwrap();
    assert_eq!(events(&t, "request.refused").await.len(), 1, "the next minute is within bounds");
}

#[tokio::test]
async fn a_flood_of_strangers_is_one_event_and_a_quiet_minute_none() {
    let t = TestServer::start().await;
    let before = events(&t, "audit.read").await.len();
    let mut client = Client::connect(&t.address).await;
    let (rest, _) = t.app.split_at(t.app.len() - 1);
    for bearer in [String::new(), "nonsense".to_owned(), format!("{rest}0")] {
        for _ in 0..20 {
            assert_eq!(client.send("GET", CREDENTIALS, &bearer, "").await.unwrap().status, 401);
        }
    }
    let body = json!({ "email": "nobody@example.com", "password": "wrong-password-example" }).to_string();
    for n in 0..7 {
        let reply = client.send("POST", "/sfp/api/auth/login", "", &body).await.unwrap();
        assert_eq!(reply.status, if n < 5 { 401 } else { 429 });
    }
    let refresh = r#"{"refresh_token":"sfp_ref_nonsense"}"#;
    assert_eq!(client.send("POST", "/sfp/api/auth/refresh", "", refresh).await.unwrap().status, 401);
    for _ in 0..2 {
        t.vault.record_counts(t.clock.now()).await.map_err(drop).unwrap();
    }
    let sums = events(&t, "auth.rejected").await;
    assert_eq!((sums.len(), &sums[0]["detail"]), (1, &json!({"tokens":60,"logins":8,"peers":1})));
    assert_eq!((&sums[0]["actor"], &sums[0]["requestId"]), (&json!("host:test"), &json!(null)));
    let log = t.send("GET", "/sfp/api/audit?limit=1000", &t.owner, "").await.json();
    let newest = log[0]["sequence"].as_u64().unwrap();
    let oldest = events(&t, "audit.read").await;
    let first = oldest[oldest.len() - before]["sequence"].as_u64().unwrap();
    assert_eq!(newest - first, 3, "the flood left one record: the rest are our own reads of the log");
}
