//! A backup on its way to a client ends with the rights of that client.

use std::{
    future::pending,
    io::{Read, Write},
    os::unix::net::UnixStream,
    sync::Arc,
};

use sealroom::{
    domain::{AccessScope, Action, Actor, Event, Role},
    http::{Bound, Limits, Server},
    storage::REVOCATION_WAIT,
};

use crate::support::server::{PASSPHRASE, TestServer, secret};

/// Larger than every buffer between the vault and a client.
const CREDENTIALS: usize = 60;
const BYTES: usize = 60_000;

/// A vault whose copy takes many pieces, and a unix socket to it.
async fn served() -> (TestServer, std::path::PathBuf, tempfile::TempDir) {
    let t = TestServer::start().await;
    let large = format!("ghp_example_secret{}", "x".repeat(BYTES));
    for _ in 0..CREDENTIALS {
        t.github(&large, r#""isGlobal":true"#).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("http.sock");
    let server = Server::new(Arc::clone(&t.vault), t.clock.clone(), Limits::STANDARD, false);
    tokio::spawn(server.run(Bound::unix(&path).unwrap().listen(None).unwrap(), pending()));
    (t, path, folder)
}

/// Asks for a backup and reads the first byte of the answer.
async fn begun(socket: &std::path::Path, bearer: &str) -> UnixStream {
    let (socket, bearer) = (socket.to_owned(), bearer.to_owned());
    let asked = tokio::task::spawn_blocking(move || {
        let mut client = UnixStream::connect(socket).unwrap();
        let request = format!(
            "POST /sfp/api/backup HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {bearer}\r\n\r\n"
        );
        client.write_all(request.as_bytes()).unwrap();
        client.read_exact(&mut [0]).unwrap();
        client
    });
    asked.await.unwrap()
}

/// Returns the bytes that the client can still read, which the kernel had before, and checks that nothing follows.
async fn rest(mut client: UnixStream) -> usize {
    client.set_read_timeout(Some(REVOCATION_WAIT)).unwrap();
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        // A reset after the last byte is an end as well.
        drop(client.read_to_end(&mut bytes));
        bytes.len()
    });
    read.await.unwrap()
}

/// Every way to lose the right to a backup that is under way; the client does not read meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_way_cannot_outlive_the_right_to_it() {
    let (t, socket, _folder) = served().await;
    let token = t.token(Role::Operator, AccessScope::default()).await;
    for email in ["second@example.com", "third@example.com"] {
        t.user(email, Role::Owner, AccessScope::default()).await;
    }
    let sessions = [t.login("second@example.com").await, t.login("third@example.com").await];
    let clients = [
        begun(&socket, &token).await,
        begun(&socket, &sessions[0]).await,
        begun(&socket, &sessions[1]).await,
    ];
    let path = format!("/sfp/api/application-tokens/{token}");
    let (revoked, out, demoted) = tokio::join!(
        t.send("DELETE", &path, &t.owner, ""),
        t.send("POST", "/sfp/api/auth/logout", &sessions[0], ""),
        t.change_user("third@example.com", r#"{"role":"member"}"#),
    );
    let () = demoted;
    assert_eq!((revoked.status, out.status), (200, 204));
    for client in clients {
        let left = rest(client).await;
        assert!(left < CREDENTIALS * BYTES / 2, "{left} bytes: the copy went on after the answer");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_ends_a_backup_under_way_and_somebody_elses_revocation_does_not() {
    let (t, socket, _folder) = served().await;
    let [mine, other] = [
        t.token(Role::Operator, AccessScope::default()).await,
        t.token(Role::Operator, AccessScope::default()).await,
    ];
    let mut client = begun(&socket, &mine).await;
    let reading = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        client.read_to_end(&mut bytes).map(|_| bytes.len())
    });
    let path = format!("/sfp/api/application-tokens/{other}");
    assert_eq!(t.send("DELETE", &path, &t.owner, "").await.status, 200);
    let whole = reading.await.unwrap().expect("a whole answer");
    assert!(whole > CREDENTIALS * BYTES, "{whole} bytes");

    let client = begun(&socket, &mine).await;
    let lock = Event::new(t.clock.now(), Actor::host("test"), Action::VaultLock);
    t.vault.lock(lock).await.map_err(drop).unwrap();
    let left = rest(client).await;
    assert!(left < CREDENTIALS * BYTES / 2, "{left} bytes: the copy went on after the lock");
    // Before the lock's own record stands that the client has no whole copy.
    t.vault.unlock(secret(PASSPHRASE), Actor::host("test"), t.clock.now(), None).await.unwrap();
    let log = t.send("GET", "/sfp/api/audit?limit=4", &t.owner, "").await.json();
    let said = |at: usize| ["action", "outcome"].map(|field| log[at][field].as_str().unwrap());
    let newest = [said(1), said(2), said(3)];
    assert_eq!(newest, [["vault.unlock", "allowed"], ["vault.lock", "allowed"], ["backup.create", "failed"]]);
}
