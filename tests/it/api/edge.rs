//! The edge: a name that is not ours, a page of another origin, and a hop that nobody vouches for.

use sealroom::http::{Edge, Limits};
use serde_json::json;

use crate::support::server::{Client, OWNER, PASSWORD, Reply, TestServer};

async fn ask(t: &TestServer, target: &str, headers: &str) -> Reply {
    let request = format!("GET {target} HTTP/1.1\r\n{headers}Authorization: Bearer {}\r\n\r\n", t.owner);
    Client::connect(&t.address).await.raw(&request, "GET").await.expect("an answer")
}

/// A page that let its own name resolve to 127.0.0.1 read metrics and logged in as its own origin.
#[tokio::test]
async fn a_loopback_server_answers_to_no_name_but_its_own() {
    let t = TestServer::start().await;
    let port = t.address.rsplit(':').next().unwrap().to_owned();
    for host in
        ["localhost", "LocalHost", "localhost.", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "10.1.2.3"]
    {
        for host in [host.to_owned(), format!("{host}:{port}")] {
            assert_eq!(ask(&t, "/metrics", &format!("Host: {host}\r\n")).await.status, 200, "{host}");
        }
    }
    let login = json!({ "email": OWNER, "password": PASSWORD }).to_string();
    for host in [
        "evil.example",
        "evil.example:3029",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "localhos",
        "0x7f.1",
    ] {
        for target in ["/metrics", "/health", "/sfp/api/ping", "/sfp/api/users/me"] {
            let reply = ask(&t, target, &format!("Host: {host}\r\n")).await;
            assert_eq!(
                (reply.status, &reply.json()["code"]),
                (421, &json!("misdirected")),
                "{host} {target}"
            );
        }
        let request = format!(
            "POST /sfp/api/auth/login HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{login}",
            login.len()
        );
        let reply = Client::connect(&t.address).await.raw(&request, "POST").await.unwrap();
        assert!(reply.status == 421 && !reply.body.contains("sfp_"), "{host}: {}", reply.body);
    }
    for (target, host, status) in [
        ("http://localhost/sfp/api/ping", "localhost", 200),
        ("http://evil.example/sfp/api/ping", "localhost", 400),
        ("http://localhost/sfp/api/ping", "evil.example", 400),
    ] {
        let mut client = Client::connect(&t.address).await;
        client.write(&format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        let start = client.read_some(12).await;
        assert!(start.ends_with(&status.to_string()), "{target} {host}: {start}");
    }
}

#[tokio::test]
async fn elsewhere_a_server_answers_to_its_configured_names_if_it_has_any() {
    let named = Edge { host_names: vec!["Vault.example.com".parse().unwrap()], ..Edge::default() };
    for (listen, edge, names) in [
        (
            "127.0.0.1:0",
            named.clone(),
            [("vault.example.com", 200), ("localhost", 200), ("evil.example", 421)],
        ),
        ("0.0.0.0:0", named, [("VAULT.example.com:8443", 200), ("127.0.0.1", 421), ("evil.example", 421)]),
        (
            "0.0.0.0:0",
            Edge::default(),
            [("vault.example.com", 200), ("127.0.0.1", 200), ("evil.example", 200)],
        ),
    ] {
        let t = TestServer::start_at(Limits::STANDARD, listen, edge).await;
        for (host, status) in names {
            let reply = ask(&t, "/sfp/api/ping", &format!("Host: {host}\r\n")).await;
            assert_eq!(reply.status, status, "{listen} {host}");
        }
    }
}

#[tokio::test]
async fn a_page_of_another_origin_changes_nothing() {
    let t = TestServer::start().await;
    let project = r#"{"identifier":"acme/app"}"#;
    let own = format!("http://{}", t.address);
    for (origin, status) in [
        ("https://evil.example", 403),
        ("null", 403),
        ("http://127.0.0.1", 403),
        ("http://localhost:1", 403),
        (own.as_str(), 201),
    ] {
        let request = format!(
            "POST /sfp/api/projects HTTP/1.1\r\nHost: {}\r\nOrigin: {origin}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{project}",
            t.address,
            t.owner,
            project.len()
        );
        let reply = Client::connect(&t.address).await.raw(&request, "POST").await.unwrap();
        assert_eq!(reply.status, status, "{origin}: {}", reply.body);
        if status == 403 {
            assert_eq!(reply.json()["code"], "foreign_origin");
        }
        // A request that changes nothing is a matter of the browser: it shows no answer without a CORS header.
        let headers = format!("Host: {}\r\nOrigin: {origin}\r\n", t.address);
        let read = ask(&t, "/sfp/api/users/me", &headers).await;
        assert!(read.status == 200 && read.header("access-control-allow-origin").is_none());
    }
}

#[tokio::test]
async fn only_a_trusted_proxy_speaks_for_others_and_it_has_to() {
    let edge = |text: &str| Edge { trusted_proxies: vec![text.parse().unwrap()], ..Edge::default() };
    let peer = async |t: &TestServer, forwarded: &str| {
        let reply = ask(t, "/sfp/api/audit?limit=1", &format!("Host: localhost\r\n{forwarded}")).await;
        if reply.status == 200 {
            reply.json()[0]["peer"].as_str().unwrap().to_owned()
        } else {
            reply.json()["code"].as_str().unwrap().to_owned()
        }
    };
    let t = TestServer::start_at(Limits::STANDARD, "127.0.0.1:0", edge("127.0.0.0/8")).await;
    for (forwarded, expected) in [
        ("X-Forwarded-For: 192.0.2.9, 198.51.100.7\r\n", "198.51.100.7"),
        ("X-Forwarded-For: 7.7.7.7:5555\r\n", "7.7.7.7"),
        ("X-Forwarded-For: [2001:db8::1]:443\r\n", "2001:db8::1"),
        ("X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-For: 192.0.2.9, 2001:db8::1\r\n", "2001:db8::1"),
        ("X-Forwarded-For: unknown\r\n", "invalid_forwarded_for"),
        ("X-Forwarded-For: \r\n", "invalid_forwarded_for"),
        ("X-Forwarded-For: 192.0.2.9,\r\n", "invalid_forwarded_for"),
        ("X-Real-IP: 192.0.2.9\r\n", "invalid_forwarded_for"),
        ("", "invalid_forwarded_for"),
    ] {
        assert_eq!(peer(&t, forwarded).await, expected, "{forwarded}");
    }
    assert_eq!(ask(&t, "/health", "Host: localhost\r\n").await.status, 200, "the proxy's own probe");
    // Somebody who reaches the listener past the proxy is who it is.
    let t = TestServer::start_at(Limits::STANDARD, "127.0.0.1:0", edge("192.0.2.0/24")).await;
    for forwarded in ["X-Forwarded-For: 6.6.6.6\r\n", "X-Forwarded-For: unknown\r\n", ""] {
        assert_eq!(peer(&t, forwarded).await, "127.0.0.1", "{forwarded}");
    }
}
