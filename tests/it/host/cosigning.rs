//! A server that asks its witnesses itself: over TLS, to listed hosts alone, and into its checkpoint folder.

use std::{fs, path::Path};

use sealroom::audit::{checkpoint, cosignature::WitnessKey};
use serde_json::Value;

use crate::support::{
    binary::{Serving, sealroom, stderr},
    hooks::{command, kept},
    log::{Log, SERVE, log},
    ports::free_port,
};

/// A host whose server has a certificate, and is a witness of the other's log.
struct Witness {
    log: Log,
    port: u16,
    server: Serving,
}

impl Witness {
    async fn of(key: &str) -> Self {
        let log = log(1).await;
        let folder = log.folder.path();
        let made = sealroom(folder, &["tls", "make", "--name", "localhost", "--dir", "tls"]);
        assert!(made.status.success(), "{}", stderr(&made));
        let port = free_port();
        let server = Self::start(folder, port, key);
        Self { log, port, server }
    }

    fn start(folder: &Path, port: u16, key: &str) -> Serving {
        let listen = format!("127.0.0.1:{port}");
        let args = ["serve", "--json", "--data", "v.redb", "--passphrase-file", "pass", "--listen", &listen];
        let tls = ["--tls-cert", "tls/tls.crt", "--tls-key", "tls/tls.key", "--witness-for", key];
        Serving::start(folder, &[&args[..], &tls].concat())
    }

    /// Its key, as its log shows it at each start.
    fn key(&self) -> String {
        let line: Value = serde_json::from_str(&self.server.logged("this server is a witness")).unwrap();
        line["key"].as_str().unwrap().to_owned()
    }
}

fn config(folder: &Path, witness: &Witness, hosts: &str) {
    let ca = witness.log.folder.path().join("tls/ca.pem");
    let text = format!(
        "[checkpoint]\nfolder = \"kept\"\nevery_secs = 1\n[outgoing]\nenabled = true\nhosts = [\"{hosts}\"]\n\
         ca_file = \"{}\"\n[witness]\npolicy = \"policy\"\n",
        ca.display()
    );
    fs::write(folder.join("config.toml"), text).unwrap();
}

fn serve(folder: &Path) -> Serving {
    Serving::start(folder, &[SERVE, &["--config", "config.toml"]].concat())
}

