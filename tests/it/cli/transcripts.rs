//! The transcripts under `tests/cmd/`: what a user types and sees, of the real binary at a real server.
//!
//! A line that begins with `$ ` is run by bash, with a throw-away server's URL and owner token in the environment; what
//! follows is what it prints on both streams. `[..]` stands for anything within a line, a line `...` for any lines, and
//! `? N` is the exit code where it is not 0. `SEALROOM_UPDATE=1` writes what is really printed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::support::{
    binary::{Serving, dev, secret_file},
    patterns::{all_fit, veiled},
};

/// One command and what it printed.
struct Step {
    command: String,
    expected: Vec<String>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cmd")
}

fn read(text: &str) -> (Vec<String>, Vec<Step>) {
    let (mut head, mut steps) = (Vec::new(), Vec::<Step>::new());
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { command: command.to_owned(), expected: Vec::new() });
        } else if let Some(step) = steps.last_mut() {
            step.expected.push(line.to_owned());
        } else {
            head.push(line.to_owned());
        }
    }
    for step in &mut steps {
        while step.expected.last().is_some_and(|line| line.is_empty()) {
            step.expected.pop();
        }
    }
    (head, steps)
}

struct Stage {
    folder: tempfile::TempDir,
    server: Serving,
    said: Value,
}

impl Stage {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = [
            ("owner.token", "owner_token"),
            ("member.token", "member_token"),
            ("app.token", "application_token"),
            ("owner.password", "owner_password"),
        ];
        let (server, said) = dev(folder.path(), &files);
        secret_file(folder.path(), "github.json", r#"{"token":"ghp_example"}"#, 0o600);
        let jira = r#"{"base_url":"https://acme.atlassian.net","username":"bot@acme.com","api_token":"tok_example"}"#;
        secret_file(folder.path(), "jira.json", jira, 0o600);
        Self { folder, server, said }
    }

    fn run(&self, line: &str) -> Vec<String> {
        let binaries = Path::new(env!("CARGO_BIN_EXE_sealroom")).parent().unwrap();
        let output = Command::new("bash")
            .args(["-c", &format!("exec 2>&1\n{line}")])
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", binaries.display()))
            .env("HOME", self.folder.path())
            .env("TZ", "UTC")
            .env("LC_ALL", "C.UTF-8")
            .env("SFP_SERVER_URL", &self.server.url)
            .env("SFP_SERVER_TOKEN_FILE", "owner.token")
            .env("SEALROOM_CONNECT_WAIT_SECS", "0")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        match output.status.code() {
            Some(0) => {}
            code => lines.push(format!("? {}", code.unwrap_or(-1))),
        }
        while lines.last().is_some_and(|line| line.is_empty()) {
            lines.pop();
        }
        lines
    }

    fn secrets(&self) -> Vec<String> {
        let folder = self.folder.path().display().to_string();
        let own = ["owner_password", "data"].map(|key| self.said[key].as_str().unwrap().to_owned());
        [vec![self.server.url.clone(), self.server.address().to_owned(), folder], own.to_vec()].concat()
    }
}

/// Plays one transcript; what differs comes back as text.
fn play(path: &Path) -> Result<usize, String> {
    let (head, steps) = read(&fs::read_to_string(path).unwrap());
    let stage = Stage::start();
    let update = std::env::var_os("SEALROOM_UPDATE").is_some();
    let mut text: Vec<String> = head;
    let mut wrong = Vec::new();
    for step in &steps {
        let mut lines = stage.run(&step.command);
        // A slow machine shows the progress of what takes two seconds there.
        lines.retain(|line| !is_progress(line));
        assert!(!lines.iter().any(|line| line.contains("panicked")), "{}: {lines:?}", step.command);
        let good = all_fit(&step.expected, &lines);
        if !good {
            let (expected, got) = (step.expected.join("\n"), lines.join("\n"));
            wrong.push(format!(
                "{}\n$ {}\nexpected:\n{expected}\ngot:\n{got}\n",
                path.display(),
                step.command
            ));
        }
        let shown: Vec<String> = if good {
            step.expected.clone()
        } else {
            lines.iter().map(|line| veiled(line, &stage.secrets())).collect()
        };
        text.extend([vec![format!("$ {}", step.command)], shown, vec![String::new()]].concat());
    }
    if update {
        fs::write(path, text.join("\n").trim_end().to_owned() + "\n").unwrap();
        return Ok(steps.len());
    }
    if wrong.is_empty() { Ok(steps.len()) } else { Err(wrong.join("\n")) }
}

pub fn is_progress(line: &str) -> bool {
    let Some((what, done)) = line.split_once(": ") else { return false };
    let is_work =
        ["archiving", "copying", "examining", "verifying", "compacting", "sealing anew", "restoring"]
            .contains(&what);
    is_work && (done.ends_with(" %") || done.ends_with(" bytes"))
}

#[test]
fn every_transcript_is_what_a_user_sees() {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let outcomes: Vec<Result<usize, String>> = std::thread::scope(|scope| {
        let playing: Vec<_> = paths.iter().map(|path| scope.spawn(|| play(path))).collect();
        playing.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let wrong: Vec<&str> =
        outcomes.iter().filter_map(|outcome| outcome.as_ref().err().map(String::as_str)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let steps: usize = outcomes.iter().flatten().sum();
    assert!(steps > 80, "{steps} commands were played");
}
