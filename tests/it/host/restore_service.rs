//! A restore by root for a service, onto a disk without room, and from sources that are no files.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use super::{
    disks::{Disk, run},
    restore::{login, ok},
};
use crate::support::binary::{INIT, PASSPHRASE, Serving, command, sealroom, secret_file, stderr, vault};

const SERVE: &[&str] =
    &["serve", "--json", "--data", "v.redb", "--listen", "127.0.0.1:0", "--passphrase-file", "pass"];
/// A user who is not root.
const NOBODY: u32 = 65_534;

/// The restored file was root's, and the service could not open it.
#[test]
fn a_file_that_root_makes_in_a_services_folder_is_the_services() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: this takes root");
        return;
    }
    let folder = vault();
    let folder = folder.path();
    fs::rename(folder.join("v.redb"), folder.join("backup.redb")).unwrap();
    let service = folder.join("service");
    fs::create_dir(&service).unwrap();
    chown(&service, Some(NOBODY), Some(NOBODY)).unwrap();
    let restore = |data: &str, more: &[&str]| {
        let args = ["restore", "backup.redb", "--data", data, "--passphrase-file", "pass"];
        let done = sealroom(folder, &[&args[..], more].concat());
        assert!(done.status.success(), "{}", stderr(&done));
        stderr(&done)
    };
    let owner = |path: &str| fs::metadata(folder.join(path)).map(|file| (file.uid(), file.gid())).unwrap();
    assert!(restore("service/v.redb", &[]).contains("as its folder does"));
    assert_eq!(owner("service/v.redb"), (NOBODY, NOBODY));
    // In place of another file it has that one's owner.
    restore("service/v.redb", &["--force"]);
    assert_eq!(owner("service/v.redb"), (NOBODY, NOBODY));
    let args: Vec<&str> =
        INIT.iter().map(|word| if *word == "v.redb" { "service/new.redb" } else { word }).collect();
    assert!(sealroom(folder, &args).status.success());
    assert_eq!(owner("service/new.redb"), (NOBODY, NOBODY));
    // In root's own folder it is root's.
    restore("v.redb", &[]);
    assert_eq!(owner("v.redb").0, 0);
    secret_file(&service, "pass", PASSPHRASE, 0o600);
    chown(service.join("pass"), Some(NOBODY), Some(NOBODY)).unwrap();
    chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
    let mut serve = command(&service, SERVE);
    serve.uid(NOBODY).gid(NOBODY).stdin(Stdio::null());
    if Command::new(env!("CARGO_BIN_EXE_sealroom")).arg("--version").uid(NOBODY).output().is_err() {
        eprintln!("skipped: others may not run the program");
        return;
    }
    let mut server = Serving::spawn(serve, &service);
    assert!(server.health().contains("healthy"), "{}", server.said);
    assert!(server.stop());
}

#[test]
fn a_restore_onto_a_disk_without_room_changes_nothing_and_asks_for_nothing() {
    let folder = vault();
    let folder = folder.path();
    let Some(disk) = Disk::tmpfs("256k") else { return };
    let data = disk.root.join("v.redb");
    let data = data.to_str().unwrap();
    // No passphrase is read for it.
    let refused = sealroom(folder, &["restore", "v.redb", "--data", data, "--passphrase-file", "none"]);
    let said = stderr(&refused);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("are free; nothing was changed") && said.contains("hint: free "), "{said}");
    assert_eq!(fs::read_dir(&disk.root).unwrap().count(), 0);
}

/// A pipe hung, or was called no export: what was read first was gone when it was read again.
#[test]
fn what_is_no_regular_file_is_refused_as_a_source_of_records() {
    let folder = vault();
    let folder = folder.path();
    fs::create_dir(folder.join("folder")).unwrap();
    let mut sources = vec!["folder", "/dev/null", "/dev/stdin"];
    if run("mkfifo", &[folder.join("pipe").to_str().unwrap()]) {
        sources.push("pipe");
    }
    for source in sources {
        let args =
            ["restore", "v.redb", "--data", "new.redb", "--passphrase-file", "pass", "--since", source];
        let refused = sealroom(folder, &args);
        let said = stderr(&refused);
        assert_eq!(refused.status.code(), Some(1), "{source}: {said}");
        assert!(
            said.contains("it is no regular file") && said.contains("save it to a file"),
            "{source}: {said}"
        );
    }
    assert!(!folder.join("new.redb").exists());
}

