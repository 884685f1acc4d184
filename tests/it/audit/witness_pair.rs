//! Two hosts in one building, each the other's witness, and what they find out about each other.

use std::{fs, path::Path, process::Output};

use sealroom::audit::{checkpoint, cosignature::WitnessKey};
use serde_json::Value;

use crate::support::{
    binary::{Serving, command, ended, sealroom, secret_file, stderr},
    log::{Log, SERVE, log},
};

/// A host: its vault, and what it knows of the other one.
struct Host {
    log: Log,
    key: String,
    other: String,
    server: Option<Serving>,
}

impl Host {
    async fn pair() -> [Self; 2] {
        let logs = [log(1).await, log(2).await];
        let keys = [0, 1].map(|at: usize| {
            fs::read_to_string(logs[at].folder.path().join("key")).unwrap().trim().to_owned()
        });
        let mut at = 0;
        logs.map(|log| {
            let host = Self { log, key: keys[at].clone(), other: keys[1 - at].clone(), server: None };
            at += 1;
            host
        })
    }

    fn folder(&self) -> &Path {
        self.log.folder.path()
    }

    /// Serves, with the other one's log after its origin, and logs the owner in.
    fn start(&mut self) {
        let origin = self.other.split('+').next().unwrap();
        let witness = format!("{origin}={}", self.other);
        self.server = Some(Serving::start(self.folder(), &[SERVE, &["--witness-for", &witness]].concat()));
        let password = fs::read_to_string(self.folder().join("owner")).unwrap();
        secret_file(self.folder(), "password", &password, 0o600);
        self.good(&["login", "--email", "ada@example.com", "--password-file", "password"]);
    }

    fn stop(&mut self) {
        assert!(self.server.take().unwrap().stop());
    }

    fn url(&self) -> String {
        format!("{}/witness", self.server.as_ref().unwrap().url)
    }

    fn witness_key(&self) -> String {
        let answer = self.server.as_ref().unwrap().get("/witness/key");
        let key = answer.split("\r\n\r\n").nth(1).unwrap().trim().to_owned();
        assert!(key.parse::<WitnessKey>().is_ok(), "{answer}");
        key
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = command(self.folder(), args);
        if let Some(server) = &self.server {
            command.env("SFP_SERVER_URL", &server.url);
        }
        ended(command.env("HOME", self.folder()).stdout(std::process::Stdio::piped()))
    }

    fn good(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Writes the policy by which this one's log needs the other as its witness.
    fn trusts(&self, other: &Self) {
        let policy = format!(
            "log {}\nwitness other {} {}\nquorum other\n",
            self.key,
            other.witness_key(),
            other.url()
        );
        fs::write(self.folder().join("policy"), policy).unwrap();
    }

    fn cosign(&self, more: &[&str]) -> Output {
        self.run(&[&["audit", "cosign", "--policy", "policy"], more].concat())
    }

    fn size(&self) -> u64 {
        checkpoint::read_unsigned(&self.good(&["audit", "checkpoint"])).unwrap().size
    }
}

const TO: &[&str] = &["--to", "kept.checkpoint"];
const VERIFY: &[&str] =
    &["audit", "verify", "v.redb", "--checkpoint", "kept.checkpoint", "--policy", "policy"];

#[tokio::test]
async fn two_hosts_vouch_for_each_other_and_anybody_can_verify_it() {
    let mut hosts = Host::pair().await;
    hosts.iter_mut().for_each(Host::start);
    let [one, two] = &hosts;
    one.trusts(two);
    two.trusts(one);
    for _ in 0..3 {
        for host in [one, two] {
            let output = host.cosign(TO);
            assert!(output.status.success(), "{}", stderr(&output));
            let said = String::from_utf8(output.stdout).unwrap();
            assert!(said.contains("cosigned by other"), "{said}");
        }
    }
    // By the file that a server holds, by its export, and with the key of the policy alone.
    one.good(&["audit", "export", "--output", "export.ndjson"]);
    for file in ["v.redb", "export.ndjson"] {
        let said = one.good(&[
            "audit",
            "verify",
            file,
            "--checkpoint",
            "kept.checkpoint",
            "--policy",
            "policy",
            "--strict",
        ]);
        assert!(said.starts_with("ok: ") && said.contains("rests on: the witnesses of its first "), "{said}");
        let json = one.good(&[
            "audit",
            "verify",
            file,
            "--checkpoint",
            "kept.checkpoint",
            "--policy",
            "policy",
            "--json",
        ]);
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["witnessed"]["by"][0]["witness"], "other", "{json}");
        assert_eq!((&json["proven"], &json["ok"]), (&true.into(), &true.into()));
    }
    // The same checkpoint without the witness's line, with another's, and with a policy that needs more.
    let kept = fs::read_to_string(one.folder().join("kept.checkpoint")).unwrap();
    let bare: String =
        kept.lines().filter(|line| !line.contains("/witness ")).map(|line| format!("{line}\n")).collect();
    assert_ne!(bare, kept);
    for (text, reason) in [
        (bare, "no witness of the policy vouches"),
        (kept.replace("/witness ", "/witnes "), "no witness of the policy vouches"),
        (two.good(&["audit", "checkpoint"]), "belong"),
    ] {
        fs::write(one.folder().join("other.checkpoint"), text).unwrap();
        let output =
            one.run(&["audit", "verify", "v.redb", "--checkpoint", "other.checkpoint", "--policy", "policy"]);
        let said = stderr(&output);
        assert!(output.status.code() == Some(1) && said.contains(reason), "{reason}: {said}");
    }
    let witness = two.witness_key();
    let third = WitnessKey::new("example.com/third", [9; 32]);
    let both =
        format!("witness other {witness}\nwitness third {third}\ngroup both all other third\nquorum both\n");
    fs::write(one.folder().join("both"), both).unwrap();
    let both =
        ["audit", "verify", "v.redb", "--key", "key", "--checkpoint", "kept.checkpoint", "--policy", "both"];
    let said = stderr(&one.run(&both));
    assert!(said.contains("only other vouches") && said.contains("missing: third"), "{said}");
    // A policy says nothing without the log's own key.
    let none = ["audit", "verify", "v.redb", "--checkpoint", "kept.checkpoint", "--policy", "both"];
    let output = one.run(&none);
    assert!(output.status.code() == Some(2) && stderr(&output).contains("--key"), "{}", stderr(&output));
    hosts.iter_mut().for_each(Host::stop);
    for host in &hosts {
        // A stopped host's file, by whoever has it.
        let said = host.good(VERIFY);
        assert!(said.contains("rests on: the witnesses of its first "), "{said}");
    }
}

