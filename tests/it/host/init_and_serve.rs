//! The real binary: what it makes, what it refuses, and that refusals change nothing.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use serde_json::Value;

use crate::support::binary::{INIT, PASSPHRASE, Serving, command, sealroom, secret_file, stderr, vault};

#[test]
fn init_makes_a_private_file_and_never_overwrites_one() {
    let folder = vault();
    let data = folder.path().join("v.redb");
    assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o600);
    let before = fs::read(&data).unwrap();
    let again = sealroom(folder.path(), INIT);
    assert_eq!(again.status.code(), Some(1));
    assert!(
        stderr(&again).contains("already exists") && stderr(&again).contains("hint"),
        "{}",
        stderr(&again)
    );
    assert_eq!(fs::read(&data).unwrap(), before);
    assert!(!folder.path().join(".v.redb.sealroom-new").exists());
}

#[test]
fn secrets_that_others_can_read_or_that_are_empty_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    secret_file(folder.path(), "pass", PASSPHRASE, 0o644);
    let shared = sealroom(folder.path(), INIT);
    assert_eq!(shared.status.code(), Some(1));
    assert!(stderr(&shared).contains("chmod 600 pass"), "{}", stderr(&shared));
    secret_file(folder.path(), "pass", "\n", 0o600);
    let empty = sealroom(folder.path(), INIT);
    assert!(stderr(&empty).contains("empty"), "{}", stderr(&empty));
    let none = sealroom(folder.path(), &["init", "--owner-email", "ada@example.com"]);
    assert_eq!(none.status.code(), Some(2));
    assert!(stderr(&none).contains("--passphrase-file"), "{}", stderr(&none));
    assert!(!folder.path().join("v.redb").exists(), "nothing was made");
}

