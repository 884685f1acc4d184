//! `audit list` and `audit tail` for people: names beside ids, filters by name, and nothing that steers a terminal.

use std::process::{Command, Stdio};

use sealroom::{
    auth::token,
    domain::{SessionId, SessionKind},
};
use serde_json::{Value, json};

use crate::support::{
    binary::{Serving, command, dev, secret_file, stderr},
    fake::{Fake, Reply},
    pty::Typing,
};

struct Stage {
    folder: tempfile::TempDir,
    server: Serving,
}

impl Stage {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (server, _) = dev(folder.path(), &[("owner.token", "owner_token")]);
        secret_file(folder.path(), "github.json", r#"{"token":"ghp_example"}"#, 0o600);
        Self { folder, server }
    }

    /// Exit code, and what was said on both streams.
    fn run_as(&self, token: &str, args: &[&str]) -> (i32, String) {
        let output = command(self.folder.path(), args)
            .env("SFP_SERVER_URL", &self.server.url)
            .env("SFP_SERVER_TOKEN_FILE", token)
            .env("TZ", "UTC")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output);
        (output.status.code().unwrap(), said)
    }

    fn run(&self, args: &[&str]) -> String {
        let (code, said) = self.run_as("owner.token", args);
        assert_eq!(code, 0, "{args:?}: {said}");
        said
    }

    fn add(&self, args: &[&str]) -> String {
        let add = ["integration", "add", "github/pat", "--global", "--from-json", "github.json", "--json"];
        let made: Value =
            serde_json::from_str(self.run(&[&add, args].concat()).lines().next().unwrap()).unwrap();
        made["id"].as_str().unwrap().to_owned()
    }

    fn token(&self, name: &str, args: &[&str]) -> String {
        let made = self.run(&[&["token", "create", name, "--json"], args].concat());
        let made: Value = serde_json::from_str(made.lines().next().unwrap()).unwrap();
        made["id"].as_str().unwrap().to_owned()
    }

    /// Counts the events of that action.
    fn count(&self, action: &str) -> usize {
        let said = self.run(&["audit", "list", "--action", action, "--limit", "1000", "--json"]);
        serde_json::from_str::<Value>(said.lines().next().unwrap()).unwrap().as_array().unwrap().len()
    }
}

#[test]
fn an_event_is_never_shown_without_the_integration_token_or_user_that_was_meant() {
    let stage = Stage::start();
    let (named, plain) = (stage.add(&["--name", "deploy key"]), stage.add(&[]));
    let build = stage.token("build", &["--write-to", "build.token"]);
    stage.run(&["user", "add", "bob@example.com"]);
    stage.run_as("build.token", &["credentials", "--all", "--json"]);
    stage.run(&["token", "revoke", "build", "--yes"]);
    let (lists, tokens) = (stage.count("integration.list"), stage.count("token.list"));
    let said = stage.run(&["audit", "list"]);
    let row = |action: &str, also: &str| {
        let row = said.lines().find(|line| line.contains(action) && line.contains(also));
        row.unwrap_or_else(|| panic!("{action} {also}: {said}")).to_owned()
    };
    let read = row("credentials.read", "deploy key");
    for part in ["  app:build  ", "  github  ", &named, &build, "  127.0.0.1  "] {
        assert!(read.contains(part), "{part}: {read}");
    }
    let time = read.split_whitespace().nth(2).unwrap();
    assert_eq!(time.split(':').count(), 3, "to the second: {read}");
    assert!(row("credentials.read", &plain).contains("app:build"));
    assert!(row("token.revoke", "  build  ").contains(&build));
    assert!(row("user.create", "  bob@example.com  ").contains("user:owner@example.com"));
    assert_eq!(
        (stage.count("integration.list"), stage.count("token.list")),
        (lists + 1, tokens + 1),
        "one listing of each, whatever the number of rows"
    );
    stage.run(&["audit", "list", "--json"]);
    stage.run(&["audit", "list", "--action", "user.create"]);
    assert_eq!(stage.count("integration.list"), lists + 1, "none where no row needs it");
    let tail = stage.run(&["audit", "tail", "-n", "300"]);
    let line =
        tail.lines().find(|line| line.contains("credentials.read") && line.contains("deploy key")).unwrap();
    assert!(line.contains(" app:build ") && line.contains(&build) && line.ends_with(&named), "{line}");
    // A deleted user, and each of two tokens of one name, is shown by id.
    stage.token("twin", &["--write-to", "twin.token"]);
    let other = stage.token("twin", &["--write-to", "other.token"]);
    stage.run_as("other.token", &["credentials", "--all", "--json"]);
    let said = stage.run(&["audit", "list", "--action", "credentials.read", "--limit", "1"]);
    assert!(said.contains(&format!("  app:{other}  ")) && !said.contains("app:twin"), "{said}");
    stage.run(&["integration", "delete", &named, "--yes"]);
    let said = stage.run(&["audit", "list", "--action", "integration.delete"]);
    assert!(
        said.contains("  (deleted)  ") && said.contains(&named) && !said.contains("deploy key"),
        "{said}"
    );
}

