//! A program that changes under a vault: replaced or deleted while it serves, and one that is older than the file.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use redb::{Database, TableDefinition};

use crate::{
    host::exhaustion::{SERVE, stocked},
    lab::kills::request,
    support::binary::{Serving, command, ended, sealroom, stderr},
};

const CREDENTIALS: &str = "/sfp/api/integrations/credentials";
const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");

/// A copy of the program, as a package installs it.
fn installed(folder: &Path) -> PathBuf {
    let program = folder.join("sealroom");
    fs::copy(env!("CARGO_BIN_EXE_sealroom"), &program).unwrap();
    program
}

fn run(program: &Path, like: &Command) -> Command {
    let mut command = Command::new(program);
    command.args(like.get_args()).current_dir(like.get_current_dir().unwrap());
    command.env_clear().env("USER", "tester").stdin(Stdio::null());
    command
}

/// dpkg and `install` put a new file in the program's place; a removal leaves none. The server has its own until it is
/// started again, and the commands of the new program speak to it.
#[test]
fn a_server_whose_program_is_replaced_or_removed_goes_on_until_it_is_stopped() {
    let folder = super::exhaustion::vault();
    let path = folder.path();
    let program = installed(path);
    let mut server = Serving::spawn(run(&program, &command(path, SERVE)), path);
    let owner = stocked(&server);
    let reads = |server: &Serving| request(server.address(), "GET", CREDENTIALS, &owner, "").unwrap().0;
    // As dpkg does it: under another name, synced, and renamed.
    let new = path.join("sealroom.dpkg-new");
    fs::copy(&program, &new).unwrap();
    fs::rename(&new, &program).unwrap();
    assert_eq!(reads(&server), 200);
    let by_new = |args: &[&str]| ended(run(&program, &command(path, args)).stdout(Stdio::piped()));
    let well = |output: &Output| assert!(output.status.success(), "{}", stderr(output));
    well(&by_new(&["lock", "--data", "v.redb"]));
    well(&by_new(&["unlock", "--data", "v.redb", "--passphrase-file", "pass"]));
    well(&by_new(&["doctor", "v.redb"]));
    // A second server of the new program does not get the file.
    let second = by_new(SERVE);
    assert!(stderr(&second).contains("in use by process"), "{}", stderr(&second));
    fs::remove_file(&program).unwrap();
    assert_eq!(reads(&server), 200);
    server.signal(rustix::process::Signal::HUP);
    server.logged("limits and log level reloaded");
    assert_eq!(reads(&server), 200);
    assert!(server.stop());
    let mut server = Serving::spawn(run(&installed(path), &command(path, SERVE)), path);
    assert_eq!(reads(&server), 200);
    assert!(server.stop());
}

/// Makes the file one of a later version, with or without the copy that its migration kept.
fn newer(folder: &Path, program: &str, keeps: bool) {
    let data = folder.join("v.redb");
    if keeps {
        fs::copy(&data, folder.join("v.redb.format-1")).unwrap();
    }
    let database = Database::create(&data).unwrap();
    let txn = database.begin_write().unwrap();
    {
        let mut meta = txn.open_table(META).unwrap();
        meta.insert("format", &2_u32.to_le_bytes()[..]).unwrap();
        let needs = [&1_u32.to_le_bytes()[..], program.as_bytes()].concat();
        meta.insert("needs", needs.as_slice()).unwrap();
    }
    txn.commit().unwrap();
}

#[test]
fn an_older_program_names_the_version_that_a_newer_file_needs_and_the_way_back() {
    for keeps in [true, false] {
        let folder = super::exhaustion::vault();
        let path = folder.path();
        newer(path, "0.9.0", keeps);
        std::os::unix::fs::symlink("v.redb", path.join("link.redb")).unwrap();
        let before = fs::read(path.join("v.redb")).unwrap();
        let file = |data: &'static str| ["--data", data, "--passphrase-file", "pass"];
        for args in [
            SERVE.to_vec(),
            [&["serve", "--listen", "127.0.0.1:0"][..], &file("link.redb")].concat(),
            [&["recover", "owner"][..], &file("v.redb")].concat(),
            [&["compact"][..], &file("v.redb")].concat(),
            vec!["slot", "list", "--data", "v.redb"],
        ] {
            let output = sealroom(path, &args);
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
            assert!(said.contains("has format 2") && said.contains("formats up to 1"), "{args:?}: {said}");
            assert!(said.contains("hint: use sealroom 0.9.0 or a newer one"), "{args:?}: {said}");
            assert_eq!(said.contains("v.redb.format-1"), keeps, "{args:?}: {said}");
        }
        assert!(fs::read(path.join("v.redb")).unwrap() == before, "the file was not changed");
        if !keeps {
            continue;
        }
        // The way back, as README has it.
        let restored = [&["restore", "v.redb.format-1", "--force"][..], &file("v.redb")].concat();
        let output = sealroom(path, &restored);
        assert!(output.status.success(), "{}", stderr(&output));
        let mut server = Serving::start(path, SERVE);
        assert!(server.health().contains("200 OK"));
        assert!(server.stop());
    }
}