/// The reason for all of it: whoever holds a host, its key and its disk can take nothing back that the other one saw.
#[tokio::test]
async fn a_log_that_was_rolled_back_or_forked_on_one_host_is_found_out_by_the_other() {
    let mut hosts = Host::pair().await;
    hosts.iter_mut().for_each(Host::start);
    hosts[0].trusts(&hosts[1]);
    let output = hosts[0].cosign(TO);
    assert!(output.status.success(), "{}", stderr(&output));
    hosts[0].stop();
    let folder = hosts[0].folder().to_owned();
    fs::copy(folder.join("v.redb"), folder.join("yesterday.redb")).unwrap();
    hosts[0].start();
    for _ in 0..5 {
        hosts[0].good(&["audit", "list"]);
    }
    let output = hosts[0].cosign(TO);
    assert!(output.status.success(), "{}", stderr(&output));
    let seen =
        checkpoint::read_unsigned(&fs::read_to_string(folder.join("kept.checkpoint")).unwrap()).unwrap().size;
    hosts[0].stop();
    // Yesterday's file comes back, with the log's own key in it.
    fs::copy(folder.join("yesterday.redb"), folder.join("v.redb")).unwrap();
    hosts[0].start();
    let output = hosts[0].cosign(&[]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains(&format!("it has cosigned {seen} records")) && said.contains("an older copy"),
        "{said}"
    );
    let said = stderr(&hosts[0].cosign(TO));
    assert!(said.contains(&format!("knows {seen} records")), "{said}");
    // It grows past what was seen, and is another history all the same.
    while hosts[0].size() <= seen + 3 {
        hosts[0].good(&["audit", "list"]);
    }
    let output = hosts[0].cosign(&[]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("another history of this log"), "{said}");
    hosts[1].server.as_ref().unwrap().logged("does not continue the one that was cosigned last");
    // An auditor who has the cosigned checkpoint sees it without the witness.
    hosts[0].stop();
    assert_eq!(hosts[0].run(VERIFY).status.code(), Some(1));
    let said = sealroom(hosts[1].folder(), &["version"]);
    assert!(said.status.success());
}

#[tokio::test]
async fn a_witness_is_named_by_a_key_of_a_log_and_by_nothing_else() {
    let hosts = Host::pair().await;
    let [one, two] = &hosts;
    let origin = two.key.split('+').next().unwrap();
    for (value, reason) in [
        ("", "is no verifier key"),
        (origin, "is no verifier key"),
        (&*format!("{origin}="), "is no verifier key"),
        (&*format!("{}={}", one.key.split('+').next().unwrap(), two.key), "the key is that of the log"),
        (&*two.key.replace(':', "x").to_uppercase(), "is no verifier key"),
        (&*format!("{},x", two.key), "is no verifier key"),
    ] {
        let output = one.run(&[SERVE, &["--witness-for", value]].concat());
        let said = stderr(&output);
        assert!(
            !output.status.success() && said.contains(reason) && said.contains("--witness-for"),
            "{value}: {said}"
        );
    }
    let said = stderr(&one.run(&[SERVE, &["--witness-for", &one.key]].concat()));
    assert!(said.contains("no host is a witness of itself"), "{said}");
    // A state that is not whole stops the start, before the vault is opened.
    fs::write(one.folder().join("v.redb.witness"), "sealroom witness 1\n").unwrap();
    let before = fs::read(one.folder().join("v.redb")).unwrap();
    let output = one.run(&[SERVE, &["--witness-for", &two.key]].concat());
    let said = stderr(&output);
    assert!(
        !output.status.success() && said.contains("v.redb.witness") && said.contains("move it away"),
        "{said}"
    );
    assert!(fs::read(one.folder().join("v.redb")).unwrap() == before);
}
