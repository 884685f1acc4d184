//! Once a revocation has been answered, no byte of what it took away arrives any more.

use std::{
    future::pending,
    io::{ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use sealroom::{
    domain::{AccessScope, Role},
    http::{Bound, Limits, Server},
    storage::REVOCATION_WAIT,
};

use crate::support::server::{Client, TestServer};

const READERS: usize = 8;
const READ: &str = "/sfp/api/integrations/credentials?provider=github&project=acme/app";

/// Readers at full speed while `take_away` runs; nothing secret may arrive after it has been answered.
async fn race(t: &TestServer, bearer: &str, take_away: impl AsyncFnOnce()) {
    let (over, disclosed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let readers: Vec<_> = (0..READERS)
        .map(|_| {
            let (over, disclosed) = (Arc::clone(&over), Arc::clone(&disclosed));
            let (address, bearer) = (t.address.clone(), bearer.to_owned());
            tokio::spawn(async move {
                let mut client = Client::connect(&address).await;
                loop {
                    let started_after = over.load(Ordering::SeqCst);
                    let Some(reply) = client.send("GET", READ, &bearer, "").await else { return };
                    if reply.body.contains("ghp_example_secret") {
                        assert!(!started_after, "a read that began after the acknowledgement was answered");
                        disclosed.fetch_add(1, Ordering::SeqCst);
                    }
                    if started_after {
                        return;
                    }
                }
            })
        })
        .collect();
    while disclosed.load(Ordering::SeqCst) < 200 {
        assert!(readers.iter().all(|reader| !reader.is_finished()), "a reader gave up");
        tokio::task::yield_now().await;
    }
    take_away().await;
    over.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await.unwrap();
    }
}

async fn stocked() -> (TestServer, String) {
    let t = TestServer::start().await;
    t.project("acme/app").await;
    let id = t.github("ghp_example_secret", r#""projects":["acme/app"]"#).await;
    (t, id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_token_cannot_finish_a_read() {
    let (t, _) = stocked().await;
    let token = t.token(Role::Application, AccessScope::default()).await;
    race(&t, &token, async || {
        assert_eq!(
            t.send("DELETE", &format!("/sfp/api/application-tokens/{token}"), &t.owner, "").await.status,
            200
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_whose_role_changed_cannot_finish_a_read() {
    let (t, _) = stocked().await;
    let second = t.user("second@example.com", Role::Owner, AccessScope::default()).await;
    race(&t, &second, async || {
        t.change_user("second@example.com", r#"{"role":"member"}"#).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_narrowed_scope_takes_effect_at_once() {
    let (t, id) = stocked().await;
    t.project("acme/web").await;
    race(&t, &t.app, async || {
        let path = format!("/sfp/api/integrations/{id}");
        assert_eq!(t.send("PATCH", &path, &t.owner, r#"{"projects":["acme/web"]}"#).await.status, 200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_integration_is_gone_at_once() {
    let (t, id) = stocked().await;
    race(&t, &t.app, async || {
        assert_eq!(t.send("DELETE", &format!("/sfp/api/integrations/{id}"), &t.owner, "").await.status, 200);
    })
    .await;
}

/// The number of races of each revocation, and of reads in flight in each.
const ROUNDS: usize = 25;
const UNDER_WAY: usize = 32;

/// The same vault behind a unix socket. What is written to one is with its reader at once, so that "by now" has a
/// meaning; between two TCP sockets the kernel may still hold what was written before.
fn unix_listener(t: &TestServer) -> (PathBuf, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("http.sock");
    let server = Server::new(Arc::clone(&t.vault), t.clock.clone(), Limits::STANDARD, false);
    tokio::spawn(server.run(Bound::unix(&path).unwrap().listen(None).unwrap(), pending()));
    (path, folder)
}

fn ask(socket: &mut UnixStream, bearer: &str) {
    let request = format!(
        "GET {READ} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {bearer}\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).unwrap();
}

/// Returns the bytes that can be read without waiting, and whether the stream has ended.
fn arrived(socket: &mut UnixStream) -> (Vec<u8>, bool) {
    socket.set_nonblocking(true).unwrap();
    let mut bytes = Vec::new();
    let ended = match socket.read_to_end(&mut bytes) {
        Ok(_) => true,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    };
    socket.set_nonblocking(false).unwrap();
    (bytes, ended)
}

fn holds_secret(bytes: &[u8]) -> bool {
    String::from_utf8_lossy(bytes).contains("ghp_example_secret")
}

/// Reads under way on both sides of `take_away`: what arrived by its answer may disclose, what arrives later may not.
/// Gives how many were answered with the secret, and how many without. Every other round begins once a first
/// disclosure arrives; the rest begin while all of them are on their way.
async fn race_under_way(
    socket: &Path,
    round: usize,
    bearer: &str,
    take_away: impl AsyncFnOnce(),
) -> (usize, usize) {
    let mut readers: Vec<_> = (0..UNDER_WAY).map(|_| UnixStream::connect(socket).unwrap()).collect();
    let (earlier, later) = readers.split_at_mut(UNDER_WAY / 2);
    earlier.iter_mut().for_each(|reader| ask(reader, bearer));
    let mut first = vec![0; round % 2];
    earlier[0].read_exact(&mut first).unwrap();
    // The first poll of `take_away` sends its request; then come the later reads.
    tokio::join!(take_away(), async { later.iter_mut().for_each(|reader| ask(reader, bearer)) });
    let mut by_now: Vec<_> = readers.iter_mut().map(|reader| arrived(reader).0).collect();
    by_now[0].splice(0..0, first);
    let mut disclosed = 0;
    for (reader, before) in readers.iter_mut().zip(&by_now) {
        let mut after = Vec::new();
        reader.read_to_end(&mut after).unwrap();
        if before.starts_with(b"HTTP/1.1 200") {
            assert!(
                holds_secret(before) && after.is_empty(),
                "the rest of a disclosure came after the answer"
            );
            disclosed += 1;
        } else {
            let whole = String::from_utf8([&before[..], &after].concat()).unwrap();
            assert!(whole.starts_with("HTTP/1.1 4"), "a disclosure came after the answer: {whole}");
            assert!(!holds_secret(whole.as_bytes()), "{whole}");
        }
    }
    (disclosed, UNDER_WAY - disclosed)
}

/// A race in which one side always wins shows nothing.
#[derive(Default)]
struct Tally(usize, usize);

impl Tally {
    fn add(&mut self, (disclosed, refused): (usize, usize)) {
        self.0 += disclosed;
        self.1 += refused;
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.0 > 0 && self.1 > 0, "{} disclosed, {} refused: no race", self.0, self.1);
        }
    }
}

async fn sent(control: &mut Client, method: &str, path: &str, bearer: &str, body: &str, status: u16) {
    assert_eq!(control.send(method, path, bearer, body).await.expect("an answer").status, status);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_under_way_brings_nothing_once_its_token_is_revoked() {
    let (t, _) = stocked().await;
    let ((socket, _folder), mut tally) = (unix_listener(&t), Tally::default());
    let mut control = Client::connect(&t.address).await;
    for round in 0..ROUNDS {
        let token = t.token(Role::Application, AccessScope::default()).await;
        let path = format!("/sfp/api/application-tokens/{token}");
        let revoke = async || sent(&mut control, "DELETE", &path, &t.owner, "", 200).await;
        tally.add(race_under_way(&socket, round, &token, revoke).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_under_way_brings_nothing_once_its_token_is_rolled_without_an_overlap() {
    let (t, _) = stocked().await;
    let ((socket, _folder), mut tally) = (unix_listener(&t), Tally::default());
    let mut control = Client::connect(&t.address).await;
    for round in 0..ROUNDS {
        let token = t.token(Role::Application, AccessScope::default()).await;
        let path = format!("/sfp/api/application-tokens/{token}/roll");
        let body = r#"{"overlapSeconds":0}"#;
        let roll = async || sent(&mut control, "POST", &path, &t.owner, body, 201).await;
        tally.add(race_under_way(&socket, round, &token, roll).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_under_way_brings_nothing_once_its_session_has_ended() {
    let (t, _) = stocked().await;
    let ((socket, _folder), mut tally) = (unix_listener(&t), Tally::default());
    let mut control = Client::connect(&t.address).await;
    for round in 0..ROUNDS {
        let session = t.login("member@example.com").await;
        let logout = async || sent(&mut control, "POST", "/sfp/api/auth/logout", &session, "", 204).await;
        tally.add(race_under_way(&socket, round, &session, logout).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_under_way_brings_nothing_once_its_user_has_another_role() {
    let (t, _) = stocked().await;
    let ((socket, _folder), mut tally) = (unix_listener(&t), Tally::default());
    t.user("second@example.com", Role::Owner, AccessScope::default()).await;
    for round in 0..ROUNDS {
        let session = t.login("second@example.com").await;
        let role = if round % 2 == 0 { r#"{"role":"member"}"# } else { r#"{"role":"owner"}"# };
        let change = async || t.change_user("second@example.com", role).await;
        tally.add(race_under_way(&socket, round, &session, change).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_under_way_brings_nothing_once_the_scope_is_narrowed() {
    let (t, id) = stocked().await;
    let ((socket, _folder), mut tally) = (unix_listener(&t), Tally::default());
    t.project("acme/web").await;
    let mut control = Client::connect(&t.address).await;
    let path = format!("/sfp/api/integrations/{id}");
    for round in 0..ROUNDS {
        let away = r#"{"projects":["acme/web"]}"#;
        let narrow = async || sent(&mut control, "PATCH", &path, &t.owner, away, 200).await;
        tally.add(race_under_way(&socket, round, &t.app, narrow).await);
        sent(&mut control, "PATCH", &path, &t.owner, r#"{"projects":["acme/app"]}"#, 200).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_under_way_brings_nothing_once_the_integration_is_deleted() {
    let (t, mut id) = stocked().await;
    let ((socket, _folder), mut tally) = (unix_listener(&t), Tally::default());
    let mut control = Client::connect(&t.address).await;
    for round in 0..ROUNDS {
        let path = format!("/sfp/api/integrations/{id}");
        let delete = async || sent(&mut control, "DELETE", &path, &t.owner, "", 200).await;
        tally.add(race_under_way(&socket, round, &t.app, delete).await);
        id = t.github("ghp_example_secret", r#""projects":["acme/app"]"#).await;
    }
}

/// The one test that takes seconds: it waits for the five that a revocation gives a reader that does not read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_stalls_is_cut_off_before_the_revocation_is_answered() {
    let t = TestServer::start().await;
    t.project("acme/app").await;
    let large = format!("ghp_example_secret{}", "x".repeat(60_000));
    for _ in 0..20 {
        t.github(&large, r#""projects":["acme/app"]"#).await;
    }
    let (socket, _folder) = unix_listener(&t);
    let mut stalled = UnixStream::connect(&socket).unwrap();
    ask(&mut stalled, &t.app);
    let mut first = [0];
    stalled.read_exact(&mut first).unwrap();
    let id = t.send("GET", "/sfp/api/application-tokens", &t.owner, "").await.json()[0]["id"].clone();
    let path = format!("/sfp/api/application-tokens/{}", id.as_str().unwrap());
    let revoke = t.send("DELETE", &path, &t.owner, "");
    let revoked = tokio::time::timeout(2 * REVOCATION_WAIT, revoke).await.expect("an answer in time");
    assert_eq!(revoked.status, 200);
    let (bytes, _) = arrived(&mut stalled);
    // Not to be seen at once: a process that another test starts has the socket too until it runs its program.
    stalled.set_read_timeout(Some(REVOCATION_WAIT)).unwrap();
    let mut later = Vec::new();
    let ended = stalled.read_to_end(&mut later);
    assert!(ended.is_ok_and(|more| more == 0), "the connection outlived the answer");
    assert!(bytes.len() < 20 * large.len(), "all of it left: the reader did not stall");
}
