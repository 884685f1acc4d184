//! `audit tail -f` of the real binary: a server that goes away and comes back costs no record and doubles none.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Output, Stdio},
};

use serde_json::Value;

use crate::support::binary::{Serving, command, secret_file, stderr, vault};

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

fn as_owner(folder: &Path, server: &Serving, args: &[&str]) -> Output {
    command(folder, args)
        .env("SFP_SERVER_URL", &server.url)
        .env("SFP_SERVER_TOKEN_FILE", "owner.token")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn dev() -> (tempfile::TempDir, Serving) {
    let folder = tempfile::tempdir().unwrap();
    let server = Serving::start(folder.path(), &["serve", "--dev", "--json", "--listen", "127.0.0.1:0"]);
    let said: Value = serde_json::from_str(&server.said).unwrap();
    secret_file(folder.path(), "owner.token", said["owner_token"].as_str().unwrap(), 0o600);
    (folder, server)
}

/// `-n 0` is how `tail` is asked for what comes from now on; it was refused.
#[test]
fn a_tail_of_no_records_begins_with_what_comes() {
    let (folder, server) = dev();
    let folder = folder.path();
    for args in [&["-n", "0"][..], &["--lines", "0", "--json"]] {
        let output = as_owner(folder, &server, &[&["audit", "tail"], args].concat());
        assert!(output.status.success() && output.stdout.is_empty(), "{args:?}: {}", stderr(&output));
    }
    let newest = as_owner(folder, &server, &["audit", "list", "--limit", "1", "--json"]);
    let newest: Value =
        serde_json::from_slice(newest.stdout.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    let newest = newest[0]["sequence"].as_u64().unwrap();
    for json in [&[][..], &["--json"]] {
        let mut tail = command(folder, &[&["audit", "tail", "-f", "-n", "0"], json].concat());
        let mut tail = tail
            .env("SFP_SERVER_URL", &server.url)
            .env("SFP_SERVER_TOKEN_FILE", "owner.token")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let first = BufReader::new(tail.stdout.take().unwrap()).lines().next().unwrap().unwrap();
        tail.kill().unwrap();
        tail.wait().unwrap();
        let digits = first.trim_start_matches(r#"{"v":1,"sequence":"#);
        let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
        assert!(digits.parse::<u64>().unwrap() > newest, "{first}");
    }
    let output = as_owner(folder, &server, &["audit", "tail", "-n", "1001"]);
    assert_eq!(output.status.code(), Some(2));
}

/// A shipper's cursor was ahead of a log that came from an older backup: it waited for the log to reach it, and shipped
/// nothing of what was recorded until then.
#[test]
fn a_cursor_ahead_of_the_log_never_passes_over_records() {
    let (folder, server) = dev();
    let folder = folder.path();
    for follow in [&[][..], &["-f"], &["-f", "--json"], &["-n", "0"]] {
        fs::write(folder.join("cursor"), "9999\n").unwrap();
        let output =
            as_owner(folder, &server, &[&["audit", "tail", "--cursor-file", "cursor"], follow].concat());
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{follow:?}: {said}");
        assert!(said.contains("the cursor is at record 9999, and this log ends at record "), "{said}");
        assert_eq!(fs::read_to_string(folder.join("cursor")).unwrap(), "9999\n", "it is left as it was");
    }
    fs::write(folder.join("cursor"), "0\n").unwrap();
    for _ in 0..2 {
        let output = as_owner(folder, &server, &["audit", "tail", "--cursor-file", "cursor"]);
        assert!(output.status.success(), "{}", stderr(&output));
    }
}

/// An export of a range with nothing in it said "0 bytes" and no word more.
#[test]
fn an_export_to_a_file_never_hides_that_it_holds_no_record() {
    let (folder, server) = dev();
    let folder = folder.path();
    for (args, heading) in [
        (&[][..], 0),
        (&["--from-sequence", "2"], 0),
        (&["--format", "csv"], 1),
        (&["--to", "2020-01-01T00:00:00Z"], 0),
        (&["--to", "2020-01-01T00:00:00Z", "--format", "csv"], 1),
        (&["--from", "2100-01-01T00:00:00Z"], 0),
        (&["--from-sequence", "9999"], 0),
    ] {
        let export = [&["audit", "export", "--output", "export"], args].concat();
        let output = as_owner(folder, &server, &export);
        let text = fs::read_to_string(folder.join("export")).unwrap();
        let (count, bytes) = (text.lines().count() - heading, text.len());
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(said, format!("wrote export, {count} records, {bytes} bytes\n"), "{args:?}");
        assert_eq!(stderr(&output).contains("warning: no record is in this range"), count == 0, "{args:?}");
        assert_eq!(
            count == 0,
            args.iter().any(|arg| arg.starts_with('2') && arg.len() > 1 || *arg == "9999")
        );
        let output = as_owner(folder, &server, &[&export[..], &["--json"]].concat());
        let (said, text) = (output.stdout, fs::read_to_string(folder.join("export")).unwrap());
        let said: Value = serde_json::from_slice(&said).unwrap();
        assert_eq!(
            (said["bytes"].as_u64(), said["records"].as_u64()),
            (Some(text.len() as u64), Some((text.lines().count() - heading) as u64)),
            "{args:?}"
        );
    }
}
