//! A failure of the server's own: the log gets its cause once, under the id that the answer has, and nobody else does.

use std::{
    io,
    pin::pin,
    sync::{
        Arc, Mutex, Once,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
};

use redb::{StorageBackend, backends::InMemoryBackend};
use sealroom::{
    auth::{policy::Verb, token},
    domain::{Action, Actor, Event, IntegrationId, RequestId, Timestamp},
    http::Limits,
    vault::{Context, CredentialQuery, Error, Settings, Vault},
};
use serde_json::Value;
use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;

use super::faults::sealed;
use crate::support::{
    failing_disk::{CREDENTIALS, Mood, server},
    server::{OWNER, PASSWORD, Reply, START, TestServer, plan, secret, settings},
};

/// The errors that the processes' tests log, one JSON object a line: the commit thread's among them.
#[derive(Clone, Copy)]
struct Log;

static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        *self
    }
}

impl Log {
    fn begin() -> Self {
        static BEGUN: Once = Once::new();
        BEGUN.call_once(|| {
            let lines = tracing_subscriber::fmt().json().flatten_event(true).with_max_level(Level::ERROR);
            tracing::subscriber::set_global_default(lines.with_writer(Self).finish()).unwrap();
        });
        Self
    }

    /// The cause in the one line about a failed request.
    fn cause_under(self, id: &str) -> String {
        let text = String::from_utf8(LINES.lock().unwrap().clone()).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let failed: Vec<Value> =
            lines.filter(|line| line["request"] == id && line["message"] == "request failed").collect();
        assert_eq!(failed.len(), 1, "{failed:?}");
        failed[0]["cause"].as_str().unwrap().to_owned()
    }

    /// The cause of a request that was answered, with nothing of it in the answer.
    fn cause_of(self, reply: &Reply, code: &str) -> String {
        let answer = reply.json();
        assert_eq!(answer["code"], code, "{}", reply.body);
        let cause = self.cause_under(answer["requestId"].as_str().unwrap());
        assert!(!reply.body.contains(&cause) && !reply.head.contains(&cause), "{}", reply.body);
        cause
    }
}

#[tokio::test]
async fn a_row_that_does_not_open_is_logged_once_under_the_id_of_the_answer_which_has_none_of_it() {
    let log = Log::begin();
    let (disk, t) = server(Settings { cache_bytes: 0, ..settings() }).await;
    let id = t.github("ghp_example_canary", r#""isGlobal":true"#).await;
    t.project("acme/app").await;
    let key = id.parse::<IntegrationId>().unwrap();
    let token = sealroom::crypto::digest::sha256(t.app.as_bytes());
    for (table, key, path) in [
        // Before any use case (first, since a row that opened once is cached), in the commit thread, and in use cases
        // that record nothing.
        ("tokens", &token[..], CREDENTIALS),
        ("credentials", &key.as_bytes()[..], CREDENTIALS),
        ("projects", b"acme/app", "/sfp/api/projects"),
        ("projects", b"acme/app", "/sfp/api/projects/acme%2Fapp"),
    ] {
        disk.is(Mood::Rotten(sealed(&disk, table, key)));
        let reply = t.send("GET", path, &t.app, "").await;
        let cause = log.cause_of(&reply, "tampered");
        assert!(cause.starts_with(table), "{path}: {cause}");
        assert!(!cause.contains("canary") && !reply.body.contains(table), "{path}: {}", reply.body);
        disk.is(Mood::Fine);
    }
}

/// Polls a request once, then drops it as a connection does whose client hangs up.
fn hang_up<T>(request: impl Future<Output = Result<T, Error>>) {
    let polled = pin!(request).poll(&mut std::task::Context::from_waker(Waker::noop()));
    assert!(polled.is_pending(), "it has its answer");
}

/// The request's task made the line, and ended with the connection: a tampered row left no word in the log.
#[tokio::test]
async fn a_client_that_hangs_up_cannot_keep_a_row_that_does_not_open_out_of_the_log() {
    let log = Log::begin();
    for (n, table) in ["credentials", "tokens", "projects", "users"].into_iter().enumerate() {
        let (disk, t) = server(Settings { cache_bytes: 0, ..settings() }).await;
        let id = t.github("ghp_example_canary", r#""isGlobal":true"#).await;
        t.project("acme/app").await;
        let now = Timestamp::from_millis(START);
        let request = RequestId::new(now, [n.try_into().unwrap(); 10]);
        let context = Context { now, request: Some(request), peer: None };
        let key = match table {
            "credentials" => id.parse::<IntegrationId>().unwrap().as_bytes().to_vec(),
            "tokens" => sealroom::crypto::digest::sha256(t.app.as_bytes()).to_vec(),
            "projects" => b"acme/app".to_vec(),
            _ => OWNER.as_bytes().to_vec(),
        };
        let caller = t.caller(if table == "tokens" { &t.owner } else { &t.app });
        disk.is(Mood::Rotten(sealed(&disk, table, &key)));
        match table {
            "credentials" => hang_up(t.vault.read_credentials(&context, &caller, CredentialQuery::default())),
            "tokens" => {
                hang_up(t.vault.admit(&context, token::parse_bearer(&t.app), |_| Verb::ReadCredentials));
            }
            "projects" => hang_up(t.vault.list_projects(&context, &caller)),
            _ => hang_up(t.vault.login(&context, OWNER, secret(PASSWORD))),
        }
        // The commit thread decides in order: once it has this event, it has decided the request.
        t.vault.record(Event::new(now, Actor::host("test"), Action::VaultLock)).await.unwrap();
        let cause = log.cause_under(&request.to_string());
        assert!(cause.starts_with(table), "{table}: {cause}");
        disk.is(Mood::Fine);
    }
}

/// A disk whose reads panic on the commit thread while they are told to.
#[derive(Debug, Default)]
struct Panicking {
    inner: InMemoryBackend,
    armed: Arc<AtomicBool>,
}

impl StorageBackend for Panicking {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let deciding = std::thread::current().name() == Some("sealroom-commit");
        assert!(!(deciding && self.armed.load(Ordering::Relaxed)), "a panic whose text nobody may see");
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.inner.write(offset, data)
    }
}

#[tokio::test]
async fn an_internal_error_keeps_its_cause_for_the_log_and_hides_it_from_the_client() {
    let log = Log::begin();
    let armed = Arc::new(AtomicBool::new(false));
    let disk = || Panicking { inner: InMemoryBackend::new(), armed: Arc::clone(&armed) };
    let disk = Arc::new(disk());
    Vault::create(disk.clone(), 1 << 20, &plan()).unwrap();
    let vault = Vault::open(disk, Settings { cache_bytes: 0, ..settings() }).unwrap();
    let t = TestServer::over(vault, Limits::STANDARD, "127.0.0.1:0", false).await;
    armed.store(true, Ordering::Relaxed);
    let reply = t.send("GET", "/sfp/api/application-tokens", &t.owner, "").await;
    armed.store(false, Ordering::Relaxed);
    assert_eq!(reply.status, 500);
    assert!(!reply.body.contains("panic"), "{}", reply.body);
    assert_eq!(log.cause_of(&reply, "internal"), "a decision panicked on the commit thread");
}
