//! A minted token on its way to git: a real server, a real `git http-backend`, and a GitHub that gives the token.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    sync::Mutex,
};

use sealroom::{clock::Clock, domain::minutes};
use serde_json::{Value, json};

use super::git::{BACKEND, GitServer, done};
use crate::support::{
    binary::{Serving, command, secret_file, stderr, vault},
    github::{GitHub, INSTALLATION, Says, app, grants, keys},
    server::Client,
};

/// The tokens that the git server accepts, each for one repository.
const TOKENS: [(&str, &str); 2] = [("acme/app", "ghs_example_app"), ("acme/lib", "ghs_example_lib")];

fn git(folder: &Path, url: &str, args: &[&str]) -> Output {
    let mut git = Command::new("git");
    git.args(args).current_dir(folder).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
    git.env("HOME", folder).env("GIT_TERMINAL_PROMPT", "0").env("GIT_CONFIG_NOSYSTEM", "1");
    git.env("SFP_SERVER_URL", url).env("SFP_SERVER_TOKEN_FILE", folder.join("app.token"));
    for who in ["AUTHOR", "COMMITTER"] {
        git.env(format!("GIT_{who}_NAME"), "Ada").env(format!("GIT_{who}_EMAIL"), "ada@example.com");
    }
    git.stdin(Stdio::null()).output().unwrap()
}

fn config(github: &GitHub, enabled: bool) -> String {
    format!(
        "data = \"v.redb\"\npassphrase_file = \"pass\"\nlisten = \"127.0.0.1:0\"\n\n[outgoing]\nenabled = {enabled}\n\
         hosts = [\"{}\"]\nca_file = \"github.pem\"\n",
        github.host()
    )
}

