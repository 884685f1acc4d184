//! A witness's state over restarts and accidents: no key ever starts again from an empty state.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
    sync::Arc,
};

use bytes::Bytes;
use sealroom::{
    audit::{checkpoint::VerifierKey, cosignature::WitnessKey, witness::Refusal},
    disk::{DataFile, NewFile},
    domain::{Action, Actor, Event, Timestamp},
    vault::{NotWitnessed, Settings, Vault, Witness, WitnessFileError},
};

use crate::support::{
    foreign_log::ForeignLog,
    server::{PASSPHRASE, START, context, opened_file, plan, secret, settings},
};

fn now() -> Timestamp {
    Timestamp::from_millis(START)
}

/// A host with a vault, which is a witness.
struct Host {
    folder: tempfile::TempDir,
}

/// Its running server.
struct Running {
    vault: Arc<Vault>,
    _file: DataFile,
}

impl Host {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let new = NewFile::begin(&folder.path().join("v.redb")).unwrap();
        Vault::create(new.medium(), 1 << 20, &plan()).unwrap();
        drop(new.publish().unwrap());
        Self { folder }
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("v.redb.witness")
    }

    async fn start(&self, logs: Vec<VerifierKey>) -> Result<Running, WitnessFileError> {
        let witness = Some(Arc::new(Witness::open(self.state(), logs)?));
        let file = opened_file(&self.folder.path().join("v.redb"));
        let vault = Arc::new(Vault::open(file.medium(), Settings { witness, ..settings() }).unwrap());
        vault.check_witness()?;
        vault.unlock(secret(PASSPHRASE), Actor::host("test"), now(), None).await.unwrap();
        Ok(Running { vault, _file: file })
    }

    /// The reason why a start is refused.
    async fn refused(&self, log: &ForeignLog) -> String {
        self.start(vec![log.verifier()]).await.err().expect("a start with that state").to_string()
    }
}

impl Running {
    async fn add(&self, body: &str) -> Result<String, NotWitnessed> {
        self.vault.add_checkpoint(&context(now()), Bytes::from(body.to_owned())).await
    }

    async fn key(&self) -> WitnessKey {
        self.vault.witness_key().await.unwrap()
    }

    async fn stop(self) {
        let end = Event::new(now(), Actor::host("test"), Action::VaultLock);
        self.vault.lock(end).await.map_err(drop).unwrap();
    }
}

fn stale(outcome: &Result<String, NotWitnessed>) -> Option<u64> {
    match outcome {
        Err(NotWitnessed::Refused(Refusal::Stale { size })) => Some(*size),
        _ => None,
    }
}

