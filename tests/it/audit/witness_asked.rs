//! `audit cosign` and witnesses that do not behave: each is passed over with its reason, and what is kept satisfies the
//! policy at any time.

use std::{fs, net::TcpListener, path::Path, process::Output};

use sealroom::{
    audit::{
        checkpoint,
        cosignature::{WitnessKey, cosign},
    },
    crypto::sign::LogKey,
    domain::Timestamp,
};
use serde_json::Value;

use crate::support::{
    binary::{Serving, command, dev, ended, sealroom, stderr},
    fake::{Fake, Reply},
};

/// A server with a log of its own, and the folder of its owner.
struct Asker {
    home: tempfile::TempDir,
    server: Serving,
}

impl Asker {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let (server, _) = dev(home.path(), &[("owner.token", "owner_token")]);
        let asker = Self { home, server };
        let key = asker.run(&["audit", "key"]);
        fs::write(asker.folder().join("key"), &key.stdout).unwrap();
        asker
    }

    fn folder(&self) -> &Path {
        self.home.path()
    }

    fn run(&self, args: &[&str]) -> Output {
        run(self.folder(), &self.server.url, args)
    }

    fn cosign(&self, policy: &str, more: &[&str]) -> Output {
        fs::write(self.folder().join("policy"), policy).unwrap();
        self.run(&[&["audit", "cosign", "--policy", "policy"], more].concat())
    }
}

/// Runs a command as the owner.
fn run(folder: &Path, url: &str, args: &[&str]) -> Output {
    let mut command = command(folder, args);
    command.args(["--server", url, "--token-file", "owner.token"]);
    ended(command.env("HOME", folder).stdout(std::process::Stdio::piped()))
}

fn witness() -> (LogKey, WitnessKey) {
    let key = LogKey::generate().unwrap();
    let verifier = WitnessKey::new("example.com/witness", key.public());
    (key, verifier)
}

fn text(body: String) -> Reply {
    Reply::Http(200, vec![("content-type", "text/plain".to_owned())], body)
}

/// An answer that a liar gives without having read the checkpoint.
fn line_on_another(key: &LogKey, verifier: &WitnessKey) -> String {
    let other = checkpoint::note("example.com/log", 41, &[7; 32], &[], &[key]);
    let signed = &other[..=other.find("\n\n").unwrap()];
    cosign(signed, verifier.name(), key, Timestamp::from_millis(1_700_000_000_000))
}

#[test]
fn a_witness_that_lies_or_breaks_off_is_never_counted_and_never_crashes_the_command() {
    let asker = Asker::new();
    let (key, verifier) = witness();
    let (other, _) = witness();
    let forged = line_on_another(&key, &verifier);
    let size =
        |text: &str| Reply::Http(409, vec![("content-type", "text/x.tlog.size".to_owned())], text.to_owned());
    let stranger = cosign("x\n1\nx\n", "example.com/stranger", &other, Timestamp::from_millis(1));
    let cases: Vec<(&str, Reply, &str)> = vec![
        ("a signature of another checkpoint", text(forged), "no signature of its key"),
        ("a signature of another key", text(stranger), "no signature of its key"),
        ("nothing", text(String::new()), "no signature of its key"),
        ("a page", text("<html>hello</html>".to_owned()), "no signature of its key"),
        ("more than any witness says", text("x".repeat(100_000)), "not like"),
        ("a size that is none", size("many\n"), "without the size"),
        ("a size with a sign", size("+1\n"), "without the size"),
        ("a size of another type", Reply::json(409, "1\n"), "without the size"),
        ("a larger size", size("1000000\n"), "an older copy of the vault is served"),
        ("the same size for ever", size("1\n"), "changes with each answer"),
        ("a foreign log", Reply::json(404, "{}"), "does not know this log"),
        ("a foreign key", Reply::json(403, "{}"), "does not trust the log's key"),
        ("another history", Reply::json(422, "{}"), "another history of this log"),
        ("a failure", Reply::json(500, "\u{1b}[31mred"), "it answers 500"),
        (
            "a redirect",
            Reply::json(302, "").with("location", "https://elsewhere.example.com"),
            "it answers 302",
        ),
        ("a hangup", Reply::Hangup, "closed before an answer"),
    ];
    for (said, reply, reason) in cases {
        let fake = Fake::start(move |_, _| reply.clone());
        let policy = format!("witness w {verifier} {}/w\nquorum w\n", fake.url);
        let output = asker.cosign(&policy, &["--to", "kept.checkpoint"]);
        let shown = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}: {shown}");
        assert!(shown.contains("the witness w:") && shown.contains(reason), "{said}: {shown}");
        assert!(shown.contains("fewer witnesses than the policy needs"), "{said}: {shown}");
        assert!(!shown.contains('\u{1b}'), "{said}: {shown:?}");
        assert!(!asker.folder().join("kept.checkpoint").exists(), "{said}");
        assert!(
            fake.asked().len() <= 3 && fake.asked().iter().all(|asked| asked == "POST /w/add-checkpoint"),
            "{said}"
        );
    }
}

