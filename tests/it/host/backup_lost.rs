//! Backups that never arrived, files that only have the name of one, and older ones that cannot be removed.

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::Command,
    sync::Arc,
};

use redb::backends::InMemoryBackend;
use sealroom::{
    domain::{Action, Actor, Event, Timestamp, seconds},
    storage::{Check, Status, Surroundings},
    vault::Error,
};
use tokio::task::JoinHandle;

use super::backup_hangs::Hanging;
use crate::support::{
    binary::{Serving, command, sealroom, vault},
    server::{PASSPHRASE, TestServer, secret},
};

const SERVE: &[&str] =
    &["serve", "--json", "--data", "v.redb", "--listen", "127.0.0.1:0", "--passphrase-file", "pass"];
const HOURLY: &[&str] = &["--backup-folder", "kept", "--backup-every-secs", "3600", "--backup-keep", "1"];
/// A user who is not root.
const NOBODY: u32 = 65_534;

/// The verdict of an examination on the backups, once all that was queued is in the log.
async fn said(t: &TestServer) -> Check {
    assert_eq!(t.send("GET", "/sfp/api/audit?limit=1", &t.owner, "").await.status, 200);
    let surroundings = Surroundings { now: t.clock.now(), memory_bytes: None };
    let checks = t.vault.examine_served(surroundings, &|_| true).unwrap();
    checks.into_iter().find(|check| check.name == "backup").unwrap()
}

async fn is_of(t: &TestServer, time: Option<Timestamp>, what: &str) {
    let check = said(t).await;
    match time {
        None => assert!(check.status == Status::Warning, "{what}: {check:?}"),
        Some(time) => assert!(
            check.status == Status::Ok && check.message.contains(&time.to_string()),
            "{what}: {check:?}, and not {time}"
        ),
    }
    assert_eq!(t.vault.backed_up(), time, "{what}");
}

/// Begins a backup onto a disk that hangs after so many calls, and waits until it does.
async fn hanging(t: &TestServer, from: usize) -> (Arc<Hanging>, JoinHandle<Result<(), Error>>) {
    let disk = Hanging::new(from);
    let (vault, now, to) = (Arc::clone(&t.vault), t.clock.now(), Arc::clone(&disk));
    let copying = tokio::spawn(async move { vault.back_up(to, now).await.map(drop) });
    let seen = Arc::clone(&disk);
    tokio::task::spawn_blocking(move || seen.hangs()).await.unwrap();
    (disk, copying)
}

/// `doctor` said that all was well after a backup onto a disk that was full, and after one whose client had gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_never_arrived_is_never_called_the_newest_one() {
    let t = TestServer::start().await;
    t.github("ghp_example_canary", r#""isGlobal":true"#).await;
    let mut newest = None;
    for round in 0..3 {
        for from in [0, 1, 5, 20] {
            // Given up, as by a client that goes away.
            let (disk, copying) = hanging(&t, from).await;
            copying.abort();
            assert!(copying.await.unwrap_err().is_cancelled());
            is_of(&t, newest, "given up").await;
            disk.free();
            t.clock.set(t.clock.now().plus(seconds(1)));
            // The disk fails.
            let (disk, copying) = hanging(&t, from).await;
            // Another one meanwhile is refused or given up, and takes nothing of an earlier one away.
            let later = t.clock.now().plus(seconds(1));
            let other = t.vault.back_up(Arc::new(InMemoryBackend::new()), later).await;
            drop(other.map(drop));
            disk.free();
            assert!(copying.await.unwrap().is_err());
            is_of(&t, newest, "failed").await;
            t.clock.set(t.clock.now().plus(seconds(2)));
        }
        // Copied, and then not published.
        let made = t.vault.back_up(Arc::new(InMemoryBackend::new()), t.clock.now()).await;
        drop(made.map(drop));
        is_of(&t, newest, "not published").await;
        t.clock.set(t.clock.now().plus(seconds(1)));
        let (_, backup) =
            t.vault.back_up(Arc::new(InMemoryBackend::new()), t.clock.now()).await.ok().unwrap();
        backup.arrived(&t.vault, t.clock.now());
        newest = Some(t.clock.now());
        is_of(&t, newest, &format!("made in round {round}")).await;
        t.clock.set(t.clock.now().plus(seconds(1)));
    }
    // One of a clock that was ahead is the newest only as long as the clock is there. The session lives on meanwhile.
    let now = t.clock.now();
    for at in [now.plus(seconds(600)), now] {
        t.clock.set(at);
        let made = t.vault.back_up(Arc::new(InMemoryBackend::new()), at).await;
        made.ok().unwrap().1.arrived(&t.vault, at);
        is_of(&t, Some(at), "by a clock that jumped").await;
        assert_eq!(t.vault.gauges(at).backup_age, Some(seconds(0)));
        // An age of nothing would quieten its alarm until the clock is there again.
        assert_eq!(t.vault.gauges(Timestamp::from_millis(at.millis() - 1)).backup_age, None);
        // Nor is it a new one for `doctor`, which allows for another machine's clock.
        for (ahead, status) in [(300_000, Status::Ok), (300_001, Status::Warning)] {
            let now = Timestamp::from_millis(at.millis() - ahead);
            let checks = t.vault.examine_served(Surroundings { now, memory_bytes: None }, &|_| true).unwrap();
            let backup = checks.into_iter().find(|check| check.name == "backup").unwrap();
            assert!(backup.status == status, "{ahead} ms ahead: {backup:?}");
        }
    }
}

