//! The sandbox of the real binary: what the kernel says that the process may, and what fails inside it.

use std::{
    fs,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::Path,
    process::{Command, Stdio},
};

use rustix::process::{Signal, getuid};
use serde_json::Value;

use crate::support::binary::{Serving, command, sealroom, secret_file, stderr, vault};

const SERVE: [&str; 7] =
    ["serve", "--data", "v.redb", "--passphrase-file", "pass", "--listen", "127.0.0.1:0"];
/// A user without any file or process, if the test may become one.
const NOBODY: u32 = 65_534;

/// The value of one line of `/proc/…/status`.
fn line(status: &str, name: &str) -> String {
    let found = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    found.unwrap_or_else(|| panic!("{name}: {status}")).trim().to_owned()
}

fn has_landlock() -> bool {
    fs::read_to_string("/proc/self/attr/landlock/current").is_ok()
        || fs::read_to_string("/sys/kernel/security/lsm").is_ok_and(|list| list.contains("landlock"))
}

/// Asserts that no thread of a server has a right left.
fn assert_restricted(server: &Serving) {
    let pid = server.child.id();
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let tasks: Vec<_> = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("status"))).collect();
    assert!(tasks.len() > 2, "{} threads", tasks.len());
    for status in tasks.into_iter().flatten() {
        assert_eq!(line(&status, "NoNewPrivs"), "1", "{status}");
        assert_eq!(line(&status, "Seccomp"), "2", "{status}");
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(line(&status, set), "0000000000000000", "{set}: {status}");
        }
        if line(&status, "Uid").starts_with("0\t") {
            assert_eq!(line(&status, "CapBnd"), "0000000000000000", "{status}");
        }
    }
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let cores = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(cores.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{cores}");
}

#[test]
fn no_thread_of_a_server_keeps_a_right_it_was_born_with() {
    let folder = vault();
    let server = Serving::start(folder.path(), &SERVE);
    let said = server.logged("sandbox: ");
    for part in ["seccomp", "no new privileges", "no capabilities", "not dumpable", "no core files"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // Threads that only work starts: a login's, and a backup's in the making.
    assert!(server.health().starts_with("HTTP/1.1 200"));
    assert_restricted(&server);
    if getuid().is_root() {
        server.logged("runs as root");
    }
    let dev = Serving::start(folder.path(), &["serve", "--dev", "--json", "--listen", "127.0.0.1:0"]);
    assert_restricted(&dev);
}

#[test]
fn no_other_process_of_the_same_user_can_read_the_memory_of_a_server() {
    if !getuid().is_root() {
        println!("not run: becoming another user takes root");
        return;
    }
    let folder = vault();
    for entry in fs::read_dir(folder.path()).unwrap() {
        std::os::unix::fs::chown(entry.unwrap().path(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    std::os::unix::fs::chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    let as_nobody = |sandbox: &str| {
        let mut serve = command(folder.path(), &SERVE);
        // The binary may lie where only root can reach it, so it becomes another user after its start.
        serve.env("SEALROOM_SANDBOX", sandbox).stdin(Stdio::null()).uid(NOBODY).gid(NOBODY);
        serve
    };
    if as_nobody("true").arg("--help").stdout(Stdio::null()).status().is_err() {
        println!("not run: the binary is where another user cannot reach it");
        return;
    }
    let readable = |pid: u32| {
        let mut read = Command::new("head");
        read.args(["-c", "1", &format!("/proc/{pid}/maps")]).uid(NOBODY).gid(NOBODY);
        read.output().unwrap().status.success()
    };
    let mut open = Serving::spawn(as_nobody("false"), folder.path());
    assert!(readable(open.child.id()), "without the sandbox it can");
    open.logged("sandbox: off");
    assert!(open.stop());
    let server = Serving::spawn(as_nobody("true"), folder.path());
    assert!(!readable(server.child.id()), "{}", server.logged("sandbox: "));
    assert_eq!(fs::metadata(format!("/proc/{}/mem", server.child.id())).unwrap().uid(), 0);
    assert_restricted(&server);
}

#[test]
fn nothing_can_be_executed_opened_connected_or_signalled_from_inside() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("vault");
    fs::create_dir(&inside).unwrap();
    let checked = sealroom(folder.path(), &["__sandbox-check", inside.to_str().unwrap()]);
    assert!(checked.status.success(), "{}", stderr(&checked));
    let report: Value = serde_json::from_slice(&checked.stdout).unwrap();
    let lacks_landlock = report["lacks"].to_string().contains("landlock");
    assert!(!(lacks_landlock && has_landlock()), "{report}");
    for (what, error) in report["attempts"].as_object().unwrap() {
        if what.starts_with("allowed: ") {
            assert!(error.is_null(), "{what}: {error}");
            continue;
        }
        let of_landlock = ["read", "list", "write", "move"].iter().any(|verb| what.starts_with(verb));
        if !(of_landlock && lacks_landlock) {
            assert!(error.is_string(), "{what} succeeded: {report}");
            // Refused, and not only missing on this machine.
            let refused = [
                "Permission denied",
                "Operation not permitted",
                "Function not implemented",
                "Invalid cross-device",
            ];
            let refused = refused.iter().any(|cause| error.as_str().unwrap().contains(cause));
            assert!(
                refused || (what.contains("shadow") && !Path::new("/etc/shadow").exists()),
                "{what}: {error}"
            );
        }
    }
    assert_eq!(report["attempts"].as_object().unwrap().len(), 18, "each was tried: {report}");
    assert!(!folder.path().join("vault.outside").exists() && !folder.path().join("vault.moved").exists());
}

#[test]
fn a_server_in_its_sandbox_reads_a_renewed_file_and_writes_to_a_folder_that_appears_later() {
    let folder = vault();
    let folder = folder.path();
    fs::write(folder.join("c.toml"), "log_level = \"info\"\n").unwrap();
    let mut args = SERVE.to_vec();
    args.extend(["--config", "c.toml", "--checkpoint-folder", "later/notes", "--checkpoint-every-secs", "1"]);
    let mut server = Serving::start(folder, &args);
    // As an editor saves it: a new file in place of the old one.
    fs::write(folder.join("new"), "log_level = \"debug\"\n").unwrap();
    fs::rename(folder.join("new"), folder.join("c.toml")).unwrap();
    server.signal(Signal::HUP);
    server.logged("limits and log level reloaded");
    fs::create_dir_all(folder.join("later/notes")).unwrap();
    let appeared = || fs::read_dir(folder.join("later/notes")).unwrap().count() > 0;
    assert!((0..1000).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        appeared()
    }));
    assert!(server.stop());
    assert!(!folder.join("v.redb.sock").exists(), "it could remove its socket");
}

#[test]
fn the_sandbox_can_be_turned_off_and_says_so() {
    let folder = vault();
    secret_file(folder.path(), "c.toml", "sandbox = false\n", 0o600);
    let mut args = SERVE.to_vec();
    args.extend(["--config", "c.toml"]);
    let mut server = Serving::start(folder.path(), &args);
    server.logged("sandbox: off");
    let status = fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    assert_eq!(line(&status, "Seccomp"), "0");
    assert!(server.stop());
    args.extend(["--sandbox", "true"]);
    let server = Serving::start(folder.path(), &args);
    assert_restricted(&server);
}