#[test]
fn a_wrong_passphrase_and_a_missing_or_foreign_file_change_nothing() {
    let folder = vault();
    let data = folder.path().join("v.redb");
    let before = fs::read(&data).unwrap();
    secret_file(folder.path(), "bad", "wrong\n", 0o600);
    let wrong = sealroom(folder.path(), &["serve", "--data", "v.redb", "--passphrase-file", "bad"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(stderr(&wrong).contains("wrong passphrase"), "{}", stderr(&wrong));
    assert_eq!(fs::read(&data).unwrap(), before);
    fs::write(folder.path().join("foreign"), "hello").unwrap();
    let foreign = sealroom(folder.path(), &["serve", "--data", "foreign", "--passphrase-file", "pass"]);
    assert!(stderr(&foreign).contains("not a sealroom vault"), "{}", stderr(&foreign));
    assert_eq!(fs::read(folder.path().join("foreign")).unwrap(), b"hello");
    let missing = sealroom(folder.path(), &["serve", "--data", "none", "--passphrase-file", "pass"]);
    assert!(stderr(&missing).contains("does not exist"), "{}", stderr(&missing));
    let json = sealroom(folder.path(), &["serve", "--json", "--data", "none", "--passphrase-file", "pass"]);
    let last: Value = serde_json::from_str(stderr(&json).lines().last().unwrap()).unwrap();
    assert!(last["error"].is_string() && last["hint"].is_string());
}

#[test]
fn a_server_that_waits_for_its_passphrase_can_be_stopped() {
    use std::os::unix::process::ExitStatusExt;

    use rustix::process::{Pid, Signal, kill_process};

    let folder = vault();
    let pipe = folder.path().join("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let args = ["serve", "--data", "v.redb", "--listen", "127.0.0.1:0", "--passphrase-file", "pipe"];
    let mut server = command(folder.path(), &args).spawn().unwrap();
    // It opens for writing once somebody reads, and whoever reads waits for more until it is closed.
    let writer = fs::File::options().write(true).open(&pipe).unwrap();
    kill_process(Pid::from_child(&server), Signal::TERM).unwrap();
    let ended = server.wait().unwrap();
    assert_eq!((ended.signal(), ended.code()), (Some(Signal::TERM.as_raw()), None));
    drop(writer);
}

#[test]
fn a_server_starts_locked_unlocks_locks_and_ends_well() {
    let folder = vault();
    let mut server = Serving::start(folder.path(), &["serve", "--data", "v.redb", "--listen", "127.0.0.1:0"]);
    assert!(server.health().contains(r#""locked":true"#));
    let second = sealroom(folder.path(), &["serve", "--data", "v.redb", "--passphrase-file", "pass"]);
    assert!(
        stderr(&second).contains(&format!("in use by process {}", server.child.id())),
        "{}",
        stderr(&second)
    );
    secret_file(folder.path(), "bad", "wrong\n", 0o600);
    let unlock = |file| sealroom(folder.path(), &["unlock", "--data", "v.redb", "--passphrase-file", file]);
    assert!(stderr(&unlock("bad")).contains("wrong passphrase"));
    assert!(unlock("pass").status.success());
    assert!(server.health().contains(r#""locked":false"#));
    assert!(sealroom(folder.path(), &["lock", "--data", "v.redb"]).status.success());
    assert!(server.health().contains(r#""locked":true"#));
    assert!(unlock("pass").status.success());
    assert!(server.stop(), "SIGTERM ends it with 0");
    assert!(!folder.path().join("v.redb.sock").exists());
    let nobody = sealroom(folder.path(), &["lock", "--data", "v.redb", "--connect-wait-secs", "0"]);
    assert!(stderr(&nobody).contains("no server answers"), "{}", stderr(&nobody));
}

#[test]
fn the_throw_away_server_prints_what_a_test_suite_needs_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["serve", "--dev", "--json", "--listen", "127.0.0.1:0"];
    let mut server = Serving::start(folder.path(), &args);
    let value: Value = serde_json::from_str(&server.said).unwrap();
    for key in
        ["url", "data", "owner_email", "owner_password", "owner_token", "member_token", "application_token"]
    {
        assert!(value[key].is_string(), "{key}");
    }
    assert!(server.health().contains("healthy"));
    assert!(server.stop());
    assert!(!Path::new(value["data"].as_str().unwrap()).exists());
}

#[test]
fn a_folder_that_cannot_be_written_is_named_and_nothing_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    // Not even root makes a file there, so this holds wherever the tests run.
    let args = ["init", "--data", "/sys/v.redb", "--owner-email", "ada@example.com", "--passphrase-stdin"];
    let made = sealroom(folder.path(), &args);
    assert_eq!(made.status.code(), Some(1));
    let said = stderr(&made);
    assert!(said.contains("/sys/v.redb") && said.contains("hint: check the path"), "{said}");
}

#[test]
fn what_is_asked_wrongly_ends_with_two_and_a_way_on() {
    let folder = tempfile::tempdir().unwrap();
    for (args, says) in [
        (&["serve", "--listen", "0.0.0.0:0"][..], "--behind-tls-proxy"),
        (&["serve", "--listen", "0.0.0.0:0", "--behind-tls-proxy"], "--trusted-proxies"),
        (&["serve", "--behind-tls-proxy", "--trusted-proxies", "10.0.0.0/40"], "10.0.0.0/8"),
        (&["serve", "--host-names", "https://vault.example.com"], "vault.example.com"),
        (&["serve", "--dev", "--listen", "0.0.0.0:0"], "loopback"),
        (&["serve", "--listen", "nonsense"], "host:port"),
        (&["servee"], "serve"),
        (&["serve", "--dat"], "--data"),
        (&["init", "--owner-email", "nobody", "--passphrase-file", "x"], "email"),
        (&["init", "--owner-email", "a@b", "--kdf-memory", "4000000000"], "1 GiB"),
        (&["init", "--owner-email", "a@b.example", "--kdf-memory", "32", "--kdf-passes", "1"], "--weak-kdf"),
        (
            &["init", "--owner-email", "a@b.example", "--kdf-memory", "4096", "--kdf-passes", "16"],
            "--weak-kdf",
        ),
        (&["serve", "--config", "none.toml"], "config"),
    ] {
        let output = sealroom(folder.path(), args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(says), "{args:?}: {}", stderr(&output));
    }
    let json = sealroom(folder.path(), &["serve", "--json", "--dat"]);
    assert_eq!(json.status.code(), Some(2));
    let value: Value = serde_json::from_str(stderr(&json).trim()).unwrap();
    assert!(value["hint"].as_str().unwrap().contains("--data"), "{value}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was left behind");
}

#[test]
fn a_socket_never_takes_the_place_of_another_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("precious"), "mine").unwrap();
    let served = sealroom(folder.path(), &["serve", "--dev", "--listen", "unix:precious"]);
    assert_eq!(served.status.code(), Some(1));
    assert!(stderr(&served).contains("cannot listen on unix:precious"), "{}", stderr(&served));
    assert_eq!(fs::read_to_string(folder.path().join("precious")).unwrap(), "mine");
}
