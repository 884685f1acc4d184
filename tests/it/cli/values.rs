//! Credentials for scripts: the bytes, the whole set or a failure that the script notices.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::support::{
    binary::{Serving, TOKEN, command, secret_file, stderr},
    fake::{Fake, Reply},
    pty::Typing,
};

const ID: &str = "01a21198-0ea8-7d5a-987c-6ee7878c5901";
const ONE: &str = "GET /sfp/api/integrations/credentials?limit=1";

fn credential(provider: &str, credentials: &str, rest: &str) -> String {
    format!(
        r#"{{"integration_id":"{ID}","provider":"{provider}","auth_type":"pat","credentials":{credentials}{rest}}}"#
    )
}

/// A server that answers any read with these.
fn vault(items: &[String]) -> Fake {
    let body = format!("[{}]", items.join(","));
    Fake::start(move |_, _| Reply::json(200, &body).with("audit-receipt", "7:x"))
}

fn read(folder: &Path, url: &str, rest: &[&str]) -> Output {
    command(folder, &[&["credentials", "--all"], rest].concat())
        .env("SFP_SERVER_URL", url)
        .env("SFP_SERVER_TOKEN", TOKEN)
        .env("HOME", folder)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// `--field` added a line end, so that a digest or a key file had one byte too many.
#[test]
fn a_field_in_a_pipe_is_the_stored_bytes_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    for value in ["ghp_example", "t\n", "", "\n", "a\r\nb\r\n", " x ", "é😀", "a\0b", "-----END KEY-----\n"]
    {
        let credentials = format!(r#"{{"token":{}}}"#, serde_json::to_string(value).unwrap());
        let fake = vault(&[credential("github", &credentials, "")]);
        let output = read(folder.path(), &fake.url, &["--field", "token"]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(output.stdout, value.as_bytes());
        assert_eq!(stderr(&output), "audit-receipt: 7:x\n");
        assert_eq!(fake.asked(), [ONE]);
    }
    secret_file(folder.path(), "owner.token", TOKEN, 0o600);
    let fake = vault(&[credential("github", r#"{"token":"ghp_example"}"#, "")]);
    let args = ["credentials", "--all", "--field", "token"];
    let screen = Typing::wide(folder.path(), &fake.url, &args, 80, &[]);
    assert!(screen.ends_with("ghp_example\n"), "a terminal gets a line end: {screen:?}");
}

/// Credentials were disclosed and recorded, and the pipeline's log had no receipt of it.
#[test]
fn a_read_that_fails_after_a_disclosure_never_keeps_its_receipt() {
    let folder = tempfile::tempdir().unwrap();
    let token = |value: &str| credential("github", &format!(r#"{{"token":"{value}"}}"#), "");
    let several = Fake::start(|_, _| {
        let body = format!("[{}]", credential("github", r#"{"token":"ghp_example"}"#, ""));
        Reply::json(200, &body).with("audit-receipt", "7:x").with("x-next-cursor", "c1")
    });
    let (one, two) = (vault(&[token("1")]), vault(&[token("1"), token("2")]));
    let (holed, broken) = (vault(&[token("a\\u0000b")]), vault(&[token("\\ud800")]));
    for (fake, rest, error) in [
        (&several, &["--field", "token"][..], "more than one credential matches"),
        (&one, &["--field", "tokn"], "has no field 'tokn'"),
        (&broken, &["--field", "token"], "is no JSON object of strings"),
        (&two, &["--format", "env"], "two values for GITHUB_TOKEN: field 'token' of github/pat"),
        (&two, &["--format", "dotenv"], "two values for GITHUB_TOKEN"),
        (&holed, &["--format", "env"], "it has a NUL in it"),
        (&holed, &["--format", "dotenv"], "it has a NUL in it"),
        (&broken, &[], "is no JSON object of strings"),
    ] {
        let output = read(folder.path(), &fake.url, rest);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(error) && said.starts_with("audit-receipt: 7:x\n"), "{said}");
        let printed = if rest.contains(&"env") { "false\n" } else { "" };
        assert_eq!(String::from_utf8_lossy(&output.stdout), printed, "{said}");
    }
    assert_eq!(several.asked(), [ONE], "one is disclosed, however many match");
}

/// A throw-away server with two `github` for all projects, and its tokens as files.
fn two_of_a_kind(folder: &Path) -> Serving {
    let server = Serving::start(folder, &["serve", "--dev", "--json", "--listen", "127.0.0.1:0"]);
    let said: Value = serde_json::from_str(&server.said).unwrap();
    for speaker in ["owner_token", "member_token", "application_token"] {
        secret_file(folder, speaker, said[speaker].as_str().unwrap(), 0o600);
    }
    fs::write(folder.join("github.json"), r#"{"token":"ghp_example"}"#).unwrap();
    fs::set_permissions(folder.join("github.json"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .unwrap();
    for name in ["one", "two"] {
        let add =
            ["integration", "add", "github/pat", "--global", "--name", name, "--from-json", "github.json"];
        assert!(speak(folder, &server, "owner_token", &add).status.success());
    }
    server
}

fn speak(folder: &Path, server: &Serving, token: &str, args: &[&str]) -> Output {
    command(folder, args)
        .env("SFP_SERVER_URL", &server.url)
        .env("SFP_SERVER_TOKEN_FILE", token)
        .env("HOME", folder)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn a_field_of_several_costs_an_owner_no_read_and_others_one_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let server = two_of_a_kind(folder.path());
    let events = |filter: &[&str]| {
        let list = [&["audit", "list", "--json"], filter].concat();
        let output = speak(folder.path(), &server, "owner_token", &list);
        serde_json::from_slice::<Value>(&output.stdout).unwrap().as_array().unwrap().len()
    };
    let reads = || events(&["--action", "credentials.read"]);
    let field = ["credentials", "--all", "--field", "token"];
    for (token, cost) in [("owner_token", 0), ("member_token", 1), ("application_token", 1)] {
        let before = reads();
        let output = speak(folder.path(), &server, token, &field);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{token}: {}", stderr(&output));
        assert_eq!(reads() - before, cost, "{token}");
        assert_eq!(stderr(&output).matches("audit-receipt").count(), cost, "{token}");
        assert!(stderr(&output).contains("narrow it with --provider"), "{}", stderr(&output));
    }
    assert_eq!(events(&["--outcome", "denied"]), 0, "and no refusal is recorded for a count");
    // Metadata that owners can see before a read never makes that read fail.
    for token in ["owner_token", "member_token", "application_token"] {
        let one = speak(folder.path(), &server, token, &[&field[..], &["--name", "one"]].concat());
        assert_eq!(String::from_utf8_lossy(&one.stdout), "ghp_example", "{token}: {}", stderr(&one));
    }
}

/// `eval "$(sealroom credentials …)"` of a call that failed was a success, and went on with an older variable.
#[test]
fn a_script_never_goes_on_with_an_older_variable_after_a_failed_read() {
    let folder = tempfile::tempdir().unwrap();
    let two = |value: &str| credential("github", &format!(r#"{{"token":"{value}"}}"#), "");
    let (clash, fine) = (vault(&[two("1"), two("2")]), vault(&[two("new")]));
    let refused = Fake::start(|_, _| Reply::refusal(404, "integration_not_found", "No integration found"));
    let hangup = Fake::start(|_, _| Reply::Hangup);
    let run = |shell: &str, url: &str, script: &str| {
        let binaries = Path::new(env!("CARGO_BIN_EXE_sealroom")).parent().unwrap();
        let output = Command::new(shell)
            .args(["-c", script])
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", binaries.display()))
            .env("HOME", folder.path())
            .env("SFP_SERVER_URL", url)
            .env("SFP_SERVER_TOKEN", TOKEN)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    for shell in ["sh", "bash"] {
        for (url, arguments) in [
            (clash.url.as_str(), "--all --format env"),
            (refused.url.as_str(), "--all --format env"),
            (hangup.url.as_str(), "--all --format env"),
            ("http://127.0.0.1:1", "--all --format env"),
            ("http://vault.example.com", "--all --format=env"),
            ("not a url", "--all --format env"),
            (fine.url.as_str(), "--format env"),
            (fine.url.as_str(), "--all --project acme/app --format env"),
            (fine.url.as_str(), "--all --fromat env"),
            (fine.url.as_str(), "--all --format ENV"),
            (fine.url.as_str(), "--all --format env --json --token-file none"),
        ] {
            for script in [
                format!(
                    "set -e; GITHUB_TOKEN=old; eval \"$(sealroom credentials {arguments})\"; echo $GITHUB_TOKEN"
                ),
                format!(
                    "GITHUB_TOKEN=old; x=$(sealroom credentials {arguments}) && eval \"$x\" || exit; echo $GITHUB_TOKEN"
                ),
                format!(
                    "GITHUB_TOKEN=old; eval \"$(sealroom credentials {arguments})\" && echo $GITHUB_TOKEN"
                ),
            ] {
                let (code, printed) = run(shell, url, &script);
                assert!(code.is_some_and(|code| code > 0), "{shell}: {script}");
                assert_eq!(printed, "", "{shell}: {script}");
            }
        }
        let script = "set -e; GITHUB_TOKEN=old; eval \"$(sealroom credentials --all --format env)\"; echo $GITHUB_TOKEN";
        assert_eq!(run(shell, &fine.url, script), (Some(0), "new\n".to_owned()));
    }
}

#[test]
fn a_credential_that_ended_or_soon_will_is_told_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let now = sealroom::clock::Clock::system().now();
    let days = sealroom::domain::days;
    let ending = |end: sealroom::domain::Timestamp| {
        vault(&[credential("github", r#"{"token":"ghp_example"}"#, &format!(r#","expires_at":"{end}""#))])
    };
    let (ended, soon, far) =
        (ending(now.minus(days(30))), ending(now.plus(days(3))), ending(now.plus(days(9))));
    for rest in [&["--field", "token"][..], &["--format", "env"], &["--format", "dotenv"], &["--json"], &[]] {
        for (fake, text) in [(&ended, "ended at "), (&soon, "ends at "), (&far, "")] {
            let output = read(folder.path(), &fake.url, rest);
            assert!(output.status.success(), "{}", stderr(&output));
            let warning = format!("warning: github/pat {ID} {text}");
            assert_eq!(stderr(&output).contains(&warning), !text.is_empty(), "{rest:?}: {}", stderr(&output));
        }
    }
    let listed = |end: sealroom::domain::Timestamp| {
        let body = format!(
            r#"[{{"id":"{ID}","provider":"github","authType":"pat","name":null,"isGlobal":true,"projects":[],"config":{{}},"expiresAt":"{end}","revision":1,"createdAt":"{end}","createdBy":"user:ada@example.com","updatedAt":"{end}","lastAccessedAt":null,"lastAccessedBy":null}}]"#
        );
        let fake = Fake::start(move |_, _| Reply::json(200, &body));
        let mut list = command(folder.path(), &["integration", "list"]);
        list.env("SFP_SERVER_URL", &fake.url).env("SFP_SERVER_TOKEN", TOKEN).env("TZ", "UTC");
        String::from_utf8(list.env("HOME", folder.path()).output().unwrap().stdout).unwrap()
    };
    assert!(listed(now.minus(days(30))).contains("  ENDED 20"));
    assert!(listed(now.plus(days(3))).contains(" UTC, in 2 days "));
    assert!(!listed(now.plus(days(9))).contains(", in "));
}
