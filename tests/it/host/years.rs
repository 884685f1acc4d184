//! Words of the commands that keep a vault for years: each names the cause and the next step of its own case.

use std::{fs, path::Path};

use crate::support::{
    binary::{INIT, PASSPHRASE, Serving, command, sealroom, secret_file, stderr, vault},
    log::SERVE,
};

/// Fails a command; returns what it said.
fn refused(folder: &Path, exit: i32, line: &str) -> String {
    let output = sealroom(folder, &line.split(' ').collect::<Vec<_>>());
    assert_eq!(output.status.code(), Some(exit), "{line}: {}", stderr(&output));
    stderr(&output)
}

/// `slot change` names a slot with a flag and `slot remove` took it bare alone, with a tip about values.
#[test]
fn a_slot_is_named_for_its_removal_as_it_is_for_its_change() {
    let folder = vault();
    let folder = folder.path();
    let remove = |more: &str| format!("slot remove --yes --data v.redb --passphrase-file pass{more}");
    assert!(refused(folder, 1, &remove(" --slot 9")).contains("there is no slot 9"));
    assert!(refused(folder, 1, &remove(" 9")).contains("there is no slot 9"));
    assert!(refused(folder, 2, &remove(" 2 --slot 2")).contains("cannot be used with"));
    assert!(refused(folder, 2, &remove("")).contains("not provided"));
    let line = remove(" --slot 2");
    let removed = sealroom(folder, &line.split(' ').collect::<Vec<_>>());
    assert!(removed.status.success(), "{}", stderr(&removed));
    assert!(stderr(&removed).contains("slot 2 is removed"), "{}", stderr(&removed));
}

#[test]
fn no_hint_after_a_flag_that_is_unknown_tells_of_values() {
    let folder = tempfile::tempdir().unwrap();
    for line in ["compact --slot 2", "restore kept.redb --dry-run", "slot list --id 3", "doctor v.redb --fix"]
    {
        let said = refused(folder.path(), 2, line);
        assert!(said.contains("unexpected argument") && said.contains("--help`"), "{line}: {said}");
        assert!(!said.contains("as a value"), "{line}: {said}");
    }
    let similar = refused(folder.path(), 2, "compact --dat v.redb");
    assert!(similar.contains("--data"), "{similar}");
}

/// The advice was to use another vault.
#[test]
fn each_command_that_opens_the_file_itself_says_to_stop_the_server_first() {
    let folder = vault();
    let folder = folder.path();
    fs::copy(folder.join("v.redb"), folder.join("kept.redb")).unwrap();
    let mut server = Serving::start(folder, SERVE);
    for line in [
        "compact --data v.redb --passphrase-file pass",
        "rekey --yes --data v.redb --passphrase-file pass",
        "restore kept.redb --force --data v.redb --passphrase-file pass",
        "recover owner --data v.redb --passphrase-file pass",
    ] {
        let said = refused(folder, 1, line);
        assert!(said.contains("is in use by process"), "{line}: {said}");
        assert!(said.contains("stop the server, run the command again"), "{line}: {said}");
    }
    assert!(server.stop());
}

/// An operator who restores has no vault to make, and `doctor` takes its file bare.
#[test]
fn no_hint_about_a_backup_says_to_create_a_vault() {
    let folder = vault();
    let folder = folder.path();
    fs::write(folder.join("notes"), "no vault").unwrap();
    for line in [
        "restore gone.redb --data new.redb --passphrase-file pass",
        "restore notes --data new.redb --passphrase-file pass",
        "restore pass --data new.redb --passphrase-file pass",
        "doctor gone.redb --passphrase-file pass",
        "doctor notes --passphrase-file pass",
    ] {
        let said = refused(folder, 1, line);
        assert!(said.contains("backup") && !said.contains("sealroom init"), "{line}: {said}");
    }
    assert!(!folder.join("new.redb").exists());
}

