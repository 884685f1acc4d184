//! A session outlives whatever keeps its file from being written.
//!
//! A refresh token works once. A command took the next pair from the server, found that its folder took no file, and
//! threw the pair away; the next one sent the spent token, and the server ended the whole session.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::support::{
    binary::{command, secret_file, stderr},
    fake::{Fake, Reply},
};

const REFRESH: &str = "POST /sfp/api/auth/refresh";
const PAIR: &str = r#"{"success":true,"access_token":"sfp_usr_new","refresh_token":"sfp_ref_new","expires_in":3600,"user":{"id":"x","email":"ada@example.com","role":"owner"}}"#;
const LIST: &[&str] = &["project", "list", "--json"];
const NOBODY: u32 = 65_534;

fn saved(folder: &Path) -> PathBuf {
    folder.join("sealroom/session.json")
}

/// A session whose access token is over.
fn over(folder: &Path, url: &str) {
    fs::create_dir_all(folder.join("sealroom")).unwrap();
    let text = format!(
        r#"{{"version":1,"server":"{url}","email":"ada@example.com","role":"owner","access_token":"sfp_usr_old","refresh_token":"sfp_ref_old","expires_at":"2020-01-01T00:00:00.000Z"}}"#
    );
    secret_file(folder, "sealroom/session.json", &text, 0o600);
}

fn refresh_token(folder: &Path) -> String {
    let saved: Value = serde_json::from_slice(&fs::read(saved(folder)).unwrap()).unwrap();
    saved["refresh_token"].as_str().unwrap().to_owned()
}

fn in_order() -> Fake {
    Fake::start(|request, _| Reply::json(200, if request == REFRESH { PAIR } else { "[]" }))
}

fn ready(mut command: Command, folder: &Path) -> Command {
    command.env("XDG_CONFIG_HOME", folder).env("HOME", folder).stdin(Stdio::null());
    command
}

fn left(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder.join("sealroom")).unwrap();
    names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("tmp"))
        .collect()
}

/// Returns whether a path ends with the folder or the session, and not with the name of a temporary file.
fn is_named_alone(said: &str) -> bool {
    said.split("sealroom").skip(1).all(|rest| !rest.starts_with("/.tmp"))
}

fn refused(output: &Output) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("the session cannot be saved in ") && said.contains("the session is still valid"),
        "{said}"
    );
    assert!(is_named_alone(&said), "the temporary file's name says nothing: {said}");
}

/// The binary where another user may run it, or as the present one where that is no root.
fn as_nobody(folder: &Path, args: &[&str]) -> Command {
    if !rustix::process::getuid().is_root() {
        return ready(command(folder, args), folder);
    }
    let copy = folder.join("binary");
    if !copy.exists() {
        fs::copy(env!("CARGO_BIN_EXE_sealroom"), &copy).unwrap();
    }
    let mut other = Command::new(copy);
    other.args(args).current_dir(folder).env_clear().env("USER", "nobody").uid(NOBODY).gid(NOBODY);
    ready(other, folder)
}

#[test]
fn a_refresh_token_is_never_spent_while_its_folder_takes_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    let fake = in_order();
    over(folder, &fake.url);
    secret_file(folder, "sealroom/session.json.lock", "", 0o600);
    if rustix::process::getuid().is_root() {
        for path in [saved(folder), saved(folder).with_extension("json.lock"), folder.join("sealroom")] {
            std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    let mode = |mode| fs::set_permissions(folder.join("sealroom"), fs::Permissions::from_mode(mode)).unwrap();
    mode(0o500);
    refused(&as_nobody(folder, LIST).output().unwrap());
    assert!(fake.asked().is_empty(), "nothing was sent: {:?}", fake.asked());
    mode(0o700);
    let again = as_nobody(folder, LIST).output().unwrap();
    assert!(again.status.success(), "and the session goes on: {}", stderr(&again));
    assert_eq!((fake.count(REFRESH), refresh_token(folder)), (1, "sfp_ref_new".to_owned()));
}

/// Behaves as a full disk does: the file is created, and takes no byte.
#[test]
fn a_refresh_token_is_never_spent_while_the_disk_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let fake = in_order();
    over(folder, &fake.url);
    let script =
        format!("trap '' XFSZ; ulimit -f 0; exec '{}' project list --json", env!("CARGO_BIN_EXE_sealroom"));
    let mut shell = Command::new("bash");
    shell.args(["-c", &script]).current_dir(folder).env_clear().env("USER", "tester");
    refused(&ready(shell, folder).output().unwrap());
    assert!(fake.asked().is_empty() && left(folder).is_empty(), "{:?} {:?}", fake.asked(), left(folder));
    let again = ready(command(folder, LIST), folder).output().unwrap();
    assert!(again.status.success() && left(folder).is_empty(), "{}", stderr(&again));
    assert_eq!(refresh_token(folder), "sfp_ref_new");
}

#[test]
fn a_refresh_token_is_never_spent_where_a_folder_is_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let fake = in_order();
    over(folder, &fake.url);
    // The lock's place is taken by a folder: the session reads, and cannot be changed.
    fs::create_dir(saved(folder).with_extension("json.lock")).unwrap();
    refused(&ready(command(folder, LIST), folder).output().unwrap());
    assert!(fake.asked().is_empty());
    fs::remove_dir(saved(folder).with_extension("json.lock")).unwrap();
    assert!(ready(command(folder, LIST), folder).output().unwrap().status.success());
}

#[test]
fn a_command_whose_session_cannot_be_saved_after_all_goes_on_and_warns() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let gone = folder.join("sealroom");
    let fake = Fake::start(move |request, _| {
        if request == REFRESH {
            // Between the place that was taken and the file that was to be.
            fs::remove_dir_all(&gone).unwrap();
        }
        Reply::json(200, if request == REFRESH { PAIR } else { "[]" })
    });
    over(folder, &fake.url);
    let output = ready(command(folder, LIST), folder).output().unwrap();
    let said = stderr(&output);
    assert!(output.status.success() && output.stdout == b"[]\n", "{said}");
    assert!(said.contains("warning: the renewed session could not be saved"), "{said}");
    assert!(said.contains("sealroom login") && is_named_alone(&said), "{said}");
}

#[test]
fn a_refresh_whose_answer_got_lost_is_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let fake = Fake::start(|request, before| match (request, before) {
        (REFRESH, 0) => Reply::Hangup,
        (REFRESH, _) => Reply::json(200, PAIR),
        _ => Reply::json(200, "[]"),
    });
    over(folder, &fake.url);
    let output = ready(command(folder, LIST), folder).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!((fake.count(REFRESH), refresh_token(folder)), (2, "sfp_ref_new".to_owned()));
}

#[test]
fn a_login_takes_no_session_that_it_cannot_keep() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let health = r#"{"status":"healthy","version":"x","locked":false,"audit":"writable","uptimeSeconds":1}"#;
    let fake = Fake::start(move |request, _| {
        Reply::json(200, if request.contains("health") { health } else { PAIR })
    });
    secret_file(folder, "password", "password-example", 0o600);
    fs::write(folder.join("sealroom"), "no folder").unwrap();
    let login = ["login", "--server", &fake.url, "--email", "ada@example.com", "--password-file", "password"];
    refused(&ready(command(folder, &login), folder).output().unwrap());
    assert_eq!(fake.count("POST /sfp/api/auth/login"), 0);
    fs::remove_file(folder.join("sealroom")).unwrap();
    let output = ready(command(folder, &login), folder).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(refresh_token(folder), "sfp_ref_new");
}