/// The server and a timer ask one witness: the slower one was told that an older copy of the vault is served.
#[test]
fn a_witness_that_another_asker_brought_ahead_meanwhile_accuses_nobody() {
    let asker = Asker::new();
    let (_, verifier) = witness();
    // Not the asker itself: a fake outlives the test, and would keep the server.
    let (folder, url) = (asker.folder().to_owned(), asker.server.url.clone());
    // The log grows while the witness is asked, and it has cosigned what it is by then, or more than it is.
    let cosigned = move |more: u64| {
        for _ in 0..3 {
            assert!(run(&folder, &url, &["audit", "list"]).status.success());
        }
        let note = String::from_utf8(run(&folder, &url, &["audit", "checkpoint"]).stdout).unwrap();
        let size: u64 = note.lines().nth(1).unwrap().parse().unwrap();
        Reply::Http(409, vec![("content-type", "text/x.tlog.size".to_owned())], format!("{}\n", size + more))
    };
    for (more, reason, other_reason) in [
        (0, "asked it meanwhile", "an older copy of the vault"),
        (1_000_000, "an older copy of the vault is served", "asked it meanwhile"),
    ] {
        let cosigned = cosigned.clone();
        let fake = Fake::start(move |_, _| cosigned(more));
        let output = asker.cosign(&format!("witness w {verifier} {}/w\nquorum w\n", fake.url), &[]);
        let shown = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{shown}");
        assert!(shown.contains(reason) && !shown.contains(other_reason), "{more}: {shown}");
    }
}

#[test]
fn a_witness_that_is_gone_or_never_answers_costs_a_bounded_time_and_no_other_one() {
    let asker = Asker::new();
    // A server of its own, which knows the log of the first.
    let witness_home = tempfile::tempdir().unwrap();
    let log = fs::read_to_string(asker.folder().join("key")).unwrap();
    let args = ["serve", "--dev", "--json", "--listen", "127.0.0.1:0", "--witness-for", log.trim()];
    let good = Serving::start(witness_home.path(), &args);
    let key = good.get("/witness/key").split("\r\n\r\n").nth(1).unwrap().trim().to_owned();
    // The kernel accepts for it, and nobody reads.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_url = format!("http://{}/w", silent.local_addr().unwrap());
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed_url = format!("http://{}/w", closed.local_addr().unwrap());
    drop(closed);
    let [silent_key, closed_key] = ["example.com/silent", "example.com/closed"]
        .map(|name| WitnessKey::new(name, LogKey::generate().unwrap().public()));
    let witnesses = format!(
        "witness silent {silent_key} {silent_url}\nwitness good {key} {}/witness\nwitness closed {closed_key} {closed_url}\n\
         witness offline {}\n",
        good.url,
        WitnessKey::new("example.com/offline", LogKey::generate().unwrap().public()),
    );
    let policy = witnesses.clone() + "group any any silent good closed offline\nquorum any\n";
    let output = asker.cosign(&policy, &["--to", "kept.checkpoint", "--json"]);
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown["cosigned"][0]["witness"], "good", "{shown}");
    assert_eq!(shown["failed"].as_array().unwrap().len(), 2, "{shown}");
    assert!(said.contains("silent: it did not answer within 10 seconds"), "{said}");
    let kept = fs::read(asker.folder().join("kept.checkpoint")).unwrap();
    // Two are needed: the file that is kept stays as it is.
    let policy = witnesses + "group two 2 silent good closed offline\nquorum two\n";
    let output = asker.cosign(&policy, &["--to", "kept.checkpoint"]);
    let said = stderr(&output);
    assert!(said.contains("cosigned by good; not by silent, closed, offline"), "{said}");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(fs::read(asker.folder().join("kept.checkpoint")).unwrap(), kept);
}