#[test]
fn a_filter_takes_the_names_that_the_table_shows_and_never_guesses() {
    let stage = Stage::start();
    let named = stage.add(&["--name", "deploy key"]);
    let twins = [stage.add(&["--name", "twin"]), stage.add(&["--name", "twin"])];
    let build = stage.token("build", &["--write-to", "build.token"]);
    let tokens = [stage.token("pair", &["--write-to", "p1"]), stage.token("pair", &["--write-to", "p2"])];
    stage.token("watcher", &["--role", "auditor", "--write-to", "auditor.token"]);
    stage.run_as("build.token", &["credentials", "--all", "--json"]);
    let sequences = |args: &[&str]| {
        let said = stage.run(&[&["audit", "list", "--action", "credentials.read", "--json"], args].concat());
        let events: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
        events.as_array().unwrap().iter().map(|event| event["sequence"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let one = sequences(&["--integration", &named]);
    assert_eq!((one.len(), sequences(&["--integration", "deploy key"])), (1, one));
    let all = sequences(&[]);
    assert_eq!(all.len(), 3);
    for actor in ["build", "app:build", build.as_str(), &format!("app:{build}")] {
        assert_eq!(sequences(&["--actor", actor]), all, "{actor}");
    }
    for actor in ["owner@example.com", "user:owner@example.com", "OWNER@example.com"] {
        assert!(stage.run(&["audit", "list", "--actor", actor]).contains("token.create"), "{actor}");
    }
    let user = Command::new("id").arg("-un").output().unwrap().stdout;
    let host = format!("host:{}", String::from_utf8(user).unwrap().trim());
    assert!(stage.run(&["audit", "list", "--actor", &host]).contains("vault.init"));
    let said = stage.run(&["audit", "list", "--actor", "ovner@example.com"]);
    assert!(
        said.starts_with("no event matches") && said.contains("the nearest is owner@example.com"),
        "{said}"
    );
    for (token, args, parts) in [
        (
            "owner.token",
            &["--integration", "deploy-key"][..],
            &["no integration", "did you mean 'deploy key'"][..],
        ),
        ("owner.token", &["--integration", "twin"], &["2 integrations", &twins[0], &twins[1]]),
        ("owner.token", &["--actor", "pair"], &["2 tokens", &tokens[0], &tokens[1]]),
        (
            "owner.token",
            &["--actor", "biuld"],
            &["no token has the id or name 'biuld'", "did you mean 'build'"],
        ),
        (
            "owner.token",
            &["--action", "credential.read"],
            &["unknown action 'credential.read'", "'credentials.read'"],
        ),
        ("owner.token", &["--action", "zzz"], &["unknown action 'zzz'", "known actions: credentials.read, "]),
        ("auditor.token", &["--actor", "build"], &["only an owner", "a token's id"]),
    ] {
        let (code, said) = stage.run_as(token, &[&["audit", "list"], args].concat());
        assert_eq!(code, 1, "{args:?}: {said}");
        for part in parts {
            assert!(said.contains(part), "{args:?} wants {part}: {said}");
        }
    }
    // An auditor has no list of tokens, and is not refused one either: that would be an event.
    let (_, said) = stage.run_as("auditor.token", &["audit", "list", "--action", "credentials.read"]);
    assert!(said.contains("deploy key") && said.contains(&format!("app:{build}")), "{said}");
    let denied = stage.run(&["audit", "list", "--outcome", "denied"]);
    assert!(denied.starts_with("no event matches"), "{denied}");
}

/// Answers as a hostile server: each text tries to steer the terminal, or to pass for another line or word.
fn hostile(request: &str) -> Reply {
    const BAD: &str = "x\u{1b}]0;pwned\u{7}\u{1b}[2K\u{9b}31m\u{202e}yolped\u{200b}\u{2066}\ny  ok";
    let event = |sequence: u64| {
        json!({"v":1,"sequence":sequence,"time":"2026-11-24T10:00:00.000Z","actor":BAD,"action":BAD,"outcome":BAD,
               "integrationId":null,"revision":null,"provider":BAD,"project":BAD,"requestId":null,"peer":BAD,
               "detail":{"id":BAD,"name":BAD,"email":BAD}})
    };
    // JSON escapes only what is below U+0020, so that the others are on the wire as they are.
    let path = request.strip_prefix("GET /sfp/api/").unwrap_or_default();
    match path.split('?').next().unwrap() {
        "audit" => {
            Reply::json(200, &json!([event(2), event(1)]).to_string()).with("x-next-cursor", "2\u{9b}")
        }
        "audit/export" => Reply::json(200, &format!("{}\n{}\n", event(0), event(1))),
        "audit/key" | "audit/checkpoint" => Reply::json(200, BAD),
        _ => Reply::refusal(418, "x", &json!(BAD).to_string().replace('"', "")),
    }
}

#[test]
fn nothing_that_a_server_or_its_log_says_can_steer_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let (owner, _) = token::session(SessionKind::Access, SessionId::from_bytes([7; 16])).unwrap();
    secret_file(folder.path(), "owner.token", std::str::from_utf8(owner.text.expose()).unwrap(), 0o600);
    let fake = Fake::start(|request, _| hostile(request));
    for args in [
        &["audit", "list"][..],
        &["audit", "tail"],
        &["audit", "tail", "--json"],
        &["audit", "key"],
        &["audit", "checkpoint"],
        &["audit", "export"],
        &["audit", "list", "--actor", "x"],
        &["status"],
        &["project", "list"],
    ] {
        let mut typing = Typing::open(folder.path(), &fake.url, args, Some(250), &[]);
        let code = typing.end();
        let own = ["\u{1b}[1m", "\u{1b}[0m", "\u{1b}[1;31m", "\u{1b}[36m", "\u{1b}[33m", "\r", "\n"];
        let screen = own.iter().fold(typing.screen.clone(), |screen, own| screen.replace(own, ""));
        let bad = screen.chars().find(|c| c.is_control() || "\u{202e}\u{200b}\u{2066}".contains(*c));
        assert_eq!(bad, None, "{args:?} ({code}): {screen:?}");
        assert!(screen.contains("yolped") || args[0] == "status", "{args:?} ({code}): {screen:?}");
        let is_forged = typing.screen.lines().any(|line| line.starts_with("y  ok"));
        let is_text = matches!(args[1..], ["key" | "checkpoint"]);
        assert!(!is_forged || is_text, "{args:?}: a value makes no row: {:?}", typing.screen);
    }
    // For a file or a pipe they are as they came.
    let output = command(folder.path(), &["audit", "export"])
        .env("SFP_SERVER_URL", &fake.url)
        .env("SFP_SERVER_TOKEN_FILE", "owner.token")
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains('\u{202e}'));
}
