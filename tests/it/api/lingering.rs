//! A client that still sends when it is refused reads the whole answer all the same.
//!
//! A server that closes over unread bytes resets the connection, and the reset takes the answer with it: a body of 70 KB
//! got its 413, one of 30 MB a broken pipe.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use sealroom::http::Limits;
use serde_json::Value;

use crate::support::{
    binary::{Serving, vault},
    server::TestServer,
    tls::{SERVE_LIVE, certificate, configure_live, connected, has},
};

const LIMIT: usize = 64 * 1024;
const MB: usize = 1_000_000;
/// Far above what a loaded machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// The framing of a body.
#[derive(Debug, Clone, Copy)]
enum Framing {
    Length,
    Chunks,
}

/// Sends all of a request before it reads a byte, as simple clients do; then everything that the server sent.
fn exchange(mut socket: impl Read + Write, head: &str, size: usize, framing: Framing) -> String {
    let (framed, piece) = match framing {
        Framing::Length => (format!("Content-Length: {size}"), vec![b' '; LIMIT]),
        Framing::Chunks => {
            let chunk = [format!("{LIMIT:x}\r\n").as_bytes(), &vec![b' '; LIMIT], b"\r\n"].concat();
            ("Transfer-Encoding: chunked".to_owned(), chunk)
        }
    };
    let sent = (|| {
        write!(socket, "{head}{framed}\r\n\r\n")?;
        for _ in 0..size / LIMIT {
            socket.write_all(&piece)?;
        }
        match framing {
            Framing::Length => socket.write_all(&piece[..size % LIMIT])?,
            Framing::Chunks => {
                write!(socket, "{:x}\r\n{}\r\n0\r\n\r\n", size % LIMIT, " ".repeat(size % LIMIT))?
            }
        }
        socket.flush()
    })();
    assert!(sent.is_ok(), "{size} bytes by {framing:?}: {sent:?}");
    let mut answer = Vec::new();
    let read = socket.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer).into_owned();
    assert!(read.is_ok(), "{size} bytes by {framing:?}: {read:?} after {text}");
    text
}

/// The status and code of an answer that is whole.
fn judged(answer: &str) -> (u16, String) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let json: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("no whole answer: {answer}"));
    (status, json["code"].as_str().unwrap().to_owned())
}

fn head(method: &str, path: &str, bearer: &str, content_type: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {bearer}\r\nContent-Type: {content_type}\r\n"
    )
}

fn connect(address: &str) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket
}

#[tokio::test(flavor = "multi_thread")]
async fn no_early_refusal_is_lost_on_a_client_that_still_sends() {
    let t = TestServer::start().await;
    let (tokens, json) = ("/sfp/api/application-tokens", "application/json");
    let rows = [
        (head("POST", tokens, &t.owner, json), 413, "body_too_large"),
        (head("POST", tokens, "", json), 401, "unauthorized"),
        (head("POST", tokens, &t.member, json), 403, "forbidden"),
        (head("POST", "/nowhere", &t.owner, json), 404, "route_not_found"),
        (head("BREW", tokens, &t.owner, json), 405, "method_not_allowed"),
        (head("POST", tokens, &t.owner, "text/plain"), 415, "unsupported_media_type"),
    ];
    let address = t.address.clone();
    let checks = tokio::task::spawn_blocking(move || {
        for (head, status, code) in rows {
            for framing in [Framing::Length, Framing::Chunks] {
                for size in [LIMIT + 1, MB, 30 * MB] {
                    // By its length, a body is too large before its type is looked at.
                    let is_413 = status == 415 && matches!(framing, Framing::Length);
                    let wanted = if is_413 { (413, "body_too_large") } else { (status, code) };
                    let answer = exchange(connect(&address), &head, size, framing);
                    let told = judged(&answer);
                    assert_eq!((told.0, &*told.1), wanted, "{size} bytes by {framing:?}");
                }
            }
        }
    });
    checks.await.unwrap();
    assert_eq!(t.send("GET", "/health", "", "").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_head_that_is_too_long_and_no_stalling_body_loses_its_answer() {
    let limits = Limits { request_timeout: Duration::from_secs(2), ..Limits::STANDARD };
    let t = TestServer::start_with(limits).await;
    let (address, owner) = (t.address.clone(), t.owner.clone());
    let checks = tokio::task::spawn_blocking(move || {
        for lines in [20_000, 4_000_000] {
            let mut socket = connect(&address);
            let long = "X-A: a\r\n".repeat(lines);
            socket.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n").unwrap();
            socket.write_all(long.as_bytes()).unwrap();
            socket.write_all(b"\r\n").unwrap();
            let mut answer = String::new();
            socket.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
        }
        // It stalls until it is refused, then goes on to send.
        let mut socket = connect(&address);
        let head = head("POST", "/sfp/api/application-tokens", &owner, "application/json");
        write!(socket, "{head}Content-Length: 60000\r\n\r\n").unwrap();
        let mut first = [0; 1];
        socket.read_exact(&mut first).unwrap();
        socket.write_all(&vec![b' '; 60_000]).unwrap();
        let mut rest = String::new();
        socket.read_to_string(&mut rest).unwrap();
        assert_eq!(judged(&format!("H{rest}")), (408, "request_timeout".to_owned()));
    });
    checks.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_after_which_the_server_closes_says_so() {
    let t = TestServer::start().await;
    let (address, head) =
        (t.address.clone(), head("POST", "/sfp/api/projects", &t.owner, "application/json"));
    let answer = tokio::task::spawn_blocking(move || exchange(connect(&address), &head, MB, Framing::Length));
    assert!(answer.await.unwrap().to_lowercase().contains("\r\nconnection: close\r\n"));
}

#[test]
fn over_tls_no_early_refusal_is_lost_either() {
    if !has("openssl") {
        return;
    }
    let folder = vault();
    let folder = folder.path();
    certificate(folder, "live");
    configure_live(folder);
    let server = Serving::start(folder, SERVE_LIVE);
    let tls = || connected(folder, "live.crt", connect(server.address()));
    for (path, status, code) in
        [("/sfp/api/auth/login", 413, "body_too_large"), ("/sfp/api/projects", 401, "unauthorized")]
    {
        for framing in [Framing::Length, Framing::Chunks] {
            for size in [LIMIT + 1, MB, 30 * MB] {
                let head = head("POST", path, "", "application/json");
                let told = judged(&exchange(tls(), &head, size, framing));
                assert_eq!((told.0, &*told.1), (status, code), "{size} bytes by {framing:?}");
            }
        }
    }
}
