//! `sealroom import` of other tools' files: what is stored, what is shown, and what bad input does.

use std::{fs, path::Path, process::Stdio};

use serde_json::Value;

use super::roundtrip::{Vault, listed};
use crate::support::{
    binary::{TOKEN, command, ended, secret_file, stderr},
    fake::{Fake, Reply},
    pty::Typing,
};

/// The files of other tools with the same five values.
const APPS: &[(&str, &str)] = &[
    ("app.env", ".env"),
    ("infisical.env", ".env"),
    ("infisical.yaml", "YAML"),
    ("infisical.json", "JSON of Infisical"),
    ("infisical.csv", "CSV of Infisical"),
    ("doppler.json", "Doppler"),
    ("doppler.env", "Doppler"),
    ("doppler-secrets.json", "Doppler"),
    ("sops.json", "JSON"),
    ("sops.yaml", "YAML"),
];

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/import/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// The results of an import by name.
fn results(said: &str) -> Vec<(String, String)> {
    let said: Value = serde_json::from_str(said).unwrap();
    let text = |one: &Value, key: &str| one[key].as_str().unwrap_or("-").to_owned();
    let entries = said["entries"].as_array().unwrap().iter();
    entries.map(|one| (text(one, "name"), text(one, "result"))).collect()
}

#[test]
fn every_tools_file_of_the_same_values_gives_a_program_the_same_environment() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::start(folder.path());
    let mut environments = Vec::new();
    for (name, format) in APPS {
        let project = format!("acme/{}", name.replace('.', "-"));
        vault.good(folder.path(), &["project", "register", &project]);
        let args = ["import", &fixture(name), "--project", &project, "--yes", "--json"];
        let said = vault.good(folder.path(), &args);
        assert_eq!(serde_json::from_str::<Value>(&said).unwrap()["format"], *format, "{name}");
        assert_eq!(results(&said).iter().filter(|(_, result)| result == "new").count(), 5, "{name}: {said}");
        let mut lines: Vec<String> = vault
            .good(folder.path(), &["exec", "--project", &project, "--", "env", "-0"])
            .split('\0')
            .map(str::to_owned)
            .collect();
        lines.retain(|line| {
            ["DATABASE_URL=", "GITHUB_TOKEN=", "MULTI=", "PORT=", "QUOTED="]
                .iter()
                .any(|own| line.starts_with(own))
        });
        lines.sort_unstable();
        assert_eq!(lines.len(), 5, "{name}: {lines:?}");
        // The values are masked here; their lengths in lines tell a folded from a whole one.
        environments.push((*name, lines));
        let read = vault.good(folder.path(), &["credentials", "--project", &project, "--format", "dotenv"]);
        let mut read: Vec<&str> = read.lines().collect();
        read.sort_unstable();
        assert_eq!(read.concat(), expected().concat(), "{name}");
        let again = vault.good(folder.path(), &args);
        assert!(results(&again).iter().all(|(_, result)| result == "same"), "{name}: {again}");
    }
    assert!(environments.windows(2).all(|two| two[0].1 == two[1].1), "{environments:?}");
}

/// The lines of the dotenv that the values give, sorted.
fn expected() -> Vec<&'static str> {
    let mut lines = vec![
        "DATABASE_URL='postgres://app:pw_example@db.example.com/app?sslmode=require'",
        "GITHUB_TOKEN='ghp_example'",
        "MULTI='-----BEGIN EXAMPLE-----",
        "line",
        "-----END EXAMPLE-----'",
        "PORT='3000'",
        "QUOTED='it is #not $a {comment}'",
    ];
    lines.sort_unstable();
    lines
}

