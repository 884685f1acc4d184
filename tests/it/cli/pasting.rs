//! Pastes at a real pseudo-terminal: a key is stored whole or not at all, and no line of it is left for the shell.

use serde_json::Value;

use crate::{
    cli::terminal::{ALL, stage, stored},
    support::{
        binary::{command, secret_file, stderr},
        github::keys,
        pty::Typing,
    },
};

const PARAMETERS: &str = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----";
const KEY: &str = "-----BEGIN EC PRIVATE KEY-----\nZXhhbXBsZQ==\n-----END EC PRIVATE KEY-----";
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nZXhhbXBsZQ==\n-----END CERTIFICATE-----";

/// The terminal's brackets around a paste.
const BEGINS: &str = "\x1b[200~";
const ENDS: &str = "\x1b[201~";

fn asked(folder: &std::path::Path, url: &str) -> Typing {
    let mut typing = Typing::start(folder, url, &["integration", "add", "github/app", "--global"]);
    typing.prompted("app_id: ");
    typing.keys("12345\n");
    typing.prompted("private_key: ");
    typing
}

/// The first block of two was stored as the key, and the shell read the second, echoed it and kept it in its history.
#[test]
fn a_pasted_key_is_stored_whole_and_none_of_it_is_left_for_the_shell() {
    let Some((_, key)) = keys() else { return };
    let key = key.trim_end();
    for (typed, expected) in [
        (format!("{PARAMETERS}\n{key}\n"), format!("{PARAMETERS}\n{key}")),
        (format!("{PARAMETERS}\n{key}\n").replace('\n', "\r"), format!("{PARAMETERS}\n{key}")),
        (format!("{PARAMETERS}\n{key}\n").replace('\n', "\r\n"), format!("{PARAMETERS}\n{key}")),
        (format!("{key}\n{CERTIFICATE}\n{CERTIFICATE}\n\n"), format!("{key}\n{CERTIFICATE}\n{CERTIFICATE}")),
        (
            format!("Bag Attributes\n  friendlyName: example\n{key}\n"),
            format!("Bag Attributes\n  friendlyName: example\n{key}"),
        ),
        (format!("{key}\nwritten by hand\n"), format!("{key}\nwritten by hand")),
        (format!("\n{key}\n"), key.to_owned()),
        (format!("{BEGINS}{PARAMETERS}\r{key}\r{ENDS}\r"), format!("{PARAMETERS}\n{key}")),
        (format!("{BEGINS}{key}{ENDS}\r"), key.to_owned()),
    ] {
        let (folder, server) = stage();
        let mut typing = asked(folder.path(), &server.url);
        typing.keys(&typed);
        assert_eq!(typing.end(), 0, "{typed:?}: {}", typing.screen);
        assert!(!typing.screen.contains("BEGIN") && !typing.screen.contains("MII"), "{}", typing.screen);
        // With the line end that a PEM file ends with, without which OpenSSH reads no key.
        assert_eq!(stored(folder.path(), &server, ALL)[0]["credentials"]["private_key"], expected + "\n");
    }
}

/// A terminal that brackets its pastes may be as slow as it likes.
#[test]
fn a_bracketed_paste_is_not_over_before_the_terminal_says_so() {
    let Some((_, key)) = keys() else { return };
    let (begin, rest) = key.trim_end().split_once('\n').unwrap();
    let (middle, end) = rest.rsplit_once('\n').unwrap();
    let middle = middle.replace('\n', "\r");
    let (folder, server) = stage();
    let mut typing = asked(folder.path(), &server.url);
    typing.wait_for("\x1b[?2004h");
    for piece in [BEGINS, PARAMETERS, "\r", begin, "\r", &middle, "\r"] {
        typing.keys(piece);
        typing.taken();
    }
    typing.keys(&format!("{end}\r"));
    typing.taken();
    typing.keys(&format!("{ENDS}\r"));
    assert_eq!(typing.end(), 0, "{}", typing.screen);
    let expected = format!("{PARAMETERS}\n{key}");
    assert_eq!(stored(folder.path(), &server, ALL)[0]["credentials"]["private_key"], expected);
    assert!(typing.screen.contains("\x1b[?2004l"), "the shell's own way of pasting is back");
}