#[test]
fn a_file_that_is_no_checkpoint_of_this_log_or_a_newer_one_is_never_replaced() {
    let asker = Asker::new();
    let (_, verifier) = witness();
    let policy = format!("witness w {verifier} http://127.0.0.1:9/w\nquorum none\n");
    let foreign = checkpoint::note("example.com/log", 1, &[7; 32], &[], &[&LogKey::generate().unwrap()]);
    let origin =
        fs::read_to_string(asker.folder().join("key")).unwrap().split('+').next().unwrap().to_owned();
    let newer = foreign.replace("example.com/log\n1\n", &format!("{origin}\n1000000\n"));
    for (said, text, reason) in [
        ("a text", "notes of mine\n", "is no checkpoint of this log"),
        ("another log's", &foreign, "is no checkpoint of this log"),
        ("a larger one", &newer, "knows 1000000 records"),
    ] {
        let path = asker.folder().join("kept.checkpoint");
        fs::write(&path, text).unwrap();
        let output = asker.cosign(&policy, &["--to", "kept.checkpoint"]);
        assert!(!output.status.success() && stderr(&output).contains(reason), "{said}: {}", stderr(&output));
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "{said}");
    }
    // In a folder it has a name of its own, beside the server's checkpoint.
    fs::create_dir(asker.folder().join("kept")).unwrap();
    let output = asker.cosign(&policy, &["--to", "kept"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let name = format!("{}.cosigned.checkpoint", origin.replace('/', "-"));
    assert!(asker.folder().join("kept").join(name).exists());
}

#[test]
fn a_policy_that_cannot_be_used_says_what_is_wrong_before_anybody_is_asked() {
    let asker = Asker::new();
    let (_, verifier) = witness();
    let log = fs::read_to_string(asker.folder().join("key")).unwrap();
    let stranger = checkpoint::VerifierKey::new("example.com/log", LogKey::generate().unwrap().public());
    for (policy, reason) in [
        (format!("witness w {verifier} http://127.0.0.1:9/w\n"), "a quorum line is missing"),
        (format!("witness w {verifier}\nquorum w\n"), "no witness has a URL"),
        (format!("witness w {verifier} ftp://127.0.0.1/w\nquorum w\n"), "the URL of the witness w"),
        (
            format!("witness w {verifier} https://ada:example@w.example.com/\nquorum w\n"),
            "the URL of the witness w",
        ),
        (
            format!("log {stranger}\nwitness w {verifier} http://127.0.0.1:9/w\nquorum w\n"),
            "no log line has the key",
        ),
        (
            format!("witness w {} http://127.0.0.1:9/w\nquorum w\n", log.trim()),
            "no verifier key of a witness",
        ),
    ] {
        let said = stderr(&asker.cosign(&policy, &[]));
        assert!(said.contains(reason), "{policy}: {said}");
        assert!(!said.contains("ada"), "{said}");
    }
    let said = stderr(&sealroom(asker.folder(), &["audit", "cosign", "--policy", "missing"]));
    assert!(said.contains("--policy missing"), "{said}");
}