#[test]
fn a_secret_of_vault_becomes_one_integration_under_the_name_that_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::start(folder.path());
    let unnamed = vault.run(folder.path(), &["import", &fixture("vault-kv2.json"), "--global", "--yes"]);
    assert_eq!(unnamed.status.code(), Some(2));
    assert!(stderr(&unnamed).contains("pass --name NAME"), "{}", stderr(&unnamed));
    for (name, result) in [("vault-kv2.json", "new"), ("vault-kv1.json", "same")] {
        let args = ["import", &fixture(name), "--global", "--name", "db", "--yes", "--json"];
        assert_eq!(
            results(&vault.good(folder.path(), &args)),
            [("db".to_owned(), result.to_owned())],
            "{name}"
        );
    }
    let read = vault.good(folder.path(), &["credentials", "--all", "--name", "db", "--format", "dotenv"]);
    assert_eq!(read, "DB_USERNAME='app'\nDB_PASSWORD='pw_example'\n");
    fs::write(folder.path().join("pat.json"), r#"{"request_id":"x","data":{"token":"ghp_example"}}"#)
        .unwrap();
    let args =
        ["import", "pat.json", "--global", "--provider", "github/pat", "--name", "ci", "--yes", "--json"];
    assert_eq!(results(&vault.good(folder.path(), &args)), [("ci".to_owned(), "new".to_owned())]);
}

#[tokio::test]
async fn nothing_is_changed_without_a_yes_and_only_what_differs_is_rotated() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::start(folder.path());
    let file = folder.path().join("app.env");
    let import = |more: &[&str]| {
        vault.good(folder.path(), &[&["import", "app.env", "--global", "--json"][..], more].concat())
    };
    fs::write(&file, "A=one\nB=two\nEMPTY=\nNODE_OPTIONS=--x\n").unwrap();
    let before = listed(&vault.owner()).await;
    for dry in [import(&[]), import(&["--dry-run"])] {
        let said: Value = serde_json::from_str(&dry).unwrap();
        assert_eq!(said["applied"], false);
        assert_eq!(results(&dry)[0], ("A".to_owned(), "new".to_owned()));
    }
    assert_eq!(listed(&vault.owner()).await, before);
    let said = results(&import(&["--yes"]));
    assert_eq!(said[2].1, "skipped: empty");
    assert!(said[3].1.starts_with("skipped: steers programs"), "{said:?}");
    fs::write(&file, "A=one\nB=other\nC=three\n").unwrap();
    let said: Vec<String> = results(&import(&["--yes"])).into_iter().map(|one| one.1).collect();
    assert_eq!(said, ["same", "rotated", "new"]);
    let revision = async |name: &str| {
        let of_name = vault.owner().integrations(None, Some(name)).await.unwrap();
        of_name.iter().map(|one| one.revision).collect::<Vec<_>>()
    };
    assert_eq!((revision("A").await, revision("B").await), (vec![1], vec![2]));
    // The same name in another scope is another credential: neither takes the other's value.
    vault.good(folder.path(), &["project", "register", "acme/app"]);
    vault.good(folder.path(), &["import", "app.env", "--project", "acme/app", "--yes"]);
    assert_eq!(revision("B").await, [1, 2]);
    // Two of one name and scope: which is meant, no one can tell.
    let one = vault.owner().integrations(None, Some("A")).await.unwrap();
    let scoped = one.iter().find(|one| !one.is_global).unwrap().id.to_string();
    vault.good(folder.path(), &["integration", "scope", &scoped, "--global"]);
    let refused = vault.run(folder.path(), &["import", "app.env", "--global", "--yes"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("2 stored integrations have the name 'A'"), "{}", stderr(&refused));
    assert!(stderr(&refused).contains(&scoped), "{}", stderr(&refused));
}

#[test]
fn a_terminal_shows_the_plan_and_asks() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::start(folder.path());
    fs::write(folder.path().join("app.env"), "A=zq1_example\nB=zq2_example\n").unwrap();
    secret_file(folder.path(), "owner.token", vault.said["owner_token"].as_str().unwrap(), 0o600);
    let args = ["import", "app.env", "--global", "--token-file", "owner.token"];
    for (answer, exit, said) in [("n", 1, "nothing was changed"), ("y", 0, "2 imported"), ("", 0, "same")] {
        let mut typing = Typing::start(folder.path(), &vault.server.url, &args);
        if !answer.is_empty() {
            typing.prompted("Import 2?");
            typing.keys(&format!("{answer}\r"));
        }
        assert_eq!(typing.end(), exit, "{}", typing.printed());
        let printed = typing.printed() + &typing.screen;
        assert!(printed.contains(said) && printed.contains("custom/api_key"), "{printed}");
        assert!(!printed.contains("zq1") && !printed.contains("zq2"), "{printed}");
    }
}

