//! The real binary: what it makes, what it refuses, and that refusals change nothing.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;

const PASSPHRASE: &str = "correct horse battery staple example\n";

fn sealroom(folder: &Path, args: &[&str]) -> Output {
    command(folder, args).stdin(Stdio::null()).output().unwrap()
}

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sealroom"));
    command.current_dir(folder).args(args).env_clear().env("USER", "tester");
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn secret_file(folder: &Path, name: &str, text: &str, mode: u32) {
    fs::write(folder.join(name), text).unwrap();
    fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).unwrap();
}

const INIT: &[&str] = &[
    "init",
    "--json",
    "--data",
    "v.redb",
    "--owner-email",
    "ada@example.com",
    "--passphrase-file",
    "pass",
    "--kdf-memory",
    "64",
    "--kdf-passes",
    "1",
];

fn vault() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    secret_file(folder.path(), "pass", PASSPHRASE, 0o600);
    let made = sealroom(folder.path(), INIT);
    assert!(made.status.success(), "{}", stderr(&made));
    let keys: Value = serde_json::from_slice(&made.stdout).unwrap();
    for key in ["data", "owner_email", "owner_password", "recovery_key", "audit_key"] {
        assert!(keys[key].is_string(), "{key}");
    }
    folder
}

/// A running server; its first line of output says where.
struct Serving {
    child: Child,
    url: String,
}

impl Serving {
    fn start(folder: &Path, args: &[&str]) -> Self {
        let mut command = command(folder, args);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap_or_default().to_owned();
        Self { child, url }
    }

    fn health(&self) -> String {
        use std::io::{Read, Write};
        let mut socket = std::net::TcpStream::connect(self.url.trim_start_matches("http://")).unwrap();
        socket.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).unwrap();
        text
    }

    fn stop(&mut self) -> bool {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().success()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn init_makes_a_private_file_and_never_overwrites_one() {
    let folder = vault();
    let data = folder.path().join("v.redb");
    assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o600);
    let before = fs::read(&data).unwrap();
    let again = sealroom(folder.path(), INIT);
    assert_eq!(again.status.code(), Some(1));
    assert!(
        stderr(&again).contains("exists already") && stderr(&again).contains("hint"),
        "{}",
        stderr(&again)
    );
    assert_eq!(fs::read(&data).unwrap(), before);
    assert!(!folder.path().join("v.redb.new").exists());
}

#[test]
fn secrets_that_others_can_read_or_that_are_empty_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    secret_file(folder.path(), "pass", PASSPHRASE, 0o640);
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
    assert!(stderr(&foreign).contains("no sealroom vault"), "{}", stderr(&foreign));
    assert_eq!(fs::read(folder.path().join("foreign")).unwrap(), b"hello");
    let missing = sealroom(folder.path(), &["serve", "--data", "none", "--passphrase-file", "pass"]);
    assert!(stderr(&missing).contains("does not exist"), "{}", stderr(&missing));
    let json = sealroom(folder.path(), &["serve", "--json", "--data", "none", "--passphrase-file", "pass"]);
    let last: Value = serde_json::from_str(stderr(&json).lines().last().unwrap()).unwrap();
    assert!(last["error"].is_string() && last["hint"].is_string());
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
    let nobody = sealroom(folder.path(), &["lock", "--data", "v.redb"]);
    assert!(stderr(&nobody).contains("no server answers"), "{}", stderr(&nobody));
}

#[test]
fn the_throw_away_server_prints_what_a_test_suite_needs_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(folder.path(), &["serve", "--dev", "--json", "--listen", "127.0.0.1:0"]);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let value: Value = serde_json::from_str(&line).unwrap();
    for key in
        ["url", "data", "owner_email", "owner_password", "owner_token", "member_token", "application_token"]
    {
        assert!(value[key].is_string(), "{key}");
    }
    let mut server = Serving { child, url: value["url"].as_str().unwrap().to_owned() };
    assert!(server.health().contains("healthy"));
    assert!(server.stop());
    assert!(!Path::new(value["data"].as_str().unwrap()).exists());
}

#[test]
fn what_is_asked_wrongly_ends_with_two_and_a_way_on() {
    let folder = tempfile::tempdir().unwrap();
    for (args, says) in [
        (&["serve", "--listen", "0.0.0.0:0"][..], "--behind-tls-proxy"),
        (&["serve", "--dev", "--listen", "0.0.0.0:0"], "loopback"),
        (&["serve", "--listen", "nonsense"], "host:port"),
        (&["servee"], "serve"),
        (&["serve", "--dat"], "--data"),
        (&["init", "--owner-email", "nobody", "--passphrase-file", "x"], "email"),
        (&["init", "--owner-email", "a@b", "--kdf-memory", "4000000000"], "1 GiB"),
        (&["serve", "--config", "none.toml"], "config"),
    ] {
        let output = sealroom(folder.path(), args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(says), "{args:?}: {}", stderr(&output));
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was left behind");
}
