//! Canaries on the command line: an owner's mark, and its way through an export, a backup and the file itself.

use std::fs;

use serde_json::Value;

use super::roundtrip::Vault;
use crate::support::binary::{Serving, sealroom, secret_file, stderr, vault};

fn flags(list: &str) -> Vec<bool> {
    let list: Vec<Value> = serde_json::from_str(list).unwrap();
    list.iter().map(|one| one["canary"] == true).collect()
}

#[test]
fn a_canary_stays_one_through_an_export_and_its_import() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    secret_file(folder, "bait.json", r#"{"token":"ghp_example_bait"}"#, 0o600);
    let (old, fresh) = (Vault::start(folder), Vault::start(folder));
    let add = ["integration", "add", "github/pat", "--global", "--from-json", "bait.json", "--name"];
    let said = old.good(folder, &[&add[..], &["old admin", "--canary"]].concat());
    assert!(said.trim_end().ends_with(", all projects; each read raises an alarm"), "{said}");
    old.good(folder, &[&add[..], &["deploy"]].concat());
    let listed = old.good(folder, &["integration", "list"]);
    assert_eq!(listed.matches("github/pat (canary)").count(), 1, "{listed}");
    let shown = old.good(folder, &["integration", "show", "old admin"]);
    assert!(shown.contains("canary     yes, each read raises an alarm"), "{shown}");
    assert!(!old.good(folder, &["integration", "show", "deploy"]).contains("canary"));
    old.good(folder, &["export", "--all", "--output", "all.json"]);
    // Twice: the second finds its own again.
    for _ in 0..2 {
        let said = fresh.run(folder, &["import", "all.json", "--yes"]);
        assert!(said.status.success(), "{}", stderr(&said));
        assert_eq!(flags(&fresh.good(folder, &["integration", "list", "--json"])), [false, true]);
    }
    // One without the flag is another integration, and never replaces the one with it.
    let plain = fs::read_to_string(folder.join("all.json")).unwrap().replace(r#","canary":true"#, "");
    secret_file(folder, "plain.json", &plain, 0o600);
    assert!(fresh.run(folder, &["import", "plain.json", "--yes"]).status.success());
    assert_eq!(flags(&fresh.good(folder, &["integration", "list", "--json"])), [false, false, true]);
}

#[test]
fn a_canary_stays_one_through_a_backup_a_restart_and_a_rekey_and_its_reads_are_in_the_log() {
    let folder = vault();
    let folder = folder.path();
    let serve =
        ["serve", "--data", "v.redb", "--passphrase-file", "pass", "--listen", "127.0.0.1:0", "--json"];
    let mut server = Serving::start(folder, &serve);
    secret_file(folder, "password", &fs::read_to_string(folder.join("owner")).unwrap(), 0o600);
    secret_file(folder, "bait.json", r#"{"token":"ghp_example_bait"}"#, 0o600);
    let run = |server: &Serving, args: &[&str]| {
        let mut command = crate::support::binary::command(folder, args);
        let output = command.env("HOME", folder).env("SFP_SERVER_URL", &server.url).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    run(&server, &["login", "--email", "ada@example.com", "--password-file", "password"]);
    run(&server, &["integration", "add", "github/pat", "--global", "--from-json", "bait.json", "--canary"]);
    run(&server, &["credentials", "--all"]);
    server.logged("a canary was read");
    run(&server, &["backup", "copy.redb"]);
    assert!(server.stop());
    let rekeyed = sealroom(
        folder,
        &["rekey", "--data", "v.redb", "--passphrase-file", "pass", "--recovery-key-file", "rec", "--yes"],
    );
    assert!(rekeyed.status.success(), "{}", stderr(&rekeyed));
    for file in ["v.redb", "copy.redb"] {
        let doctor = sealroom(folder, &["doctor", file, "--passphrase-file", "pass"]);
        let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
        assert!(doctor.status.success(), "{file}: {said} {}", stderr(&doctor));
        let mut serve = serve;
        serve[2] = file;
        let mut server = Serving::start(folder, &serve);
        run(&server, &["login", "--email", "ada@example.com", "--password-file", "password"]);
        assert_eq!(flags(&run(&server, &["integration", "list", "--json"])), [true], "{file}");
        assert!(server.stop());
    }
}