/// Logs in as the owner and sends each body to its route; returns the answers.
async fn owner(server: &Serving, folder: &Path, calls: &[(&str, Value)]) -> Vec<Value> {
    let password = fs::read_to_string(folder.join("owner")).unwrap();
    let mut client = Client::connect(server.address()).await;
    let login = json!({ "email": "ada@example.com", "password": password }).to_string();
    let login = client.send("POST", "/sfp/api/auth/login", "", &login).await.unwrap().json();
    let bearer = login["access_token"].as_str().unwrap();
    let mut answers = Vec::new();
    for (route, body) in calls {
        let method = if body.is_null() { "GET" } else { "POST" };
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let reply = client.send(method, &format!("/sfp/api/{route}"), bearer, &body).await.unwrap();
        assert!(reply.status < 300, "{route}: {}", reply.body);
        answers.push(reply.json());
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn git_clones_and_pushes_with_a_token_that_an_app_mints_for_that_repository_alone() {
    if !Path::new(BACKEND).exists() {
        eprintln!("skipped: git http-backend is needed");
        return;
    }
    let end = Clock::system().now().plus(minutes(60)).to_string();
    let Some(github) = GitHub::start(&end) else { return };
    let asked = Mutex::new(Vec::new());
    github.says(move |call| {
        let name = call.body["repositories"][0].as_str().map(|name| format!("acme/{name}"));
        let Some(name) = name else { return Says::Json(200, json!({ "id": INSTALLATION })) };
        asked.lock().unwrap().push(name.clone());
        let token = TOKENS.iter().find(|(known, _)| *known == name).map(|(_, token)| *token);
        token.map_or(Says::Json(404, json!({})), |token| grants(token, &name, &end))
    });
    let folder = vault();
    let folder = folder.path();
    fs::write(folder.join("github.pem"), github.ca()).unwrap();
    fs::write(folder.join("c.toml"), config(&github, true)).unwrap();
    let mut server = Serving::start(folder, &["serve", "--config", "c.toml"]);
    let root = folder.join("served");
    let passwords = TOKENS.map(|(_, token)| token);
    let served = GitServer::start(&root, &passwords);
    let mut calls = Vec::new();
    for (name, _) in TOKENS {
        let bare = root.join(format!("{name}.git"));
        done(&git(folder, "", &["init", "-q", "--bare", "-b", "main", bare.to_str().unwrap()]));
        done(&git(folder, "", &["-C", bare.to_str().unwrap(), "config", "http.receivepack", "true"]));
        let url = served.url("127.0.0.1", &format!("{name}.git"));
        calls.push(("projects", json!({ "identifier": name, "remoteUrl": url })));
    }
    let stored = json!({ "provider": "github", "authType": "app", "credentials": app(&keys().unwrap().1),
        "config": { "api_base_url": github.url() }, "isGlobal": true });
    calls.push(("integrations", stored));
    calls.push(("application-tokens", json!({ "name": "ci" })));
    let answers = owner(&server, folder, &calls).await;
    secret_file(folder, "app.token", answers.last().unwrap()["token"].as_str().unwrap(), 0o600);

    let install = ["git-credential", "--provider", "github", "install", "--global"];
    let mut install = command(folder, &install);
    install.env("SFP_SERVER_URL", &server.url).env("SFP_SERVER_TOKEN_FILE", "app.token");
    install.env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", folder).env("GIT_CONFIG_NOSYSTEM", "1");
    let installed = install.stdin(Stdio::null()).output().unwrap();
    assert!(installed.status.success(), "{}", stderr(&installed));
    let run = |folder: &Path, args: &[&str]| git(folder, &server.url, args);
    for (name, short) in [("acme/app", "app"), ("acme/lib", "lib")] {
        // The binary's own folder is the home of every command.
        let url = served.url("127.0.0.1", &format!("{name}.git"));
        done(&run(folder, &["clone", "-q", &url, short]));
        done(&run(folder, &["-C", short, "commit", "-q", "--allow-empty", "-m", "first"]));
        done(&run(folder, &["-C", short, "push", "-q", "origin", "HEAD:main"]));
        done(&run(folder, &["-C", short, "fetch", "-q"]));
    }
    assert_eq!(github.mints(), TOKENS.len(), "one token a repository, for all that git asks");
    let told = owner(&server, folder, &[("audit?limit=1000", Value::Null)]).await.remove(0);
    let of = |action: &str| {
        let is_one = |event: &&Value| event["action"] == action && event["outcome"] == "allowed";
        told.as_array().unwrap().iter().filter(is_one).count()
    };
    assert_eq!(of("credentials.mint"), TOKENS.len());
    assert!(of("credentials.read") > 0);
    // Without a path no token is for all repositories of the host: silence, and no key on the way.
    let question = format!(
        "protocol=http\nhost=127.0.0.1:{}\n\n",
        served.url("", "").rsplit(':').next().unwrap().trim_end_matches('/')
    );
    let mut ask = command(folder, &["git-credential", "--provider", "github", "get"]);
    ask.env("SFP_SERVER_URL", &server.url).env("SFP_SERVER_TOKEN_FILE", "app.token").env("HOME", folder);
    let mut ask = ask.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut ask.stdin.take().unwrap(), question.as_bytes()).unwrap();
    let said = ask.wait_with_output().unwrap();
    assert!(said.status.success() && said.stdout.is_empty(), "{}", stderr(&said));
    // Nothing of the key or a token is left behind.
    let log = fs::read_to_string(folder.join("server.log")).unwrap();
    for text in [log, fs::read_to_string(folder.join(".gitconfig")).unwrap(), told.to_string()] {
        assert!(!text.contains("ghs_example") && !text.contains("PRIVATE KEY"), "{text}");
    }
    assert!(server.stop());
    // With calls off, git says why.
    fs::write(folder.join("c.toml"), config(&github, false)).unwrap();
    let server = Serving::start(folder, &["serve", "--config", "c.toml"]);
    let url = served.url("127.0.0.1", "acme/app.git");
    let failed = git(folder, &server.url, &["clone", "-q", &url, "never"]);
    assert!(!failed.status.success() && stderr(&failed).contains("[outgoing]"), "{}", stderr(&failed));
}

#[test]
fn no_wrong_outgoing_setting_is_passed_over_and_no_variable_is_one() {
    let folder = vault();
    let folder = folder.path();
    fs::write(folder.join("empty.pem"), "").unwrap();
    fs::write(folder.join("bad.pem"), "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n")
        .unwrap();
    let on = "enabled = true\n";
    for (text, says) in [
        (
            "hosts = [\"https://api.github.com\"]",
            "outgoing.hosts in c.toml: 'https://api.github.com' is not a host",
        ),
        ("hosts = [\"*.github.com\"]", "outgoing.hosts in c.toml: '*.github.com' is not a host"),
        (&format!("{on}hosts = []"), "outgoing.hosts in c.toml: it lists no host"),
        ("timeout_secs = 0", "outgoing.timeout_secs in c.toml: 0 must be at least 1"),
        ("timeout_secs = 61", "outgoing.timeout_secs in c.toml: 61 must be at most 60"),
        ("ca_file = \"~/ca.pem\"", "outgoing.ca_file in c.toml: ~/ca.pem begins with `~`"),
        (&format!("{on}ca_file = \"none.pem\""), "outgoing.ca_file in c.toml: none.pem: No such file"),
        (
            &format!("{on}ca_file = \"empty.pem\""),
            "outgoing.ca_file in c.toml: empty.pem: there is no PEM certificate",
        ),
        (
            &format!("{on}ca_file = \"bad.pem\""),
            "outgoing.ca_file in c.toml: bad.pem: it has a certificate that cannot",
        ),
        ("proxy = \"http://x\"", "there is no setting `proxy`"),
        ("enabled = \"yes\"", "enabled: invalid type"),
    ] {
        fs::write(folder.join("c.toml"), format!("data = \"v.redb\"\n[outgoing]\n{text}\n")).unwrap();
        let output = command(folder, &["serve", "--config", "c.toml"]).stdin(Stdio::null()).output().unwrap();
        assert!(!output.status.success() && stderr(&output).contains(says), "{text}: {}", stderr(&output));
        assert!(stderr(&output).contains("hint: "), "{}", stderr(&output));
    }
    for flag in ["--outgoing-enabled", "--outgoing-hosts"] {
        let output = command(folder, &["serve", flag, "true"]).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{flag}");
    }
    let mut serve = command(folder, &["serve", "--data", "v.redb"]);
    let output = serve
        .env("SEALROOM_OUTGOING_ENABLED", "true")
        .env("SEALROOM_STRICT_ENV", "true")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(stderr(&output).contains("SEALROOM_OUTGOING_ENABLED"), "{}", stderr(&output));
    assert!(!output.status.success());
}