/// The cosigned checkpoint in the folder, once it has at least this many records.
fn cosigned(folder: &Path, least: u64) -> String {
    for _ in 0..3000 {
        let found = fs::read_dir(folder.join("kept")).unwrap().flatten().map(|entry| entry.path());
        let path = found.into_iter().find(|path| path.to_string_lossy().ends_with(".cosigned.checkpoint"));
        if let Some(note) = path.and_then(|path| fs::read_to_string(path).ok())
            && checkpoint::read_unsigned(&note).unwrap().size >= least
        {
            return note;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!(
        "no cosigned checkpoint of {least} records: {}",
        fs::read_to_string(folder.join("server.log")).unwrap()
    );
}

#[tokio::test]
async fn a_server_keeps_the_newest_checkpoint_that_its_witnesses_cosigned() {
    let own = log(1).await;
    let folder = own.folder.path();
    let key = fs::read_to_string(folder.join("key")).unwrap().trim().to_owned();
    let mut witness = Witness::of(&key).await;
    let verifier: WitnessKey = witness.key().parse().unwrap();
    fs::create_dir(folder.join("kept")).unwrap();
    let url = format!("https://localhost:{}/witness", witness.port);
    fs::write(folder.join("policy"), format!("log {key}\nwitness east {verifier} {url}\nquorum east\n"))
        .unwrap();
    config(folder, &witness, &format!("localhost:{}", witness.port));
    let mut server = serve(folder);
    let first = checkpoint::read_unsigned(&cosigned(folder, own.checkpoint.size)).unwrap().size;
    assert!(server.stop());
    // The next start continues, with a proof, whatever the witness did meanwhile.
    assert!(witness.server.stop());
    let mut server = serve(folder);
    server.logged("a witness did not cosign the checkpoint");
    witness.server = Witness::start(witness.log.folder.path(), witness.port, &key);
    let note = cosigned(folder, first + 1);
    assert!(
        !server.health().contains("witness_"),
        "a witness that was gone for a moment: {}",
        server.health()
    );
    let now = sealroom::clock::Clock::system().now();
    assert!(verifier.cosigned(&note, now).unwrap().is_some(), "{note}");
    let verify = ["audit", "verify", "v.redb", "--checkpoint", "kept", "--policy", "policy"];
    let verified = sealroom(folder, &verify);
    assert!(verified.status.success(), "{}", stderr(&verified));
    assert!(server.stop());

    // Another host's file in the place of this one's newest: an older copy, which the witness knows.
    fs::copy(folder.join("v.redb"), folder.join("yesterday.redb")).unwrap();
    let mut server = serve(folder);
    cosigned(folder, checkpoint::read_unsigned(&note).unwrap().size + 1);
    assert!(server.stop());
    fs::copy(folder.join("yesterday.redb"), folder.join("v.redb")).unwrap();
    for entry in fs::read_dir(folder.join("kept")).unwrap().flatten() {
        fs::remove_file(entry.path()).unwrap();
    }
    let notices = folder.join("notices");
    fs::create_dir(&notices).unwrap();
    let program = command(&notices, "");
    let text = fs::read_to_string(folder.join("config.toml")).unwrap();
    fs::write(folder.join("config.toml"), format!("{text}[notify]\ncommand = [{program:?}]\n")).unwrap();
    let mut server = serve(folder);
    server.logged("a witness refuses this log: ");
    // Loud in each place where an operator looks.
    assert_eq!(kept(&notices, "witness.refused")["data"]["count"], 1);
    let metrics = server.get("/metrics");
    assert!(metrics.contains("\nsealroom_witness_refused 1\n"), "{metrics}");
    assert!(metrics.contains("\nsealroom_witness_silent 0\n"), "{metrics}");
    assert!(server.health().contains(r#""witness_refused""#), "{}", server.health());
    assert!(server.stop());
}

#[tokio::test]
async fn no_witness_is_asked_that_the_settings_do_not_list() {
    let own = log(1).await;
    let folder = own.folder.path();
    let key = fs::read_to_string(folder.join("key")).unwrap().trim().to_owned();
    let witness = Witness::of(&key).await;
    let verifier = witness.key();
    fs::create_dir(folder.join("kept")).unwrap();
    let url = format!("https://localhost:{}/witness", witness.port);
    let policy = |url: &str| format!("witness east {verifier} {url}\nquorum east\n");
    let refused = |reason: &str| {
        let output = sealroom(folder, &[SERVE, &["--config", "config.toml"]].concat());
        let said = stderr(&output);
        assert!(!output.status.success() && said.contains(reason), "{reason}: {said}");
    };
    fs::write(folder.join("policy"), policy(&url)).unwrap();
    config(folder, &witness, "api.github.com");
    refused("is not in hosts of [outgoing]");
    config(folder, &witness, &format!("localhost:{}", witness.port));
    fs::write(folder.join("policy"), policy("http://localhost/witness")).unwrap();
    refused("the URL of east is not an https URL");
    fs::write(folder.join("policy"), policy("")).unwrap();
    refused("no witness has a URL");
    fs::write(folder.join("policy"), "quorum\n").unwrap();
    refused("quorum <name>");
    fs::write(folder.join("policy"), policy(&url)).unwrap();
    let text = fs::read_to_string(folder.join("config.toml")).unwrap();
    fs::write(folder.join("config.toml"), text.replace("enabled = true", "enabled = false")).unwrap();
    refused("outgoing calls are off");
    fs::write(folder.join("config.toml"), text.replace("folder = \"kept\"\n", "")).unwrap();
    refused("there is no folder for the cosigned checkpoints");
}