#[tokio::test]
async fn a_restart_forgets_nothing_and_keeps_the_key() {
    let (host, log) = (Host::new(), ForeignLog::new("example.com/log", 100));
    let logs = vec![log.verifier()];
    let running = host.start(logs.clone()).await.unwrap();
    let key = running.key().await;
    running.add(&log.body(0, 40)).await.unwrap();
    running.stop().await;
    let mode = fs::metadata(host.state()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for from in [40, 50, 60] {
        let running = host.start(logs.clone()).await.unwrap();
        assert_eq!(running.key().await, key);
        assert_eq!(stale(&running.add(&log.body(0, 90)).await), Some(from as u64));
        assert!(running.add(&log.forked_body(from - 1, from, from + 10)).await.is_err());
        running.add(&log.body(from, from + 10)).await.unwrap();
        running.stop().await;
    }
    // A log that is no longer named keeps its place for the day on which it is named again.
    let other = ForeignLog::new("example.com/other", 10);
    let running = host.start(vec![other.verifier()]).await.unwrap();
    assert!(matches!(running.add(&log.body(70, 80)).await, Err(NotWitnessed::Refused(Refusal::UnknownLog))));
    running.add(&other.body(0, 10)).await.unwrap();
    running.stop().await;
    let running = host.start(logs).await.unwrap();
    assert_eq!(stale(&running.add(&log.body(0, 90)).await), Some(70));
}

/// The state is what stops a fork, so that nothing but a whole one of this vault is started with, and a lost one takes
/// the key along.
#[tokio::test]
async fn no_key_ever_begins_again_from_an_empty_state() {
    let (host, log) = (Host::new(), ForeignLog::new("example.com/log", 100));
    let running = host.start(vec![log.verifier()]).await.unwrap();
    let key = running.key().await;
    running.add(&log.body(0, 40)).await.unwrap();
    running.stop().await;
    let whole = fs::read(host.state()).unwrap();
    for cut in [0, 1, whole.len() / 2, whole.len() - 1] {
        fs::write(host.state(), &whole[..cut]).unwrap();
        assert!(host.refused(&log).await.contains("cut short"), "{cut}");
    }
    // The size set back by an editor.
    let text = String::from_utf8(whole.clone()).unwrap();
    assert!(text.contains("\n40\n"), "{text}");
    fs::write(host.state(), text.replace("\n40\n", "\n10\n")).unwrap();
    assert!(host.refused(&log).await.contains("was changed"));
    // A state of another vault, whole as it is.
    let other = Host::new();
    let elsewhere = other.start(vec![log.verifier()]).await.unwrap();
    let foreign = elsewhere.key().await;
    elsewhere.stop().await;
    fs::copy(other.state(), host.state()).unwrap();
    let said = host.refused(&log).await;
    assert!(said.contains(foreign.name()) && said.contains(key.name()), "{said}");
    // A path that is no file, or leads elsewhere.
    fs::remove_file(host.state()).unwrap();
    fs::write(host.folder.path().join("whole"), &whole).unwrap();
    symlink(host.folder.path().join("whole"), host.state()).unwrap();
    host.refused(&log).await;
    fs::remove_file(host.state()).unwrap();
    fs::create_dir(host.state()).unwrap();
    host.refused(&log).await;
    fs::remove_dir(host.state()).unwrap();
    // Lost: the next start has another key, which nobody trusts yet.
    let running = host.start(vec![log.verifier()]).await.unwrap();
    let next = running.key().await;
    assert_ne!(next, key);
    let line = running.add(&log.body(0, 10)).await.unwrap();
    assert_eq!(
        key.cosigned(&(log.note(10) + &line), now()),
        Ok(None),
        "the old key vouches for nothing of it"
    );
    running.stop().await;
    // The old one put back: it knows what it knew.
    fs::write(host.state(), &whole).unwrap();
    let running = host.start(vec![log.verifier()]).await.unwrap();
    assert_eq!((running.key().await, stale(&running.add(&log.body(0, 50)).await)), (key, Some(40)));
}

#[tokio::test]
async fn a_state_that_cannot_be_kept_lets_no_cosignature_out() {
    let (host, log) = (Host::new(), ForeignLog::new("example.com/log", 100));
    let running = host.start(vec![log.verifier()]).await.unwrap();
    running.add(&log.body(0, 10)).await.unwrap();
    let not_kept = |outcome: Result<String, NotWitnessed>| {
        assert!(matches!(outcome, Err(NotWitnessed::NotKept)), "{outcome:?}");
    };
    // A disk that refuses: a folder stands where the next state would be written.
    let next = host.folder.path().join("v.redb.witness.new");
    fs::create_dir(&next).unwrap();
    not_kept(running.add(&log.body(10, 20)).await);
    assert_eq!(
        running.add(&log.body(10, 10)).await.map(drop).map_err(drop),
        Ok(()),
        "nothing has to be kept for it"
    );
    fs::remove_dir(&next).unwrap();
    // Whatever was shown to the failed disk, only one history goes on.
    running.add(&log.body(10, 20)).await.unwrap();
    // Another process wrote it, or took it away.
    let own = fs::read(host.state()).unwrap();
    fs::write(host.state(), "other").unwrap();
    not_kept(running.add(&log.body(20, 30)).await);
    fs::remove_file(host.state()).unwrap();
    not_kept(running.add(&log.body(20, 30)).await);
    fs::write(host.state(), &own).unwrap();
    running.add(&log.body(20, 30)).await.unwrap();
    assert!(!next.exists());
}

/// The sealed key of a witness opens only in its own vault: not the log key in its place, and not another vault's.
#[tokio::test]
async fn a_state_with_a_key_that_does_not_open_cosigns_nothing() {
    let (host, log) = (Host::new(), ForeignLog::new("example.com/log", 100));
    let running = host.start(vec![log.verifier()]).await.unwrap();
    let name = running.key().await.name().to_owned();
    running.stop().await;
    // A key that somebody else made, sealed as it likes, in a state that it signed.
    let thief = sealroom::crypto::sign::LogKey::generate().unwrap();
    let state =
        sealroom::audit::witness_file::State::new(WitnessKey::new(&name, thief.public()), vec![7; 72]);
    fs::write(host.state(), state.write(&thief)).unwrap();
    let running = host.start(vec![log.verifier()]).await.unwrap();
    let outcome = running.add(&log.body(0, 10)).await;
    assert!(matches!(outcome, Err(NotWitnessed::NotKept)), "{outcome:?}");
    assert_eq!(fs::read_to_string(host.state()).unwrap(), state.write(&thief), "nothing was written");
}

#[tokio::test]
async fn a_client_that_goes_away_stops_no_checkpoint_half_way() {
    let (host, log) = (Host::new(), ForeignLog::new("example.com/log", 100));
    let running = host.start(vec![log.verifier()]).await.unwrap();
    running.key().await;
    // From here on the question below, which begins at nothing, is out of date and changes nothing.
    running.add(&log.body(0, 10)).await.unwrap();
    for old in (10..90).step_by(10) {
        let body = log.body(old, old + 10);
        // One poll begins the work on another thread, and seldom sees its end; dropping the future is what a closed
        // connection does.
        let mut adding = Box::pin(running.add(&body));
        std::future::poll_fn(|cx| std::task::Poll::Ready(adding.as_mut().poll(cx).is_ready())).await;
        drop(adding);
        // The next request waits for it, and finds the whole step done.
        let size = stale(&running.add(&log.body(0, 100)).await);
        assert!(matches!(size, Some(size) if size == old as u64 || size == old as u64 + 10), "{size:?}");
        if size != Some(old as u64 + 10) {
            running.add(&body).await.map(drop).unwrap_or_default();
        }
        assert_eq!(stale(&running.add(&log.body(old, 100)).await), Some(old as u64 + 10));
    }
}
