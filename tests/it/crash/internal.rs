//! A failure of the server's own: the log gets its cause once, under the id that the answer has, and nobody else does.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use redb::{StorageBackend, backends::InMemoryBackend};
use sealroom::{
    domain::IntegrationId,
    http::Limits,
    vault::{Settings, Vault},
};
use serde_json::Value;
use tracing_subscriber::fmt::MakeWriter;

use super::faults::sealed;
use crate::support::{
    failing_disk::{CREDENTIALS, Mood, server},
    server::{Reply, TestServer, plan, settings},
};

/// The lines that this thread logs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Log {
    /// Logs this thread's lines here for as long as the guard lives.
    fn begin() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let lines = tracing_subscriber::fmt().json().flatten_event(true).with_writer(log.clone()).finish();
        let guard = tracing::subscriber::set_default(lines);
        (log, guard)
    }

    /// The one line about a failed request, whose id the answer must have, and its cause.
    fn cause_of(&self, reply: &Reply, code: &str) -> String {
        let answer = reply.json();
        assert_eq!(answer["code"], code, "{}", reply.body);
        let id = answer["requestId"].as_str().unwrap();
        let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let failed: Vec<&Value> = lines.iter().filter(|line| line["message"] == "request failed").collect();
        assert_eq!(failed.len(), 1, "{text}");
        assert_eq!(failed[0]["request"], id, "{text}");
        let cause = failed[0]["cause"].as_str().unwrap();
        assert!(!reply.body.contains(cause) && !reply.head.contains(cause), "{}", reply.body);
        cause.to_owned()
    }
}

#[tokio::test]
async fn a_row_that_does_not_open_is_logged_once_under_the_id_of_the_answer_which_has_none_of_it() {
    let (log, _guard) = Log::begin();
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
    let (log, _guard) = Log::begin();
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