/// An integration was scoped to a project that the backup did not have: whoever registered it got the credential.
#[test]
fn a_restore_scopes_nothing_to_a_project_that_nobody_has_registered() {
    let folder = vault();
    let folder = folder.path();
    let password = fs::read_to_string(folder.join("owner")).unwrap();
    let mut server = Serving::start(folder, SERVE);
    let (_, owner) = login(&server, "ada@example.com", &password);
    let register = |server: &Serving, owner: &str, name: &str| {
        ok(server, "POST", "/sfp/api/projects", owner, &json!({ "identifier": name }))
    };
    register(&server, &owner, "acme/a");
    register(&server, &owner, "acme/b");
    let store = |scope: Value| {
        let mut body =
            json!({ "provider": "github", "authType": "pat", "credentials": { "token": "ghp_example" } });
        body.as_object_mut().unwrap().extend(scope.as_object().unwrap().clone());
        ok(&server, "POST", "/sfp/api/integrations", &owner, &body)["id"].as_str().unwrap().to_owned()
    };
    let both = json!({ "projects": ["acme/a", "acme/b"] });
    // The scope that it had, the one that it got later, and what holds after the restore.
    let cases = [
        (both.clone(), json!(["acme/a", "acme/c"]), json!(["acme/a"])),
        (json!({ "isGlobal": true }), json!(["acme/b", "acme/c"]), json!(["acme/b"])),
        (both.clone(), json!(["acme/c"]), json!(["acme/a", "acme/b"])),
        (json!({ "projects": ["acme/a"] }), json!(["acme/a", "acme/c"]), json!(["acme/a"])),
        (both, json!(["acme/b"]), json!(["acme/b"])),
    ];
    let ids: Vec<String> = cases.iter().map(|(before, ..)| store(before.clone())).collect();
    assert!(server.stop());
    fs::copy(folder.join("v.redb"), folder.join("backup.redb")).unwrap();
    let mut server = Serving::start(folder, SERVE);
    register(&server, &owner, "acme/c");
    for (id, (_, later, _)) in ids.iter().zip(&cases) {
        let scope = json!({ "projects": later, "isGlobal": false });
        ok(&server, "PATCH", &format!("/sfp/api/integrations/{id}"), &owner, &scope);
    }
    assert!(server.stop());
    let args =
        ["restore", "backup.redb", "--force", "--json", "--data", "v.redb", "--passphrase-file", "pass"];
    let done = sealroom(folder, &args);
    assert!(done.status.success(), "{}", stderr(&done));
    let told: Value = serde_json::from_slice(&done.stdout).unwrap();
    let by_hand = told["byHand"].to_string();
    for (id, (_, later, _)) in ids.iter().zip(&cases) {
        let is_named = by_hand.contains(id.as_str()) && by_hand.contains("acme/c");
        assert_eq!(is_named, later.to_string().contains("acme/c"), "{id}: {by_hand}");
    }
    assert!(told["takenAway"].to_string().contains("scoped to 1 project\""), "{told}");
    let doctor = ["doctor", "v.redb", "--json", "--passphrase-file", "pass"];
    let report: Value = serde_json::from_slice(&sealroom(folder, &doctor).stdout).unwrap();
    let scopes = report["checks"].as_array().unwrap().iter().find(|check| check["name"] == "scopes").unwrap();
    assert_eq!(scopes["status"], "ok", "{report}");
    let mut server = Serving::start(folder, SERVE);
    let (_, owner) = login(&server, "ada@example.com", &password);
    for (id, (_, _, holds)) in ids.iter().zip(&cases) {
        let found = ok(&server, "GET", &format!("/sfp/api/integrations/{id}"), &owner, &Value::Null);
        assert_eq!(found["projects"], *holds, "{found}");
    }
    register(&server, &owner, "acme/c");
    let path = "/sfp/api/integrations/credentials?project=acme/c";
    let read = super::restore::call(&server, "GET", path, &owner, &Value::Null);
    assert!(!read.1.to_string().contains("ghp_example"), "{read:?}");
    assert!(server.stop());
}
