//! Secrets shown once: each reaches its reader, or the command undoes its work and says so.
//!
//! The story: `init | true` made a vault, exit 0, whose recovery key and password nobody had seen.

use std::{
    fs,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::support::{
    binary::{INIT, PASSPHRASE, Serving, command, ended, sealroom, secret_file, stderr, vault},
    fake::{Fake, Reply},
    pty::terminal,
};

/// The ways to lose what is printed, each with a part of what is said then.
const LOSSES: [(Loss, &str); 5] = [
    (Loss::ReaderGone, "the reader of standard output is gone"),
    (Loss::Closed, "standard output is closed, or a null device"),
    (Loss::NullDevice, "standard output is closed, or a null device"),
    (Loss::DiskFull, "No space left on device"),
    (Loss::TerminalGone, "standard output: "),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// `| true`
    ReaderGone,
    /// `>&-`
    Closed,
    /// The null device, opened as many programs do for children whose output they discard.
    NullDevice,
    DiskFull,
    TerminalGone,
}

/// Runs a command whose output is lost in this way.
fn lost(loss: Loss, mut command: Command) -> Output {
    let stdout: Stdio = match loss {
        Loss::ReaderGone => {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            writer.into()
        }
        Loss::Closed => {
            let mut shell = Command::new("sh");
            shell.args(["-c", "exec \"$@\" >&-", "sh"]).arg(command.get_program()).args(command.get_args());
            shell.current_dir(command.get_current_dir().unwrap()).env_clear();
            shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
            return ended(&mut shell);
        }
        Loss::NullDevice => fs::OpenOptions::new().read(true).write(true).open("/dev/null").unwrap().into(),
        Loss::DiskFull => fs::OpenOptions::new().write(true).open("/dev/full").unwrap().into(),
        Loss::TerminalGone => terminal().1.into(),
    };
    ended(command.stdout(stdout))
}

#[test]
fn a_vault_whose_keys_nobody_was_shown_does_not_exist() {
    let folder = tempfile::tempdir().unwrap();
    secret_file(folder.path(), "pass", PASSPHRASE, 0o600);
    secret_file(folder.path(), "owner.password", "owner-password-0001\n", 0o600);
    let json = INIT.to_vec();
    let plain: Vec<&str> = json.iter().copied().filter(|arg| *arg != "--json").collect();
    let filed =
        [&plain[..], &["--recovery-key-file", "key", "--owner-password-file", "owner.password"]].concat();
    for (loss, said) in LOSSES {
        for (args, what) in [(&plain, "recovery key"), (&json, "recovery key"), (&filed, "audit key")] {
            let output = lost(loss, command(folder.path(), args));
            let told = stderr(&output);
            assert_eq!(output.status.code(), Some(1), "{loss:?} {args:?}: {told}");
            assert!(
                told.contains(said) && told.contains("no vault was created"),
                "{loss:?} {args:?}: {told}"
            );
            assert!(told.contains(&format!("the {what} cannot be shown")), "{loss:?} {args:?}: {told}");
            for left in ["v.redb", ".v.redb.sealroom-new", "key"] {
                assert!(!folder.path().join(left).exists(), "{loss:?} {args:?} leaves {left}");
            }
        }
    }
    // Nothing stands in the way of the next try, and what throws away on purpose is let do so.
    let null = fs::OpenOptions::new().write(true).open("/dev/null").unwrap();
    let made = ended(command(folder.path(), &filed).stdout(null));
    assert!(made.status.success(), "{}", stderr(&made));
    assert!(folder.path().join("v.redb").exists() && folder.path().join("key").exists());
}

#[test]
fn a_recovery_key_that_cannot_be_written_costs_no_vault_and_no_file_of_another() {
    let folder = tempfile::tempdir().unwrap();
    secret_file(folder.path(), "pass", PASSPHRASE, 0o600);
    fs::write(folder.path().join("mine"), "precious").unwrap();
    for path in ["mine", "none/key", "/proc/key"] {
        let output = sealroom(folder.path(), &[INIT, &["--recovery-key-file", path]].concat());
        assert_eq!(output.status.code(), Some(1), "{path}: {}", stderr(&output));
        assert!(stderr(&output).contains(path) && output.stdout.is_empty(), "{path}: {}", stderr(&output));
        assert!(!folder.path().join("v.redb").exists(), "{path}");
    }
    assert_eq!(fs::read_to_string(folder.path().join("mine")).unwrap(), "precious");
    assert!(sealroom(folder.path(), INIT).status.success());
    // A vault that is there already costs nobody a recovery key's file.
    let again = sealroom(folder.path(), &[INIT, &["--recovery-key-file", "key"]].concat());
    assert!(stderr(&again).contains("already exists"), "{}", stderr(&again));
    assert!(!folder.path().join("key").exists());
}

#[test]
fn a_throw_away_server_whose_tokens_nobody_was_shown_ends() {
    let folder = tempfile::tempdir().unwrap();
    for json in [&["--json"][..], &[]] {
        let args = [&["serve", "--dev", "--listen", "127.0.0.1:0"], json].concat();
        let output = lost(Loss::ReaderGone, command(folder.path(), &args));
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains("the tokens cannot be shown"), "{}", stderr(&output));
    }
}

