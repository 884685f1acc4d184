//! Secrets that were typed as arguments: refused at once, never repeated, and never led to the wrong flag.

use std::process::Stdio;

use serde_json::Value;

use crate::{
    cli::commands::{all, words},
    support::binary::{Serving, command, ended, sealroom, secret_file, stderr},
};

const VALUE: &str = "ghp_example";

#[test]
fn a_secret_in_the_arguments_is_refused_by_every_command_and_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let flags = [
        "--token",
        "--password",
        "--secret",
        "--api-key",
        "--passphrase",
        "--credentials",
        "--client_secret",
    ];
    for (index, name) in all().iter().enumerate() {
        // Every flag meets every kind of command, and each command two of them.
        for flag in [flags[index % flags.len()], flags[(index + 3) % flags.len()]] {
            // There it is a token's name or id.
            if name == "sealroom-exposure" && flag == "--token" {
                continue;
            }
            let inline = format!("{flag}={VALUE}");
            for given in [&[flag, VALUE][..], &[&inline]] {
                let output = sealroom(folder.path(), &[&words(name)[..], given].concat());
                let said = stderr(&output);
                assert_eq!(output.status.code(), Some(2), "{name} {flag}: {said}");
                assert!(
                    said.starts_with(&format!("error: {flag}: secrets are not accepted as arguments\n")),
                    "{name} {flag}: {said}"
                );
                assert!(said.contains("this one is now in your shell's history"), "{name} {flag}: {said}");
                assert!(!said.contains(VALUE) && output.stdout.is_empty(), "{name} {flag}: {said}");
            }
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
}

#[test]
fn the_hint_leads_to_where_that_command_takes_that_secret_from() {
    let folder = tempfile::tempdir().unwrap();
    for (line, hint) in [
        ("integration add github/pat --global --token x", "the prompt or --from-json FILE"),
        ("integration add github/pat --token x", "the prompt or --from-json FILE"),
        ("integration add gihub/pat --global --token x", "the prompt or --from-json FILE"),
        ("integration rotate deploy --password=x", "the prompt or --from-json FILE"),
        ("integration list --token x", "--token-file FILE"),
        ("whoami --token x", "--token-file FILE"),
        ("--token x whoami", "--token-file FILE"),
        ("login --password x", "the prompt or --password-file FILE"),
        ("login --token x", "the prompt or --password-file FILE"),
        ("user add eve@example.com --password x", "the prompt or --password-file FILE"),
        ("user password --new-password x", "the prompt or --new-password-file FILE"),
        ("init --owner-email a@example.com --passphrase x", "the prompt or --passphrase-file FILE"),
        ("init --owner-email a@example.com --owner-password x", "the prompt or --owner-password-file FILE"),
        ("unlock --passphrase x", "the prompt or --passphrase-file FILE"),
    ] {
        let output = sealroom(folder.path(), &line.split(' ').collect::<Vec<_>>());
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{line}: {said}");
        let last = said.lines().last().unwrap();
        assert!(last.starts_with("hint: use ") && last.contains(hint), "{line}: {said}");
        assert!(last.ends_with("; this one is now in your shell's history"), "{line}: {said}");
        let is_stored = line.starts_with("integration add") || line.starts_with("integration rotate");
        assert!(!(is_stored && said.contains("--token-file")), "it is no token of the vault: {said}");
    }
    // An absent value or a path in the shell's history does no harm.
    for line in
        ["login --password", "whoami --token", "integration add github/pat --global --secret-file token.txt"]
    {
        let said = stderr(&sealroom(folder.path(), &line.split(' ').collect::<Vec<_>>()));
        assert!(!said.contains("history") && said.contains("hint: use "), "{line}: {said}");
    }
    // A flag that is almost one of ours is a mistyped one.
    let said = stderr(&sealroom(folder.path(), &["whoami", "--token-fil", "x"]));
    assert!(said.contains("'--token-file'"), "{said}");
}

#[test]
fn a_secret_in_the_place_of_another_argument_is_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    // It is sent nowhere, and whole, so that no reader of it finds a fault.
    let server = Serving::start(folder.path(), &["serve", "--dev", "--json", "--listen", "127.0.0.1:0"]);
    let said: Value = serde_json::from_str(&server.said).unwrap();
    secret_file(folder.path(), "app.token", said["application_token"].as_str().unwrap(), 0o600);
    for args in [
        &["integration", "add", "github/pat", VALUE, "--global"][..],
        &["integration", "add", VALUE, "--global"],
        &["integration", "add", "hunter2hunter2hunter2", "--global"],
        &["login", "ada@example.com", "hunter2"],
        &["token", "create", "ci", "--days", VALUE],
        &["token", "create", "ci", "--role", VALUE],
        &["serve", "--body-bytes-max", VALUE],
        &[VALUE],
        &["integration", VALUE],
    ] {
        for json in [&[][..], &["--json"]] {
            let output = sealroom(folder.path(), &[args, json].concat());
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
            assert!(!said.contains(VALUE) && !said.contains("hunter2"), "{args:?}: {said}");
            if !json.is_empty() {
                let value: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
                assert!(value["error"].is_string() && value["hint"].is_string(), "{value}");
            }
        }
    }
    // In the place of a file name: the error about a missing file must not repeat the value.
    for args in [
        &["whoami", "--token-file", VALUE][..],
        &["project", "list", "--token-file", "hunter2hunter2hunter2"],
        &["init", "--owner-email", "a@example.com", "--passphrase-file", "hunter2hunter2hunter2"],
        &["integration", "add", "github/pat", "--global", "--from-json", r#"{"token":"ghp_example"}"#],
        &["user", "add", "eve@example.com", "--password-file", "hunter2hunter2hunter2"],
    ] {
        let mut command = command(folder.path(), args);
        command.env("SFP_SERVER_URL", "http://127.0.0.1:1").env("SFP_SERVER_TOKEN_FILE", "app.token");
        let output = ended(command.stdout(Stdio::piped()));
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains("looks like a secret") && said.contains("history"), "{args:?}: {said}");
        assert!(!said.contains(VALUE) && !said.contains("hunter2"), "{args:?}: {said}");
    }
    // A name that is merely mistyped is.
    assert!(stderr(&sealroom(folder.path(), &["statsu"])).contains("'statsu'"));
}

