//! `sealroom exposure` over archived records, with the real binary at a real server.

use std::{fs, path::Path, process::Output};

use serde_json::Value;

use crate::{
    lab::kills::request,
    support::binary::{Serving, command, ended, secret_file, stderr, vault},
};

const SERVE: &[&str] =
    &["serve", "--data", "v.redb", "--listen", "127.0.0.1:0", "--passphrase-file", "pass", "--json"];
const ADA: &str = "ada@example.com";

struct Stage {
    folder: tempfile::TempDir,
    server: Serving,
    bearer: String,
}

impl Stage {
    fn start() -> Self {
        let folder = vault();
        let server = Serving::start(folder.path(), SERVE);
        let mut this = Self { folder, server, bearer: String::new() };
        this.log_in();
        this
    }

    fn log_in(&mut self) {
        let password = fs::read_to_string(self.path().join("owner")).unwrap();
        let body = serde_json::json!({ "email": ADA, "password": password.trim() }).to_string();
        let login = request(self.server.address(), "POST", "/sfp/api/auth/login", "", &body).unwrap().2;
        self.bearer = login["access_token"].as_str().unwrap().to_owned();
        secret_file(self.path(), "token", &self.bearer, 0o600);
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn send(&self, method: &str, path: &str, body: &str) -> Value {
        let (status, _, value) = request(self.server.address(), method, path, &self.bearer, body).unwrap();
        assert!((200..300).contains(&status), "{path}: {value}");
        value
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = command(self.path(), &[&["exposure"], args].concat());
        command.env("SFP_SERVER_URL", &self.server.url).env("SFP_SERVER_TOKEN_FILE", "token");
        ended(command.env("HOME", self.path()).stdout(std::process::Stdio::piped()))
    }

    fn asked(&self, args: &[&str]) -> Value {
        let output = self.run(&[&["--json"], args].concat());
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn refused(&self, args: &[&str], message: &str) {
        let output = self.run(args);
        assert!(
            !output.status.success() && stderr(&output).contains(message),
            "{args:?}: {}",
            stderr(&output)
        );
    }

    fn done(&self, args: &[&str]) {
        let mut command = command(self.path(), args);
        command.env("SFP_SERVER_URL", &self.server.url).env("SFP_SERVER_TOKEN_FILE", "token");
        let output = ended(command.env("HOME", self.path()).stdout(std::process::Stdio::piped()));
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    }

    fn archive(&self, to: &str) {
        let before = ["--passphrase-file", "pass", "--before", "2999-01-01", "--to", to];
        self.done(&[&["audit", "archive", "--data", "v.redb"], &before[..]].concat());
    }

    /// Starts the server again, which then knows only what its file holds.
    fn restart(&mut self) {
        assert!(self.server.stop());
        self.server = Serving::start(self.folder.path(), SERVE);
    }
}

#[test]
fn a_question_about_archived_records_names_them_and_is_answered_from_the_archives() {
    let mut stage = Stage::start();
    let new = r#"{"provider":"github","authType":"pat","credentials":{"token":"ghp_example"},"isGlobal":true,"name":"deploy key"}"#;
    let id = stage.send("POST", "/sfp/api/integrations", new)["id"].as_str().unwrap().to_owned();
    stage.send("GET", "/sfp/api/integrations/credentials", "");
    let lists =
        |answer: &Value| ["live", "deleted", "minted", "made", "backups"].map(|list| answer[list].clone());
    let before = lists(&stage.asked(&["--user", ADA]));
    assert_eq!(
        (&before[0][0]["integrationId"], &before[0][0]["name"]),
        (&id.as_str().into(), &"deploy key".into())
    );
    for file in ["first.archive", "second.archive"] {
        (0..300).for_each(|_| drop(stage.send("GET", "/sfp/api/audit?limit=1", "")));
        stage.archive(file);
    }
    let end = fs::read_to_string(stage.path().join("second.archive")).unwrap();
    let header: Value = serde_json::from_str(end.lines().next().unwrap()).unwrap();
    let last = header["end"].as_u64().unwrap() - 1;
    // The server that was there knows the records still, since it has read them.
    assert_eq!(lists(&stage.asked(&["--user", ADA])), before);
    stage.restart();
    let archived = format!("archived: sequences 0 to {last}");
    stage.refused(&["--user", ADA], &archived);
    stage.refused(&["--user", ADA], "--archive");
    stage.refused(&["--since", "2000-01-01T00:00:00Z"], &archived);
    let both = ["--archive", "second.archive", "--archive", "first.archive"];
    assert_eq!(lists(&stage.asked(&[&["--user", ADA], &both[..]].concat())), before);
    let range = ["--since", "2000-01-01T00:00:00Z", "--integration", "deploy key"];
    let ranged = stage.asked(&[&range[..], &both[..]].concat());
    assert_eq!((&ranged["live"], &ranged["made"]), (&before[0], &serde_json::json!([])));
    let never = "0192f5a4-7c1e-7b3a-9d52-3f1c8e6a4b70";
    stage.refused(&[&["--integration", never], &both[..]].concat(), "no integration had the id");
    stage.refused(&["--integration", "old key"], "audit list --action integration.delete");
    // A later range needs no archive.
    let later = stage.asked(&["--user", ADA, "--since", "2999-01-01T00:00:00Z"]);
    assert_eq!(later["live"], serde_json::json!([]));
    // No archive may be left out, changed, or of another vault.
    stage.refused(&["--user", ADA, "--archive", "second.archive"], "are in none of the archives");
    stage.refused(&["--user", ADA, "--archive", "first.archive"], "archived: sequences");
    stage.refused(&["--user", ADA, "--archive", "first.archive"], "pass --archive for each archive");
    let text = fs::read_to_string(stage.path().join("first.archive")).unwrap();
    let changed = text.replacen("user:ada@", "user:eve@", 1);
    assert_ne!(text, changed);
    fs::write(stage.path().join("changed.archive"), changed).unwrap();
    let forged = ["--user", ADA, "--archive", "changed.archive", "--archive", "second.archive"];
    stage.refused(&forged, "do not make the root");
    stage.refused(&["--user", ADA, "--archive", "pass"], "is no archive");
}

/// The log of the restored file is the backup's, and goes on: who read a value before it knows it still.
#[test]
fn what_was_read_before_a_backup_is_exposed_after_its_restore() {
    let mut stage = Stage::start();
    let new = r#"{"provider":"npm","authType":"pat","credentials":{"token":"example"},"isGlobal":true}"#;
    let id = stage.send("POST", "/sfp/api/integrations", new)["id"].clone();
    stage.send("GET", "/sfp/api/integrations/credentials", "");
    stage.done(&["backup", "kept.redb"]);
    let rotated = format!("/sfp/api/integrations/{}/credentials", id.as_str().unwrap());
    stage.send("PUT", &rotated, r#"{"credentials":{"token":"another"}}"#);
    assert_eq!(stage.asked(&["--user", ADA])["live"][0]["received"], Value::Null);
    assert!(stage.server.stop());
    stage.done(&["restore", "kept.redb", "--data", "v.redb", "--force", "--passphrase-file", "pass"]);
    stage.server = Serving::start(stage.folder.path(), SERVE);
    stage.log_in();
    let live = stage.asked(&["--user", ADA])["live"].clone();
    assert_eq!((&live[0]["integrationId"], &live[0]["received"]["count"]), (&id, &1.into()));
    assert_eq!(live.as_array().unwrap().len(), 1);
}