fn stage() -> (tempfile::TempDir, Serving) {
    let folder = tempfile::tempdir().unwrap();
    let server = Serving::start(folder.path(), &["serve", "--dev", "--json", "--listen", "127.0.0.1:0"]);
    let said: Value = serde_json::from_str(&server.said).unwrap();
    secret_file(folder.path(), "owner.token", said["owner_token"].as_str().unwrap(), 0o600);
    secret_file(folder.path(), "password", said["owner_password"].as_str().unwrap(), 0o600);
    (folder, server)
}

fn at(folder: &Path, url: &str, args: &[&str]) -> Command {
    let mut command = command(folder, args);
    command.env("SFP_SERVER_URL", url).env("SFP_SERVER_TOKEN_FILE", "owner.token").env("HOME", folder);
    command
}

fn listed(folder: &Path, server: &Serving, what: &str) -> Vec<Value> {
    let output = ended(at(folder, &server.url, &[what, "list", "--json"]).stdout(Stdio::piped()));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_token_that_nobody_was_shown_lets_nobody_in() {
    let (folder, server) = stage();
    for (loss, said) in LOSSES {
        for json in [&["--json"][..], &[]] {
            let args = [&["token", "create", "ci"], json].concat();
            let output = lost(loss, at(folder.path(), &server.url, &args));
            let told = stderr(&output);
            assert_eq!(output.status.code(), Some(1), "{loss:?}: {told}");
            assert!(told.contains(said) && told.contains("is revoked again"), "{loss:?}: {told}");
            let tokens = listed(folder.path(), &server, "token");
            let made: Vec<_> = tokens.iter().filter(|token| token["name"] == "ci").collect();
            assert!(made.iter().all(|token| token["status"] == "revoked"), "{loss:?}: {made:?}");
            assert!(told.contains(made[0]["id"].as_str().unwrap()), "{loss:?} {told}");
        }
    }
    // A list that nobody reads to its end is no loss.
    assert_eq!(
        lost(Loss::ReaderGone, at(folder.path(), &server.url, &["token", "list"])).status.code(),
        Some(0)
    );
    // Nor is the rest of what is said where a file has the token.
    let filed = at(folder.path(), &server.url, &["token", "create", "filed", "--write-to", "filed.token"]);
    assert_eq!(lost(Loss::ReaderGone, filed).status.code(), Some(0));
    let whoami = ["whoami", "--token-file", "filed.token"];
    let output = ended(at(folder.path(), &server.url, &whoami).stdout(Stdio::piped()));
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn a_user_whose_password_nobody_was_shown_does_not_exist() {
    let (folder, server) = stage();
    for (loss, said) in LOSSES {
        for json in [&["--json"][..], &[]] {
            let args = [&["user", "add", "eve@example.com"], json].concat();
            let output = lost(loss, at(folder.path(), &server.url, &args));
            let told = stderr(&output);
            assert_eq!(output.status.code(), Some(1), "{loss:?}: {told}");
            assert!(told.contains(said) && told.contains("is removed again"), "{loss:?}: {told}");
            let users = listed(folder.path(), &server, "user");
            assert!(users.iter().all(|user| user["email"] != "eve@example.com"), "{loss:?}: {users:?}");
        }
    }
    // With a given password, nothing can be lost.
    let given =
        at(folder.path(), &server.url, &["user", "add", "eve@example.com", "--password-file", "password"]);
    assert_eq!(lost(Loss::ReaderGone, given).status.code(), Some(0));
    assert!(listed(folder.path(), &server, "user").iter().any(|user| user["email"] == "eve@example.com"));
}

const TOKEN: &str = r#"{"id":"01a21223-f29a-7866-aed8-5717f26d1cd1","name":"ci","role":"application","token":"sfp_app_example","createdAt":"2026-11-24T10:00:00.000Z","expiresAt":"2026-12-24T10:00:00.000Z"}"#;
const USER: &str = r#"{"id":"01a21223-f29a-7866-aed8-5717f26d1cd2","email":"eve@example.com","firstName":null,"lastName":null,"role":"member","projects":null,"disabled":false,"createdAt":"2026-11-24T10:00:00.000Z","lastLoginAt":null,"initialPassword":"xxxxx-example"}"#;

/// A server that makes what it is asked for and takes nothing back.
fn stubborn() -> Fake {
    Fake::start(|request, _| match request {
        "POST /sfp/api/application-tokens" => Reply::json(201, TOKEN),
        "POST /sfp/api/users" => Reply::json(201, USER),
        _ => Reply::refusal(503, "audit_unavailable", "The audit log cannot be written"),
    })
}

/// An owner's token that is whole, so that no reader of it finds a fault.
fn with_token(folder: &Path, fake: &Fake, args: &[&str]) -> Command {
    at(folder, &fake.url, args)
}

#[test]
fn what_cannot_be_undone_is_named_by_its_id_with_the_command_that_does_it() {
    let (folder, _server) = stage();
    let fake = stubborn();
    for (args, id, by_hand) in [
        (
            &["token", "create", "ci"][..],
            "01a21223-f29a-7866-aed8-5717f26d1cd1",
            "sealroom token revoke 01a21223-f29a-7866-aed8-5717f26d1cd1 --yes",
        ),
        (
            &["user", "add", "eve@example.com"],
            "01a21223-f29a-7866-aed8-5717f26d1cd2",
            "sealroom user remove eve@example.com --yes",
        ),
    ] {
        let output = lost(Loss::ReaderGone, with_token(folder.path(), &fake, args));
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(id) && told.contains(by_hand), "{told}");
        assert!(told.contains("the audit log cannot be written"), "why: {told}");
        assert!(!told.contains("sfp_app_example") && !told.contains("xxxxx"), "{told}");
    }
}

#[test]
fn a_token_whose_file_comes_into_being_meanwhile_is_revoked() {
    let (folder, _server) = stage();
    let path = folder.path().join("ci.token");
    let taken = path.clone();
    let fake = Fake::start(move |request, _| {
        if request.starts_with("POST") {
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&taken).unwrap();
            return Reply::json(201, TOKEN);
        }
        Reply::json(200, r#"{"success":true}"#)
    });
    let args = ["token", "create", "ci", "--write-to", "ci.token"];
    let output = ended(with_token(folder.path(), &fake, &args).stdout(Stdio::piped()));
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("is revoked again"), "{}", stderr(&output));
    assert_eq!(fake.count("DELETE /sfp/api/application-tokens/01a21223-f29a-7866-aed8-5717f26d1cd1"), 1);
    assert_eq!(fs::read(&path).unwrap(), b"", "the other's file is as it was");
}

