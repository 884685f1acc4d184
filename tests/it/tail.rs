//! `audit tail -f` of the real binary: a server that goes away and comes back costs no record and doubles none.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
};

use serde_json::Value;

use super::binary::{Serving, command, secret_file, vault};

const SERVE: &[&str] =
    &["serve", "--data", "v.redb", "--passphrase-file", "pass", "--listen", "unix:s.sock", "--json"];

#[tokio::test]
async fn a_follower_takes_up_where_it_was_when_its_server_comes_back() {
    let folder = vault();
    let folder = folder.path();
    let mut server = Serving::start(folder, SERVE);
    let run = |args: &[&str]| {
        let mut command = command(folder, args);
        let output = command
            .env("HOME", folder)
            .env("SFP_SERVER_URL", "unix:s.sock")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    secret_file(folder, "password", &fs::read_to_string(folder.join("owner")).unwrap(), 0o600);
    run(&["login", "--email", "ada@example.com", "--password-file", "password"]);

    let mut tail = command(folder, &["audit", "tail", "-f", "--json", "-n", "1", "--cursor-file", "cursor"]);
    let mut tail = tail
        .env("HOME", folder)
        .env("SFP_SERVER_URL", "unix:s.sock")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    let mut seen = Vec::new();
    let mut until = |action: &str| loop {
        let event = next();
        seen.push(event["sequence"].as_u64().unwrap());
        if event["action"] == action {
            break;
        }
    };
    until("audit.export");
    run(&["project", "register", "acme/app", "https://github.com/acme/app"]);
    until("project.create");
    assert!(server.stop());
    let _server = Serving::start(folder, SERVE);
    run(&["project", "delete", "acme/app", "--yes"]);
    until("project.delete");
    tail.kill().unwrap();
    tail.wait().unwrap();
    let whole: Vec<u64> = (seen[0]..).take(seen.len()).collect();
    assert_eq!(seen, whole, "none is missing and none comes twice");
    let cursor: u64 = fs::read_to_string(folder.join("cursor")).unwrap().trim().parse().unwrap();
    assert!(cursor > seen[0] && seen.len() > 5, "{cursor} {seen:?}");
}