/// A lock ended a copy without a word: its record said that the backup was made, and `doctor` called it the newest one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_backup_that_a_lock_ended_is_ever_called_the_newest_one() {
    let t = TestServer::start().await;
    t.github("ghp_example_canary", r#""isGlobal":true"#).await;
    let relock = async || {
        let (host, now) = (Actor::host("test"), t.clock.now());
        t.vault.lock(Event::new(now, host.clone(), Action::VaultLock)).await.map_err(drop).unwrap();
        t.vault.unlock(secret(PASSPHRASE), host, now, None).await.unwrap();
    };
    for from in [0, 1, 5, 20] {
        // Two at once: one has its copy and is not published, the other one's disk hangs.
        let (_, unpublished) =
            t.vault.back_up(Arc::new(InMemoryBackend::new()), t.clock.now()).await.ok().unwrap();
        t.clock.set(t.clock.now().plus(seconds(1)));
        let (disk, copying) = hanging(&t, from).await;
        relock().await;
        is_of(&t, None, "cut off by a lock").await;
        unpublished.arrived(&t.vault, t.clock.now());
        disk.free();
        assert!(copying.await.unwrap().is_err());
        is_of(&t, None, "ended after the lock").await;
        t.clock.set(t.clock.now().plus(seconds(1)));
    }
    let events = t.send("GET", "/sfp/api/audit?action=backup.create&limit=100", &t.owner, "").await.json();
    let outcomes = |of: &str| events.to_string().matches(&format!(r#""outcome":"{of}""#)).count();
    assert_eq!((outcomes("allowed"), outcomes("failed")), (8, 8), "each has one failure: {events}");
    // One that arrived before a lock stays made.
    let (_, backup) = t.vault.back_up(Arc::new(InMemoryBackend::new()), t.clock.now()).await.ok().unwrap();
    backup.arrived(&t.vault, t.clock.now());
    relock().await;
    is_of(&t, Some(t.clock.now()), "arrived").await;
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.retain(|name| name.ends_with(".redb") && !name.starts_with('.'));
    names.sort();
    names
}

/// Any two bytes with the right name counted as a verified backup: none was made, and the metrics had its age.
#[test]
fn nothing_but_a_whole_backup_of_this_vault_postpones_the_next_or_counts_as_verified() {
    let folder = vault();
    let folder = folder.path();
    let kept = folder.join("kept");
    fs::create_dir(&kept).unwrap();
    let serve = [SERVE, HOURLY].concat();
    let mut server = Serving::start(folder, &serve);
    server.logged("backup written and verified");
    assert!(server.stop());
    let [name] = &names(&kept)[..] else { panic!("one backup: {:?}", names(&kept)) };
    let whole = fs::read(kept.join(name)).unwrap();
    let other = fs::read(vault().path().join("v.redb")).unwrap();
    // A minute ago: no new backup has that name.
    let (stem, _) = name.rsplit_once('-').unwrap();
    let then = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(60);
    let then = kept.join(format!("{stem}-{}.redb", then.strftime("%Y%m%dT%H%M%SZ")));
    fs::remove_file(kept.join(name)).unwrap();
    let mut page = b"redb".to_vec();
    page.resize(4096, 0);
    let middle = whole.len() / 8192 * 4096;
    for fake in [&b"xx"[..], &page[..], &whole[..middle], &whole[..whole.len() - 1], &other[..]] {
        fs::write(&then, fake).unwrap();
        let mut server = Serving::start(folder, &serve);
        server.logged("backup written and verified");
        assert!(server.stop());
        fs::remove_file(&then).ok();
        for made in names(&kept) {
            assert!(sealroom(folder, &["audit", "verify", &format!("kept/{made}")]).status.success());
            fs::remove_file(kept.join(made)).unwrap();
        }
    }
    fs::write(&then, &whole).unwrap();
    let mut server = Serving::start(folder, &serve);
    let is_known = (0..500).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        server.get("/metrics").lines().any(|line| {
            line.strip_prefix("sealroom_verified_backup_age_seconds ").is_some_and(|age| age != "+Inf")
        })
    });
    assert!(is_known, "a whole one counts");
    assert!(server.stop());
    assert_eq!(names(&kept).len(), 1, "{:?}", names(&kept));
}

