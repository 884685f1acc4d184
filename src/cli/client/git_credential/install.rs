//! `git-credential install` and `uninstall`: the lines of git's configuration that make it ask here.

use std::{collections::BTreeSet, process::Command};

use url::Url;

use crate::{
    cli::{client::remote::Remote, error::CliError},
    client::Project,
};

/// The words by which a helper is recognized as this program's.
const OURS: &[u8] = b" git-credential";

/// The configuration to change.
#[derive(Debug, Clone, Copy, clap::Args)]
#[group(multiple = false)]
pub(super) struct Place {
    /// Change your own configuration.
    #[arg(long)]
    global: bool,
    /// Change the configuration of the repository in this folder.
    #[arg(long)]
    local: bool,
}

impl Place {
    fn flag(self) -> Option<&'static str> {
        if self.global { Some("--global") } else { self.local.then_some("--local") }
    }
}

/// Prints the commands, or runs them where a place is given.
pub(super) async fn install(place: Place, provider: Option<&str>, remote: &Remote) -> Result<(), CliError> {
    let hosts = hosts(&remote.client.projects().await?);
    if hosts.is_empty() {
        return Err(CliError::failed(
            "no project has an http or https URL",
            "register one: sealroom project register PROJECT URL",
        ));
    }
    if let Some(host) = hosts.iter().find(|host| helpers(place, host) == Helpers::Others) {
        return Err(CliError::failed(
            format!("git asks another helper for {host} already"),
            format!("nothing was changed; remove it first: git config --unset-all credential.{host}.helper"),
        ));
    }
    let helper = helper(provider)?;
    let mut commands = Vec::new();
    for host in &hosts {
        let (key, paths) = (format!("credential.{host}.helper"), format!("credential.{host}.useHttpPath"));
        // The empty one ends the list of other helpers for this host: they would store what this one gives.
        commands.push(vec!["--replace-all".to_owned(), key.clone(), String::new()]);
        commands.push(vec!["--add".to_owned(), key, helper.clone()]);
        commands.push(vec![paths, "true".to_owned()]);
    }
    finish(place, &commands, &format!("git asks sealroom for {}", list(&hosts)), remote)
}

/// Removes what [`install`] has set.
pub(super) async fn uninstall(place: Place, remote: &Remote) -> Result<(), CliError> {
    let hosts = hosts(&remote.client.projects().await?);
    let is_set = |host: &&String| place.flag().is_none() || helpers(place, host) == Helpers::Ours;
    let unset = |host: &String| {
        ["helper", "useHttpPath"]
            .map(|name| vec!["--unset-all".to_owned(), format!("credential.{host}.{name}")])
    };
    let commands: Vec<Vec<String>> = hosts.iter().filter(is_set).flat_map(unset).collect();
    finish(place, &commands, "git no longer asks sealroom", remote)
}

fn finish(place: Place, commands: &[Vec<String>], done: &str, remote: &Remote) -> Result<(), CliError> {
    let Some(flag) = place.flag() else {
        let line = |words: &Vec<String>| {
            let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
            format!("git config --global {}", words.join(" "))
        };
        let lines: Vec<String> = commands.iter().map(line).collect();
        return remote.output.result(&lines.join("\n"), &lines);
    };
    for words in commands {
        let outcome = Command::new("git").arg("config").arg(flag).args(words).output();
        let outcome = outcome.map_err(|error| CliError::failed(format!("git: {error}"), "install git"))?;
        if !outcome.status.success() {
            let said = std::str::from_utf8(&outcome.stderr).unwrap_or_default().trim();
            return Err(CliError::failed(
                format!("git config failed: {said}"),
                "run it again once that is mended",
            ));
        }
    }
    remote.output.result(done, &serde_json::json!({ "changed": commands.len() }))
}

/// The helpers that are configured for a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Helpers {
    None,
    Ours,
    Others,
}

/// Returns the helpers of a host in that configuration; none where the commands are only printed.
fn helpers(place: Place, host: &str) -> Helpers {
    let Some(flag) = place.flag() else { return Helpers::None };
    let key = format!("credential.{host}.helper");
    let outcome = Command::new("git").args(["config", flag, "--get-all", &key]).output();
    match outcome.ok().filter(|outcome| outcome.status.success()).map(|outcome| outcome.stdout) {
        None => Helpers::None,
        Some(set) if set.windows(OURS.len()).any(|at| at == OURS) => Helpers::Ours,
        Some(_) => Helpers::Others,
    }
}

/// Returns scheme, host and port of all projects.
fn hosts(projects: &[Project]) -> BTreeSet<String> {
    let origin = |project: &Project| {
        let url = Url::parse(project.remote_url.as_deref()?).ok()?;
        matches!(url.scheme(), "https" | "http").then(|| url.origin().ascii_serialization())
    };
    projects.iter().filter_map(origin).collect()
}

fn list(hosts: &BTreeSet<String>) -> String {
    hosts.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// Returns the helper as git runs it: by a shell, which appends the operation.
fn helper(provider: Option<&str>) -> Result<String, CliError> {
    let binary = std::env::current_exe()
        .ok()
        .and_then(|path| path.into_os_string().into_string().ok())
        .ok_or_else(|| CliError::failed("the path of this program is unknown", "run it from a file"))?;
    let provider = provider.map(|provider| format!(" --provider {}", quoted(provider))).unwrap_or_default();
    Ok(format!("!{} git-credential{provider}", quoted(&binary)))
}

/// Returns a word as a POSIX shell reads it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
