//! The real binary under a system clock of another age, as a board without a battery has it at boot. The clock is
//! libfaketime's; where it is not installed, a line says so.

use std::{fs, path::Path, process::Command};

use serde_json::json;

use crate::{
    lab::kills::request,
    support::binary::{INIT, PASSPHRASE, Serving, command, ended, secret_file, stderr, vault},
};

const CREDENTIALS: &str = "/sfp/api/integrations/credentials";
const SERVE: &[&str] = &["serve", "--data", "v.redb", "--passphrase-file", "pass", "--listen", "127.0.0.1:0"];

fn library() -> Option<String> {
    let path = format!("/usr/lib/{}-linux-gnu/faketime/libfaketimeMT.so.1", std::env::consts::ARCH);
    if !Path::new(&path).exists() || cfg!(target_env = "musl") {
        eprintln!("not run: libfaketime is not installed, or does not reach a static binary");
        return None;
    }
    Some(path)
}

/// A command whose clock starts at this time, in UTC.
fn at(folder: &Path, time: &str, args: &[&str]) -> Option<Command> {
    let mut command = command(folder, args);
    command.env("LD_PRELOAD", library()?).env("FAKETIME", format!("@{time}")).env("TZ", "UTC");
    command.env("DONT_FAKE_MONOTONIC", "1");
    Some(command)
}

fn serving(folder: &Path, time: &str, args: &[&str]) -> Serving {
    let mut command = at(folder, time, args).unwrap();
    command.stdin(std::process::Stdio::null());
    Serving::spawn(command, folder)
}

fn refused(folder: &Path, time: &str, args: &[&str], says: &str) {
    let output = ended(at(folder, time, args).unwrap().stdout(std::process::Stdio::piped()));
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{time} {args:?}: {said}");
    assert!(said.contains(&format!("the clock says {}", &time[..4])), "{said}");
    assert!(said.contains(says) && said.contains("set the clock"), "{said}");
}

#[test]
fn a_clock_of_another_age_starts_no_server_makes_no_vault_and_writes_no_record() {
    if library().is_none() {
        return;
    }
    let folder = vault();
    let path = folder.path();
    let before = fs::read(path.join("v.redb")).unwrap();
    let file = ["--data", "v.redb", "--passphrase-file", "pass"];
    let (first, last) = ("1970-01-01 00:00:05", "2100-01-01 00:00:00");
    refused(path, first, SERVE, "the newest record is from");
    for args in [
        SERVE.to_vec(),
        [&["recover", "owner"][..], &file].concat(),
        [&["slot", "change", "--same"][..], &file].concat(),
        [&["compact"][..], &file].concat(),
        [&["rekey", "--yes"][..], &file].concat(),
    ] {
        refused(path, last, &args, "decades after this program was built");
        assert!(fs::read(path.join("v.redb")).unwrap() == before, "{args:?}");
    }
    let fresh = tempfile::tempdir().unwrap();
    secret_file(fresh.path(), "pass", PASSPHRASE, 0o600);
    refused(fresh.path(), first, INIT, "before this program existed");
    refused(fresh.path(), last, INIT, "decades after this program was built");
    assert!(!fresh.path().join("v.redb").exists());
}

#[test]
fn a_clock_that_was_years_ahead_at_boot_ends_no_token_for_good_and_is_told() {
    if library().is_none() {
        return;
    }
    let folder = vault();
    let path = folder.path();
    let password = fs::read_to_string(path.join("owner")).unwrap();
    let login = json!({ "email": "ada@example.com", "password": password }).to_string();
    let session = |server: &Serving| {
        let answer = request(server.address(), "POST", "/sfp/api/auth/login", "", &login).unwrap();
        assert_eq!(answer.0, 200, "{}", answer.2);
        answer.2["access_token"].as_str().unwrap().to_owned()
    };
    let status =
        |server: &Serving, token: &str| request(server.address(), "GET", CREDENTIALS, token, "").unwrap().0;

    let mut server = Serving::start(path, SERVE);
    let owner = session(&server);
    let body = r#"{"name":"ci","expiresIn":30}"#;
    let made = request(server.address(), "POST", "/sfp/api/application-tokens", &owner, body).unwrap();
    let token = made.2["token"].as_str().unwrap().to_owned();
    let body = r#"{"provider":"npm","authType":"pat","credentials":{"token":"one"},"isGlobal":true}"#;
    assert_eq!(request(server.address(), "POST", "/sfp/api/integrations", &owner, body).unwrap().0, 201);
    assert_eq!(status(&server, &token), 200);
    assert!(server.stop());

    let mut server = serving(path, "2030-01-01 00:00:00", SERVE);
    server.logged("check the clock");
    assert_eq!(status(&server, &token), 401, "it has ended for all that the server knows");
    let of_2030 = session(&server);
    assert_eq!(status(&server, &of_2030), 200);
    assert!(server.stop());

    let refused = ended(command(path, SERVE).stdout(std::process::Stdio::piped()));
    let said = stderr(&refused);
    assert!(
        said.contains("but the newest record is from 2030-01-01") && said.contains("--accept-clock"),
        "{said}"
    );
    let mut server = Serving::start(path, &[SERVE, &["--accept-clock"]].concat());
    assert_eq!(status(&server, &token), 200, "the token lives as long as it was made for");
    assert_eq!(status(&server, &of_2030), 401, "a session of 2030 does not live for years");
    assert!(server.stop());
}

#[test]
fn a_clock_that_is_set_right_under_a_server_is_told_and_the_start_after_it_has_a_way_on() {
    if library().is_none() {
        return;
    }
    let folder = vault();
    let path = folder.path();
    let set = |offset: &str| {
        // Whole at once: the library reads it at any moment.
        fs::write(path.join("new"), offset).unwrap();
        fs::rename(path.join("new"), path.join("offset")).unwrap();
    };
    set("+3h");
    // The library opens its file anew each time, which the sandbox forbids.
    let mut start = at(path, "", &[SERVE, &["--sandbox", "false"]].concat()).unwrap();
    start
        .env_remove("FAKETIME")
        .env("FAKETIME_TIMESTAMP_FILE", path.join("offset"))
        .env("FAKETIME_NO_CACHE", "1");
    start.stdin(std::process::Stdio::null());
    let mut server = Serving::spawn(start, path);
    assert!(server.health().contains("200 OK"));
    set("+0");
    let line = server.logged("the system's clock was set back");
    assert!(
        [r#""minutes":179"#, r#""minutes":180"#].iter().any(|lead| line.contains(lead))
            && line.contains("--accept-clock"),
        "{line}"
    );
    set("+3h");
    server.logged("the system's clock has caught up");
    assert!(server.health().contains("200 OK"));
    assert!(server.stop());
    let refused = ended(command(path, SERVE).stdout(std::process::Stdio::piped()));
    assert!(stderr(&refused).contains("hint: set the clock, or accept it with --accept-clock"));
    assert!(Serving::start(path, &[SERVE, &["--accept-clock"]].concat()).stop());
}
