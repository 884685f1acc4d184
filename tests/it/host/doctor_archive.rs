//! `sealroom doctor --archive`: with the archived events at hand, the replay covers the whole log.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::{
    lab::kills::request,
    support::{
        binary::{Serving, sealroom, stderr, vault},
        memory_disk::{Bytes, edit},
    },
};

const SERVE: &[&str] =
    &["serve", "--json", "--data", "v.redb", "--listen", "127.0.0.1:0", "--passphrase-file", "pass"];

/// A vault whose first events are in the archives `one` and `two`.
fn archived() -> tempfile::TempDir {
    let folder = vault();
    let path = folder.path();
    let server = Serving::start(path, SERVE);
    let password = fs::read_to_string(path.join("owner")).unwrap();
    let call = |method: &str, path: &str, bearer: &str, body: Value| {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, _, body) = request(server.address(), method, path, bearer, &body).unwrap();
        assert!(status < 300, "{method} {path}: {status} {body}");
        body
    };
    let login = json!({ "email": "ada@example.com", "password": password });
    let session = call("POST", "/sfp/api/auth/login", "", login)["access_token"].as_str().unwrap().to_owned();
    for project in ["acme/app", "acme/old"] {
        call("POST", "/sfp/api/projects", &session, json!({ "identifier": project }));
    }
    let new = json!({ "provider": "github", "authType": "pat", "credentials": { "token": "ghp_example" },
                      "projects": ["acme/app"] });
    call("POST", "/sfp/api/integrations", &session, new);
    call("DELETE", "/sfp/api/projects/acme%2Fold", &session, Value::Null);
    for (name, count) in [("one", 300), ("two", 600)] {
        for _ in 0..count {
            call("GET", "/sfp/api/audit?limit=1", &session, Value::Null);
        }
        let archive = ["audit", "archive", "--before", "2100-01-01", "--data", "v.redb", "--to", name];
        let done = sealroom(path, &archive);
        assert!(done.status.success(), "{}", stderr(&done));
    }
    drop(server);
    folder
}

fn replay(folder: &Path, archives: &[&str]) -> (String, String) {
    let archives = archives.iter().flat_map(|archive| ["--archive", archive]);
    let args = ["doctor", "v.redb", "--json", "--passphrase-file", "pass"].into_iter().chain(archives);
    let done = sealroom(folder, &args.collect::<Vec<_>>());
    let report: Value = serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("{}", stderr(&done)));
    let check = |name: &str| {
        let checks = report["checks"].as_array().unwrap();
        checks.iter().find(|check| check["name"] == name).cloned().unwrap_or_default()
    };
    let archive = check("archive")["message"].as_str().unwrap_or_default().to_owned();
    (archive, check("replay").to_string())
}

#[test]
fn with_the_archived_events_at_hand_nothing_is_judged_as_archived() {
    let folder = archived();
    let path = folder.path();
    let (archive, told) = replay(path, &[]);
    assert!(archive.is_empty() && told.contains("ok (archived)"), "{told}");
    for order in [["one", "two"], ["two", "one"]] {
        let (archive, told) = replay(path, &order);
        assert!(archive.ends_with("records in 2 archives, whole"), "{archive}");
        assert!(told.contains(r#""status":"ok""#) && !told.contains("archived"), "{told}");
    }
    // An effect that is missing is seen only with the event that had it.
    let image = fs::read(path.join("v.redb")).unwrap();
    let removed = edit(&image, |txn| {
        txn.open_table(Bytes::new("projects")).unwrap().remove(&b"acme/app"[..]).unwrap();
    });
    fs::write(path.join("v.redb"), removed).unwrap();
    let (_, told) = replay(path, &[]);
    assert!(told.contains(r#""status":"ok""#), "{told}");
    let (_, told) = replay(path, &["one", "two"]);
    assert!(told.contains("projects acme/app: not there, though record"), "{told}");
}

#[test]
fn an_archive_that_is_not_one_of_this_log_cannot_explain_a_row() {
    let folder = archived();
    let path = folder.path();
    let one = fs::read_to_string(path.join("one")).unwrap();
    let lines: Vec<&str> = one.split_inclusive('\n').collect();
    let last = lines.len() - 2;
    let write = |name: &str, text: String| fs::write(path.join(name), text).unwrap();
    write("changed", one.replacen("project.create", "project.delete", 1));
    write("truncated", lines[..lines.len() - 1].concat());
    write("cut", one[..one.len() - 1].to_owned());
    write("gapped", [&lines[..7], &lines[8..]].concat().concat());
    write("swapped", [&lines[..7], &[lines[8], lines[7]], &lines[9..]].concat().concat());
    write("text", "no archive\n".to_owned());
    write("empty", String::new());
    let other = archived();
    fs::copy(other.path().join("one"), path.join("foreign")).unwrap();
    for (archives, message) in [
        (&["one"][..], "are in none of the archives"),
        (&["two"], "the records 0 to "),
        (&["changed", "two"], "changed: its records are not those of this vault's log"),
        (&["truncated", "two"], &*format!("truncated: record {last} is missing")),
        (&["cut", "two"], &*format!("cut: record {last} is missing or damaged")),
        (&["gapped", "two"], "gapped: record 6 is missing or damaged"),
        (&["swapped", "two"], "swapped: record 6 is missing or damaged"),
        (&["text"], "text is no archive"),
        (&["empty"], "empty is no archive"),
        (&["v.redb"], "v.redb is no archive"),
        (&["nowhere"], "nowhere: No such file"),
        (&["foreign", "two"], "foreign is an archive of sealroom/"),
    ] {
        let flags = archives.iter().flat_map(|archive| ["--archive", archive]);
        let args = ["doctor", "v.redb", "--passphrase-file", "pass"].into_iter().chain(flags);
        let done = sealroom(path, &args.collect::<Vec<_>>());
        assert_eq!(done.status.code(), Some(1), "{archives:?}");
        assert!(stderr(&done).contains(message) && done.stdout.is_empty(), "{archives:?}: {}", stderr(&done));
    }
    let server = Serving::start(path, SERVE);
    let served = sealroom(path, &["doctor", "v.redb", "--archive", "one", "--archive", "two"]);
    assert!(stderr(&served).contains("examine a backup"), "{}", stderr(&served));
    drop(server);
}
