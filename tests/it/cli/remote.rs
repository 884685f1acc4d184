//! The commands at servers that are slow, locked, busy, broken or none; and the session that many commands share.

use std::{
    fs,
    path::Path,
    process::{Output, Stdio},
};

use serde_json::Value;

use crate::support::{
    binary::{TOKEN, command, secret_file, stderr},
    fake::{Fake, Reply},
};

const PROJECTS: &str = "GET /sfp/api/projects";
const REGISTER: &[&str] = &["project", "register", "acme/app", "https://github.com/acme/app"];
const PROJECT: &str = r#"{"identifier":"acme/app","remoteUrl":"https://github.com/acme/app","platform":"github","createdAt":"2026-11-24T10:00:00.000Z","updatedAt":"2026-11-24T10:00:00.000Z","version":1,"configuration":{},"integrations":[]}"#;

fn run(folder: &Path, url: &str, args: &[&str]) -> Output {
    command(folder, args)
        .env("SFP_SERVER_URL", url)
        .env("SFP_SERVER_TOKEN", TOKEN)
        .env("XDG_CONFIG_HOME", folder)
        .env("HOME", folder)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// One `error:` line and one `hint:` line are the last of stderr, with this exit code, and nothing is on stdout.
fn refused(output: &Output, exit: i32, error: &str, hint: &str) {
    let said = stderr(output);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(output.status.code(), Some(exit), "{said}");
    assert!(output.stdout.is_empty(), "{said}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("error: ")).count(), 1, "{said}");
    assert!(
        lines[lines.len() - 2].starts_with("error: ") && lines[lines.len() - 2].contains(error),
        "{said}"
    );
    assert!(lines[lines.len() - 1].starts_with("hint: ") && lines[lines.len() - 1].contains(hint), "{said}");
    assert!(!said.contains(TOKEN), "the token is not repeated: {said}");
}

#[test]
fn a_refusal_says_what_to_do_and_keeps_its_code() {
    let folder = tempfile::tempdir().unwrap();
    for (status, code, message, error, hint) in [
        (503, "locked", "The vault is locked: run x", "the vault is locked", "sealroom unlock"),
        (
            401,
            "token_expired",
            "The token expired at 2026-11-24T10:00:00.000Z",
            "expired at 2026-11-24T10:00:00.000Z",
            "sealroom token create",
        ),
        (401, "unauthorized", "Unauthorized - Send", "does not accept this token", "sealroom login"),
        (403, "forbidden", "Forbidden - Requires role: owner", "requires role: owner", "sealroom whoami"),
        (503, "disk_low", "The disk is almost full", "the disk is almost full", "operator"),
        (500, "internal", "An internal error", "an internal error", "operator"),
        (418, "new_code", "Some\\u001b[2Jthing\\n new.", "some [2Jthing  new", "log"),
    ] {
        let fake = Fake::start(move |_, _| Reply::refusal(status, code, message).with("retry-after", "1"));
        refused(&run(folder.path(), &fake.url, &["project", "list"]), 1, error, hint);
        assert_eq!(fake.asked().len(), 1, "{code} is not tried again");
        let json = run(folder.path(), &fake.url, &["project", "list", "--json"]);
        let value: Value = serde_json::from_str(stderr(&json).lines().last().unwrap()).unwrap();
        assert_eq!(value["code"], code);
    }
}

#[test]
fn a_429_is_waited_for_as_told_and_given_up_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let busy = |secs| Reply::refusal(429, "too_many_tries", "Too many tries").with("retry-after", secs);
    let fake = Fake::start(move |_, before| if before == 0 { busy("1") } else { Reply::json(201, PROJECT) });
    let waited = run(folder.path(), &fake.url, REGISTER);
    assert!(waited.status.success(), "{}", stderr(&waited));
    assert!(stderr(&waited).contains("too many tries; waiting 1 s"), "{}", stderr(&waited));
    let fake = Fake::start(move |_, _| busy("3600"));
    refused(&run(folder.path(), &fake.url, REGISTER), 1, "too many tries", "wait");
    assert_eq!(fake.asked().len(), 1);
    let fake = Fake::start(move |_, _| busy("0"));
    refused(&run(folder.path(), &fake.url, REGISTER), 1, "too many tries", "wait");
    assert_eq!(fake.asked().len(), 3, "it is not asked for ever");
}

#[test]
fn only_what_may_arrive_twice_is_sent_twice() {
    let folder = tempfile::tempdir().unwrap();
    let fake = Fake::start(|_, before| if before < 2 { Reply::Hangup } else { Reply::json(200, "[]") });
    assert!(run(folder.path(), &fake.url, &["project", "list"]).status.success());
    assert_eq!(fake.count(PROJECTS), 3);
    let fake = Fake::start(|_, _| Reply::Hangup);
    refused(
        &run(folder.path(), &fake.url, REGISTER),
        1,
        "closed before an answer",
        "may have been carried out",
    );
    assert_eq!(fake.asked(), ["POST /sfp/api/projects"]);
    let busy = || Reply::refusal(503, "overloaded", "Too many requests wait").with("retry-after", "0");
    let fake = Fake::start(move |_, before| if before == 0 { busy() } else { Reply::json(200, "[]") });
    assert!(run(folder.path(), &fake.url, &["project", "list"]).status.success());
    let fake = Fake::start(move |_, _| busy());
    refused(&run(folder.path(), &fake.url, REGISTER), 1, "too many requests wait", "try again");
    assert_eq!(fake.asked().len(), 1);
}

#[test]
fn a_delete_whose_answer_got_lost_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let fake = Fake::start(|request, before| match (request.starts_with("DELETE"), before) {
        (false, _) => Reply::json(200, PROJECT),
        (true, 0) => Reply::Hangup,
        (true, _) => Reply::refusal(404, "project_not_found", "Project 'acme/app' not found"),
    });
    let output = run(folder.path(), &fake.url, &["project", "delete", "acme/app", "--yes"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(fake.count("DELETE /sfp/api/projects/acme%2Fapp"), 2);
    let fake = Fake::start(|request, _| match request.starts_with("DELETE") {
        false => Reply::json(200, PROJECT),
        true => Reply::refusal(404, "project_not_found", "Project 'acme/app' not found"),
    });
    let output = run(folder.path(), &fake.url, &["project", "delete", "acme/app", "--yes"]);
    refused(&output, 1, "not found", "register");
}

#[test]
fn what_is_no_sealroom_server_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let fake = Fake::start(|_, _| Reply::json(200, "<html>hello</html>"));
    refused(
        &run(folder.path(), &fake.url, &["project", "list"]),
        1,
        "not like a sealroom server",
        "--server",
    );
    let fake = Fake::start(|_, _| Reply::json(404, "<html>no</html>"));
    refused(&run(folder.path(), &fake.url, &["status"]), 1, "(status 404)", "--server");
    let fake =
        Fake::start(|_, _| Reply::json(200, "[]").with("token-expires-at", "2030-01-01T00:00:00.000Z"));
    let warned = run(folder.path(), &fake.url, &["project", "list"]);
    assert!(
        warned.status.success() && stderr(&warned).contains("this token ends at 2030-01-01"),
        "{}",
        stderr(&warned)
    );
}

/// `audit tail --follow` waited for ever at a host that lost its power: the system asks it, once it is silent.
#[test]
#[cfg(target_os = "linux")]
fn a_server_that_says_nothing_is_asked_whether_it_is_still_there() {
    let folder = tempfile::tempdir().unwrap();
    // The kernel takes the connection and the request; nobody answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut command = command(folder.path(), &["project", "list"]);
    command.env("SFP_SERVER_URL", format!("http://127.0.0.1:{port}")).env("SFP_SERVER_TOKEN", TOKEN);
    command.env("HOME", folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let is_probed = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        // Established towards this port, with a running timer of keep-alive (proc(5)).
        words[2].ends_with(&format!(":{port:04X}")) && words[3] == "01" && words[5].starts_with("02:")
    };
    let begun = std::time::Instant::now();
    while !fs::read_to_string("/proc/net/tcp").unwrap().lines().skip(1).any(is_probed) {
        let is_late = begun.elapsed().as_secs() >= 60;
        if is_late || child.try_wait().unwrap().is_some() {
            drop(child.kill());
            panic!("it is never probed");
        }
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

fn session(folder: &Path, url: &str, expires_at: &str) {
    fs::create_dir_all(folder.join("sealroom")).unwrap();
    let text = format!(
        r#"{{"version":1,"server":"{url}","email":"ada@example.com","role":"owner","access_token":"sfp_usr_old","refresh_token":"sfp_ref_old","expires_at":"{expires_at}"}}"#
    );
    secret_file(folder, "sealroom/session.json", &text, 0o600);
}

const PAIR: &str = r#"{"success":true,"access_token":"sfp_usr_new","refresh_token":"sfp_ref_new","expires_in":3600,"user":{"id":"x","email":"ada@example.com","role":"owner"}}"#;
const REFRESH: &str = "POST /sfp/api/auth/refresh";

fn with_session(folder: &Path, args: &[&str]) -> std::process::Command {
    let mut command = command(folder, args);
    command.env("XDG_CONFIG_HOME", folder).env("HOME", folder).stdin(Stdio::null());
    command
}

#[test]
fn commands_at_once_refresh_a_session_once() {
    let folder = tempfile::tempdir().unwrap();
    let fake = Fake::start(|request, _| Reply::json(200, if request == REFRESH { PAIR } else { "[]" }));
    session(folder.path(), &fake.url, "2020-01-01T00:00:00.000Z");
    let mut running: Vec<_> = (0..8)
        .map(|_| {
            let mut command = with_session(folder.path(), &["project", "list", "--json"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in running.drain(..) {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    }
    assert_eq!((fake.count(REFRESH), fake.count(PROJECTS)), (1, 8));
    let path = folder.path().join("sealroom/session.json");
    let saved: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(
        (&saved["access_token"], &saved["refresh_token"]),
        (&"sfp_usr_new".into(), &"sfp_ref_new".into())
    );
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let left: Vec<_> = fs::read_dir(folder.path().join("sealroom")).unwrap().collect();
    assert_eq!(left.len(), 2, "no temporary file stays: {left:?}");
}

#[test]
fn a_401_in_mid_work_is_mended_by_a_refresh_or_ends_the_session() {
    let folder = tempfile::tempdir().unwrap();
    let no = || Reply::refusal(401, "unauthorized", "Unauthorized - Send a valid token");
    let fake = Fake::start(move |request, before| match (request, before) {
        (REFRESH, _) => Reply::json(200, PAIR),
        ("POST /sfp/api/projects", 0) => no(),
        _ => Reply::json(201, PROJECT),
    });
    session(folder.path(), &fake.url, "2036-01-01T00:00:00.000Z");
    let mended = with_session(folder.path(), REGISTER).output().unwrap();
    assert!(mended.status.success(), "{}", stderr(&mended));
    assert_eq!((fake.count(REFRESH), fake.count("POST /sfp/api/projects")), (1, 2));
    let fake = Fake::start(move |_, _| no());
    session(folder.path(), &fake.url, "2036-01-01T00:00:00.000Z");
    let ended = with_session(folder.path(), &["project", "list"]).output().unwrap();
    refused(&ended, 1, "the session has ended", "sealroom login");
    assert_eq!((fake.count(REFRESH), fake.count(PROJECTS)), (1, 1), "and it is not tried for ever");
}

#[test]
fn a_session_speaks_to_its_own_server_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (own, other) =
        (Fake::start(|_, _| Reply::json(200, "[]")), Fake::start(|_, _| Reply::json(200, "[]")));
    session(folder.path(), &own.url, "2036-01-01T00:00:00.000Z");
    let output = with_session(folder.path(), &["project", "list", "--server", &other.url]).output().unwrap();
    refused(&output, 1, "not logged in", "sealroom login");
    assert!(other.asked().is_empty() && own.asked().is_empty());
}

/// A file that a power cut left empty, or a logout: the credential of a next command was stored at the first server.
#[test]
fn a_session_of_another_server_never_stands_in_for_the_last_logins() {
    let folder = tempfile::tempdir().unwrap();
    let own = Fake::start(|_, _| Reply::json(200, "[]"));
    session(folder.path(), &own.url, "2036-01-01T00:00:00.000Z");
    for (current, error, hint) in [
        ("", "sealroom/current is damaged", "sealroom login"),
        ("https://vault.example.com", "not logged in", "sealroom login"),
    ] {
        secret_file(folder.path(), "sealroom/current", current, 0o600);
        let output = with_session(folder.path(), &["project", "list"]).output().unwrap();
        refused(&output, 1, error, hint);
        assert!(own.asked().is_empty());
    }
    fs::remove_file(folder.path().join("sealroom/current")).unwrap();
    assert!(with_session(folder.path(), &["project", "list"]).output().unwrap().status.success());
}
