//! A crowd of hostile clients before the real binary: its memory stays bounded, and honest clients are served.

use std::{fs, time::Duration};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
};

use crate::support::{
    binary::{Serving, vault},
    server::Client,
};

/// Two hundred connections' worth of bodies at their limit, and the server itself, with room to spare.
const MEMORY_KIB_MAX: u64 = 96 * 1024;
/// Hostile connections, from four addresses.
const CROWD: u8 = 120;
const JSON: &str = "Content-Type: application/json\r\n";

async fn connect(address: &str, from: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((std::net::Ipv4Addr::new(127, 0, 1, from), 0).into()).unwrap();
    socket.connect(address.parse().unwrap()).await.unwrap()
}

/// A hostile client's bytes: a head, then one piece of body repeated.
fn hostile(kind: u8, owner: &str) -> (String, Vec<u8>) {
    let post = |bearer: &str, headers: &str| {
        let bearer =
            if bearer.is_empty() { String::new() } else { format!("Authorization: Bearer {bearer}\r\n") };
        format!("POST /sfp/api/integrations HTTP/1.1\r\nHost: localhost\r\n{bearer}{JSON}{headers}\r\n")
    };
    let chunked = "Transfer-Encoding: chunked\r\n";
    let chunk = |piece: &str| format!("{:x}\r\n{piece}\r\n", piece.len()).into_bytes();
    match kind % 6 {
        // Of nobody: endless, and announced as a terabyte.
        0 => (post("", chunked), chunk(&"[".repeat(16_000))),
        1 => (post("", "Content-Length: 1099511627776\r\n"), vec![b'['; 16_000]),
        // Of somebody: deep, wide, long, and a header that never ends.
        2 => (post(owner, chunked), chunk(&"[".repeat(16_000))),
        3 => (post(owner, chunked), chunk(&r#"{"a":1,"#.repeat(2_000))),
        4 => (post(owner, "Content-Length: 65536\r\n"), vec![b' '; 1_000]),
        _ => (format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}", "x".repeat(1_000)), vec![b'x'; 1_000]),
    }
}

async fn attack(address: String, n: u8, owner: String) {
    let (head, piece) = hostile(n, &owner);
    loop {
        let mut socket = connect(&address, 2 + n % 4).await;
        if socket.write_all(head.as_bytes()).await.is_err() {
            continue;
        }
        // Until the server has had enough; then anew.
        while socket.write_all(&piece).await.is_ok() {
            let mut answer = [0; 64];
            if let Ok(Ok(0) | Err(_)) =
                tokio::time::timeout(Duration::from_millis(1), socket.read(&mut answer)).await
            {
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_crowd_neither_fills_the_memory_nor_keeps_honest_clients_out() {
    let folder = vault();
    let folder = folder.path();
    let args = ["serve", "--data", "v.redb", "--passphrase-file", "pass", "--listen", "127.0.0.1:0"];
    let mut server = Serving::start(folder, &args);
    let mut client = Client::connect(server.address()).await;
    let password = fs::read_to_string(folder.join("owner")).unwrap();
    let login = json!({"email":"ada@example.com","password":password}).to_string();
    let login = client.send("POST", "/sfp/api/auth/login", "", &login).await.unwrap();
    let owner = login.json()["access_token"].as_str().unwrap().to_owned();
    let body =
        r#"{"provider":"github","authType":"pat","credentials":{"token":"ghp_example"},"isGlobal":true}"#;
    assert_eq!(client.send("POST", "/sfp/api/integrations", &owner, body).await.unwrap().status, 201);
    let before = client.send("GET", "/sfp/api/audit?limit=1", &owner, "").await.unwrap().json();

    let mut crowd = JoinSet::new();
    for n in 0..CROWD {
        crowd.spawn(attack(server.address().to_owned(), n, owner.clone()));
    }
    for _ in 0..100 {
        let read = client.send("GET", "/sfp/api/integrations/credentials", &owner, "").await.unwrap();
        assert_eq!(read.status, 200);
    }
    crowd.abort_all();
    let status = fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < MEMORY_KIB_MAX, "{peak} KiB");
    let mut client = Client::connect(server.address()).await;
    let after = client.send("GET", "/sfp/api/audit?limit=1", &owner, "").await.unwrap().json();
    let grown = after[0]["sequence"].as_u64().unwrap() - before[0]["sequence"].as_u64().unwrap();
    assert!((101..=103).contains(&grown), "the crowd left {} events", grown - 101);
    assert!(server.stop());
}
