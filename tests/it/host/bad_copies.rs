//! Copies that cannot be: onto a full disk, and from a newer program. Nothing is left of them, and nothing is changed.

use std::{fs, path::Path};

use serde_json::json;

use super::disks::Disk;
use crate::{
    lab::kills::request,
    support::{
        binary::{Serving, sealroom, secret_file, stderr, vault},
        log::SERVE,
        memory_disk::{META, edit},
    },
};

const EVENTS: usize = 270;

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// Runs a command that must fail in these words.
fn refused(folder: &Path, args: &[&str], said: &str) {
    let refused = sealroom(folder, args);
    let told = stderr(&refused);
    assert_eq!(refused.status.code(), Some(1), "{args:?}: {told}");
    assert!(told.contains(said) && told.contains("hint: "), "{args:?}: {told}");
}

/// Serves a vault with 400 KiB of credentials and more events than the least of an archive, and backs it up to
/// `kept.redb`; an owner's session is in `token`.
pub(super) fn backed_up(folder: &Path) -> Serving {
    let server = Serving::start(folder, SERVE);
    let password = fs::read_to_string(folder.join("owner")).unwrap();
    let login = json!({ "email": "ada@example.com", "password": password }).to_string();
    let (_, _, session) = request(server.address(), "POST", "/sfp/api/auth/login", "", &login).unwrap();
    let owner = session["access_token"].as_str().unwrap();
    for n in 0..10 {
        let body = json!({ "provider": "custom", "authType": "api_key", "name": format!("key-{n}"), "isGlobal": true,
            "credentials": { "value": "x".repeat(40_000) } });
        let made = request(server.address(), "POST", "/sfp/api/integrations", owner, &body.to_string());
        assert_eq!(made.unwrap().0, 201);
    }
    for _ in 0..EVENTS {
        let read = request(server.address(), "GET", "/sfp/api/audit?limit=1", owner, "");
        assert_eq!(read.unwrap().0, 200);
    }
    secret_file(folder, "token", owner, 0o600);
    let back_up = ["backup", "kept.redb", "--server", &server.url, "--token-file", "token"];
    assert!(sealroom(folder, &back_up).status.success());
    server
}

#[test]
fn no_copy_onto_a_full_disk_leaves_a_part_of_itself_or_changes_a_file() {
    let Some(disk) = Disk::tmpfs("4m") else { return };
    let folder = vault();
    let folder = folder.path();
    let mut server = backed_up(folder);
    let on_disk = |name: &str| disk.root.join(name).display().to_string();
    let (data, new) = (on_disk("v.redb"), on_disk("new.redb"));
    fs::copy(folder.join("kept.redb"), &data).unwrap();
    let ballast = disk.fill(64 * 1024);
    let (there, before) = (names(&disk.root), fs::read(&data).unwrap());
    let pass = ["--passphrase-file", "pass"];
    let full = "No space left on device";
    refused(folder, &["backup", &new, "--server", &server.url, "--token-file", "token"], full);
    assert!(server.health().contains(r#""status":"healthy""#), "{}", server.health());
    assert!(server.stop());
    let short = "are free; nothing was changed";
    refused(folder, &[&["restore", "kept.redb", "--data", &new][..], &pass].concat(), short);
    refused(folder, &[&["restore", "kept.redb", "--force", "--data", &data][..], &pass].concat(), short);
    for command in [&["compact"][..], &["rekey", "--yes"]] {
        // The room is looked for first.
        let args = [command, &["--data", &data], &pass].concat();
        refused(folder, &args, "the new file needs up to");
    }
    let archive = ["audit", "archive", "--before", "2100-01-01", "--data", "v.redb"];
    fs::write(disk.root.join("more"), vec![1; 60 * 1024]).unwrap();
    let archived = on_disk("old.archive");
    refused(folder, &[&archive[..], &["--to", &archived], &pass].concat(), full);
    fs::remove_file(disk.root.join("more")).unwrap();
    assert_eq!(names(&disk.root), there, "no part of a copy is left");
    assert!(fs::read(&data).unwrap() == before, "the file stays as it was");
    fs::remove_file(ballast).unwrap();
    let restored = sealroom(folder, &[&["restore", "kept.redb", "--data", &new][..], &pass].concat());
    assert!(restored.status.success(), "room is all that it takes: {}", stderr(&restored));
}

#[test]
fn a_backup_of_a_newer_program_is_refused_by_each_command_with_the_format_that_it_has() {
    let folder = vault();
    let folder = folder.path();
    assert!(backed_up(folder).stop());
    let newer = edit(&fs::read(folder.join("kept.redb")).unwrap(), |txn| {
        drop(txn.open_table(META).unwrap().insert("format", &2_u32.to_le_bytes()[..]).unwrap());
    });
    fs::write(folder.join("newer.redb"), &newer).unwrap();
    let (there, before) = (names(folder), fs::read(folder.join("v.redb")).unwrap());
    let pass = ["--passphrase-file", "pass"];
    for command in [
        &["restore", "newer.redb", "--data", "other.redb"][..],
        &["restore", "newer.redb", "--data", "v.redb", "--force"],
        &["serve", "--data", "newer.redb", "--listen", "127.0.0.1:0"],
        &["compact", "--data", "newer.redb"],
        &["rekey", "--yes", "--data", "newer.redb"],
        &["slot", "change", "--same", "--data", "newer.redb"],
        &["recover", "owner", "--data", "newer.redb"],
        &["doctor", "newer.redb"],
    ] {
        refused(folder, &[command, &pass].concat(), "format 2");
    }
    assert_eq!(names(folder), there);
    assert!(fs::read(folder.join("newer.redb")).unwrap() == newer);
    assert!(fs::read(folder.join("v.redb")).unwrap() == before);
}
