//! Rules of every command: an example in its help, one JSON value with `--json`, a completion, a manual page.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::support::binary::{Serving, command, sealroom, secret_file, stderr};

/// Every command with its subcommands, read off the manual pages' names.
pub fn all() -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let made = sealroom(folder.path(), &["man", "pages", "--json"]);
    let value: Value = serde_json::from_slice(&made.stdout).unwrap();
    let pages = value["pages"].as_array().unwrap();
    for page in pages {
        let text = fs::read_to_string(folder.path().join("pages").join(page.as_str().unwrap())).unwrap();
        assert!(text.contains(".TH") && text.contains("SYNOPSIS"), "{page}");
    }
    let name = |page: &Value| page.as_str().unwrap().trim_end_matches(".1").to_owned();
    pages.iter().map(name).filter(|name| name != "sealroom").collect()
}

pub fn words(name: &str) -> Vec<&str> {
    match name.strip_prefix("sealroom-git-credential") {
        Some(rest) => ["git-credential"].into_iter().chain(rest.split('-').skip(1)).collect(),
        None if name == "sealroom-self-check" => vec!["self-check"],
        None => name.split('-').skip(1).collect(),
    }
}

#[test]
fn every_command_has_an_example_that_is_a_command() {
    let folder = tempfile::tempdir().unwrap();
    let commands = all();
    assert!(commands.len() > 40, "{commands:?}");
    for name in &commands {
        let help = sealroom(folder.path(), &[words(name), vec!["--help"]].concat());
        let text = String::from_utf8(help.stdout).unwrap();
        let (_, examples) = text.split_once("Examples:\n").unwrap_or_else(|| panic!("{name} has no example"));
        let own = format!("sealroom {}", words(name).join(" "));
        assert!(examples.contains(&own), "{name}: {examples}");
        // A line that the help's width breaks in two cannot be copied.
        assert!(
            examples
                .lines()
                .all(|line| line.starts_with("  sealroom ") || EXAMPLES_OF_SHELLS.contains(&line)),
            "{name}: {examples}"
        );
    }
    let top = String::from_utf8(sealroom(folder.path(), &["--help"]).stdout).unwrap();
    assert!(top.contains("Examples:\n  sealroom serve --dev "), "{top}");
}

/// The folder and server of the commands.
const EXAMPLES_OF_SHELLS: &[&str] = &[
    "  TOKEN=$(sealroom credentials --provider github --project acme/app --field token)",
    "  x=$(sealroom credentials --project acme/app --format env) && eval \"$x\" || exit",
    "  source <(sealroom completions bash)",
    "  sops decrypt secrets.yaml | sealroom import - --global --yes",
    "  vault kv get -format=json secret/db | sealroom import - --name db --project acme/app --yes",
    "  age -d -i key.txt all.json.age | sealroom import - --yes",
];

/// Commands that speak to no server, or as nobody, have no flags that say to which and as whom.
#[test]
fn a_command_has_the_flags_of_a_server_only_where_it_speaks_to_one() {
    const OF_THE_HOST: &[&str] = &[
        "init",
        "serve",
        "unlock",
        "lock",
        "rescue",
        "notify",
        "notify test",
        "recover",
        "recover owner",
        "compact",
        "rekey",
        "restore",
        "doctor",
        "slot",
        "slot list",
        "slot add",
        "slot add passphrase",
        "slot add recovery",
        "slot add machine",
        "slot change",
        "slot remove",
        "audit",
        "audit archive",
        "audit verify",
        "self-check",
        "tls",
        "tls make",
        "version",
        "completions",
        "man",
    ];
    let folder = tempfile::tempdir().unwrap();
    for name in all() {
        let words = words(&name);
        let help = sealroom(folder.path(), &[&words[..], &["--help"]].concat());
        let text = String::from_utf8(help.stdout).unwrap();
        let remote = !OF_THE_HOST.contains(&words.join(" ").as_str());
        for flag in ["--server <URL>", "--insecure-http", "--ca-file <FILE>"] {
            assert_eq!(text.contains(flag), remote, "{name} {flag}: {text}");
        }
        let speaks = remote && !["login", "logout", "health"].contains(&words[0]);
        assert_eq!(text.contains("--token-file <FILE>"), speaks, "{name}: {text}");
    }
    let refused = sealroom(folder.path(), &["audit", "verify", "--server", "http://127.0.0.1:1"]);
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
}

