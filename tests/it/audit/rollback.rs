//! An older copy of the file, put back beside a folder that knows better: it is not served.

use std::{fs, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use sealroom::{audit::checkpoint, crypto::sign::LogKey};

use crate::{
    lab::kills::request,
    support::{
        binary::{Serving, sealroom, secret_file, stderr},
        log::{SERVE, log},
    },
};

pub fn args() -> Vec<&'static str> {
    [SERVE, &["--checkpoint-folder", "kept", "--checkpoint-every-secs", "1"]].concat()
}

fn note(folder: &Path) -> std::path::PathBuf {
    let entries = fs::read_dir(folder.join("kept")).unwrap();
    let is_newest = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.ends_with(".checkpoint") && !name.contains("handover")
    };
    entries.map(|entry| entry.unwrap().path()).find(is_newest).expect("a checkpoint in the folder")
}

pub fn login(server: &Serving, folder: &Path) -> (u16, String) {
    let password = fs::read_to_string(folder.join("owner")).unwrap();
    let body = serde_json::json!({ "email": "ada@example.com", "password": password }).to_string();
    let (status, _, login) = request(server.address(), "POST", "/sfp/api/auth/login", "", &body).unwrap();
    (status, login["access_token"].as_str().unwrap_or_default().to_owned())
}

/// A vault whose file is a day older than its checkpoint folder; returns the folder and its audit key.
pub async fn rolled_back() -> (tempfile::TempDir, String) {
    let log = log(1).await;
    let folder = log.folder.path();
    fs::create_dir(folder.join("kept")).unwrap();
    assert!(Serving::start(folder, &args()).stop());
    fs::copy(folder.join("v.redb"), folder.join("yesterday.redb")).unwrap();
    assert!(Serving::start(folder, &args()).stop());
    fs::copy(folder.join("v.redb"), folder.join("today.redb")).unwrap();
    fs::copy(folder.join("yesterday.redb"), folder.join("v.redb")).unwrap();
    let key = fs::read_to_string(folder.join("key")).unwrap();
    (log.folder, key.trim().to_owned())
}

