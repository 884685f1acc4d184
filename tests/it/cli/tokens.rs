//! Tokens from files and variables: a mangled one is named, and never sent.

use std::{
    path::Path,
    process::{Output, Stdio},
};

use serde_json::Value;

use crate::support::{
    binary::{TOKEN, command, secret_file, stderr},
    fake::{Fake, Reply},
};

/// Each source of a token: its flag or variable, and whether that names a file.
const SOURCES: [(&str, bool); 6] = [
    ("--token-file", true),
    ("SFP_SERVER_TOKEN", false),
    ("SFP_SERVER_TOKEN_FILE", true),
    ("SFP_APPLICATION_TOKEN", false),
    ("SFP_APPLICATION_TOKEN_FILE", true),
    ("client.token_file", true),
];

fn list(folder: &Path, url: &str, source: &str, text: &str, json: bool) -> Output {
    secret_file(folder, "ci.token", text, 0o600);
    secret_file(folder, "config.toml", "[client]\ntoken_file = \"ci.token\"\n", 0o600);
    let mut args = vec!["project", "list"];
    match source {
        "--token-file" => args.extend(["--token-file", "ci.token"]),
        "client.token_file" => args.extend(["--config", "config.toml"]),
        _ => {}
    }
    args.extend(json.then_some("--json"));
    let mut command = command(folder, &args);
    command.env("SFP_SERVER_URL", url).env("HOME", folder).stdin(Stdio::null());
    if source.ends_with("_FILE") {
        command.env(source, "ci.token");
    } else if source.starts_with("SFP_") {
        command.env(source, text);
    }
    command.output().unwrap()
}

/// A token with quotes, `Bearer` or a byte order mark was called unknown or revoked, and its user sent for a new one.
#[test]
fn a_mangled_token_is_never_sent_nor_called_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let fake = Fake::start(|_, _| Reply::json(200, "[]"));
    let last = &TOKEN[TOKEN.len() - 4..];
    for (text, damage) in [
        (format!("\"{TOKEN}\""), "it is in quotes"),
        (format!("'{TOKEN}'\n"), "it is in quotes"),
        (format!("Bearer {TOKEN}"), "it begins with `Bearer `"),
        (format!("SFP_SERVER_TOKEN={TOKEN}"), "there is other text before the token"),
        (format!("{TOKEN} # deploy"), "there is a blank"),
        (format!("{TOKEN}\n{TOKEN}"), "there is a blank"),
        (TOKEN[..TOKEN.len() - 1].to_owned(), "it was truncated: 56 of 57 characters"),
        (TOKEN.replace("sfp_app_0", "sfp_app_1"), "a character was changed"),
        (format!("{TOKEN}{last}"), "it is too long"),
        ("ghp_example".to_owned(), "it begins with neither sfp_app_ nor sfp_usr_"),
        (" ".to_owned(), "it is empty"),
    ] {
        for (source, _) in SOURCES {
            let output = list(folder.path(), &fake.url, source, &text, true);
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(1), "{source} {text}: {said}");
            let value: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
            let error = value["error"].as_str().unwrap();
            assert_eq!(value["code"], "malformed", "{said}");
            assert!(error.contains(damage) && error.contains(source), "{source}: {said}");
            assert!(!said.contains("revoked") && !said.contains(last), "{said}");
        }
    }
    assert!(fake.asked().is_empty(), "nothing was sent: {:?}", fake.asked());
}

#[test]
fn what_a_file_or_variable_has_around_a_token_is_no_part_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let fake = Fake::start(|_, _| Reply::json(200, "[]"));
    let mut sent = 0;
    for text in [
        TOKEN.to_owned(),
        format!("{TOKEN}\n"),
        format!("{TOKEN}\r\n\r\n\n"),
        format!("\u{feff}{TOKEN}\n"),
        format!("  {TOKEN}\t\n"),
    ] {
        for (source, _) in SOURCES {
            let output = list(folder.path(), &fake.url, source, &text, false);
            assert!(output.status.success(), "{source} {text:?}: {}", stderr(&output));
            sent += 1;
            assert_eq!(fake.asked().len(), sent);
        }
    }
}

/// A variable that was set long ago silently comes before a login; nothing said that it was that one.
#[test]
fn a_refused_token_is_named_by_its_source() {
    let folder = tempfile::tempdir().unwrap();
    for (code, message) in
        [("unauthorized", "Unauthorized - Send"), ("token_expired", "The token expired at x")]
    {
        let fake = Fake::start(move |_, _| Reply::refusal(401, code, message));
        for (source, is_file) in SOURCES {
            let output = list(folder.path(), &fake.url, source, TOKEN, false);
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(1), "{said}");
            assert!(said.contains(source) && !said.contains(TOKEN), "{source}: {said}");
            assert_eq!(said.contains("ci.token"), is_file, "{source}: {said}");
        }
    }
    let fake = Fake::start(|_, _| Reply::refusal(403, "forbidden", "Forbidden - Requires role: owner"));
    let said = stderr(&list(folder.path(), &fake.url, "SFP_SERVER_TOKEN", TOKEN, false));
    assert!(!said.contains("SFP_SERVER_TOKEN"), "a token that was accepted is not the cause: {said}");
}
