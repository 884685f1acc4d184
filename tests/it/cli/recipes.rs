//! The recipes in `examples/`, run: their commands, and the request that a template makes.
//!
//! Each test takes the commands out of the file, so that a recipe that changes is a test that changes.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use super::exec::{Ended, Stage};
use crate::support::{binary::secret_file, tls::has};

/// A value that nothing else holds.
const CANARY: &str = "ghp_recipe_example";

fn example(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(path)).unwrap()
}

/// The texts after `- run: ` and, below `script:`, after `- `.
fn commands(text: &str) -> Vec<&str> {
    let mut is_script = false;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        is_script = line == "script:" || (is_script && line.starts_with("- "));
        let command = line.strip_prefix("- run: ").or_else(|| line.strip_prefix("- ").filter(|_| is_script));
        found.extend(command);
    }
    found
}

/// A server with a credential of `acme/app`, and a program that tells how long its token is, and the token.
fn stage() -> Stage {
    let stage = Stage::start();
    assert_eq!(stage.run(&["project", "register", "acme/app", "https://github.com/acme/app"]).code, 0);
    stage.store("github/pat", &json!({ "token": CANARY }), &[]);
    let script = "#!/bin/sh\necho deploying with ${#GITHUB_TOKEN}: $GITHUB_TOKEN\n";
    secret_file(stage.path(), "deploy.sh", script, 0o700);
    stage
}

/// Runs a step as a runner does: a shell, the binary in its PATH, and these variables.
fn step(stage: &Stage, command: &str, variables: &[(&str, &str)]) -> Ended {
    let binary = Path::new(env!("CARGO_BIN_EXE_sealroom")).parent().unwrap().display();
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", command]).current_dir(stage.path()).env_clear().stdin(Stdio::null());
    shell.env("PATH", format!("{binary}:/usr/local/bin:/usr/bin:/bin")).env("USER", "runner");
    shell.envs(variables.iter().copied());
    stage.end(shell)
}

/// The variables of a file for `GITHUB_ENV`, as the runner reads it.
fn variables(text: &str) -> Vec<(String, String)> {
    let (mut lines, mut found) = (text.lines(), Vec::new());
    while let Some((name, delimiter)) = lines.next().and_then(|line| line.split_once("<<")) {
        let value: Vec<&str> = lines.by_ref().take_while(|line| *line != delimiter).collect();
        found.push((name.to_owned(), value.join("\n")));
    }
    found
}

#[test]
fn the_steps_of_github_actions_mask_a_value_and_pass_it_on() {
    let stage = stage();
    let text = example("ci/github-actions.yml");
    let token = fs::read_to_string(stage.path().join("app.token")).unwrap();
    secret_file(stage.path(), "env", "", 0o600);
    let [read, deploy] = commands(&text)[..] else { panic!("{text}") };
    assert!(text.contains("SFP_SERVER_URL: ") && text.contains("SFP_SERVER_TOKEN: ${{ secrets."));
    let url = stage.server.url.clone();
    let given = [("SFP_SERVER_URL", url.as_str()), ("SFP_SERVER_TOKEN", &token), ("GITHUB_ENV", "env")];
    let end = step(&stage, read, &[&given[..], &[("GITHUB_REPOSITORY", "acme/app")]].concat());
    assert_eq!((end.code, end.out.as_str()), (0, format!("::add-mask::{CANARY}\n").as_str()), "{}", end.err);
    let set = variables(&fs::read_to_string(stage.path().join("env")).unwrap());
    assert_eq!(set, [("GITHUB_TOKEN".to_owned(), CANARY.to_owned())]);
    let set: Vec<(&str, &str)> = set.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let end = step(&stage, deploy, &set);
    assert!(end.out.starts_with("deploying with 18: "), "{}", end.out);
    // A credential that cannot be read fails the job before the step that needs it.
    let end = step(&stage, read, &[&given[..], &[("GITHUB_REPOSITORY", "acme/none")]].concat());
    assert!(end.code == 1 && end.out.is_empty(), "{}", end.out);
}

#[test]
fn the_job_of_gitlab_ci_has_the_value_and_its_log_does_not() {
    let stage = stage();
    let text = example("ci/gitlab-ci.yml");
    let token = fs::read_to_string(stage.path().join("app.token")).unwrap();
    let [script] = commands(&text)[..] else { panic!("{text}") };
    let given = [("SFP_SERVER_URL", stage.server.url.as_str()), ("SFP_SERVER_TOKEN", &token)];
    let end = step(&stage, script, &[&given[..], &[("CI_PROJECT_PATH", "acme/app")]].concat());
    assert_eq!((end.code, end.out.as_str()), (0, "deploying with 18: ***\n"), "{}", end.err);
    let end = step(&stage, script, &[&given[..], &[("CI_PROJECT_PATH", "acme/none")]].concat());
    assert!(end.code == 1 && end.out.is_empty(), "{}", end.out);
}

#[test]
fn compose_passes_on_what_exec_sets_and_docker_reads_its_file() {
    let stage = stage();
    let text = example("docker/compose.yaml");
    let passed: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("- ")).collect();
    assert_eq!(passed, ["GITHUB_TOKEN"], "no value stands in the file");
    let end = stage.exec(&["--project", "acme/app"], &format!("echo ${{#{}}}", passed[0]));
    assert_eq!((end.code, end.out.as_str()), (0, "18\n"), "{}", end.err);
    if has("docker-compose") {
        fs::write(stage.path().join("compose.yaml"), &text).unwrap();
        let end = stage.run(&["exec", "--project", "acme/app", "--", "docker-compose", "config"]);
        assert!(end.code == 0 && end.out.contains("GITHUB_TOKEN: ***"), "{} {}", end.out, end.err);
    }
    let end = stage.run(&["credentials", "--project", "acme/app", "--format", "docker"]);
    assert_eq!((end.code, end.out), (0, format!("GITHUB_TOKEN={CANARY}\n")), "{}", end.err);
}

/// The operator escapes what it puts into a URL, and takes the rest as it is.
#[test]
fn the_request_of_the_external_secrets_operator_gets_every_field() {
    if !has("curl") {
        return;
    }
    let stage = stage();
    let text = example("kubernetes/external-secrets.yaml");
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(&format!("{key}: "))).unwrap();
        line.trim_matches('"').to_owned()
    };
    // As kubectl puts a file into a Secret: with its line end.
    let token = fs::read_to_string(stage.path().join("app.token")).unwrap() + "\n";
    let (project, provider) = (value("key"), value("property"));
    let url = value("url").replace("https://vault.example.com", &stage.server.url);
    let url = url.replace("{{ .remoteRef.key }}", &project.replace('/', "%2F"));
    let url = url.replace("{{ .remoteRef.property }}", &provider);
    let header = value("Authorization").replace("{{ .sealroom.token | trim }}", token.trim());
    assert!(!url.contains("{{") && !header.contains("{{"), "{url}");
    secret_file(stage.path(), "header", &format!("Authorization: {header}\n"), 0o600);
    let mut curl = Command::new("curl");
    curl.args(["-sf", "-H", "@header", &url]).current_dir(stage.path()).env_clear();
    let output = curl.output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value("jsonPath"), "$[0].credentials");
    assert_eq!(answer[0]["credentials"], json!({ "token": CANARY }));
    // The operator takes a 404 for a secret that is gone, and any other failure for one to keep.
    let mut curl = Command::new("curl");
    curl.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "@header"]).current_dir(stage.path());
    let output = curl.arg(url.replace("provider=github", "provider=jira")).output().unwrap();
    assert_eq!(output.stdout, b"404");
}
