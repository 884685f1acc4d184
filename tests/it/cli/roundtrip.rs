//! `sealroom export --all`, and `sealroom import` of it on an empty vault.

use std::{
    fs,
    io::Read,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::{Command, Output, Stdio},
};

use sealroom::{
    client::{
        Client, Endpoint, Expired, IntegrationChange, Listing, NewIntegration, NewProject, NewUser, Roots,
        Scope, UserChange,
    },
    domain::{Secret, Timestamp},
};
use serde_json::{Value, json};

use crate::support::{
    binary::{Serving, command, ended, sealroom, stderr},
    fake::{Fake, Reply},
    pty::Typing,
};

/// A temporary server, and what it said.
pub(super) struct Vault {
    pub(super) server: Serving,
    pub(super) said: Value,
}

impl Vault {
    pub(super) fn start(folder: &Path) -> Self {
        let server = Serving::start(folder, &["serve", "--dev", "--json", "--listen", "127.0.0.1:0"]);
        let said = serde_json::from_str(&server.said).unwrap();
        Self { server, said }
    }

    pub(super) fn owner(&self) -> Client {
        let endpoint: Endpoint = self.server.url.parse().unwrap();
        let token = Secret::from(self.said["owner_token"].as_str().unwrap().to_owned());
        Client::new(endpoint, &Roots::System).unwrap().with_token(token)
    }

    pub(super) fn command(&self, folder: &Path, args: &[&str]) -> Command {
        self.command_of(folder, "owner_token", args)
    }

    pub(super) fn command_of(&self, folder: &Path, token: &str, args: &[&str]) -> Command {
        let mut command = command(folder, args);
        command.env("SFP_SERVER_URL", &self.server.url).env("HOME", folder);
        command.env("SFP_SERVER_TOKEN", self.said[token].as_str().unwrap());
        command.stdout(Stdio::piped());
        command
    }

    pub(super) fn run(&self, folder: &Path, args: &[&str]) -> Output {
        ended(&mut self.command(folder, args))
    }

    /// Runs a command that succeeds, and returns its standard output.
    pub(super) fn good(&self, folder: &Path, args: &[&str]) -> String {
        let output = self.run(folder, args);
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    }
}

fn new(provider: &str, auth_type: &str, credentials: &str) -> NewIntegration {
    NewIntegration {
        provider: provider.to_owned(),
        auth_type: auth_type.to_owned(),
        credentials: Secret::from(credentials.to_owned()),
        scope: Scope::Global,
        name: None,
        expires_at: None,
        expired: Expired::Allowed,
        config: None,
        is_canary: false,
    }
}

fn time(text: &str) -> Option<Timestamp> {
    Some(text.parse().unwrap())
}

