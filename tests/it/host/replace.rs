//! `sealroom compact` and `sealroom rekey`: what was deleted is gone from the disk, and nothing else is.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    process::Output,
};

use serde_json::{Value, json};

use crate::{
    lab::kills::request,
    support::{
        binary::{INIT, PASSPHRASE, Serving, command, ended, sealroom, secret_file, stderr, vault},
        memory_disk,
    },
};

const SERVE: &[&str] =
    &["serve", "--json", "--data", "v.redb", "--listen", "127.0.0.1:0", "--passphrase-file", "pass"];
const COMPACT: &[&str] = &["compact", "--json", "--data", "v.redb", "--passphrase-file", "pass"];
const REKEY: &[&str] = &["rekey", "--json", "--yes", "--data", "v.redb", "--passphrase-file", "pass"];

fn call(server: &Serving, method: &str, path: &str, bearer: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let (status, _, body) = request(server.address(), method, path, bearer, &body).unwrap();
    (status, body)
}

fn login(server: &Serving, folder: &Path) -> String {
    let password = fs::read_to_string(folder.join("owner")).unwrap();
    let body = json!({ "email": "ada@example.com", "password": password });
    let (status, body) = call(server, "POST", "/sfp/api/auth/login", "", &body);
    assert_eq!(status, 200);
    body["access_token"].as_str().unwrap().to_owned()
}

/// Fills a vault, then deletes and replaces most of it; returns the vault's folder.
fn used() -> tempfile::TempDir {
    let folder = vault();
    let mut server = Serving::start(folder.path(), SERVE);
    let owner = login(&server, folder.path());
    let pad = "x".repeat(3000);
    for n in 0..40 {
        let body = json!({ "provider": "custom", "authType": "api_key", "name": format!("key-{n}"),
            "credentials": { "value": format!("{n}-{pad}") }, "isGlobal": true });
        let (status, made) = call(&server, "POST", "/sfp/api/integrations", &owner, &body);
        assert_eq!(status, 201, "{made}");
        let path = format!("/sfp/api/integrations/{}", made["id"].as_str().unwrap());
        if n % 4 > 0 {
            assert_eq!(call(&server, "DELETE", &path, &owner, &Value::Null).0, 200);
        } else {
            let body = json!({ "credentials": { "value": format!("{n}-new-{pad}") } });
            assert_eq!(call(&server, "PUT", &format!("{path}/credentials"), &owner, &body).0, 200);
        }
    }
    assert!(server.stop());
    folder
}

/// Every value that the owner can read.
fn values(folder: &Path) -> Vec<String> {
    let mut server = Serving::start(folder, SERVE);
    let owner = login(&server, folder);
    let (status, all) = call(&server, "GET", "/sfp/api/integrations/credentials", &owner, &Value::Null);
    assert_eq!(status, 200, "{all}");
    assert!(server.stop());
    let mut values: Vec<String> = all.as_array().unwrap().iter().map(ToString::to_string).collect();
    values.sort();
    values
}

