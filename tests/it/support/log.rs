//! A vault with a log, and its export, checkpoint, key and receipts beside it.

use std::{fs, path::Path, process::Output};

use sealroom::audit::checkpoint::{self, Checkpoint};
use serde_json::json;

use super::{
    binary::{Serving, sealroom, stderr, vault},
    server::Client,
};

/// A vault after a number of reads, with the texts that an outsider may have of it.
pub struct Log {
    pub folder: tempfile::TempDir,
    pub records: Vec<String>,
    pub checkpoint: Checkpoint,
}

pub const SERVE: &[&str] =
    &["serve", "--data", "v.redb", "--passphrase-file", "pass", "--listen", "127.0.0.1:0"];

/// Serves the vault, reads a credential `reads` times, and writes beside it `export`, `note`, `key` and `build.log`.
pub async fn grow(folder: &Path, reads: usize) {
    let mut server = Serving::start(folder, SERVE);
    let mut client = Client::connect(server.address()).await;
    let password = fs::read_to_string(folder.join("owner")).unwrap();
    let login = json!({"email":"ada@example.com","password":password}).to_string();
    let login = client.send("POST", "/sfp/api/auth/login", "", &login).await.unwrap();
    let owner = login.json()["access_token"].as_str().unwrap().to_owned();
    let body =
        r#"{"provider":"github","authType":"pat","credentials":{"token":"ghp_example"},"isGlobal":true}"#;
    client.send("POST", "/sfp/api/integrations", &owner, body).await.unwrap();
    let mut build_log = String::from("step 1\n");
    for _ in 0..reads {
        let path = "/sfp/api/integrations/credentials?provider=github";
        let read = client.send("GET", path, &owner, "").await.unwrap();
        build_log += &format!("12:00:01 < audit-receipt: {}\r\n", read.header("audit-receipt").unwrap());
    }
    fs::write(folder.join("build.log"), build_log + "done\n").unwrap();
    for (name, path) in [("key", "key"), ("note", "checkpoint"), ("export", "export")] {
        let reply = client.send("GET", &format!("/sfp/api/audit/{path}"), &owner, "").await.unwrap();
        fs::write(folder.join(name), reply.body).unwrap();
    }
    assert!(server.stop());
}

pub async fn log(reads: usize) -> Log {
    let folder = vault();
    grow(folder.path(), reads).await;
    let export = fs::read_to_string(folder.path().join("export")).unwrap();
    let note = fs::read_to_string(folder.path().join("note")).unwrap();
    let checkpoint = checkpoint::read_unsigned(&note).unwrap();
    Log { records: export.lines().map(str::to_owned).collect(), checkpoint, folder }
}

impl Log {
    pub fn verify(&self, args: &[&str]) -> Output {
        sealroom(self.folder.path(), &[&["audit", "verify"], args].concat())
    }

    pub fn said(&self, args: &[&str]) -> String {
        let output = self.verify(args);
        String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output)
    }
}