#[tokio::test]
async fn an_older_copy_of_the_file_stays_locked_until_the_operator_accepts_it() {
    let (home, key) = rolled_back().await;
    let folder = home.path();
    let file = fs::read(folder.join("v.redb")).unwrap();
    let known = fs::read_to_string(note(folder)).unwrap();
    let size = checkpoint::read_unsigned(&known).unwrap().size;
    let mut server = Serving::start(folder, &args());
    server.logged("the vault file was restored from an older copy");
    let health = server.health();
    assert!(health.contains(" 503 ") && health.contains(r#""locked":true"#), "{health}");
    assert!(health.contains("checkpoint_lost"), "{health}");
    assert_eq!(login(&server, folder).0, 503, "nobody is let in");
    let unlock = sealroom(folder, &["unlock", "--data", "v.redb", "--passphrase-file", "pass"]);
    let said = stderr(&unlock);
    assert!(!unlock.status.success() && said.contains("--accept-rollback"), "{said}");
    assert!(server.stop());
    assert!(fs::read(folder.join("v.redb")).unwrap() == file, "nothing was written");
    assert_eq!(fs::read_to_string(note(folder)).unwrap(), known, "the checkpoint stays");

    let accept = [args(), vec!["--accept-rollback"]].concat();
    let mut server = Serving::start(folder, &accept);
    let (status, owner) = login(&server, folder);
    assert_eq!(status, 200);
    let path = "/sfp/api/audit?action=vault.restore";
    let (_, _, events) = request(server.address(), "GET", path, &owner, "").unwrap();
    let detail = &events[0]["detail"];
    assert_eq!(detail["reason"], "rollback_accepted", "{events}");
    assert_eq!(detail["lastSequence"], size - 1, "{events}");
    assert!(detail["firstSequence"].as_u64().unwrap() < size, "{events}");
    assert!(server.health().contains(r#""status":"healthy""#), "{}", server.health());
    assert!(server.stop());
    // The old key signs no second history: the log goes on with one that it vouches for.
    let verified = sealroom(folder, &["audit", "verify", "v.redb", "--key", &key, "--checkpoint", "kept"]);
    let told = String::from_utf8(verified.stdout.clone()).unwrap();
    assert!(verified.status.success(), "{}", stderr(&verified));
    assert!(told.contains("its handover to the log's newest key"), "{told}");
    // From here on it is a vault like any other.
    let mut server = Serving::start(folder, &args());
    assert_eq!(login(&server, folder).0, 200);
    assert!(server.stop());
    // The copy of yesterday is one that the folder knows better than, again.
    fs::copy(folder.join("yesterday.redb"), folder.join("v.redb")).unwrap();
    let mut server = Serving::start(folder, &args());
    assert_eq!(login(&server, folder).0, 503, "though another key signed what the folder knows");
    assert!(server.stop());
}

#[tokio::test]
async fn an_older_copy_that_grew_elsewhere_and_a_late_folder_are_noticed_too() {
    let (home, _) = rolled_back().await;
    let folder = home.path();
    for _ in 0..3 {
        assert!(Serving::start(folder, SERVE).stop(), "without the folder nobody can know");
    }
    let mut server = Serving::start(folder, &args());
    assert_eq!(login(&server, folder).0, 503, "it has more records, and others");
    assert!(server.stop());
    // The folder is mounted while the copy is served already.
    fs::rename(folder.join("kept"), folder.join("away")).unwrap();
    let mut server = Serving::start(folder, &args());
    assert_eq!(login(&server, folder).0, 200);
    fs::rename(folder.join("away"), folder.join("kept")).unwrap();
    server.logged("the vault file was restored from an older copy");
    assert!(server.health().contains(" 503 "), "{}", server.health());
    assert_eq!(login(&server, folder).0, 503, "it signs and discloses nothing more");
    assert!(server.stop());
}

/// Serves with the folder; returns how a login is answered.
fn served(folder: &Path, more: &[&str]) -> u16 {
    let mut server = Serving::start(folder, &[&args(), more].concat());
    let (status, _) = login(&server, folder);
    let is_lost = server.health().contains("checkpoint_lost");
    assert_eq!(is_lost, status != 200, "{}", server.health());
    assert!(server.stop());
    status
}

/// Serves while the folder is not mounted, and mounts it; returns how a login is answered then.
fn served_before_the_folder(folder: &Path) -> u16 {
    fs::rename(folder.join("kept"), folder.join("away")).unwrap();
    let mut server = Serving::start(folder, &args());
    assert_eq!(login(&server, folder).0, 200, "without the folder nobody can know");
    fs::rename(folder.join("away"), folder.join("kept")).unwrap();
    server.logged("the vault file was restored from an older copy");
    let (status, _) = login(&server, folder);
    assert!(server.stop());
    status
}

fn run(folder: &Path, command: &[&str]) {
    let done = sealroom(folder, &[command, &["--data", "v.redb", "--passphrase-file", "pass"]].concat());
    assert!(done.status.success(), "{command:?}: {}", stderr(&done));
}

/// A backup of the vault in the folder `backup.redb`, from before what the folder knows.
fn back_up(folder: &Path) {
    let mut server = Serving::start(folder, &args());
    secret_file(folder, "bearer", &login(&server, folder).1, 0o600);
    let backup = ["backup", "backup.redb", "--server", &server.url, "--token-file", "bearer"];
    let made = sealroom(folder, &backup);
    assert!(made.status.success(), "{}", stderr(&made));
    assert!(server.stop());
    assert_eq!(served(folder, &[]), 200, "the history goes on");
}

fn put_back(folder: &Path, copy: &str) {
    fs::copy(folder.join(copy), folder.join("v.redb")).unwrap();
}

/// The ways to a second history under a key of its own, which the log hands itself over to.
const SECOND_HISTORIES: &[(&str, fn(&Path))] = &[
    ("a backup that was served before the folder was there", |folder| {
        back_up(folder);
        put_back(folder, "backup.redb");
        assert_eq!(served_before_the_folder(folder), 503, "at once");
    }),
    ("a backup that grew elsewhere", |folder| {
        back_up(folder);
        put_back(folder, "backup.redb");
        (0..3).for_each(|_| assert!(Serving::start(folder, SERVE).stop()));
    }),
    ("an older copy with a new vault key", |folder| {
        put_back(folder, "yesterday.redb");
        run(folder, &["rekey", "--yes"]);
    }),
    ("an older copy with a new vault key, of a log that had one since", |folder| {
        run(folder, &["rekey", "--yes"]);
        assert_eq!(served(folder, &[]), 200, "the folder follows the log to its new key");
        put_back(folder, "yesterday.redb");
        run(folder, &["rekey", "--yes"]);
        assert_eq!(served_before_the_folder(folder), 503, "at once");
    }),
    ("a restore that did not settle the folder", |folder| {
        back_up(folder);
        run(folder, &["restore", "backup.redb", "--force"]);
    }),
    ("an older copy after a copy that was served", |folder| {
        back_up(folder);
        put_back(folder, "backup.redb");
        assert_eq!(served_before_the_folder(folder), 503, "at once");
        put_back(folder, "yesterday.redb");
    }),
];

/// A copy that had begun a new log key was served: the folder's checkpoint counted as one of a restore, or a stranger's.
#[tokio::test]
async fn a_history_that_the_folder_does_not_know_is_served_to_nobody_until_it_is_accepted() {
    for (what, make) in SECOND_HISTORIES {
        let (home, _) = rolled_back().await;
        let folder = home.path();
        put_back(folder, "today.redb");
        make(folder);
        let known = fs::read_to_string(note(folder)).unwrap();
        for start in ["the first start", "every later one"] {
            assert_eq!(served(folder, &[]), 503, "{what}: {start}");
        }
        assert_eq!(fs::read_to_string(note(folder)).unwrap(), known, "{what}: the checkpoint stays");
        assert_eq!(served(folder, &["--accept-rollback"]), 200, "{what}");
        assert_eq!(served(folder, &[]), 200, "{what}: the folder is settled");
        put_back(folder, "yesterday.redb");
        assert_eq!(served(folder, &[]), 503, "{what}: the folder knows the accepted history too");
    }
}

/// A planted file that said 99,999,999 records stopped every checkpoint for good.
#[tokio::test]
async fn a_checkpoint_that_no_key_of_this_log_signed_is_replaced_and_locks_nobody_out() {
    let log = log(1).await;
    let folder = log.folder.path();
    fs::create_dir(folder.join("kept")).unwrap();
    assert!(Serving::start(folder, &args()).stop());
    let path = note(folder);
    let honest = fs::read_to_string(&path).unwrap();
    let origin = honest.lines().next().unwrap().to_owned();
    let stranger = LogKey::generate().unwrap();
    let root = STANDARD.encode([7; 32]);
    let unsigned = format!("{origin}\n99999999\n{root}\n\n— {origin} {}\n", STANDARD.encode([9; 68]));
    let theirs = checkpoint::note(&origin, 99_999_999, &[7; 32], &[], &[&stranger]);
    // By its line: the size's digits may be in the vault's id too.
    let signed: Vec<&str> = honest.split('\n').collect();
    let inflated = [&signed[..1], &["99999999"], &signed[2..]].concat().join("\n");
    for planted in [unsigned, theirs, inflated] {
        secret_file(folder, path.strip_prefix(folder).unwrap().to_str().unwrap(), &planted, 0o644);
        let mut server = Serving::start(folder, &args());
        server.logged("no key of this log signed this checkpoint: it is replaced");
        assert_eq!(login(&server, folder).0, 200, "{planted}");
        assert!(server.stop());
        let now = fs::read_to_string(&path).unwrap();
        assert!(checkpoint::read_unsigned(&now).unwrap().size < 1_000, "{now}");
    }
}
