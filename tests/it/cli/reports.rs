//! `audit explain` and `audit report`: the log for people, proven by what they print.

use std::fs;

use serde_json::{Value, json};

use super::roundtrip::Vault;
use crate::support::{
    binary::{command, secret_file, stderr},
    fake::{Fake, Reply},
};

/// A vault in which somebody read, changed and was refused.
pub(super) fn busy(folder: &std::path::Path) -> Vault {
    let vault = Vault::start(folder);
    secret_file(folder, "pat.json", r#"{"token":"ghp_example"}"#, 0o600);
    vault.good(folder, &["project", "register", "acme/app", "https://github.com/acme/app"]);
    let add = ["integration", "add", "github/pat", "--from-json", "pat.json", "--name"];
    vault.good(folder, &[&add[..], &["deploy <key> | x", "--global"]].concat());
    vault.good(folder, &[&add[..], &["old admin", "--project", "acme/app", "--canary"]].concat());
    vault.good(folder, &["credentials", "--project", "acme/app"]);
    vault.good(folder, &["credentials", "--all"]);
    let mut refused = vault.command_of(folder, "member_token", &["audit", "key"]);
    assert!(!refused.output().unwrap().status.success());
    vault
}

#[test]
fn a_record_is_explained_with_names_and_proven_and_its_deleted_integration_is_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let vault = busy(folder);
    let list = vault.good(folder, &["audit", "list", "--json", "--action", "credentials.read"]);
    let list: Vec<Value> = serde_json::from_str(list.lines().next().unwrap()).unwrap();
    let alarm = list.iter().find(|event| event["detail"]["alarm"] == true).unwrap();
    let (sequence, id) = (alarm["sequence"].to_string(), alarm["integrationId"].as_str().unwrap());
    let said = vault.good(folder, &["audit", "explain", &sequence]);
    for part in [
        &*format!("Record {sequence} of sealroom/"),
        &*format!(
            "The user owner@example.com received the credential of the github integration old admin ({id}), revision 1"
        ),
        "came from 127.0.0.1.",
        "The credential is a canary: nobody has a reason to read it, and this read raised an alarm.",
        " hashes lead from this record to the root of the checkpoint that signs ",
        "the key that the server itself states",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    fs::write(folder.join("audit.key"), vault.good(folder, &["audit", "key"])).unwrap();
    let given = vault.good(folder, &["audit", "explain", &sequence, "--key", "audit.key", "--json"]);
    let given: Value = serde_json::from_str(&given).unwrap();
    assert_eq!(
        (&given["record"]["sequence"], &given["verified"]["keyGiven"]),
        (&alarm["sequence"], &json!(true))
    );
    vault.good(folder, &["integration", "delete", "old admin", "--yes"]);
    let said = vault.good(folder, &["audit", "explain", &sequence]);
    assert!(said.contains(&format!("integration (deleted) ({id})")), "{said}");
    let listed = vault.good(folder, &["audit", "list", "--action", "credentials.read"]);
    assert_eq!(listed.matches("(deleted)").count(), 2, "{listed}");
    // Denied, a host's event, and what is not there.
    let denied = vault.good(folder, &["audit", "list", "--json", "--outcome", "denied"]);
    let denied: Vec<Value> = serde_json::from_str(denied.lines().next().unwrap()).unwrap();
    let said = vault.good(folder, &["audit", "explain", &denied[0]["sequence"].to_string()]);
    assert!(said.contains("The user member@example.com was refused to read the audit log"), "{said}");
    assert!(
        vault
            .good(folder, &["audit", "explain", "0"])
            .contains("created the vault.\nIt happened on the server's own host.")
    );
    let beyond = vault.run(folder, &["audit", "explain", "99999"]);
    assert!(stderr(&beyond).contains("the log has no record 99999"), "{}", stderr(&beyond));
    let other = Vault::start(folder);
    fs::write(folder.join("other.key"), other.good(folder, &["audit", "key"])).unwrap();
    let wrong = vault.run(folder, &["audit", "explain", "0", "--key", "other.key"]);
    assert!(stderr(&wrong).contains("no known key signed this checkpoint"), "{}", stderr(&wrong));
}

#[test]
fn a_report_accounts_for_every_record_escapes_every_name_and_is_verified() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let vault = busy(folder);
    let line = vault.good(folder, &["audit", "report", "report.html"]);
    assert!(line.starts_with("wrote report.html: ") && line.ends_with(" records, verified\n"), "{line}");
    let html = fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(html.starts_with("<!doctype html>") && !html.contains("<script"), "{html}");
    for part in [
        "deploy &lt;key&gt; | x",
        "old admin (",
        "<td>Credentials disclosed</td><td>3</td>",
        "<td>Reads of canaries</td><td>2</td>",
        "<td>audit.read</td><td>denied</td><td>1</td>",
        "registered the project acme/app.",
        "no record of the range is missing, added or changed",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
    let markdown = vault.good(folder, &["audit", "report", "--format", "markdown"]);
    assert!(markdown.starts_with("# Audit report of sealroom/"), "{markdown}");
    assert!(markdown.contains(r"deploy \<key\> \| x"), "{markdown}");
    // Each range, from whatever record on, verifies.
    let all: Vec<Value> = vault
        .good(folder, &["audit", "export"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for at in [1, 2, 3, all.len() / 2, all.len() - 1] {
        let from = all[at]["time"].as_str().unwrap();
        let name = format!("from-{at}.md");
        let line = vault.good(folder, &["audit", "report", "--from", from, &name]);
        assert!(line.ends_with(" records, verified\n"), "{line}");
        let to = vault.good(folder, &["audit", "report", "--to", from, &format!("to-{at}.md")]);
        assert!(to.contains("verified"), "{to}");
    }
    let none = vault.good(folder, &["audit", "report", "--to", "2020-01-01T00:00:00Z"]);
    assert!(none.contains("The range has no record"), "{none}");
    let again = vault.run(folder, &["audit", "report", "report.html"]);
    assert!(stderr(&again).contains("report.html exists already"), "{}", stderr(&again));
    let unread = vault.command_of(folder, "member_token", &["audit", "report", "x.md"]).output().unwrap();
    assert!(!unread.status.success() && !folder.join("x.md").exists());
}

fn log_of(vault: &Vault, folder: &std::path::Path) -> String {
    vault.good(folder, &["audit", "export"])
}

/// What a server sends is believed only as far as the signed root proves it.
#[test]
fn no_record_that_was_changed_left_out_or_added_on_its_way_is_explained_or_reported() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let vault = busy(folder);
    let (key, note) = (vault.good(folder, &["audit", "key"]), vault.good(folder, &["audit", "checkpoint"]));
    let size: usize = note.lines().nth(1).unwrap().parse().unwrap();
    let log: String = log_of(&vault, folder).lines().take(size).map(|line| format!("{line}\n")).collect();
    let changed = log.replacen("\"outcome\":\"denied\"", "\"outcome\":\"allowed\"", 1);
    let shorter: String = log.lines().take(size - 1).map(|line| format!("{line}\n")).collect();
    let last = log.lines().last().unwrap();
    let longer = format!("{log}{}\n", last.replacen(&format!(":{},", size - 1), &format!(":{size},"), 1));
    assert!(changed != log && longer.lines().count() == size + 1);
    for (what, body, is_good) in [
        ("as sent", &log, true),
        ("changed", &changed, false),
        ("shorter", &shorter, false),
        ("longer", &longer, false),
    ] {
        let (body, key, note) = (body.clone(), key.clone(), note.clone());
        let fake = Fake::start(move |request, _| match request.split(['?', ' ']).nth(1) {
            Some("/sfp/api/audit/export") => Reply::Http(200, Vec::new(), body.clone()),
            Some("/sfp/api/audit/key") => Reply::Http(200, Vec::new(), key.clone()),
            Some("/sfp/api/audit/checkpoint") => Reply::Http(200, Vec::new(), note.clone()),
            _ => Reply::json(200, "[]"),
        });
        let run = |args: &[&str]| {
            let mut command = command(folder, args);
            command.env("HOME", folder).env("SFP_SERVER_URL", &fake.url);
            command.env("SFP_SERVER_TOKEN", vault.said["application_token"].as_str().unwrap());
            command.output().unwrap()
        };
        let report = run(&["audit", "report"]);
        assert_eq!(report.status.success(), is_good, "{what}: {}", stderr(&report));
        assert!(is_good || report.stdout.is_empty(), "{what}");
        let explained = run(&["audit", "explain", "0"]);
        assert!(stderr(&explained).contains("record 0 is not in the tree"), "a proof of no hashes: {what}");
    }
}
