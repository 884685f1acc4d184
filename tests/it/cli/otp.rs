//! `sealroom user otp` and a login with a code, at a terminal and for a script.

use std::{fs, path::Path};

use sealroom::{
    clock::Clock,
    domain::{Timestamp, seconds},
};
use serde_json::Value;

use super::terminal::stage;
use crate::support::{
    binary::{Serving, command, secret_file, stderr},
    otp::code,
    pty::Typing,
};

/// Types a password and a code at the two prompts of a command.
fn answer(typing: &mut Typing, password: &str, code: &str) {
    typing.prompted("Current password: ");
    typing.keys(&format!("{password}\n"));
    typing.prompted("Code: ");
    typing.keys(&format!("{code}\n"));
}

/// Enables a second factor at a terminal; returns its secret, the one-time codes and the time of its first code.
fn enabled(folder: &Path, server: &Serving, password: &str) -> (String, Vec<String>, Timestamp) {
    let mut typing = Typing::start(folder, &server.url, &["user", "otp", "enable"]);
    typing.prompted("Current password: ");
    typing.keys(&format!("{password}\n"));
    typing.prompted("Code: ");
    let secret =
        typing.screen.split("secret  ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    assert!(typing.screen.contains('\u{2588}'), "a QR code: {}", typing.screen);
    assert!(
        typing.screen.contains("otpauth://totp/sealroom:owner%40example%2Ecom?secret="),
        "{}",
        typing.screen
    );
    let now = Clock::system().now();
    let first = code(&secret, now);
    typing.keys(&format!("{first}\n"));
    assert_eq!(typing.end(), 0, "{}", typing.screen);
    assert!(!typing.screen.contains(&first) && !typing.screen.contains(password), "{}", typing.screen);
    let printed = typing.printed();
    let codes = printed.lines().take(10).map(|line| line.split_whitespace().nth(1).unwrap().to_owned());
    (secret, codes.collect(), now)
}

#[test]
fn a_person_sets_a_second_factor_logs_in_with_it_and_removes_it() {
    let (folder, server) = stage();
    let folder = folder.path();
    let password = fs::read_to_string(folder.join("password")).unwrap();
    let (secret, codes, first) = enabled(folder, &server, &password);
    assert_eq!(codes.len(), 10);

    let mut typing = Typing::start(folder, &server.url, &["login", "--email", "owner@example.com"]);
    typing.prompted("Password: ");
    typing.keys(&format!("{password}\n"));
    typing.prompted("Code: ");
    typing.keys(&format!("{}\n", code(&secret, first.plus(seconds(30)))));
    assert_eq!(typing.end(), 0, "{}", typing.screen);
    assert!(typing.printed().contains("logged in to"), "{}", typing.printed());

    let list = script(folder, &server, &["user", "list", "--json"]);
    let users: Value = serde_json::from_slice(&list.stdout).unwrap();
    let with = users.as_array().unwrap().iter().filter(|user| user["otp"] == true);
    assert_eq!(with.map(|user| &user["email"]).collect::<Vec<_>>(), ["owner@example.com"]);

    let mut typing = Typing::start(folder, &server.url, &["user", "otp", "codes"]);
    answer(&mut typing, &password, &codes[0]);
    assert_eq!(typing.end(), 0, "{}", typing.screen);
    let new = typing.printed();
    let new = new.lines().next().unwrap().split_whitespace().nth(1).unwrap().to_owned();
    let mut typing = Typing::start(folder, &server.url, &["user", "otp", "disable"]);
    answer(&mut typing, &password, &codes[1]);
    assert_eq!(typing.end(), 1, "of the earlier list: {}", typing.screen);
    assert!(typing.screen.contains("wait for the next code"), "{}", typing.screen);
    let mut typing = Typing::start(folder, &server.url, &["user", "otp", "disable"]);
    answer(&mut typing, &password, &new);
    assert_eq!(typing.end(), 0, "{}", typing.screen);
}

fn script(folder: &Path, server: &Serving, args: &[&str]) -> std::process::Output {
    let mut command = command(folder, args);
    command
        .env("SFP_SERVER_URL", &server.url)
        .env("SFP_SERVER_TOKEN_FILE", "owner.token")
        .env("HOME", folder);
    command.stdin(std::process::Stdio::null()).output().unwrap()
}

#[test]
fn a_script_gives_its_code_by_a_file_and_one_without_is_told_where_to_put_it() {
    let (folder, server) = stage();
    let folder = folder.path();
    let password = fs::read_to_string(folder.join("password")).unwrap();
    let (_, codes, _) = enabled(folder, &server, &password);
    let login = ["login", "--email", "owner@example.com", "--password-file", "password"];
    let refused = script(folder, &server, &login);
    let said = stderr(&refused);
    assert!(!refused.status.success() && said.contains("--otp-file") && said.contains("no code"), "{said}");
    secret_file(folder, "code", &format!("{}\n", codes[2]), 0o600);
    let done = script(folder, &server, &[&login[..], &["--otp-file", "code"]].concat());
    assert!(done.status.success(), "{}", stderr(&done));
    let again = script(folder, &server, &[&login[..], &["--otp-file", "code"]].concat());
    assert!(!again.status.success() && !stderr(&again).contains(&codes[2]), "{}", stderr(&again));
    let enable = script(folder, &server, &["user", "otp", "enable", "--current-password-file", "password"]);
    assert_eq!(enable.status.code(), Some(2), "{}", stderr(&enable));
}