/// The sealed credentials in a file, of current revisions and deleted ones alike: every page is searched.
fn sealed(folder: &Path, name: &str) -> Vec<Vec<u8>> {
    let image = fs::read(folder.join(name)).unwrap();
    memory_disk::rows(&image, "credentials").into_iter().map(|(_, value)| value).collect()
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|found| found == part)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn done(output: &Output) -> Value {
    assert!(output.status.success(), "{}", stderr(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn after_a_compact_no_deleted_ciphertext_is_in_the_file_or_beside_it_and_all_else_is() {
    let folder = vault();
    let folder = folder.path();
    let mut server = Serving::start(folder, SERVE);
    let owner = login(&server, folder);
    let mut made = Vec::new();
    for n in 0..12 {
        let body = json!({ "provider": "github", "authType": "pat", "isGlobal": true,
            "credentials": { "token": format!("ghp_example{n}{}", "0".repeat(2000)) } });
        let (_, one) = call(&server, "POST", "/sfp/api/integrations", &owner, &body);
        made.push(format!("/sfp/api/integrations/{}", one["id"].as_str().unwrap()));
    }
    assert!(server.stop());
    let deleted: Vec<Vec<u8>> =
        sealed(folder, "v.redb").iter().map(|one| one[one.len() / 2..one.len() / 2 + 64].to_vec()).collect();
    let mut server = Serving::start(folder, SERVE);
    let owner = login(&server, folder);
    for path in &made {
        assert_eq!(call(&server, "DELETE", path, &owner, &Value::Null).0, 200);
    }
    assert!(server.stop());
    let left = |name: &str| {
        let bytes = fs::read(folder.join(name)).unwrap();
        deleted.iter().filter(|part| holds(&bytes, part)).count()
    };
    assert!(left("v.redb") > 0, "deleting alone leaves some of it");

    let before = names(folder);
    let compacted = done(&sealroom(folder, COMPACT));
    assert!(compacted["records"].as_u64().unwrap() > 5, "{compacted}");
    assert_eq!(names(folder), before, "nothing is beside it that was not before");
    for name in names(folder) {
        assert_eq!(left(&name), 0, "{name}");
    }
}

#[test]
fn a_compacted_file_has_the_size_of_its_data_and_shows_what_it_showed_before() {
    let folder = used();
    let folder = folder.path();
    let shown = values(folder);
    assert_eq!(shown.len(), 10);
    fs::set_permissions(folder.join("v.redb"), fs::Permissions::from_mode(0o640)).unwrap();
    let old = fs::metadata(folder.join("v.redb")).unwrap();
    let compacted = done(&sealroom(folder, COMPACT));
    let new = fs::metadata(folder.join("v.redb")).unwrap();
    assert_eq!(compacted["bytesBefore"], old.len());
    assert_eq!(compacted["bytes"], new.len());
    assert_ne!(old.ino(), new.ino());
    assert_eq!((new.mode() & 0o777, new.uid()), (0o640, old.uid()), "mode and owner stay");
    let data: usize = memory_disk::bytes_of_rows(&fs::read(folder.join("v.redb")).unwrap());
    assert!(new.len() as usize <= data * 5 / 4 + (128 << 10), "{} bytes for {data} of data", new.len());
    assert_eq!(values(folder), shown);
    assert!(sealroom(folder, &["audit", "verify", "v.redb"]).status.success());
    let again = done(&sealroom(folder, COMPACT));
    assert!(again["bytes"].as_u64() <= Some(new.len() + (64 << 10)), "{again}");
    let mut server = Serving::start(folder, SERVE);
    let owner = login(&server, folder);
    let (_, events) = call(&server, "GET", "/sfp/api/audit?action=vault.compact", &owner, &Value::Null);
    assert_eq!(events.as_array().unwrap().len(), 2);
    assert!(server.stop());
}

#[test]
fn after_a_rekey_only_the_given_secret_and_the_new_recovery_key_open_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    secret_file(folder, "pass", PASSPHRASE, 0o600);
    let made = done(&sealroom(folder, INIT));
    secret_file(folder, "old-paper", made["recovery_key"].as_str().unwrap(), 0o600);
    fs::write(folder.join("owner"), made["owner_password"].as_str().unwrap()).unwrap();
    let mut server = Serving::start(folder, SERVE);
    let owner = login(&server, folder);
    for (provider, kind, name) in
        [("custom", "api_key", "one"), ("custom", "api_key", "two"), ("github", "pat", "")]
    {
        let field = if provider == "github" { "token" } else { "value" };
        let mut body = json!({ "provider": provider, "authType": kind, "isGlobal": true,
            "credentials": { field: format!("ghp_example-{name}") } });
        if !name.is_empty() {
            body["name"] = json!(name);
        }
        let (status, made) = call(&server, "POST", "/sfp/api/integrations", &owner, &body);
        assert_eq!(status, 201, "{made}");
    }
    assert!(server.stop());
    let shown = values(folder);
    let old_file = fs::read(folder.join("v.redb")).unwrap();
    let (old_slots, old_sealed) = (memory_disk::meta(&old_file, "slots"), sealed(folder, "v.redb"));

    let rekeyed = done(&sealroom(folder, REKEY));
    assert_eq!(rekeyed["dropped"], json!(["slot 2 (recovery)"]));
    let new_file = fs::read(folder.join("v.redb")).unwrap();
    assert!(!holds(&new_file, &old_slots[old_slots.len() - 48..]), "no old key remains");
    for one in &old_sealed {
        assert!(!holds(&new_file, &one[1..17]), "no old ciphertext remains");
    }
    assert_eq!(values(folder), shown, "the passphrase opens it, and every value is there");
    secret_file(folder, "new-paper", rekeyed["recovery_key"].as_str().unwrap(), 0o600);
    let with = |paper: &str| sealroom(folder, &["compact", "--data", "v.redb", "--passphrase-file", paper]);
    assert!(stderr(&with("old-paper")).contains("wrong passphrase"));
    assert!(with("new-paper").status.success());
    assert!(sealroom(folder, &["audit", "verify", "v.redb"]).status.success());
    let by_name = |server: &Serving, owner: &str| {
        call(server, "GET", "/sfp/api/integrations/credentials?provider=custom&name=two", owner, &Value::Null)
    };
    let mut server = Serving::start(folder, SERVE);
    let owner = login(&server, folder);
    let (status, found) = by_name(&server, &owner);
    assert_eq!((status, found.as_array().unwrap().len()), (200, 1), "the index follows the new key");
    let (_, events) = call(&server, "GET", "/sfp/api/audit?action=vault.rekey", &owner, &Value::Null);
    assert_eq!(events[0]["detail"], json!({ "count": 1 }));
    assert!(server.stop());
}

#[test]
fn a_rekey_with_the_recovery_key_keeps_its_slot_and_drops_the_lost_passphrase() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    secret_file(folder, "pass", PASSPHRASE, 0o600);
    let made = done(&sealroom(folder, INIT));
    secret_file(folder, "paper", made["recovery_key"].as_str().unwrap(), 0o600);
    let args = [
        "rekey",
        "--json",
        "-y",
        "--data",
        "v.redb",
        "--passphrase-file",
        "paper",
        "--recovery-key-file",
        "new",
    ];
    let rekeyed = done(&sealroom(folder, &args));
    assert_eq!(rekeyed["dropped"], json!(["slot 1 (passphrase)"]));
    assert!(rekeyed["recovery_key"].is_null(), "{rekeyed}");
    assert_eq!(fs::metadata(folder.join("new")).unwrap().mode() & 0o777, 0o600);
    for (secret, opens) in [("pass", false), ("paper", true), ("new", true)] {
        let compacted = sealroom(folder, &["compact", "--data", "v.redb", "--passphrase-file", secret]);
        assert_eq!(compacted.status.success(), opens, "{secret}: {}", stderr(&compacted));
    }
}

#[test]
fn neither_takes_a_file_in_use_nor_changes_one_that_it_refuses() {
    let folder = vault();
    let folder = folder.path();
    secret_file(folder, "wrong", "another passphrase example\n", 0o600);
    let before = fs::read(folder.join("v.redb")).unwrap();
    let refused = |args: &[&str], code: i32, said: &str| {
        let refused = sealroom(folder, args);
        assert_eq!(refused.status.code(), Some(code), "{args:?}: {}", stderr(&refused));
        assert!(stderr(&refused).contains(said), "{args:?}: {}", stderr(&refused));
        assert!(refused.stdout.is_empty(), "{args:?}");
    };
    refused(&["compact", "--data", "v.redb", "--passphrase-file", "wrong"], 1, "wrong passphrase");
    refused(&["rekey", "-y", "--data", "v.redb", "--passphrase-file", "wrong"], 1, "wrong passphrase");
    refused(&["rekey", "--data", "v.redb", "--passphrase-file", "pass"], 2, "pass --yes");
    refused(&["compact", "--data", "none.redb", "--passphrase-file", "pass"], 1, "does not exist");
    refused(&["compact", "--data", "pass", "--passphrase-file", "pass"], 1, "not a sealroom vault");
    // The new key reaches nobody: the old one stays.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(ended(command(folder, REKEY).stdout(writer)).status.code(), Some(1));
    assert_eq!(fs::read(folder.join("v.redb")).unwrap(), before);
    fs::hard_link(folder.join("v.redb"), folder.join("second.redb")).unwrap();
    refused(COMPACT, 1, "2 names");
    fs::remove_file(folder.join("second.redb")).unwrap();
    std::os::unix::fs::symlink("v.redb", folder.join("link.redb")).unwrap();
    done(&sealroom(folder, &["compact", "--json", "--data", "link.redb", "--passphrase-file", "pass"]));
    assert!(
        fs::symlink_metadata(folder.join("link.redb")).unwrap().is_symlink(),
        "what it leads to is replaced"
    );
    let mut server = Serving::start(folder, SERVE);
    refused(COMPACT, 1, &format!("in use by process {}", server.child.id()));
    refused(REKEY, 1, &format!("in use by process {}", server.child.id()));
    assert!(server.health().contains("healthy"));
    assert!(server.stop());
}

#[test]
fn what_a_killed_run_left_is_removed_by_the_next_good_one() {
    let folder = vault();
    let folder = folder.path();
    fs::write(folder.join(".v.redb.sealroom-new"), "half a file").unwrap();
    done(&sealroom(folder, COMPACT));
    let left: Vec<String> = names(folder).into_iter().filter(|name| name.starts_with('.')).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// The first one waits for its passphrase, and has the file meanwhile.
#[test]
fn a_second_rekey_or_compact_beside_the_first_is_refused_and_changes_nothing() {
    use std::{io::Write, process::Stdio};
    let folder = vault();
    let folder = folder.path();
    let before = fs::read(folder.join("v.redb")).unwrap();
    let mut first = command(folder, &["rekey", "--json", "--yes", "--data", "v.redb", "--passphrase-stdin"]);
    first.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut first = first.spawn().unwrap();
    while !folder.join("v.redb.lock").exists() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let slot = ["slot", "change", "--same", "--data", "v.redb", "--passphrase-file", "pass"];
    let restore = ["restore", "v.redb", "--data", "v.redb", "--passphrase-file", "pass"];
    for second in [REKEY, COMPACT, &slot, &restore] {
        let refused = sealroom(folder, second);
        assert!(!refused.status.success(), "{second:?}");
        assert!(stderr(&refused).contains("in use by process"), "{second:?}: {}", stderr(&refused));
        assert_eq!(fs::read(folder.join("v.redb")).unwrap(), before, "{second:?}");
    }
    first.stdin.take().unwrap().write_all(PASSPHRASE.as_bytes()).unwrap();
    let rekeyed = done(&first.wait_with_output().unwrap());
    secret_file(folder, "paper", rekeyed["recovery_key"].as_str().unwrap(), 0o600);
    let opened = sealroom(folder, &["compact", "--data", "v.redb", "--passphrase-file", "paper"]);
    assert!(opened.status.success(), "{}", stderr(&opened));
}