/// A backup in a folder without the right to delete was called failed and made again every five minutes, until the disk
/// was full.
#[test]
fn a_backup_whose_older_ones_cannot_be_removed_is_made_and_not_made_again() {
    let program = Path::new(env!("CARGO_BIN_EXE_sealroom"));
    if !rustix::process::geteuid().is_root() || !nobody_runs(program) {
        eprintln!("skipped: this takes root, and a program that others may run");
        return;
    }
    let folder = vault();
    let folder = folder.path();
    let kept = folder.join("kept");
    fs::create_dir(&kept).unwrap();
    // Root's own files in a folder with the sticky bit: nobody adds files, and removes none of root's.
    fs::set_permissions(&kept, fs::Permissions::from_mode(0o1777)).unwrap();
    for path in [folder.to_owned(), folder.join("v.redb"), folder.join("pass")] {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let start = || {
        let mut serve = command(folder, &[SERVE, HOURLY].concat());
        serve.uid(NOBODY).gid(NOBODY).stdin(std::process::Stdio::null());
        Serving::spawn(serve, folder)
    };
    let mut server = start();
    server.logged("backup written and verified");
    assert!(server.stop());
    let [name] = &names(&kept)[..] else { panic!("one backup: {:?}", names(&kept)) };
    let (stem, _) = name.rsplit_once('-').unwrap();
    for old in ["20260101T000000Z", "20260102T000000Z"] {
        fs::copy(kept.join(name), kept.join(format!("{stem}-{old}.redb"))).unwrap();
        fs::set_permissions(kept.join(format!("{stem}-{old}.redb")), fs::Permissions::from_mode(0o644))
            .unwrap();
    }
    fs::remove_file(kept.join(name)).unwrap();
    let mut server = start();
    server.logged("backup written and verified");
    let log = fs::read_to_string(folder.join("server.log")).unwrap();
    assert_eq!(log.matches("an older backup cannot be removed").count(), 2, "{log}");
    assert!(!log.contains("the backup failed") && !server.health().contains("backup_failed"), "{log}");
    assert_eq!(names(&kept).len(), 3);
    assert!(server.stop());
}

fn nobody_runs(program: &Path) -> bool {
    Command::new(program)
        .arg("--version")
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .is_ok_and(|done| done.status.success())
}
