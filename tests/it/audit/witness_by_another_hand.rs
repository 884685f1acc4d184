//! The witness and the log's client in Python, written from the C2SP specifications alone: they agree with each other,
//! with our checkpoints, with our witness, and with what our logs ask of one.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use crate::support::{
    binary::{Serving, command, ended, secret_file, stderr, vault},
    log::{SERVE, log},
};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/witness.py");

fn python(folder: &Path, args: &[&str]) -> Command {
    let mut python = Command::new("python3");
    python.current_dir(folder).env("PYTHONDONTWRITEBYTECODE", "1").arg(SCRIPT).args(args);
    python
}

fn run(folder: &Path, args: &[&str]) -> (Option<i32>, String) {
    let output: Output = python(folder, args).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output))
}

fn is_ready() -> bool {
    let ready = Command::new("python3").args(["-c", "import cryptography"]).output();
    let is_ready = ready.is_ok_and(|output| output.status.success());
    if !is_ready {
        eprintln!("skipped: python3 with the package cryptography is not installed");
    }
    is_ready
}

/// The Python witness as a process; killed at its end.
struct Witness {
    child: Child,
    url: String,
}

impl Witness {
    fn start(folder: &Path, log: &str) -> Self {
        let args = ["serve", "0", "witness.key", log, "witness.state"];
        let mut child = python(folder, &args).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.split(' ').next().unwrap().to_owned();
        Self { child, url }
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Makes a key in `<name>.key`, and returns its verifier key.
fn key(folder: &Path, kind: &str, name: &str) -> String {
    let (code, said) = run(folder, &["key", kind, name, &format!("{}.key", name.replace('/', "-"))]);
    assert_eq!(code, Some(0), "{said}");
    said.trim().to_owned()
}

#[test]
fn a_log_and_a_witness_of_the_specifications_agree_also_after_the_witness_was_killed() {
    if !is_ready() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (log, own) = (key(folder, "log", "log"), key(folder, "witness", "witness"));
    for run_again in [false, true] {
        let witness = Witness::start(folder, &format!("log={log}"));
        let (code, said) = run(folder, &["ask", &witness.url, "log.key", &own, "log.state"]);
        assert!(code == Some(0) && said.ends_with("ok: it is a witness\n"), "{said}");
        assert_eq!(said.contains("it remembers the log's size"), run_again, "{said}");
        assert!(said.lines().count() > 50, "{said}");
    }
    // The verifier takes the note that the witness gives to monitors, and none that lacks a signature.
    let state: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("witness.state")).unwrap()).unwrap();
    let note = state["log"]["note"].as_str().unwrap();
    let lines: Vec<&str> = note.lines().collect();
    let without = |at: usize| {
        let kept = lines.iter().enumerate().filter(|(line, _)| *line != at).map(|(_, line)| *line);
        kept.collect::<Vec<_>>().join("\n") + "\n"
    };
    for (text, need, code) in [
        (note.to_owned(), "1", 0),
        (note.to_owned(), "2", 1),
        (without(4), "0", 1),
        (without(5), "1", 1),
        (without(5), "0", 0),
        (note.replacen("log\n", "lag\n", 1), "0", 1),
    ] {
        fs::write(folder.join("note"), &text).unwrap();
        let (found, said) = run(folder, &["verify", "note", &log, &own, "--need", need]);
        assert_eq!(found, Some(code), "{need} of {text}: {said}");
    }
}

/// A witness that forgets what it signed, or that signs whatever comes, is found out.
#[test]
fn a_witness_that_forgets_is_found_out() {
    if !is_ready() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (log, own) = (key(folder, "log", "log"), key(folder, "witness", "witness"));
    let ask = |url: &str| run(folder, &["ask", url, "log.key", &own, "log.state"]);
    {
        let witness = Witness::start(folder, &format!("log={log}"));
        assert_eq!(ask(&witness.url).0, Some(0));
    }
    fs::remove_file(folder.join("witness.state")).unwrap();
    let witness = Witness::start(folder, &format!("log={log}"));
    let (code, said) = ask(&witness.url);
    assert!(code == Some(1) && said.contains("BAD: conflict: it remembers the log's size"), "{said}");
}

#[tokio::test]
async fn a_checkpoint_of_ours_is_one_by_the_specifications() {
    if !is_ready() {
        return;
    }
    let log = log(3).await;
    let folder = log.folder.path();
    let vkey = fs::read_to_string(folder.join("key")).unwrap();
    let (code, said) = run(folder, &["verify", "note", vkey.trim()]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&format!(": {} records, root ", log.checkpoint.size)), "{said}");
    assert!(said.contains("the log sealroom/") && said.ends_with("ok: 0 witnesses\n"), "{said}");
}

/// Twice: the second run shows what our witness remembers after it was killed.
#[test]
fn our_witness_keeps_every_rule_that_the_client_of_the_specifications_tries() {
    if !is_ready() {
        return;
    }
    let folder = vault();
    let folder = folder.path();
    let log = format!("log={}", key(folder, "log", "log"));
    for run_again in [false, true] {
        let mut server = Serving::start(folder, &[SERVE, &["--witness-for", &log]].concat());
        let answer = server.get("/witness/key");
        let own = answer.split("\r\n\r\n").nth(1).unwrap().trim();
        let url = format!("{}/witness", server.url);
        let (code, said) = run(folder, &["ask", &url, "log.key", own, "log.state"]);
        assert!(code == Some(0) && said.ends_with("ok: it is a witness\n"), "{said}");
        assert_eq!(said.contains("it remembers the log's size"), run_again, "{said}");
        server.child.kill().unwrap();
        server.child.wait().unwrap();
    }
}

#[tokio::test]
async fn a_witness_of_the_specifications_cosigns_our_log_as_it_grows() {
    if !is_ready() {
        return;
    }
    let log = log(1).await;
    let folder = log.folder.path();
    let own = fs::read_to_string(folder.join("key")).unwrap().trim().to_owned();
    let of_witness = key(folder, "witness", "witness");
    let witness = Witness::start(folder, &format!("{}={own}", own.split('+').next().unwrap()));
    let policy = format!("log {own}\nwitness other {of_witness} {}\nquorum other\n", witness.url);
    fs::write(folder.join("policy"), policy).unwrap();
    let mut server = Serving::start(folder, SERVE);
    let good = |args: &[&str]| {
        let mut command = command(folder, args);
        command.env("SFP_SERVER_URL", &server.url).env("HOME", folder).stdout(Stdio::piped());
        let output = ended(&mut command);
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    };
    secret_file(folder, "password", &fs::read_to_string(folder.join("owner")).unwrap(), 0o600);
    good(&["login", "--email", "ada@example.com", "--password-file", "password"]);
    for _ in 0..3 {
        good(&["audit", "cosign", "--policy", "policy", "--to", "kept.checkpoint"]);
        let (code, said) = run(folder, &["verify", "kept.checkpoint", &own, &of_witness, "--need", "1"]);
        assert_eq!(code, Some(0), "{said}");
        good(&["user", "list"]);
    }
    let mut verify = command(
        folder,
        &["audit", "verify", "v.redb", "--checkpoint", "kept.checkpoint", "--policy", "policy"],
    );
    assert!(server.stop());
    let verified = ended(verify.stdout(Stdio::piped()));
    assert!(verified.status.success(), "{}", stderr(&verified));
}
