//! A member at the command line: its integrations, by name.

use serde_json::{Value, json};

use super::exec::{Ended, Stage};
use crate::support::binary::secret_file;

/// Runs a command as the user with this token.
fn run_as(stage: &Stage, token: &str, args: &[&str]) -> Ended {
    let mut command = stage.command(args);
    command.env("SFP_SERVER_TOKEN_FILE", token);
    stage.end(command)
}

fn member(stage: &Stage) {
    let said: Value = serde_json::from_str(&stage.server.said).unwrap();
    secret_file(stage.path(), "member.token", said["member_token"].as_str().unwrap(), 0o600);
}

#[test]
fn a_member_finds_changes_and_rotates_what_it_created_by_name_and_nothing_else() {
    let stage = Stage::start();
    member(&stage);
    let run = |args: &[&str]| run_as(&stage, "member.token", args);
    let add = |token: &str, name: &str| {
        secret_file(stage.path(), "new.json", r#"{"token":"ghp_example"}"#, 0o600);
        let args =
            ["integration", "add", "github/pat", "--global", "--name", name, "--from-json", "new.json"];
        let end = run_as(&stage, token, &args);
        assert_eq!(end.code, 0, "{}", end.err);
    };
    add("owner.token", "deploy");
    add("member.token", "deploy");
    add("owner.token", "theirs");
    let listed = run(&["integration", "list", "--mine", "--json"]);
    let listed: Vec<Value> = serde_json::from_str(&listed.out).unwrap();
    assert_eq!((listed.len(), &listed[0]["name"]), (1, &json!("deploy")));
    let id = listed[0]["id"].as_str().unwrap();
    // Without --mine it is told of it, and the owner sees two of the name.
    let refused = run(&["integration", "list"]);
    assert!(refused.code == 1 && refused.err.contains("integration list --mine"), "{}", refused.err);
    let both = stage.run(&["integration", "show", "deploy"]);
    assert!(both.err.contains("2 integrations have the name 'deploy'"), "{}", both.err);
    assert_eq!(both.err.matches("(github/pat, ").count(), 2, "{}", both.err);
    for args in [
        &["integration", "show", "deploy"][..],
        &["integration", "show", id],
        &["integration", "rotate", "deploy", "--from-json", "new.json"],
        &["integration", "rotate", id, "--from-json", "new.json"],
        &["integration", "rollback", "deploy", "1"],
        &["integration", "update", "deploy", "--env", "token=DEPLOY_TOKEN"],
        &["integration", "update", "deploy", "--expires-at", "2099-01-31T00:00:00Z"],
        &["integration", "update", id, "--name", "renamed"],
    ] {
        let end = run(args);
        assert_eq!(end.code, 0, "{args:?}: {}", end.err);
    }
    let shown = run(&["integration", "show", "renamed", "--json"]);
    let shown: Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!((shown["id"].as_str(), &shown["revision"]), (Some(id), &json!(4)));
    assert_eq!(shown["config"], json!({"env": {"token": "DEPLOY_TOKEN"}}));
    for (args, said) in [
        (&["integration", "show", "theirs"][..], "no integration has the id or name 'theirs'"),
        (&["integration", "rotate", "theirs", "--from-json", "new.json"], "integration list --mine"),
        (&["integration", "update", "theirs", "--name", "x"], "no integration has"),
        (&["integration", "show", "renamd"], "did you mean 'renamed'?"),
        (&["integration", "scope", "renamed", "--global"], "requires role: owner"),
        (&["integration", "delete", "renamed", "--yes"], "requires role: owner"),
    ] {
        let end = run(args);
        assert!(end.code == 1 && end.err.contains(said), "{args:?}: {}", end.err);
    }
    // The looks of a member leave no refusal in the log.
    let log = stage.run(&["audit", "list", "--outcome", "denied", "--limit", "100", "--json"]);
    let log: Vec<Value> = serde_json::from_str(&log.out).unwrap();
    let actions: Vec<&str> = log.iter().map(|event| event["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["integration.delete", "integration.update", "integration.list"]);
}

#[test]
fn a_member_is_added_with_a_project_alone_or_with_none() {
    let stage = Stage::start();
    assert_eq!(stage.run(&["project", "register", "acme/app"]).code, 0);
    for (n, (args, projects)) in [
        (&["--project", "acme/app"][..], json!(["acme/app"])),
        (&["--no-projects"], json!([])),
        (&["--all-projects"], json!(null)),
        (&[], json!(null)),
    ]
    .into_iter()
    .enumerate()
    {
        let email = format!("m{n}@example.com");
        let end = stage.run(&[&["user", "add", &email, "--json"], args].concat());
        assert_eq!(end.code, 0, "{}", end.err);
        assert_eq!(serde_json::from_str::<Value>(&end.out).unwrap()["projects"], projects, "{args:?}");
    }
    assert!(stage.run(&["user", "list"]).out.contains("nothing"));
    let end = stage.run(&["user", "projects", "m3@example.com", "--none"]);
    assert_eq!((end.code, end.out.trim()), (0, "m3@example.com now sees nothing"), "{}", end.err);
    let end = stage.run(&["user", "add", "x@example.com", "--no-projects", "--project", "acme/app"]);
    assert_eq!(end.code, 2, "{}", end.err);
}