/// Fills a vault with one of everything that could get lost on the way.
async fn fill(owner: &Client) {
    let raw = |text: &str| serde_json::value::RawValue::from_string(text.to_owned()).ok();
    for (identifier, url, platform, configuration) in [
        ("acme/app", Some("https://github.com/acme/app"), None, None),
        ("acme/web", Some("https://git.example.com/acme/web"), Some("gitlab"), raw(r#"{"b":1.50,"a":[1]}"#)),
        ("payments", None, None, None),
    ] {
        let (url, platform) = (url.map(str::to_owned), platform.map(str::to_owned));
        let new = NewProject { identifier: identifier.to_owned(), remote_url: url, platform, configuration };
        owner.create_project(&new).await.unwrap();
    }
    for (email, role, projects, disabled) in [
        ("bob@example.com", "member", Some(Some(vec!["acme/app".to_owned()])), false),
        ("eve@example.com", "member", None, true),
        ("tim@example.com", "member", Some(Some(Vec::new())), false),
        ("zoe@example.com", "owner", None, false),
    ] {
        let (first_name, last_name) = (Some("Bo \"b\"".to_owned()), None);
        let (email, role) = (email.to_owned(), role.to_owned());
        let new = NewUser { email: email.clone(), role, first_name, last_name, password: None, projects };
        owner.create_user(&new).await.unwrap();
        let change = UserChange { disabled: Some(true), ..UserChange::default() };
        if disabled {
            owner.change_user(&email, &change).await.unwrap();
        }
    }
    let scoped = || Scope::Projects(vec!["payments".to_owned(), "acme/app".to_owned()]);
    let make = async |new: NewIntegration| owner.create_integration(&new).await.unwrap().id;
    make(NewIntegration {
        name: Some("deploy \"key\"".to_owned()),
        ..new("github", "pat", r#"{ "token":"ghp_example", "n":1e999 }"#)
    })
    .await;
    // Twice the same, without a name: only their order tells them apart.
    make(NewIntegration { scope: scoped(), ..new("npm", "pat", r#"{"token":"first"}"#) }).await;
    make(NewIntegration { scope: scoped(), ..new("npm", "pat", r#"{"token":"second"}"#) }).await;
    let config = raw(r#"{"env":{"url":"DATABASE_URL"},"n":1.50}"#);
    let custom =
        NewIntegration { name: Some("db".to_owned()), config, ..new("custom", "api_key", r#"{"url":"x"}"#) };
    let custom = make(NewIntegration { scope: scoped(), ..custom }).await;
    let ended = NewIntegration {
        expires_at: time("2020-01-01T00:00:00Z"),
        ..new("jfrog", "pat", r#"{"token":"old"}"#)
    };
    make(ended).await;
    let rotated =
        make(NewIntegration { name: Some("rotated".to_owned()), ..new("gitlab", "pat", r#"{"token":"0"}"#) })
            .await;
    for number in 1..=7 {
        let end = (number % 2 == 0).then(|| time("2019-01-01T00:00:00Z")).flatten();
        let credentials = Secret::from(format!(r#"{{"token":"{number}"}}"#));
        owner.rotate_to(rotated, None, &credentials, (end, Expired::Allowed)).await.unwrap();
    }
    owner.rollback(rotated, 5).await.unwrap();
    let end = (time("2040-01-01T00:00:00Z"), Expired::Refused);
    owner.rotate_to(custom, None, &Secret::from(r#"{"url":"y"}"#.to_owned()), end).await.unwrap();
    let large = format!(r#"{{"value":"{}"}}"#, "é\\n".repeat(15_000));
    make(NewIntegration { name: Some("large".to_owned()), ..new("custom", "api_key", &large) }).await;
}

/// Returns what the API lists, without what an import cannot give: ids, times, actors, and the numbers of revisions.
pub(super) async fn listed(owner: &Client) -> Value {
    let of = |listing| async move {
        let body = owner.listing(listing).await.unwrap();
        serde_json::from_slice::<Vec<Value>>(body.expose()).unwrap()
    };
    let without = |mut value: Value, names: &[&str]| {
        names.iter().for_each(|name| drop(value.as_object_mut().unwrap().remove(*name)));
        value
    };
    let mut integrations = Vec::new();
    for one in owner.integrations(None, None).await.unwrap() {
        let kept = owner.revisions(one.id, None).await.unwrap().parts().unwrap();
        let revisions: Vec<Value> = kept
            .revisions
            .iter()
            .map(|one| {
                let credentials = String::from_utf8(one.credentials.expose().to_vec()).unwrap();
                json!({ "credentials": credentials, "expiresAt": one.expires_at.map(|end| end.to_string()) })
            })
            .collect();
        let metadata = serde_json::to_value(&kept.integration).unwrap();
        let own =
            ["id", "revision", "createdAt", "createdBy", "updatedAt", "lastAccessedAt", "lastAccessedBy"];
        integrations.push(json!({ "metadata": without(metadata, &own), "revisions": revisions }));
    }
    let projects = of(Listing::Projects).await.into_iter().map(|mut one| {
        // Each integration has another id.
        let scoped = one["integrations"].as_array().unwrap().len();
        one["integrations"] = scoped.into();
        without(one, &["createdAt", "updatedAt"])
    });
    let projects: Vec<Value> = projects.collect();
    let users = of(Listing::Users).await.into_iter();
    let users: Vec<Value> = users.map(|one| without(one, &["id", "createdAt", "lastLoginAt"])).collect();
    json!({ "integrations": integrations, "projects": projects, "users": users })
}

#[tokio::test]
async fn an_export_imported_into_an_empty_vault_gives_the_same_vault() {
    let folder = tempfile::tempdir().unwrap();
    let (old, fresh) = (Vault::start(folder.path()), Vault::start(folder.path()));
    fill(&old.owner()).await;
    old.good(folder.path(), &["token", "create", "ci"]);
    let line = old.good(folder.path(), &["export", "--all", "--output", "all.json"]);
    assert_eq!(line, "wrote all.json: 7 integrations, 12 revisions\n");
    let events = old.good(folder.path(), &["audit", "list", "--action", "credentials.read", "--json"]);
    assert_eq!(events.matches("\"credentials.read\"").count(), 12, "one a disclosed revision");
    let file = folder.path().join("all.json");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let said = fresh.run(folder.path(), &["import", "all.json", "--yes"]);
    assert!(said.status.success(), "{}", stderr(&said));
    assert!(stderr(&said).contains("2 application tokens are left out"), "{}", stderr(&said));
    assert!(stderr(&said).contains("no password yet"), "{}", stderr(&said));
    assert_eq!(listed(&fresh.owner()).await, listed(&old.owner()).await);
    // A second time there is nothing to do, whoever re-indented it meanwhile.
    let text = fs::read_to_string(&file).unwrap();
    let indented = text.replace("{\"", "{ \"").replace("\":", "\" :\n\t");
    fs::write(folder.path().join("indented.json"), indented).unwrap();
    for name in ["all.json", "indented.json"] {
        let again = fresh.good(folder.path(), &["import", name, "--json", "--yes"]);
        let again: Value = serde_json::from_str(&again).unwrap();
        let results = again["entries"].as_array().unwrap().iter().map(|one| one["result"].as_str().unwrap());
        let results: Vec<&str> = results.collect();
        assert!(results.len() == 16 && results.iter().all(|one| *one == "same"), "{results:?}");
    }
    // A config that was changed since is brought back, without a new revision.
    let owner = fresh.owner();
    let db = owner.integrations(None, Some("db")).await.unwrap().remove(0);
    let change = IntegrationChange { config: Some(Some(json!({ "a": 1 }))), ..IntegrationChange::default() };
    owner.change_integration(db.id, &change).await.unwrap();
    let said = fresh.good(folder.path(), &["import", "all.json", "--yes"]);
    assert_eq!(said.matches("config updated").count(), 1, "{said}");
    assert_eq!(listed(&owner).await, listed(&old.owner()).await);
    // Byte for byte, which a parsed value does not show.
    let db = owner.revisions(db.id, None).await.unwrap();
    let projects = owner.listing(Listing::Projects).await.unwrap();
    for (body, text) in [
        (&db.body, r#""config":{"env":{"url":"DATABASE_URL"},"n":1.50}"#),
        (&projects, r#"{"b":1.50,"a":[1]}"#),
    ] {
        assert!(body.expose_text().unwrap().contains(text), "{text}");
    }
}

/// The reports name a kill between two requests; an import may also stop between two revisions of one credential, and
/// between a user and its disabling.
#[tokio::test]
async fn an_import_that_stopped_anywhere_is_finished_by_a_repeat() {
    let folder = tempfile::tempdir().unwrap();
    let (old, fresh) = (Vault::start(folder.path()), Vault::start(folder.path()));
    fill(&old.owner()).await;
    old.good(folder.path(), &["export", "--all", "--output", "all.json"]);
    // The remains of the first run: a project, a user that is not yet disabled, one of two that are alike, the first
    // two of five revisions.
    let owner = fresh.owner();
    for identifier in ["acme/app", "payments"] {
        let (identifier, url) = (identifier.to_owned(), "https://github.com/acme/app".to_owned());
        let remote_url = (identifier == "acme/app").then_some(url);
        let registered = NewProject { identifier, remote_url, platform: None, configuration: None };
        owner.create_project(&registered).await.unwrap();
    }
    let (email, role, first_name) =
        ("eve@example.com".to_owned(), "member".to_owned(), Some("Bo \"b\"".to_owned()));
    let eve = NewUser { email, role, first_name, last_name: None, password: None, projects: None };
    owner.create_user(&eve).await.unwrap();
    let scope = Scope::Projects(vec!["acme/app".to_owned(), "payments".to_owned()]);
    owner
        .create_integration(&NewIntegration { scope, ..new("npm", "pat", r#"{"token":"first"}"#) })
        .await
        .unwrap();
    let end = time("2019-01-01T00:00:00Z");
    let first = NewIntegration {
        name: Some("rotated".to_owned()),
        expires_at: end,
        ..new("gitlab", "pat", r#"{"token":"4"}"#)
    };
    let id = owner.create_integration(&first).await.unwrap().id;
    owner.rotate(id, None, &Secret::from(r#"{"token":"5"}"#.to_owned()), None).await.unwrap();
    fresh.good(folder.path(), &["import", "all.json", "--yes"]);
    let (mut is, mut wanted) = (listed(&owner).await, listed(&old.owner()).await);
    for value in [&mut is, &mut wanted] {
        // They were made in another order, and a scope keeps the order in which it was given.
        let text = |one: &Value| one["metadata"]["name"].to_string() + &one["revisions"].to_string();
        let all = value["integrations"].as_array_mut().unwrap();
        all.sort_by_key(text);
        for one in all {
            one["metadata"]["projects"].as_array_mut().unwrap().sort_by_key(Value::to_string);
        }
    }
    assert_eq!(is, wanted);
}

#[tokio::test]
async fn an_import_changes_no_project_and_raises_no_user_that_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::start(folder.path());
    fill(&vault.owner()).await;
    vault.good(folder.path(), &["export", "--all", "--output", "all.json"]);
    let text = fs::read_to_string(folder.path().join("all.json")).unwrap();
    let raised = text
        .replace(r#""role":"member""#, r#""role":"owner""#)
        .replace(r#""disabled":true"#, r#""disabled":false"#)
        .replace(r#""platform":"gitlab""#, r#""platform":"other""#);
    fs::write(folder.path().join("raised.json"), raised).unwrap();
    let before = listed(&vault.owner()).await;
    let said = vault.good(folder.path(), &["import", "raised.json", "--yes"]);
    assert_eq!(said.matches("differs, left as it is").count(), 5, "{said}");
    assert_eq!(listed(&vault.owner()).await, before);
}

#[test]
fn an_export_goes_to_no_terminal_over_no_file_and_out_for_no_other_caller() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::start(folder.path());
    let path = |name: &str| folder.path().join(name);
    fs::write(path("there.json"), "mine").unwrap();
    symlink(path("nowhere"), path("link.json")).unwrap();
    symlink(path("there.json"), path("hard.json")).unwrap();
    let refused = |args: &[&str], exit: i32, said: &str| {
        let output = vault.run(folder.path(), args);
        assert_eq!(output.status.code(), Some(exit), "{args:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty() && stderr(&output).contains(said), "{args:?}: {}", stderr(&output));
    };
    refused(&["export"], 2, "pass --all");
    for name in ["there.json", "link.json", "hard.json", "/dev/stdout", "."] {
        refused(&["export", "--all", "--output", name], 1, "exists already");
    }
    refused(&["export", "--all", "--output", "no/such.json"], 1, "no file was left behind");
    let mut terminal = Typing::open(folder.path(), &vault.server.url, &["export", "--all"], Some(100), &[]);
    assert_eq!(terminal.end(), 2);
    assert!(terminal.screen.contains("standard output is a terminal"), "{}", terminal.screen);
    for token in ["member_token", "application_token"] {
        let output =
            ended(&mut vault.command_of(folder.path(), token, &["export", "--all", "--output", "x.json"]));
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains("owner"), "{}", stderr(&output));
    }
    assert_eq!(fs::read_to_string(path("there.json")).unwrap(), "mine");
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|one| one.unwrap().file_name()).collect();
    assert!(
        !left.iter().any(|name| name.to_string_lossy().starts_with(".tmp") || name == "x.json"),
        "{left:?}"
    );
}

/// The server locks between two integrations: a file does not appear, and a pipe gets no whole JSON.
#[test]
fn an_export_that_breaks_off_leaves_nothing_that_passes_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let id = |number: usize| format!("01a21198-0ea8-7d5a-987c-6ee7878c5{number:03}");
    let metadata = move |number: usize| {
        format!(
            r#"{{"id":"{}","provider":"github","authType":"pat","name":null,"isGlobal":true,"projects":[],"config":{{}},"expiresAt":null,"revision":1,"createdAt":"2026-11-24T10:00:00.000Z","createdBy":"user:a@b.example","updatedAt":"2026-11-24T10:00:00.000Z","lastAccessedAt":null,"lastAccessedBy":null}}"#,
            id(number)
        )
    };
    let fake = Fake::start(move |request, _| {
        let revision = r#"{"revision":1,"expiresAt":null,"credentials":{"token":"ghp_example"}}"#;
        match request {
            "GET /sfp/api/integrations?limit=1000" => {
                Reply::json(200, &format!("[{},{}]", metadata(2), metadata(1)))
            }
            asked if asked.contains(&id(1)) => {
                Reply::json(200, &format!(r#"{{"integration":{},"revisions":[{revision}]}}"#, metadata(1)))
            }
            asked if asked.contains("/revisions") => {
                Reply::refusal(503, "locked", "The vault is locked").with("retry-after", "3600")
            }
            _ => Reply::json(200, "[]"),
        }
    });
    let run = |args: &[&str]| {
        let mut command = command(folder.path(), args);
        command.env("SFP_SERVER_URL", &fake.url).env("SFP_SERVER_TOKEN", crate::support::binary::TOKEN);
        ended(command.env("HOME", folder.path()).stdout(Stdio::piped()))
    };
    let piped = run(&["export", "--all"]);
    assert_eq!(piped.status.code(), Some(1));
    assert!(stderr(&piped).contains("the vault is locked"), "{}", stderr(&piped));
    fs::write(folder.path().join("cut.json"), &piped.stdout).unwrap();
    let cut = sealroom(folder.path(), &["import", "cut.json"]);
    assert!(stderr(&cut).contains("ends too early"), "{}", stderr(&cut));
    assert_eq!(run(&["export", "--all", "--output", "out.json"]).status.code(), Some(1));
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|one| one.unwrap().file_name()).collect();
    assert_eq!(names, ["cut.json"]);
}

/// Nothing more is disclosed to a reader that went away.
#[tokio::test]
async fn an_export_stops_disclosing_once_its_reader_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::start(folder.path());
    let owner = vault.owner();
    for number in 0..40 {
        let large = format!(r#"{{"value":"{}"}}"#, "x".repeat(50_000));
        let name = Some(format!("large {number}"));
        owner.create_integration(&NewIntegration { name, ..new("custom", "api_key", &large) }).await.unwrap();
    }
    let mut child =
        vault.command(folder.path(), &["export", "--all"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 20]).unwrap();
    drop(stdout);
    assert!(child.wait().unwrap().success());
    let events = vault
        .good(folder.path(), &["audit", "list", "--action", "credentials.read", "--limit", "100", "--json"]);
    let read = events.matches("\"credentials.read\"").count();
    assert!(read < 20, "{read} disclosed");
}
