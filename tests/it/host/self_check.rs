//! `self-check` and `version` of the real binary.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

use rustix::process::getuid;
use serde_json::Value;

use crate::support::{
    binary::{command, ended, sealroom, stderr, vault},
    tls::has,
};

/// The report as JSON, and the exit code.
fn report(command: &mut Command) -> (Value, i32) {
    let output = ended(command.stdout(Stdio::piped()));
    let value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    (value, output.status.code().unwrap())
}

fn check<'a>(report: &'a Value, name: &str) -> (&'a str, &'a str) {
    let checks = report["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["name"] == name);
    let found = found.unwrap_or_else(|| panic!("{name}: {report}"));
    (found["status"].as_str().unwrap(), found["message"].as_str().unwrap())
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    fs::set_permissions(folder.path().join("data"), Permissions::from_mode(0o700)).unwrap();
    folder
}

const CHECK: [&str; 4] = ["self-check", "--json", "--data", "data/v.redb"];

#[test]
fn a_host_that_is_well_has_a_line_for_each_check_and_nothing_is_left_behind() {
    let folder = folder();
    let (value, code) = report(&mut command(folder.path(), &CHECK));
    assert_eq!((code, &value["ok"], &value["folder"]), (0, &true.into(), &"data".into()), "{value}");
    for name in [
        "SHA-256",
        "HMAC-SHA-256",
        "HKDF-SHA-256",
        "AES-256-GCM",
        "XChaCha20-Poly1305",
        "argon2id",
        "Ed25519",
        "RS256",
        "random source",
        "clock",
        "memory",
        "folder",
        "names",
        "locks",
        "syncs",
        "space",
    ] {
        assert_eq!(check(&value, name).0, "ok", "{name}: {}", check(&value, name).1);
    }
    assert!(["ok", "warning"].contains(&check(&value, "sandbox").0), "{value}");
    assert!(check(&value, "memory").1.contains("64 MiB"), "{value}");
    assert_eq!(fs::read_dir(folder.path().join("data")).unwrap().count(), 0);
    let lines = sealroom(folder.path(), &["self-check", "--data", "data/v.redb"]);
    let text = String::from_utf8(lines.stdout).unwrap();
    assert_eq!(text.lines().count(), value["checks"].as_array().unwrap().len() + 1, "{text}");
    assert!(text.lines().last().unwrap().ends_with("0 failed"), "{text}");
}

#[test]
fn a_folder_in_which_no_vault_can_live_is_never_ok_and_says_what_to_do() {
    let folder = folder();
    let data = folder.path().join("data");
    let failed = |mode: u32, data_flag: &str, says: &str| {
        fs::set_permissions(&data, Permissions::from_mode(mode)).unwrap();
        let args = ["self-check", "--json", "--data", data_flag];
        let (value, code) = report(&mut command(folder.path(), &args));
        let (status, message) = check(&value, "folder");
        assert_eq!((status, code), ("failed", 1), "{value}");
        assert!(message.contains(says), "{message}");
        assert_eq!(check(&value, "locks").0, "skipped");
    };
    failed(0o777, "data/v.redb", "chmod go-w");
    fs::set_permissions(&data, Permissions::from_mode(0o700)).unwrap();
    fs::write(folder.path().join("file"), "x").unwrap();
    // A path that leads through a file, and one to a folder that is not there: refused as for `init`.
    for (path, says) in [("file/v.redb", "is not a folder"), ("none/v.redb", "does not exist")] {
        let refused = sealroom(folder.path(), &["self-check", "--data", path]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(stderr(&refused).contains(says), "{}", stderr(&refused));
    }
}

/// A mount of a test's own, in a namespace that goes with its processes.
pub fn mounted(folder: &Path, mount: &str, args: &[&str]) -> Option<Command> {
    if !getuid().is_root() || !has("unshare") {
        eprintln!("not run: a mount takes root and unshare");
        return None;
    }
    let script = format!("mount {mount} && exec \"$0\" \"$@\"");
    let mut shell = Command::new("unshare");
    shell.args(["-m", "sh", "-c", &script, env!("CARGO_BIN_EXE_sealroom")]).args(args);
    shell.current_dir(folder).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    Some(shell)
}

#[test]
fn a_read_only_volume_and_one_of_memory_are_named() {
    let folder = folder();
    let read_only = "-t tmpfs -o ro,mode=700,size=200m none data";
    let Some(mut run) = mounted(folder.path(), read_only, &CHECK) else { return };
    let output = ended(run.stdout(Stdio::piped()));
    if output.stdout.is_empty() {
        eprintln!("not run: this container may not mount: {}", stderr(&output));
        return;
    }
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    let (status, message) = check(&value, "folder");
    assert_eq!(status, "failed", "{value}");
    assert!(message.contains("read-only") && message.contains("remount"), "{message}");
    let memory = "-t tmpfs -o mode=700,size=200m none data";
    let (value, code) = report(&mut mounted(folder.path(), memory, &CHECK).unwrap());
    assert_eq!((check(&value, "file system").0, code), ("warning", 0), "{value}");
    let (value, code) = report(&mut mounted(folder.path(), &memory.replace("200m", "1m"), &CHECK).unwrap());
    assert_eq!((check(&value, "space").0, code), ("failed", 1), "{value}");
    let strict = [&CHECK[..], &["--strict"]].concat();
    assert_eq!(report(&mut mounted(folder.path(), memory, &strict).unwrap()).1, 1, "--strict");
}

/// A process without the memory was killed, or said that the system gave none, and not what to do.
#[test]
fn too_little_memory_is_a_clear_line_and_not_a_killed_process() {
    if !has("prlimit") {
        return;
    }
    let folder = vault();
    fs::create_dir(folder.path().join("data")).unwrap();
    let limited = |args: &[&str]| {
        let mut command = Command::new("prlimit");
        command.arg("--as=75000000").arg(env!("CARGO_BIN_EXE_sealroom")).args(args);
        command.current_dir(folder.path()).env_clear();
        command
    };
    let (value, code) = report(&mut limited(&CHECK));
    let (status, message) = check(&value, "memory");
    assert_eq!((status, code), ("failed", 1), "{value}");
    assert!(message.contains("needs 64 MiB") && message.contains("--kdf-memory"), "{message}");
    let init =
        ["init", "--data", "new.redb", "--owner-email", "ada@example.com", "--passphrase-file", "pass"];
    let refused = ended(limited(&init).stdout(Stdio::piped()));
    assert_eq!(refused.status.code(), Some(1));
    let said = stderr(&refused);
    assert!(said.contains("ulimit -v") && said.contains("hint: raise the limit"), "{said}");
    assert!(!folder.path().join("new.redb").exists());
}

#[test]
fn a_vault_from_the_future_shows_a_clock_that_is_wrong() {
    let folder = vault();
    let touched = Command::new("touch").args(["-d", "2099-01-02"]).arg(folder.path().join("v.redb")).status();
    assert!(touched.unwrap().success());
    let (value, code) = report(&mut command(folder.path(), &["self-check", "--json", "--data", "v.redb"]));
    let (status, message) = check(&value, "clock");
    assert_eq!((status, code), ("failed", 1), "{value}");
    assert!(message.contains("at 2099-01-0") && message.contains("set the clock"), "{message}");
}

#[test]
fn the_version_says_what_a_report_of_a_fault_needs() {
    let folder = tempfile::tempdir().unwrap();
    let text = |args: &[&str]| String::from_utf8(sealroom(folder.path(), args).stdout).unwrap();
    let version = concat!("sealroom ", env!("CARGO_PKG_VERSION"));
    assert_eq!(text(&["version"]).trim_end(), version);
    assert_eq!(text(&["--version"]).trim_end(), version);
    let verbose = text(&["version", "--verbose"]);
    for line in ["commit ", "target ", "profile ", "features  server, client", "format    1 "] {
        assert!(verbose.lines().any(|shown| shown.starts_with(line)), "{line}: {verbose}");
    }
    let value: Value = serde_json::from_str(&text(&["version", "--json"])).unwrap();
    assert_eq!(value["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(value["format"], 1);
    let target = value["target"].as_str().unwrap();
    assert!(target.starts_with(std::env::consts::ARCH) && target.contains("linux"), "{target}");
    assert!(value["commit"].is_null() || value["commit"].as_str().unwrap().len() >= 7, "{value}");
}
