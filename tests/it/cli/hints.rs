//! Texts of refusals, empty lists and warnings: each has the cause and remedy of its own case, and nothing untrue.

use std::{
    fs,
    path::Path,
    process::{Output, Stdio},
};

use serde_json::Value;

use crate::support::{
    binary::{Serving, command, dev, ended, secret_file, stderr},
    fake::{Fake, Reply},
};

struct Stage {
    folder: tempfile::TempDir,
    server: Serving,
}

impl Stage {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = [
            ("owner", "owner_token"),
            ("member", "member_token"),
            ("app", "application_token"),
            ("password", "owner_password"),
        ];
        let (server, _) = dev(folder.path(), &files);
        secret_file(folder.path(), "github.json", r#"{"token":"ghp_example"}"#, 0o600);
        Self { folder, server }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a command with the token in that file.
    fn run(&self, token: &str, args: &[&str]) -> Output {
        run(self.path(), &self.server.url, &[("SFP_SERVER_TOKEN_FILE", token)], args)
    }

    fn done(&self, token: &str, line: &str) -> String {
        let output = self.run(token, &line.split(' ').collect::<Vec<_>>());
        assert!(output.status.success(), "{line}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn refused(&self, token: &str, line: &str) -> String {
        let output = self.run(token, &line.split(' ').collect::<Vec<_>>());
        assert_eq!(output.status.code(), Some(1), "{line}: {}", stderr(&output));
        stderr(&output)
    }
}

fn run(folder: &Path, url: &str, set: &[(&str, &str)], args: &[&str]) -> Output {
    let mut command = command(folder, args);
    command.env("SFP_SERVER_URL", url).env("HOME", folder).env("TZ", "UTC").envs(set.iter().copied());
    ended(command.stdout(Stdio::piped()))
}

/// The story: a member was told INTEGRATIONS 0 for a project that had five.
#[test]
fn a_count_that_the_caller_may_not_see_is_never_shown_as_none() {
    let stage = Stage::start();
    stage.done("owner", "project register acme/app https://github.com/acme/app");
    stage.done("owner", "project register acme/web https://github.com/acme/web");
    let cell = |token: &str, project: &str| {
        let list = stage.done(token, "project list");
        let row = list.lines().find(|line| line.starts_with(project)).unwrap().to_owned();
        row.split_whitespace().nth(3).unwrap().to_owned()
    };
    let shown = |token: &str, project: &str| {
        let text = stage.done(token, &format!("project show {project}"));
        text.lines().last().unwrap().split_once("integrations").unwrap().1.trim().to_owned()
    };
    // With nothing stored anywhere an owner is told so all the same.
    assert_eq!((cell("owner", "acme/app"), shown("owner", "acme/app")), ("0".to_owned(), "none".to_owned()));
    stage.done("owner", "integration add github/pat --project acme/app --from-json github.json");
    assert_eq!((cell("owner", "acme/app"), cell("owner", "acme/web")), ("1".to_owned(), "0".to_owned()));
    assert_eq!(shown("owner", "acme/web"), "none");
    stage.done("owner", "token create narrow --project acme/app --write-to narrow");
    for token in ["member", "app", "narrow"] {
        assert_eq!(cell(token, "acme/app"), "-", "{token}");
        assert!(shown(token, "acme/app").starts_with("- (only an owner"), "{token}");
        assert!(!stage.done(token, "project list").contains(" 0 "), "{token}");
    }
    // A login says it as a token does.
    stage.done("owner", "login --email owner@example.com --password-file password");
    let output = run(stage.path(), &stage.server.url, &[], &["project", "show", "acme/app"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("github/pat"), "{}", stderr(&output));
    let json = stage.done("member", "project list --json");
    assert!(json.contains(r#""integrations":[]"#), "the published answer stays: {json}");
}

/// The story: a token said of itself that only an owner sees its end, below a warning that named it.
#[test]
fn a_token_never_says_two_things_about_its_end() {
    let stage = Stage::start();
    for (role, days) in [
        ("application", 3),
        ("auditor", 3),
        ("operator", 3),
        ("application", 30),
        ("auditor", 30),
        ("operator", 30),
    ] {
        let name = format!("{role}-{days}");
        stage.done(
            "owner",
            &format!("token create {name} --role {role} --expires-in {days} --write-to {name}"),
        );
        let output = stage.run(&name, &["whoami"]);
        let said = String::from_utf8(output.stdout.clone()).unwrap();
        let end = said.lines().find(|line| line.starts_with("ends ")).unwrap();
        match days {
            3 => assert!(end.contains(" UTC, in 2 days"), "{said}"),
            _ => assert!(end.ends_with("in more than 7 days"), "{said}"),
        }
        assert!(stderr(&output).is_empty(), "it is said once: {}", stderr(&output));
        let rest = said.replace(end, "");
        assert!(!rest.contains("end"), "and nothing else is said of it: {said}");
        let json: Value = serde_json::from_str(&stage.done(&name, "whoami --json")).unwrap();
        assert_eq!(json["expiresAt"].is_string(), days == 3, "{json}");
    }
    let warned = stage.run("application-3", &["project", "list"]);
    assert!(stderr(&warned).contains("this token ends at"), "elsewhere it stays a warning");
}

#[test]
fn a_refusal_has_the_remedy_of_its_own_cause() {
    let folder = tempfile::tempdir().unwrap();
    let (stage, no_role) = (Stage::start(), "that has this role");
    for (code, hint) in [
        ("forbidden", no_role),
        ("outside_projects", "sealroom user projects"),
        ("outside_providers", "--provider PROVIDER"),
        ("not_creator", "check its id"),
        ("of_a_newer_server", "ask an owner"),
    ] {
        // The words of another version, or of a translation, change nothing.
        for message in ["Forbidden - Requires role: owner", "Verboten", "narrowed to other projects"] {
            let fake = Fake::start(move |_, _| Reply::refusal(403, code, message));
            fs::copy(stage.path().join("app"), folder.path().join("app")).unwrap();
            let token = [("SFP_SERVER_TOKEN_FILE", "app")];
            let said = stderr(&run(folder.path(), &fake.url, &token, &["project", "list"]));
            let last = said.lines().last().unwrap();
            assert!(last.contains(hint), "{code}: {said}");
            assert_eq!(last.contains(no_role), hint == no_role, "{code}: {said}");
        }
    }
    // The same at a real server.
    stage.done("owner", "project register acme/app https://github.com/acme/app");
    stage.done("owner", "project register acme/web https://github.com/acme/web");
    stage.done("owner", "user projects member@example.com --project acme/app");
    let add = "integration add github/pat --project acme/web --from-json github.json";
    assert!(
        stage.refused("member", add).contains("sealroom user projects"),
        "{}",
        stage.refused("member", add)
    );
    let stored: Value = serde_json::from_str(
        &stage.done("owner", "integration add github/pat --project acme/app --from-json github.json --json"),
    )
    .unwrap();
    let rotate = format!("integration rotate {} --from-json github.json", stored["id"].as_str().unwrap());
    assert!(stage.refused("member", &rotate).contains("check its id"));
}

/// The story: two tokens of one name, and `token revoke` asked for an id that nobody had kept.
#[test]
fn a_second_active_token_of_one_name_is_never_created_in_silence() {
    let stage = Stage::start();
    let create = |more: &str| {
        let line = format!("token create ci {more}--json");
        let output = stage.run("owner", &line.split(' ').collect::<Vec<_>>());
        let made: Value = serde_json::from_slice(&output.stdout).unwrap();
        (made["id"].as_str().unwrap().to_owned(), stderr(&output))
    };
    let (first, said) = create("");
    assert!(said.is_empty(), "{said}");
    for more in ["", "--role auditor ", "--write-to ci.token "] {
        let (_, said) = create(more);
        assert!(said.contains("warning: another active token has the name ci: "), "{said}");
    }
    stage.done("owner", &format!("token revoke {first} --yes"));
    stage.done("owner", "token create CI --json");
    let listed = stage.done("owner", "token list --json");
    let listed: Vec<Value> = serde_json::from_str(&listed).unwrap();
    for one in listed.iter().filter(|one| one["name"] == "ci" && one["status"] == "active") {
        stage.done("owner", &format!("token revoke {} --yes", one["id"].as_str().unwrap()));
    }
    let (_, said) = create("");
    assert!(said.is_empty(), "a revoked token is nobody's namesake: {said}");
}

#[test]
fn a_project_that_differs_by_a_letter_or_its_case_is_named_to_those_who_may_see_it() {
    let stage = Stage::start();
    stage.done("owner", "project register acme/app https://github.com/acme/app");
    stage.done("owner", "project register hidden/web https://github.com/hidden/web");
    stage.done("owner", "integration add github/pat --global --name deploy --from-json github.json");
    stage.done("owner", "user projects member@example.com --project acme/app");
    for line in [
        "project show PROJECT",
        "project delete PROJECT --yes",
        "integration add github/pat --project PROJECT --from-json github.json",
        "integration add github/pat --project acme/app --project PROJECT --from-json github.json",
        "integration scope deploy --project PROJECT",
        "token create ci --project PROJECT",
        "user add eve@example.com --project PROJECT",
        "user projects member@example.com --project PROJECT",
        "credentials --project PROJECT",
        "credentials --project PROJECT --field token",
        "credentials --project PROJECT --format env",
    ] {
        let said = stage.refused("owner", &line.replace("PROJECT", "Acme/App"));
        assert!(
            said.contains("hint: acme/app is registered: project names are case-sensitive"),
            "{line}: {said}"
        );
        let said = stage.refused("owner", &line.replace("PROJECT", "acme/ap"));
        assert!(said.contains("hint: did you mean acme/app?"), "{line}: {said}");
        let said = stage.refused("owner", &line.replace("PROJECT", "9001"));
        assert!(said.contains("hint: an owner registers it"), "{line}: {said}");
    }
    let said = stage.refused("member", "project show Hidden/Web");
    assert!(!said.contains("hidden/web"), "a narrowed caller learns nothing: {said}");
    let twin = stage.run("owner", &["project", "register", "Acme/App", "https://github.com/Acme/App"]);
    assert!(twin.status.success() && stderr(&twin).starts_with("warning: acme/app is registered too"));
}

#[test]
fn a_mistyped_name_has_its_nearest() {
    let stage = Stage::start();
    stage.done("owner", "integration add github/pat --global --name deploy --from-json github.json");
    for line in ["integration show deplyo", "integration delete Deploy --yes", "integration rotate deply"] {
        let said = stage.refused("owner", line);
        assert!(said.contains("hint: did you mean 'deploy'? "), "{line}: {said}");
    }
    stage.done("owner", "token create pipeline --write-to pipeline");
    let said = stage.refused("owner", "token revoke pipelin --yes");
    assert!(said.contains("hint: did you mean 'pipeline'? "), "{said}");
    assert!(!stage.refused("owner", "integration show zebra").contains("did you mean"));
}

#[test]
fn a_refused_token_is_named_by_where_it_came_from() {
    let stage = Stage::start();
    stage.done("owner", "token create ci --write-to ci.token");
    let token = fs::read_to_string(stage.path().join("ci.token")).unwrap().trim().to_owned();
    stage.done("owner", "token revoke ci --yes");
    fs::write(stage.path().join("c.toml"), "[client]\ntoken_file = \"ci.token\"\n").unwrap();
    let file = "ci.token";
    let list = ["project", "list"];
    for login in [false, true] {
        if login {
            stage.done("owner", "login --email owner@example.com --password-file password");
        }
        for (set, args, source) in [
            (("SFP_SERVER_TOKEN", &*token), &list[..], "SFP_SERVER_TOKEN"),
            (("SFP_SERVER_TOKEN_FILE", file), &list, "ci.token (SFP_SERVER_TOKEN_FILE)"),
            (("SFP_APPLICATION_TOKEN", &token), &list, "SFP_APPLICATION_TOKEN"),
            (("SFP_APPLICATION_TOKEN_FILE", file), &list, "ci.token (SFP_APPLICATION_TOKEN_FILE)"),
            (
                ("SFP_SERVER_TOKEN_FILE", "app"),
                &["project", "list", "--token-file", file],
                "ci.token (--token-file)",
            ),
            (("X", "x"), &["project", "list", "--config", "c.toml"], "ci.token (client.token_file)"),
            (("SFP_SERVER_TOKEN", &token), &["audit", "list"], "SFP_SERVER_TOKEN"),
        ] {
            let output = run(stage.path(), &stage.server.url, &[set], args);
            let said = stderr(&output);
            let own = if login { ", which takes precedence over your login" } else { "" };
            let wanted = format!("error: the server does not accept this token; it is from {source}{own}\n");
            assert!(said.contains(&wanted), "{source}: {said}");
            assert!(!said.contains(&token), "{said}");
        }
    }
}

/// A credential that looks wrong draws a warning at `add` and at `rotate`, for every role, and is stored.
#[test]
fn what_looks_wrong_is_stored_with_a_warning_and_never_refused() {
    let stage = Stage::start();
    let mut stored = Vec::new();
    for (pair, json, warning) in [
        (
            "custom/api_key",
            r#"{"request_id":"x","lease_id":"","data":{"data":{"token":"zq1"},"metadata":{}}}"#,
            "vault kv get",
        ),
        (
            "jira/basic_auth",
            r#"{"base_url":"acme.atlassian.net","username":"u","api_token":"zq1"}"#,
            "'base_url' is no URL",
        ),
        ("github/pat", r#"{"token":"zq1","tokn":"zq1"}"#, "'tokn' looks like a mistyped 'token'"),
        ("github/pat", r#"{"token":"zq1 "}"#, "begins or ends with whitespace"),
        ("github/pat", r#"{"token":"zq1\n"}"#, "begins or ends with whitespace"),
        ("github/pat", r#"{"token":"changeme"}"#, "placeholder"),
        ("github/pat", r#"{"token":"<zq1>"}"#, "placeholder"),
    ] {
        secret_file(stage.path(), "x.json", json, 0o600);
        let add = ["integration", "add", pair, "--global", "--name", "n", "--from-json", "x.json", "--json"];
        let output = stage.run("member", &add);
        let said = stderr(&output);
        assert!(
            output.status.success() && said.contains("warning: ") && said.contains(warning),
            "{json}: {said}"
        );
        let made: Value = serde_json::from_slice(&output.stdout).unwrap();
        let id = made["id"].as_str().unwrap().to_owned();
        // By its id: a member may rotate what it stored, and not look it up.
        let rotated = stage.run("member", &["integration", "rotate", &id, "--from-json", "x.json"]);
        let again = stderr(&rotated);
        assert!(rotated.status.success(), "{again}");
        assert!(again.contains(warning), "{again}");
        assert!(!said.contains("zq1") && !again.contains("zq1"), "{said}{again}");
        stored.push((id, json));
    }
    let rotated = stage.run("owner", &["integration", "rotate", &stored[2].0, "--from-json", "github.json"]);
    assert_eq!(stderr(&rotated), "", "what is right raises no doubt");
    // Instead of its field, the server refuses it, and the warning says why.
    secret_file(stage.path(), "x.json", r#"{"tokn":"zq1"}"#, 0o600);
    let said = stage.refused("owner", "integration add github/pat --global --from-json x.json");
    assert!(said.contains("'tokn' looks like a mistyped 'token'"), "{said}");
}