/// One good call of each command that ends by itself; `serve` has tests of its own.
const CALLS: &[&str] = &[
    "login --email owner@example.com --password-file owner.password",
    "whoami",
    "project register acme/app https://github.com/acme/app",
    "project list",
    "project show acme/app",
    "integration add github/pat --project acme/app --name deploy --from-json github.json",
    "integration list",
    "integration show deploy",
    "integration rotate deploy --from-json github.json",
    "integration rollback deploy 1",
    "integration scope deploy --global",
    "integration update deploy --no-expiry",
    "git-credential install",
    "git-credential uninstall",
    "credentials --all",
    "integration delete deploy --yes",
    "project delete acme/app --yes",
    "token create ci",
    "token create filed --expires-in 3 --write-to filed.token",
    "token roll filed --overlap 1m --write-to filed.next",
    "token list",
    "exposure --user owner@example.com --transitive",
    "token revoke ci --yes",
    "user add bob@example.com",
    "user list",
    "user role bob@example.com owner",
    "user role bob@example.com member",
    "user projects bob@example.com --all",
    "user disable bob@example.com",
    "user enable bob@example.com",
    "user password bob@example.com --new-password-file owner.password",
    "user leave bob@example.com --yes",
    "user remove bob@example.com --yes",
    "audit list",
    "audit checkpoint",
    "audit key",
    "audit export --output export.ndjson",
    "audit tail -n 1",
    "audit cosign --policy witnesses.policy",
    "audit explain 0",
    "audit report report.md",
    "status",
    "due",
    "health",
    "backup copy.redb",
    "import app.env --global --yes",
    "export --all --output export.json",
    "logout",
    "completions bash",
    "man pages",
    "version",
    "self-check --data new.redb",
    "tls make --name vault.example --dir tls",
    "init --data v.redb --owner-email a@example.com --passphrase-file pass --weak-kdf --kdf-memory 64 --kdf-passes 1",
    "notify test --config notify.toml",
    "recover owner --data v.redb --passphrase-file pass",
    "audit archive --data v.redb --passphrase-file pass --before 2020-01-01 --to old.ndjson",
    "doctor v.redb --passphrase-file pass",
    "slot list --data v.redb",
    "slot add passphrase --data v.redb --passphrase-file pass --new-passphrase-file other --weak-kdf --kdf-memory 64 --kdf-passes 1",
    "slot add recovery --data v.redb --passphrase-file pass --weak-kdf --kdf-memory 64 --kdf-passes 1",
    "slot add machine --data v.redb --passphrase-file pass --key-file machine.key",
    "slot change --data v.redb --passphrase-file pass --same --weak-kdf --kdf-memory 64 --kdf-passes 1",
    "slot remove 3 --data v.redb --passphrase-file pass --yes",
    "restore v.redb --data restored.redb --passphrase-file pass",
    "compact --data v.redb --passphrase-file pass",
    "rekey --data v.redb --passphrase-file pass --yes",
];
/// Those that need a file and its server, which the last test has, and those that speak another program's language.
const ELSEWHERE: &[&str] = &[
    "serve",
    "unlock",
    "lock",
    "rescue",
    "audit verify",
    "exec",
    // They need a code of this moment: `cli::otp`.
    "user otp enable",
    "user otp codes",
    "user otp disable",
    "git-credential get",
    "git-credential store",
    "git-credential erase",
];

