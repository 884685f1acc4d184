//! `git-credential install` and `uninstall`: the lines of git's configuration that make it ask here.

use std::{collections::BTreeSet, path::Path, process::Command};

use url::Url;

use crate::{
    cli::{client::remote::Remote, error::CliError},
    client::Project,
};

/// The name of this program's file, wherever it is.
const BINARY: &str = "sealroom";

/// The configuration that printed commands change.
const PRINTED: &str = "--global";

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
    let is_taken = |host: &&String| {
        let set = values(place, host, "helper");
        // An empty one alone is somebody's choice too.
        let is_foreign = |one: &String| !one.is_empty() && !is_ours(one);
        set.iter().any(is_foreign) || (!set.is_empty() && set.iter().all(String::is_empty))
    };
    if let Some(host) = hosts.iter().find(is_taken) {
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
pub(super) async fn uninstall(place: Place, provider: Option<&str>, remote: &Remote) -> Result<(), CliError> {
    let hosts = hosts(&remote.client.projects().await?);
    let this = helper(provider)?;
    let commands: Vec<Vec<String>> = hosts.iter().flat_map(|host| removal(place, host, &this)).collect();
    finish(place, &commands, "git no longer asks sealroom", remote)
}

/// Returns the commands that take this program from a host's helpers, and leave every other one: each names the value
/// that it removes, since another program may add its own before it runs.
fn removal(place: Place, host: &str, this: &str) -> Vec<Vec<String>> {
    let unset = |name: &str, value: &str| {
        let key = format!("credential.{host}.{name}");
        vec!["--fixed-value".to_owned(), "--unset-all".to_owned(), key, value.to_owned()]
    };
    let all: BTreeSet<String> = values(place, host, "helper").into_iter().collect();
    let (ours, others): (Vec<&String>, Vec<&String>) = all.iter().partition(|one| is_ours(one));
    if ours.is_empty() {
        let printed = place.flag().is_none().then(|| unset("helper", this));
        return printed.into_iter().collect();
    }
    let mut commands: Vec<_> = ours.into_iter().map(|one| unset("helper", one)).collect();
    // The empty one and the paths serve another program's helper too.
    if others.iter().all(|one| one.is_empty()) {
        commands.extend(others.into_iter().map(|one| unset("helper", one)));
        let paths: BTreeSet<String> = values(place, host, "useHttpPath").into_iter().collect();
        commands.extend(paths.iter().map(|one| unset("useHttpPath", one)));
    }
    commands
}

fn finish(place: Place, commands: &[Vec<String>], done: &str, remote: &Remote) -> Result<(), CliError> {
    let Some(flag) = place.flag() else {
        let line = |words: &Vec<String>| {
            let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
            format!("git config {PRINTED} {}", words.join(" "))
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

/// Returns a host's values of that name in that configuration: the user's own where the commands are only printed.
fn values(place: Place, host: &str, name: &str) -> Vec<String> {
    let flag = place.flag().unwrap_or(PRINTED);
    let key = format!("credential.{host}.{name}");
    let outcome = Command::new("git").args(["config", flag, "--null", "--get-all", &key]).output();
    let Some(set) = outcome.ok().filter(|outcome| outcome.status.success()) else { return Vec::new() };
    let set = String::from_utf8_lossy(&set.stdout);
    set.split_terminator('\0').map(str::to_owned).collect()
}

/// Returns whether [`helper`] wrote this, for this program or for one that was elsewhere: other programs have a word
/// `git-credential` too.
fn is_ours(helper: &str) -> bool {
    let Some((path, rest)) = helper.strip_prefix('!').and_then(word) else { return false };
    let is_named = Path::new(&path).file_name().is_some_and(|name| name == BINARY);
    let is_this = || binary().is_some_and(|this| this == path);
    let rest = rest.strip_prefix(" git-credential");
    let is_provider = |rest: &str| {
        rest.strip_prefix(" --provider ").and_then(word).is_some_and(|(_, rest)| rest.is_empty())
    };
    (is_named || is_this()) && rest.is_some_and(|rest| rest.is_empty() || is_provider(rest))
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
    let binary = binary()
        .ok_or_else(|| CliError::failed("the path of this program is unknown", "run it from a file"))?;
    let provider = provider.map(|provider| format!(" --provider {}", quoted(provider))).unwrap_or_default();
    Ok(format!("!{} git-credential{provider}", quoted(&binary)))
}

fn binary() -> Option<String> {
    std::env::current_exe().ok().and_then(|path| path.into_os_string().into_string().ok())
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_./:=".contains(c)
}

/// Returns a word as a POSIX shell reads it.
fn quoted(word: &str) -> String {
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Reads a first word as [`quoted`] writes it, and what follows.
fn word(text: &str) -> Option<(String, &str)> {
    let (written, rest) = text.split_at(word_end(text)?);
    let inner = written.strip_prefix('\'').and_then(|inner| inner.strip_suffix('\''));
    let word = inner.map_or_else(|| written.to_owned(), |inner| inner.replace(r"'\''", "'"));
    (quoted(&word) == written).then_some((word, rest))
}

fn word_end(text: &str) -> Option<usize> {
    let Some(mut rest) = text.strip_prefix('\'') else { return Some(text.find(' ').unwrap_or(text.len())) };
    loop {
        rest = rest.split_once('\'')?.1;
        match rest.strip_prefix(r"\''") {
            Some(next) => rest = next,
            None => return Some(text.len() - rest.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_helper_of_another_program_is_never_taken_for_ours() {
        for path in
            ["sealroom", "/usr/bin/sealroom", "/home/ada lovelace/it's/sealroom", "/opt/a'b c/sealroom"]
        {
            for provider in ["", " --provider gitlab", " --provider 'a b'"] {
                let helper = format!("!{} git-credential{provider}", quoted(path));
                assert!(is_ours(&helper), "{helper}");
            }
        }
        assert!(is_ours(&helper(None).unwrap()) && is_ours(&helper(Some("it's")).unwrap()));
        for other in [
            "!gh auth git-credential",
            "!/usr/bin/gh auth git-credential",
            "!'/opt/git hub/gh' auth git-credential",
            "!/usr/bin/gh-sealroom git-credential",
            "!/opt/sealroom/bin/gh git-credential",
            "!/opt/sealroom auth git-credential",
            "!echo sealroom git-credential",
            "!echo && /usr/bin/sealroom git-credential",
            "!/usr/bin/sealroom git-credential && gh auth git-credential",
            "!/usr/bin/sealroom git-credential --provider a b",
            "!/usr/bin/sealroom git-credentials",
            "!/a b/sealroom git-credential",
            "!'/a b/sealroom git-credential",
            "!'' git-credential",
            "/usr/bin/sealroom git-credential",
            "sealroom git-credential",
            "store",
            "",
            "!",
        ] {
            assert!(!is_ours(other), "{other}");
        }
    }
}