#[test]
fn where_the_answer_got_lost_it_is_said_what_may_exist_now() {
    let (folder, _server) = stage();
    let unknown = || Reply::refusal(503, "audit_unavailable", "The audit log cannot be written");
    let scripts: [fn() -> Reply; 3] = [|| Reply::Hangup, || Reply::json(201, "{"), unknown];
    for script in scripts {
        let fake = Fake::start(move |_, _| script());
        for (args, hint) in [
            (&["token", "create", "ci"][..], "sealroom token revoke ci"),
            (&["user", "add", "eve@example.com"], "sealroom user list"),
        ] {
            let output = ended(with_token(folder.path(), &fake, args).stdout(Stdio::piped()));
            assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
            assert!(stderr(&output).contains(hint), "{}", stderr(&output));
        }
    }
}

#[test]
fn an_output_that_is_read_is_no_loss_however_it_is_read() {
    let folder = vault();
    let binary = env!("CARGO_BIN_EXE_sealroom");
    let script = |name: &str, rest: &str| {
        let init = INIT.join(" ").replace("v.redb", name);
        let mut shell = Command::new("bash");
        shell.args(["-c", &format!("set -o pipefail; '{binary}' {init} {rest}")]).current_dir(folder.path());
        let output = ended(shell.env_clear().env("PATH", "/usr/bin:/bin").stdout(Stdio::piped()));
        assert!(output.status.success(), "{rest}: {}", stderr(&output));
        assert!(folder.path().join(name).exists(), "{rest}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(script("a.redb", "| cat").contains("recovery_key"));
    assert!(script("b.redb", "| head -n 1").contains("recovery_key"), "it read all before it went");
    assert_eq!(script("c.redb", "> once"), "");
    assert!(fs::read_to_string(folder.path().join("once")).unwrap().contains("recovery_key"));
}