/// An input, the exit code, and a part of the message.
const BAD: &[(&[u8], i32, &str)] = &[
    (b"", 1, "is empty"),
    (b"\n \n", 1, "is empty"),
    (b"zqz", 1, "no known format"),
    (b"\x7fELF\0zqz", 1, "binary"),
    (b"A=caf\xe9zqz", 1, "not UTF-8"),
    (b"A=zqz\nA=zqz2", 1, "two values for A"),
    (b"A: zqz\nA: zqz2\n", 1, "line 2 repeats"),
    (b"{\"A\":\"zqz\",\"A\":\"zqz2\"}", 1, "duplicate key"),
    (b"{\"A\":\"zqz\"", 1, "ends too early"),
    (b"A=zqz\nzqz", 1, "line 2 is no assignment"),
    (b"A='zqz", 1, "never closed"),
    (b"Key,Value\nA,zqz,zqz\n", 1, "line 2 has not two cells"),
    (b"[{\"name\":\"zqz\"}]", 1, "none of objects with key and value"),
    (b"a: &zqz x\nb: *zqz\n", 1, "anchor"),
    (b"A: ENC[AES256_GCM,data:zqz,type:str]\n", 1, "still encrypted by SOPS"),
    (b"age-encryption.org/v1\nzqz", 1, "encrypted by age"),
    (b"{\"sealroom\":\"export\",\"version\":9,\"x\":\"zqz\"}", 1, "newer version"),
    (b"{\"sealroom\":\"export\",\"version\":1,\"projects\":\"zqz\"", 1, "an export"),
    (b"{\"a\\u0001b\":\"zqz\",\" \":\"zqz\"}", 1, "cannot be names"),
    (b"{\"A\":null}", 0, ""),
];

#[tokio::test]
async fn bad_input_is_named_before_anything_is_sent_and_no_value_of_it_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::start(folder.path());
    let before = listed(&vault.owner()).await;
    for (content, exit, said) in BAD {
        fs::write(folder.path().join("input"), content).unwrap();
        for args in
            [&["import", "input", "--global", "--yes"][..], &["import", "input", "--global", "--json"]]
        {
            let output = vault.run(folder.path(), args);
            let told = String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output);
            assert_eq!(output.status.code(), Some(*exit), "{content:?}: {told}");
            assert!(told.contains(said) && !told.contains("zqz"), "{content:?}: {told}");
        }
    }
    let mut large = fs::File::create(folder.path().join("large")).unwrap();
    std::io::Write::write_all(&mut large, b"A=zqz").unwrap();
    large.set_len(100 * 1024 * 1024).unwrap();
    for (args, exit, said) in [
        (&["import", "large", "--global"][..], 1, "more than 16 MiB"),
        (&["import", "no-such-file", "--global"], 1, "No such file"),
        (&["import", ".", "--global"], 1, "is a folder"),
        (
            &["import", &fixture("sops-encrypted.yaml"), "--global"],
            1,
            "sops decrypt FILE | sealroom import -",
        ),
        (&["import", &fixture("app.env")], 2, "--project PROJECT, or --global"),
        (
            &["import", &fixture("app.env"), "--project", "acme/nowhere"],
            1,
            "'acme/nowhere' is not registered",
        ),
        (&["import", &fixture("app.env"), "--global", "--project", "acme/app"], 2, "cannot be used with"),
        (
            &["import", &fixture("app.env"), "--global", "--provider", "gihub/pat"],
            2,
            "did you mean github/pat",
        ),
        (&["import", &fixture("app.env"), "--global", "--yes", "--dry-run"], 2, "cannot be used with"),
    ] {
        let output = vault.run(folder.path(), args);
        assert_eq!(output.status.code(), Some(exit), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(said), "{args:?}: {}", stderr(&output));
    }
    for token in ["member_token", "application_token"] {
        let args = ["import", &fixture("app.env"), "--global", "--yes"];
        let refused = ended(&mut vault.command_of(folder.path(), token, &args));
        assert_eq!(refused.status.code(), Some(1));
        assert!(stderr(&refused).contains("requires role: owner"), "{}", stderr(&refused));
    }
    assert_eq!(listed(&vault.owner()).await, before);
}