#[test]
fn a_mistyped_pair_or_provider_has_its_nearest() {
    let folder = tempfile::tempdir().unwrap();
    for (pair, meant) in [
        ("gihub/pat", "did you mean github/pat?"),
        ("github/patt", "did you mean github/pat?"),
        ("pat/github", "did you mean github/pat?"),
        ("github", "did you mean github/pat or github/app?"),
        ("jira/basic-auth", "did you mean jira/basic_auth?"),
    ] {
        let output = sealroom(folder.path(), &["integration", "add", pair, "--global"]);
        assert_eq!(output.status.code(), Some(2), "{pair}");
        assert!(stderr(&output).contains(meant), "{pair}: {}", stderr(&output));
    }
    let server = Serving::start(folder.path(), &["serve", "--dev", "--json", "--listen", "127.0.0.1:0"]);
    let said: Value = serde_json::from_str(&server.said).unwrap();
    for args in [
        &["integration", "list", "--provider", "gihub"][..],
        &["token", "create", "ci", "--provider", "gihub"],
    ] {
        let mut command = command(folder.path(), args);
        command
            .env("SFP_SERVER_URL", &server.url)
            .env("SFP_SERVER_TOKEN", said["owner_token"].as_str().unwrap());
        let output = ended(command.stdout(Stdio::piped()));
        assert!(stderr(&output).ends_with("hint: did you mean github?\n"), "{args:?}: {}", stderr(&output));
    }
}
