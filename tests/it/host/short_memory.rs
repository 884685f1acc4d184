//! The commands of the host where the key derivation does not fit in memory.

use std::{
    fs,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::support::binary::{PASSPHRASE, ended, sealroom, secret_file, stderr};

/// A passphrase slot of 300 MiB, under a limit of less.
fn limited(folder: &std::path::Path, args: &[&str]) -> Output {
    let mut shell = Command::new("sh");
    let script = format!("ulimit -v 300000; exec '{}' \"$@\"", env!("CARGO_BIN_EXE_sealroom"));
    shell.current_dir(folder).args(["-c", &script, "sh"]).args(args).env_clear().env("USER", "tester");
    ended(shell.stdout(Stdio::piped()))
}

/// They were killed without a word, or told that the passphrase or the key slots were bad.
#[test]
fn no_command_of_the_host_starts_a_derivation_that_does_not_fit_or_blames_the_file_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    secret_file(folder, "pass", PASSPHRASE, 0o600);
    secret_file(folder, "second", "another passphrase example\n", 0o600);
    let init = ["init", "--data", "v.redb", "--owner-email", "ada@example.com", "--passphrase-file", "pass"];
    let cost = ["--weak-kdf", "--kdf-memory", "307200", "--kdf-passes", "1"];
    let made = sealroom(folder, &[&init[..], &cost].concat());
    assert!(made.status.success(), "{}", stderr(&made));
    fs::copy(folder.join("v.redb"), folder.join("backup.redb")).unwrap();
    let before = fs::read(folder.join("v.redb")).unwrap();
    let with = ["--passphrase-file", "pass"];
    for args in [
        &["compact", "--data", "v.redb"][..],
        &["rekey", "--data", "v.redb", "--yes"],
        &["recover", "owner", "--data", "v.redb"],
        &["restore", "backup.redb", "--data", "new.redb"],
        &["audit", "archive", "--data", "v.redb", "--before", "2100-01-01", "--to", "old"],
        &["serve", "--data", "v.redb", "--listen", "127.0.0.1:0"],
    ] {
        let refused = limited(folder, &[args, &with].concat());
        let said = stderr(&refused);
        assert_eq!(refused.status.code(), Some(1), "{args:?}: {said}");
        assert!(
            said.contains("needs 300 MiB of memory") && said.contains("raise the limit"),
            "{args:?}: {said}"
        );
        assert_eq!(fs::read(folder.join("v.redb")).unwrap(), before, "{args:?}");
    }
    assert!(!folder.join("new.redb").exists());
    let examined = limited(folder, &["doctor", "v.redb", "--json", "--passphrase-file", "pass"]);
    let report: Value = serde_json::from_slice(&examined.stdout).unwrap();
    let check = |name: &str| {
        let checks = report["checks"].as_array().unwrap();
        checks.iter().find(|check| check["name"] == name).unwrap().clone()
    };
    let passphrase = check("passphrase");
    assert_eq!(
        (passphrase["status"].as_str(), examined.status.code()),
        (Some("skipped"), Some(0)),
        "{report}"
    );
    assert!(passphrase.to_string().contains("raise the limit"), "{report}");
    assert!(check("kdf")["message"].as_str().unwrap().contains("needs 300 MiB to unlock"), "{report}");
    let listed = sealroom(folder, &["slot", "list", "--data", "v.redb"]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("1 pass,"), "{listed}");
}