/// The lost vault's file is what an operator has at hand, and it was called no export.
#[test]
fn a_vault_file_given_for_an_export_is_named_with_the_way_to_compare_it() {
    let folder = vault();
    let folder = folder.path();
    fs::copy(folder.join("v.redb"), folder.join("kept.redb")).unwrap();
    let said = refused(folder, 1, "restore kept.redb --data new.redb --since v.redb --passphrase-file pass");
    assert!(said.contains("--since v.redb: it is a vault file"), "{said}");
    assert!(said.contains("--data") && said.contains("--force"), "{said}");
    assert!(!folder.join("new.redb").exists());
}

/// A recovery key of another vault, or from before a rekey, was called a wrong passphrase that the keyboard may cause.
#[test]
fn a_recovery_key_that_opens_nothing_is_told_from_a_wrong_passphrase_and_from_a_mistyped_one() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for home in [&folder, &other] {
        secret_file(home.path(), "pass", PASSPHRASE, 0o600);
        let made = sealroom(home.path(), &[INIT, &["--recovery-key-file", "paper"]].concat());
        assert!(made.status.success(), "{}", stderr(&made));
    }
    let folder = folder.path();
    let paper = fs::read_to_string(other.path().join("paper")).unwrap();
    secret_file(folder, "foreign", &paper, 0o600);
    let digit = if paper.starts_with('A') { "B" } else { "A" };
    secret_file(folder, "mistyped", &format!("{digit}{}", &paper[1..]), 0o600);
    secret_file(folder, "wrong", "another passphrase example", 0o600);
    for (with, said_of_it, hint) in [
        ("foreign", "no slot has this recovery key", "is of another vault"),
        ("mistyped", "its checksum does not fit", "compare each group of four"),
        ("wrong", "wrong passphrase", "keyboard layout"),
    ] {
        for line in ["compact --data v.redb", "doctor v.redb", "slot add recovery --data v.redb"] {
            let said = refused(folder, 1, &format!("{line} --passphrase-file {with}"));
            assert!(said.contains(said_of_it), "{line} {with}: {said}");
            let is_worded_here = line.starts_with("compact") || with == "mistyped";
            assert!(!is_worded_here || said.contains(hint), "{line} {with}: {said}");
            assert!(!said.contains(paper.trim()), "{line} {with}");
        }
    }
}

/// Nothing but a line of the log said that the vault's file goes on growing.
#[test]
fn a_schedule_that_fails_shows_in_health_status_and_metrics_each_with_what_to_do() {
    let folder = vault();
    let folder = folder.path();
    let schedules = ["--archive-folder", "gone", "--archive-keep-days", "1", "--backup-folder", "gone"];
    // An archive is only begun once a block of events is old: the fixture's are.
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1.redb");
    fs::copy(fixture, folder.join("v.redb")).unwrap();
    let mut server = Serving::start(folder, &[SERVE, &schedules].concat());
    let failed = server.logged("the archive failed");
    assert!(failed.contains("hint") && failed.contains("gone"), "{failed}");
    server.logged("the backup failed");
    let health = server.health();
    assert!(health.contains(r#""detail":["backup_failed","archive_failed"]"#), "{health}");
    assert!(health.contains(r#""status":"healthy""#), "nothing is refused for it: {health}");
    let status = command(folder, &["status", "--server", &server.url]).output().unwrap();
    let said = String::from_utf8(status.stdout).unwrap();
    for what in ["archive_failed: the server's log says why", "backup_failed: the server's log says why"] {
        assert!(said.contains(what), "{said}");
    }
    let metrics = command(folder, &["status", "--json", "--server", &server.url]).output().unwrap();
    assert!(String::from_utf8(metrics.stdout).unwrap().contains("archive_failed"));
    assert!(server.stop());
    // A start with the folder heals it.
    fs::create_dir(folder.join("gone")).unwrap();
    let mut server = Serving::start(folder, &[SERVE, &schedules].concat());
    server.logged("events archived");
    server.logged("backup written and verified");
    assert!(!server.health().contains("detail"), "{}", server.health());
    assert!(server.stop());
}