#[test]
fn what_holds_no_key_is_refused_whole_and_thrown_away() {
    let (folder, server) = stage();
    for (typed, told) in [
        (format!("{PARAMETERS}\n"), "holds no private key"),
        (format!("{CERTIFICATE}\n{CERTIFICATE}\n"), "holds no private key"),
        (format!("{}\n", KEY.replace("EC PRIVATE", "PUBLIC")), "holds no private key"),
        ("sfp_example\n".to_owned(), "holds no private key"),
        ("ssh-rsa AAAAB3 one\nssh-rsa AAAAB3 two\n".to_owned(), "several lines were pasted"),
        (format!("{BEGINS}one\rtwo{ENDS}\r"), "several lines were pasted"),
        (format!("{PARAMETERS}\n-----BEGIN EC PRIVATE KEY-----\nZXhh\n\n\n"), "no END line"),
        (format!("-----BEGIN EC PRIVATE KEY-----\n{}\n", "ZXhhbXBs\n".repeat(9_000)), "longer than 64 KiB"),
        (format!("{PARAMETERS}\n\x03{KEY}\n"), "interrupted"),
    ] {
        let mut typing = asked(folder.path(), &server.url);
        typing.keys(&typed);
        assert_eq!(typing.end(), 1, "{told}: {}", typing.screen);
        assert!(typing.screen.contains(told), "{told}: {}", typing.screen);
        assert!(!typing.screen.contains("BEGIN EC") && !typing.screen.contains("ZXhh"), "{}", typing.screen);
        assert_eq!(stored(folder.path(), &server, ALL), Value::Null);
    }
}

#[test]
fn a_file_without_a_key_is_stored_with_a_warning() {
    let (folder, server) = stage();
    for (key, warns) in [(PARAMETERS, true), ("example", true), (KEY, false)] {
        let json = serde_json::json!({ "app_id": "12345", "private_key": key }).to_string();
        secret_file(folder.path(), "app.json", &json, 0o600);
        let args = ["integration", "add", "gitlab/app", "--global", "--name", "x", "--from-json", "app.json"];
        let output = command(folder.path(), &args)
            .env("SFP_SERVER_URL", &server.url)
            .env("SFP_SERVER_TOKEN_FILE", "owner.token")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(stderr(&output).contains("app.json: private_key holds no"), warns, "{}", stderr(&output));
    }
}

#[test]
fn several_lines_at_a_question_that_shows_its_answer_do_not_answer_the_next_one() {
    let (folder, server) = stage();
    let mut typing =
        Typing::start(folder.path(), &server.url, &["integration", "add", "github/app", "--global"]);
    typing.prompted("app_id: ");
    typing.keys(&format!("12345\n{KEY}\n"));
    assert_eq!(typing.end(), 1, "{}", typing.screen);
    assert!(typing.screen.contains("several lines were pasted"), "{}", typing.screen);
    assert_eq!(stored(folder.path(), &server, ALL), Value::Null);
    let mut typing =
        Typing::start(folder.path(), &server.url, &["integration", "add", "github/pat", "--global"]);
    typing.prompted("token: ");
    typing.keys("ghp_example\r\n\r\n");
    assert_eq!(typing.end(), 0, "line ends after one line are no second line: {}", typing.screen);
    assert_eq!(stored(folder.path(), &server, ALL)[0]["credentials"]["token"], "ghp_example");
}

#[test]
fn what_is_typed_in_another_encoding_is_refused_and_not_repaired() {
    use std::io::Write;
    let (folder, server) = stage();
    let mut typing =
        Typing::start(folder.path(), &server.url, &["integration", "add", "github/pat", "--global"]);
    typing.prompted("token: ");
    typing.master.write_all(b"ghp_caf\xe9\n").unwrap();
    assert_eq!(typing.end(), 1, "{}", typing.screen);
    assert!(typing.screen.contains("the typed text is not UTF-8"), "{}", typing.screen);
    assert_eq!(stored(folder.path(), &server, ALL), Value::Null);
}