/// A refusal in the middle keeps what is done, says so, and a repeat finishes the rest.
#[test]
fn an_import_that_the_server_refuses_in_the_middle_says_how_far_it_came() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::start(folder.path());
    let write = |bytes: usize| {
        let text = format!("A=one\nB={}\nC=three\nD={}\n", "x".repeat(60_000), "x".repeat(bytes));
        fs::write(folder.path().join("app.env"), text).unwrap();
    };
    write(70_000);
    let output = vault.run(folder.path(), &["import", "app.env", "--global", "--yes"]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("error: D: ") && said.contains("3 of 4 are done"), "{said}");
    write(10);
    let said = vault.good(folder.path(), &["import", "app.env", "--global", "--yes", "--json"]);
    let said: Vec<String> = results(&said).into_iter().map(|one| one.1).collect();
    assert_eq!(said, ["same", "same", "same", "new"]);
}

/// A vault that is locked, a server that goes away and one that answers nonsense, each between two credentials.
#[test]
fn an_import_whose_server_fails_in_the_middle_ends_with_the_cause_and_the_count() {
    const STORED: &str = r#"{"id":"01a21198-0ea8-7d5a-987c-6ee7878c59a0","provider":"custom","authType":"api_key","name":"A","isGlobal":true,"projects":[],"config":{},"expiresAt":null,"revision":1,"createdAt":"2026-11-24T10:00:00.000Z","createdBy":"user:a@b.example","updatedAt":"2026-11-24T10:00:00.000Z","lastAccessedAt":null,"lastAccessedBy":null}"#;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("app.env"), "A=zqz_example\nB=zqz_example\n").unwrap();
    let locked = || Reply::refusal(503, "locked", "The vault is locked").with("retry-after", "3600");
    let failures = [
        (locked(), "B: the vault is locked"),
        (Reply::Hangup, "B: the connection"),
        (Reply::json(201, "zqz"), "B: "),
        (Reply::refusal(403, "forbidden", "Forbidden - Requires role: owner"), "B: requires role: owner"),
    ];
    for (failure, said) in failures {
        let fake = Fake::start(move |request, before| match (request, before) {
            ("GET /sfp/api/integrations?limit=1000", _) => Reply::json(200, "[]"),
            ("POST /sfp/api/integrations", 0) => Reply::json(201, STORED),
            ("POST /sfp/api/integrations", _) => failure.clone(),
            (other, _) => panic!("{other}"),
        });
        let mut command = command(folder.path(), &["import", "app.env", "--global", "--yes"]);
        command.env("SFP_SERVER_URL", &fake.url).env("SFP_SERVER_TOKEN", TOKEN).env("HOME", folder.path());
        let output = ended(command.stdout(Stdio::piped()));
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(said) && told.contains("1 of 2 are done") && !told.contains("zqz"), "{told}");
        assert_eq!(fake.count("POST /sfp/api/integrations"), 2, "what may be stored is not sent twice");
    }
}

/// Neither the plan, nor an error, nor a file that is left behind shows a value, and the process list never does.
#[test]
fn no_value_of_an_import_is_shown_or_left_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::start(folder.path());
    let content = "A=zqz1_example\nGITHUB_TOKEN=zqz2_example\nB=$zqz3_example\nlower='zqz4_example'\n";
    for more in [&[][..], &["--dry-run"], &["--yes"], &["--yes", "--json"], &["--name", "zqzname", "--yes"]] {
        let mut command = vault.command(folder.path(), &[&["import", "-", "--global"][..], more].concat());
        command.stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), content.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8(output.stdout.clone()).unwrap() + &stderr(&output);
        assert!(output.status.success(), "{told}");
        for number in 1..=4 {
            assert!(!told.contains(&format!("zqz{number}")), "{told}");
        }
        assert!(told.contains("references unexpanded: B"), "{told}");
    }
    assert_eq!(files_with(folder.path(), "zqz"), Vec::<String>::new());
}

fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let files = fs::read_dir(folder).unwrap().map(|one| one.unwrap().path());
    let has = |path: &std::path::PathBuf| {
        let bytes = fs::read(path).unwrap_or_default();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    };
    files.filter(has).map(|path| path.display().to_string()).collect()
}