#[test]
fn json_of_every_command_is_one_value_and_its_errors_are_one_object() {
    let folder = tempfile::tempdir().unwrap();
    let server = Serving::start(folder.path(), &["serve", "--dev", "--json", "--listen", "127.0.0.1:0"]);
    let said: Value = serde_json::from_str(&server.said).unwrap();
    secret_file(folder.path(), "owner.password", said["owner_password"].as_str().unwrap(), 0o600);
    secret_file(folder.path(), "github.json", r#"{"token":"ghp_example"}"#, 0o600);
    secret_file(folder.path(), "other", "another passphrase of example words\n", 0o600);
    secret_file(folder.path(), "app.env", "A=example\n", 0o600);
    // Nobody listens there, and nobody is needed.
    let witness = sealroom::audit::cosignature::WitnessKey::new("example.com/witness", [9; 32]);
    let policy = format!("witness w {witness} http://127.0.0.1:9/witness\nquorum none\n");
    fs::write(folder.path().join("witnesses.policy"), policy).unwrap();
    fs::write(folder.path().join("notify.toml"), "[notify]\ncommand = [\"/bin/true\"]\n").unwrap();
    secret_file(folder.path(), "pass", "correct horse battery staple example\n", 0o600);
    let run = |args: Vec<&str>, url: &str| {
        let mut command = command(folder.path(), &args);
        command.env("HOME", folder.path()).env("SFP_SERVER_URL", url).env("SEALROOM_CONNECT_WAIT_SECS", "0");
        command.stdin(Stdio::null()).output().unwrap()
    };
    for call in CALLS {
        let output = run([call.split(' ').collect(), vec!["--json"]].concat(), &server.url);
        assert!(output.status.success(), "{call}: {}", stderr(&output));
        let text = String::from_utf8(output.stdout).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{call}: {text}"));
        // Spelt as the HTTP answers are; their own exceptions, and those of `init`, stay.
        if !["credentials", "init", "recover", "rekey", "slot add recovery"]
            .iter()
            .any(|own| call.starts_with(own))
        {
            let snake: Vec<String> = names(&value).into_iter().filter(|name| name.contains('_')).collect();
            assert!(snake.is_empty(), "{call}: {snake:?}");
        }
        assert_eq!(text.matches('\n').count(), 1, "{call} prints one line: {text}");
    }
    let called: BTreeSet<&str> = CALLS.iter().copied().collect();
    for name in all() {
        let words = words(&name).join(" ");
        let group = [
            "integration",
            "project",
            "token",
            "user",
            "user otp",
            "audit",
            "notify",
            "recover",
            "git-credential",
            "slot",
            "slot add",
            "tls",
        ]
        .contains(&words.as_str());
        let is_called = called.iter().any(|call| **call == words || call.starts_with(&format!("{words} ")));
        assert!(is_called || group || ELSEWHERE.contains(&words.as_str()), "{words} is not called");
    }
    // The same with nobody at the other end: one object, and nothing on stdout.
    let of_the_host = [
        "completions",
        "man",
        "version",
        "self-check",
        "tls",
        "init",
        "notify",
        "recover",
        "compact",
        "rekey",
        "audit archive",
        "doctor",
        "slot",
        "restore",
    ];
    for call in CALLS.iter().filter(|call| !of_the_host.iter().any(|own| call.starts_with(own))) {
        let output = run([call.split(' ').collect(), vec!["--json"]].concat(), "http://127.0.0.1:1");
        let said = stderr(&output);
        let value: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
        assert!(value["error"].is_string() && value["hint"].is_string(), "{call}: {said}");
        assert!(output.stdout.is_empty() && output.status.code() == Some(1), "{call}");
    }
}

/// The names of all objects' members.
fn names(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().flat_map(names).collect(),
        Value::Object(members) => {
            members.iter().flat_map(|(name, value)| [vec![name.clone()], names(value)].concat()).collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn bash_completes_commands_flags_and_values() {
    let folder = tempfile::tempdir().unwrap();
    let complete = |line: &[&str]| {
        let script = format!(
            "source <(sealroom completions bash)\nCOMP_WORDS=({})\nCOMP_CWORD={}\n_sealroom sealroom '{}' '{}'\necho \"${{COMPREPLY[@]}}\"",
            line.join(" "),
            line.len() - 1,
            line[line.len() - 1],
            line[line.len() - 2],
        );
        let binaries = Path::new(env!("CARGO_BIN_EXE_sealroom")).parent().unwrap();
        let output = Command::new("bash")
            .args(["--norc", "-c", &script])
            .current_dir(folder.path())
            .env("PATH", format!("{}:/usr/bin:/bin", binaries.display()))
            .output()
            .unwrap();
        assert!(output.stderr.is_empty(), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(complete(&["sealroom", "integ"]), "integration");
    assert_eq!(complete(&["sealroom", "integration", "ro"]), "rotate rollback");
    assert_eq!(complete(&["sealroom", "credentials", "--form"]), "--format");
    assert_eq!(complete(&["sealroom", "credentials", "--format", "dot"]), "dotenv");
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let script = sealroom(folder.path(), &["completions", shell]);
        assert!(
            script.status.success() && String::from_utf8_lossy(&script.stdout).contains("integration"),
            "{shell}"
        );
    }
}

#[test]
fn arguments_that_are_no_text_end_with_an_error_and_a_hint() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let folder = tempfile::tempdir().unwrap();
    let bad = OsStr::from_bytes(b"\xff\xfe");
    for args in
        [&["status", "--server"][..], &["project", "show"], &["integration", "add"], &["init", "--data"], &[]]
    {
        let output = command(folder.path(), args).arg(bad).stdin(Stdio::null()).output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(
            said.contains("error: ") && said.contains("hint: ") && !said.contains("panic"),
            "{args:?}: {said}"
        );
    }
    let output = command(folder.path(), &["status"]).env("SFP_SERVER_URL", bad).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

#[test]
fn json_of_the_commands_of_the_host_is_one_value_too() {
    let folder = crate::support::binary::vault();
    let serve = ["serve", "--data", "v.redb", "--listen", "127.0.0.1:0", "--json"];
    let mut server = Serving::start(folder.path(), &serve);
    assert!(serde_json::from_str::<Value>(&server.said).unwrap()["url"].is_string());
    let said = |args: &[&str]| {
        let output = sealroom(folder.path(), &[args, &["--json"]].concat());
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        assert!(output.status.success() && text.matches('\n').count() == 1, "{args:?}: {}", stderr(&output));
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let unlock = ["unlock", "--data", "v.redb", "--passphrase-file", "pass"];
    assert_eq!(said(&unlock)["locked"], false);
    assert_eq!(said(&["lock", "--data", "v.redb"])["locked"], true);
    assert!(server.stop());
    assert!(said(&["audit", "verify", "v.redb"]).is_object());
    for args in [
        &unlock[..],
        &["lock", "--data", "v.redb"],
        &["audit", "verify", "none"],
        &["serve", "--data", "none", "--passphrase-file", "pass"],
    ] {
        let output = sealroom(folder.path(), &[args, &["--json"]].concat());
        let value: Value = serde_json::from_str(stderr(&output).lines().last().unwrap()).unwrap();
        assert!(value["error"].is_string() && value["hint"].is_string(), "{args:?}: {value}");
        assert!(output.stdout.is_empty() && output.status.code() == Some(1), "{args:?}");
    }
}
