//! Commands and a server that is coming up, is not there, is locked already, or is another user's.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;

use crate::{
    lab::kills::request,
    readme::EDITOR,
    support::{
        binary::{Serving, command, sealroom, secret_file, stderr, vault},
        ports::free_port,
    },
};

const NOBODY: u32 = 65_534;
/// Longer than a test may take: who waits at all fails it.
const FOR_EVER: &str = "3600";

fn begin(folder: &Path, args: &[&str]) -> Child {
    let mut command = command(folder, args);
    command.env("HOME", folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn end(child: Child) -> Output {
    child.wait_with_output().unwrap()
}

fn serve(folder: &Path, listen: &str) -> Serving {
    let args = ["serve", "--data", "v.redb", "--passphrase-file", "pass", "--listen", listen];
    Serving::start(folder, &args)
}

/// README's production block failed when it was pasted whole: `lock` came before the server listened.
#[test]
fn a_server_that_is_coming_up_is_never_called_absent() {
    let folder = vault();
    let free = format!("127.0.0.1:{}", free_port());
    let url = format!("http://{free}");
    let wait = ["--connect-wait-secs", "60"];
    let calls: [&[&str]; 4] = [
        &["lock", "--data", "v.redb"],
        &["unlock", "--data", "v.redb", "--passphrase-file", "pass"],
        &["status", "--server", &url],
        &["status", "--server", "unix:api.sock"],
    ];
    for call in calls {
        let waiting = begin(folder.path(), &[call, &wait[..]].concat());
        let mut serving =
            serve(folder.path(), if call.contains(&"unix:api.sock") { "unix:api.sock" } else { &free });
        let output = end(waiting);
        assert!(output.status.success(), "{call:?}: {}", stderr(&output));
        assert!(serving.stop());
    }
    let told = sealroom(folder.path(), &["lock", "--data", "v.redb", "--connect-wait-secs", "2"]);
    assert_eq!(told.status.code(), Some(1), "nobody has come up");
    assert!(stderr(&told).contains("waiting up to 2 s for it to start"), "{}", stderr(&told));
}

#[test]
fn the_production_block_of_the_readme_can_be_pasted_whole() {
    let folder = tempfile::tempdir().unwrap();
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let block = readme.split("## Production").nth(1).unwrap().split("```").nth(1).unwrap();
    let mut script = String::from("set -e\ntrap 'kill $!; wait' EXIT\n");
    for line in block.lines().skip(1) {
        let is_typed = line.starts_with("$ ") || line.starts_with("    ");
        script.push_str(if is_typed { line.trim_start_matches("$ ") } else { "" });
        script.push('\n');
    }
    let script = script.replace("0.0.0.0:8443", "127.0.0.1:0");
    let binaries = Path::new(env!("CARGO_BIN_EXE_sealroom")).parent().unwrap();
    let editor = tempfile::tempdir().unwrap();
    secret_file(editor.path(), "editor", EDITOR, 0o755);
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", &script]).current_dir(folder.path()).env_clear();
    let path = format!("{}:{}:/usr/bin:/bin", editor.path().display(), binaries.display());
    bash.env("PATH", path).stdin(Stdio::null());
    let output = bash.output().unwrap();
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success(), "{said}{}", stderr(&output));
    let said: Vec<&str> = said.lines().filter(|line| !line.starts_with("listening on https://")).collect();
    assert!(said.ends_with(&["locked", "unlocked"]), "{said:?}");
}

#[test]
fn where_no_server_can_come_up_nobody_waits_for_one() {
    let folder = tempfile::tempdir().unwrap();
    secret_file(folder.path(), "pass", "x", 0o600);
    fs::write(folder.path().join("file"), "").unwrap();
    let long = "x".repeat(120);
    for (data, says) in [
        ("none.redb", "--data: none.redb does not exist"),
        ("none/v.redb", "--data: none/v.redb: none does not exist"),
        ("file/v.redb", "file is not a folder"),
        (&long, "107 bytes"),
    ] {
        for call in [&["lock"][..], &["unlock", "--passphrase-file", "pass"]] {
            let args = [call, &["--data", data, "--connect-wait-secs", FOR_EVER]].concat();
            let output = sealroom(folder.path(), &args);
            assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
            assert!(stderr(&output).contains(says), "{args:?}: {}", stderr(&output));
        }
    }
}

#[test]
fn to_lock_what_is_locked_is_no_failure() {
    let folder = vault();
    let mut serving = serve(folder.path(), "127.0.0.1:0");
    secret_file(folder.path(), "wrong", "another passphrase\n", 0o600);
    let unlock = ["unlock", "--data", "v.redb", "--passphrase-file", "wrong"];
    let told = sealroom(folder.path(), &unlock).stdout;
    assert_eq!(
        told, b"already unlocked: the passphrase was not checked\n",
        "nobody takes it for the right one"
    );
    for told in ["locked\n", "locked already\n", "locked already\n"] {
        let lock = sealroom(folder.path(), &["lock", "--data", "v.redb"]);
        assert!(lock.status.success(), "{}", stderr(&lock));
        assert_eq!(lock.stdout, told.as_bytes());
    }
    // The README's backup, on a vault that is already locked.
    let script = "sealroom lock --data v.redb && cp v.redb kept.redb && sealroom unlock --data v.redb --passphrase-file pass";
    let binaries = Path::new(env!("CARGO_BIN_EXE_sealroom")).parent().unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).current_dir(folder.path()).env_clear();
    shell.env("PATH", format!("{}:/usr/bin:/bin", binaries.display()));
    assert!(shell.output().unwrap().status.success());
    assert!(serving.health().contains(r#""locked":false"#));
    assert!(serving.stop());
    assert!(folder.path().join("kept.redb").exists());
}

/// Runs a copy of the binary as somebody who may not look into the build's folder.
fn as_nobody(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(folder.join("sealroom"));
    command.args(args).current_dir(folder).env_clear().env("USER", "alice");
    command.uid(NOBODY).gid(NOBODY).stdin(Stdio::null());
    command
}

fn is_root() -> bool {
    let is_root = rustix::process::getuid().is_root();
    if !is_root {
        eprintln!("skipped: only root can act as two users");
    }
    is_root
}

/// A vault in a folder that everybody may look into, with a binary that everybody may run.
fn shared_vault() -> tempfile::TempDir {
    let folder = vault();
    fs::copy(env!("CARGO_BIN_EXE_sealroom"), folder.path().join("sealroom")).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

#[test]
fn whoever_may_not_speak_to_a_server_is_never_told_that_there_is_none() {
    if !is_root() {
        return;
    }
    let folder = shared_vault();
    let mut serving = serve(folder.path(), "127.0.0.1:0");
    let lock = ["lock", "--data", "v.redb", "--connect-wait-secs", FOR_EVER];
    let refused = |says: &[&str]| {
        let output = as_nobody(folder.path(), &lock).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        for text in says {
            assert!(stderr(&output).contains(text), "{}", stderr(&output));
        }
        assert!(!stderr(&output).contains("no server answers"), "{}", stderr(&output));
    };
    refused(&["cannot be used: Permission denied", "it belongs to root: run this as root"]);
    // Whatever the mode says: the peer is asked who it is.
    fs::set_permissions(folder.path().join("v.redb.sock"), fs::Permissions::from_mode(0o777)).unwrap();
    refused(&["only the server's user and root", "uid 0"]);
    let unlock = ["unlock", "--data", "v.redb", "--passphrase-stdin"];
    let output =
        as_nobody(folder.path(), &unlock).stdin(fs::File::open(folder.path().join("pass")).unwrap()).output();
    assert!(stderr(&output.unwrap()).contains("only the server's user"));
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    assert!(serving.health().contains(r#""locked":false"#), "nothing was locked");
    assert!(serving.stop());
}

/// A user beside a vault of another name was told to name its file, without a word of the flag's value.
#[test]
fn a_command_that_misses_the_servers_file_is_led_to_it() {
    let folder = vault();
    let mut serving = serve(folder.path(), "127.0.0.1:0");
    let file = folder.path().canonicalize().unwrap().join("v.redb").display().to_string();
    for call in [&["lock"][..], &["unlock"], &["lock", "--data", "w.redb"]] {
        let output = sealroom(folder.path(), call);
        assert_eq!(output.status.code(), Some(1));
        let said = stderr(&output);
        assert!(said.contains(" does not exist, and no server answers beside it"), "{said}");
        assert!(said.contains(&format!("\nhint: a server has {file} open: pass --data {file}")), "{said}");
    }
    for call in [&["slot", "list"][..], &["audit", "archive", "--before", "2026-01-01", "--to", "old"]] {
        let output = sealroom(folder.path(), call);
        assert_eq!(output.status.code(), Some(1));
        let said = stderr(&output);
        assert!(said.starts_with("error: sealroom.redb does not exist\n"), "{said}");
        assert!(said.contains(&format!("\nhint: a server has {file} open: pass --data {file}")), "{said}");
    }
    assert!(serving.stop());
}

fn actors(serving: &Serving, owner: &str, action: &str) -> Vec<String> {
    let path = format!("/sfp/api/audit?action={action}&limit=50");
    let events = request(serving.address(), "GET", &path, owner, "").unwrap().2;
    let name = |event: &Value| event["actor"].as_str().unwrap().to_owned();
    events.as_array().unwrap().iter().map(name).collect()
}

/// A server that was started with `USER=alice` wrote `host:alice` whoever locked it.
#[test]
fn the_log_names_who_acted_at_the_host_and_never_what_a_variable_says() {
    if !is_root() {
        return;
    }
    let folder = shared_vault();
    secret_file(folder.path(), "owner", &fs::read_to_string(folder.path().join("owner")).unwrap(), 0o600);
    for path in fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()) {
        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    std::os::unix::fs::chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    let args = ["serve", "--data", "v.redb", "--passphrase-file", "pass", "--listen", "127.0.0.1:0"];
    let mut serving = Serving::spawn(as_nobody(folder.path(), &args), folder.path());
    let unlock = ["unlock", "--data", "v.redb", "--passphrase-file", "pass"];
    // Root, which calls itself mallory; then the server's own user.
    let root = |args: &[&str]| command(folder.path(), args).env("USER", "mallory").output().unwrap();
    assert!(root(&["lock", "--data", "v.redb"]).status.success());
    secret_file(folder.path(), "pass", crate::support::binary::PASSPHRASE, 0o600);
    assert!(root(&unlock).status.success());
    std::os::unix::fs::chown(folder.path().join("pass"), Some(NOBODY), Some(NOBODY)).unwrap();
    assert!(as_nobody(folder.path(), &["lock", "--data", "v.redb"]).output().unwrap().status.success());
    assert!(as_nobody(folder.path(), &unlock).output().unwrap().status.success());
    let password = fs::read_to_string(folder.path().join("owner")).unwrap();
    let login = serde_json::json!({ "email": "ada@example.com", "password": password }).to_string();
    let owner = request(serving.address(), "POST", "/sfp/api/auth/login", "", &login).unwrap().2;
    let owner = owner["access_token"].as_str().unwrap();
    assert_eq!(actors(&serving, owner, "vault.lock"), ["host:nobody", "host:root"]);
    assert_eq!(actors(&serving, owner, "vault.unlock"), ["host:nobody", "host:root", "host:nobody"]);
    assert_eq!(actors(&serving, owner, "vault.init"), ["host:root"]);
    assert_eq!(actors(&serving, owner, "server.start"), ["host:nobody"]);
    assert!(serving.stop());
}
