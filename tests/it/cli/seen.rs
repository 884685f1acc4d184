//! A client notices that its server serves an older copy of the vault.

use std::{fs, path::Path, process::Output};

use crate::support::binary::{Serving, command, ended, secret_file, stderr, vault};

const SERVE: &[&str] =
    &["serve", "--data", "v.redb", "--listen", "unix:api.sock", "--passphrase-file", "pass"];

fn run(folder: &Path, args: &[&str]) -> Output {
    let mut command = command(folder, args);
    command.env("XDG_CONFIG_HOME", folder.join("config")).env("HOME", folder);
    command.env("SFP_SERVER_URL", format!("unix:{}", folder.join("api.sock").display()));
    let output = ended(command.stdout(std::process::Stdio::piped()));
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    output
}

/// Reads the credentials; returns whether the command warned.
fn warned(folder: &Path, more: &[&str]) -> bool {
    let read = run(folder, &[&["credentials", "--all", "--json"], more].concat());
    assert!(String::from_utf8_lossy(&read.stdout).contains("ghp_example"));
    stderr(&read).contains("is shorter than before")
}

#[test]
fn an_older_copy_of_the_vault_is_noticed_by_a_session_and_by_a_token_that_saw_the_newer_one() {
    let folder = vault();
    let folder = folder.path();
    secret_file(folder, "value.json", r#"{"token":"ghp_example"}"#, 0o600);
    let password = fs::read_to_string(folder.join("owner")).unwrap();
    secret_file(folder, "owner", &password, 0o600);
    let mut server = Serving::start(folder, SERVE);
    run(folder, &["login", "--email", "ada@example.com", "--password-file", "owner"]);
    run(folder, &["integration", "add", "github/pat", "--global", "--from-json", "value.json"]);
    run(folder, &["token", "create", "ci", "--write-to", "ci.token"]);
    let token = ["--token-file", "ci.token"];
    assert!(!warned(folder, &[]) && !warned(folder, &token));
    assert!(server.stop());
    fs::copy(folder.join("v.redb"), folder.join("older.redb")).unwrap();

    let mut server = Serving::start(folder, SERVE);
    for _ in 0..8 {
        assert!(!warned(folder, &[]) && !warned(folder, &token), "a log that grows");
    }
    assert!(server.stop());
    fs::copy(folder.join("older.redb"), folder.join("v.redb")).unwrap();
    let mut server = Serving::start(folder, SERVE);
    assert!(warned(folder, &[]) && warned(folder, &token), "the copy");
    assert!(!warned(folder, &[]) && !warned(folder, &token), "it is said once");
    assert!(server.stop());
}
