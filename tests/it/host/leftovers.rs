//! The memory of the real process once the vault is locked: no key and no secret of any request.

use std::{
    collections::BTreeSet, fs, os::unix::process::ExitStatusExt, path::Path, process::Command, time::Duration,
};

use rustix::process::{Signal, getuid};
use sealroom::clock::Clock;
use serde_json::json;

use crate::support::{
    binary::{PASSPHRASE, Serving, command, sealroom, secret_file, stderr, vault},
    key_hunt::Hunted,
    otp::code,
    server::Client,
};

const SERVE: [&str; 5] = ["serve", "--data", "v.redb", "--listen", "127.0.0.1:0"];
/// The time in which an idle thread ends, and its stack goes.
const SETTLED: Duration = Duration::from_secs(30);

fn unlock(folder: &Path) {
    let done = sealroom(folder, &["unlock", "--data", "v.redb", "--passphrase-file", "pass"]);
    assert!(done.status.success(), "{}", stderr(&done));
}

fn lock(folder: &Path) {
    let done = sealroom(folder, &["lock", "--data", "v.redb"]);
    assert!(done.status.success(), "{}", stderr(&done));
}

/// Uses a vault in each way that brings a secret into the process; every one of them is added to the hunted.
async fn use_it(server: &Serving, owner: &str, round: usize, hunted: &mut Hunted) {
    let mut client = Client::connect(server.address()).await;
    let mut send = async |method: &str, path: &str, bearer: &str, body: serde_json::Value| {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let reply = client.send(method, path, bearer, &body).await.unwrap();
        assert!(reply.status < 300 || path.ends_with("login"), "{method} {path}: {}", reply.body);
        if reply.body.starts_with('{') { reply.json() } else { json!(reply.body) }
    };
    let login = "/sfp/api/auth/login";
    let wrong = format!("wrong-password-of-round-{round}-canary");
    send("POST", login, "", json!({ "email": "ada@example.com", "password": wrong })).await;
    let session = send("POST", login, "", json!({ "email": "ada@example.com", "password": owner })).await;
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_else(|| panic!("{session}")).to_owned();
    let (access, refresh) = (text(&session["access_token"]), text(&session["refresh_token"]));
    let value = format!("ghp_exampleCanaryOfRound{round}WithManyMoreLetters");
    let body = json!({ "provider": "github", "authType": "pat", "credentials": { "token": value }, "isGlobal": true });
    send("POST", "/sfp/api/integrations", &access, body).await;
    let body = json!({ "name": format!("canary-{round}"), "role": "application" });
    let token = text(&send("POST", "/sfp/api/application-tokens", &access, body).await["token"]);
    let password = format!("password-of-a-member-{round}-canary");
    let body = json!({ "email": format!("m{round}@example.com"), "role": "member", "password": password });
    send("POST", "/sfp/api/users", &access, body).await;
    for bearer in [&access, &token] {
        for _ in 0..20 {
            send("GET", "/sfp/api/integrations/credentials", bearer, json!(null)).await;
        }
    }
    let login_member = json!({ "email": format!("m{round}@example.com"), "password": password });
    let member = text(&send("POST", login, "", login_member.clone()).await["access_token"]);
    let otp = "/sfp/api/users/me/otp";
    let begun = send("POST", otp, &member, json!({ "currentPassword": password })).await;
    let factor = text(&begun["secret"]);
    let first = json!({ "otp": code(&factor, Clock::system().now()) });
    let codes = send("POST", &format!("{otp}/confirm"), &member, first).await["codes"].clone();
    // Each with what stands beside it in a body: alone it is too short to be told from chance.
    let (used, kept) = (format!(r#""otp":{}"#, codes[0]), format!("{},{}", codes[8], codes[9]));
    let mut login_member = login_member;
    login_member["otp"] = codes[0].clone();
    assert!(send("POST", login, "", login_member).await["access_token"].is_string());
    let shared = data_encoding::BASE32_NOPAD.decode(factor.as_bytes()).unwrap();
    hunted.add(&format!("a shared secret of round {round}"), &shared);
    // Another one is begun and never confirmed.
    let waiting = text(&send("POST", otp, &access, json!({ "currentPassword": owner })).await["secret"]);
    let fresh = send("POST", "/sfp/api/auth/refresh", "", json!({ "refresh_token": refresh })).await;
    for (name, secret) in [
        ("a wrong password", &wrong),
        ("an access token", &access),
        ("a refresh token", &refresh),
        ("a fresh access token", &text(&fresh["access_token"])),
        ("a credential", &value),
        ("an application's token", &token),
        ("a member's password", &password),
        ("a shared secret's text", &factor),
        ("a shared secret that waits for its code", &waiting),
        ("a used one-time code", &used),
        ("a one-time code", &kept),
    ] {
        hunted.add(&format!("{name} of round {round}"), secret.as_bytes());
    }
}

/// Looks until nothing is found any more; returns what is left at the end.
fn left(hunted: &Hunted, pid: u32) -> BTreeSet<String> {
    for _ in 0..SETTLED.as_secs() {
        if hunted.in_process(pid).is_empty() {
            return BTreeSet::new();
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    hunted.in_process(pid)
}

/// After the second lock the master key lay on a stack, in 16 of 16 runs, and a core file gave every credential.
#[tokio::test]
async fn no_key_and_no_secret_is_in_memory_or_a_core_after_any_lock() {
    let folder = vault();
    let folder = folder.path();
    let owner = fs::read_to_string(folder.join("owner")).unwrap();
    let mut hunted = Hunted::default();
    hunted.add_keys(&folder.join("v.redb"), PASSPHRASE.trim());
    hunted.add("the passphrase", PASSPHRASE.trim().as_bytes());
    hunted.add("the owner's password", owner.as_bytes());
    // Only root reads the memory of a process that is not dumpable.
    let sandbox = if getuid().is_root() { "true" } else { "false" };
    let mut serve = command(folder, &SERVE);
    serve.env("SEALROOM_SANDBOX", sandbox).stdin(std::process::Stdio::null());
    let mut server = Serving::spawn(serve, folder);
    let pid = server.child.id();
    for round in 1..=3 {
        unlock(folder);
        use_it(&server, &owner, round, &mut hunted).await;
        let open = hunted.in_process(pid);
        assert!(open.iter().any(|name| name.contains("row key")), "an open vault has its keys: {open:?}");
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        assert!(!status.contains("VmLck:\t       0 kB"), "the pages of its keys are locked: {status}");
        lock(folder);
        let left = left(&hunted, pid);
        assert!(left.is_empty(), "after lock {round}: {left:#?}");
    }
    for name in ["server.log", "v.redb"] {
        let mut secrets = hunted.in_file(&folder.join(name));
        assert!(secrets.is_empty(), "{name}: {secrets:?}");
        secrets.clear();
    }
    assert!(server.stop());
}

#[tokio::test]
async fn a_killed_server_leaves_no_core_and_without_the_sandbox_none_with_a_secret() {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    if pattern.trim() != "core" {
        println!("not run: this system writes cores elsewhere: {pattern}");
        return;
    }
    for sandbox in [true, false] {
        let folder = vault();
        let folder = folder.path();
        let owner = fs::read_to_string(folder.join("owner")).unwrap();
        let mut hunted = Hunted::default();
        hunted.add_keys(&folder.join("v.redb"), PASSPHRASE.trim());
        hunted.add("the passphrase", PASSPHRASE.trim().as_bytes());
        // With the core limit of somebody who wants to see one.
        let mut serve = Command::new("sh");
        serve.current_dir(folder).env("SEALROOM_SANDBOX", sandbox.to_string());
        let binary = env!("CARGO_BIN_EXE_sealroom");
        serve.args(["-c", &format!("ulimit -c unlimited; exec {binary} {}", SERVE.join(" "))]);
        serve.stdin(std::process::Stdio::null());
        let mut server = Serving::spawn(serve, folder);
        unlock(folder);
        use_it(&server, &owner, 1, &mut hunted).await;
        lock(folder);
        let left = left(&hunted, server.child.id());
        server.signal(Signal::ABORT);
        let ended = server.child.wait().unwrap();
        let cores = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let core =
            cores.into_iter().find(|path| path.file_name().unwrap().to_string_lossy().starts_with("core"));
        match (sandbox, core) {
            (true, core) => assert!(core.is_none() && !ended.core_dumped(), "{core:?}"),
            (false, None) => println!("not judged: this system wrote no core"),
            (false, Some(core)) => {
                let found = hunted.in_file(&core);
                assert!(found.is_empty(), "{found:?}, in memory before: {left:?}");
            }
        }
    }
}

/// A form of a secret that the tests above hunt is found where it is: a search that finds nothing proves nothing.
#[test]
fn the_hunt_finds_a_secret_and_a_half_of_it_at_any_offset() {
    let folder = tempfile::tempdir().unwrap();
    let mut hunted = Hunted::default();
    hunted.add("canary", b"0123456789abcdefFEDCBA9876543210");
    secret_file(folder.path(), "whole", "xyz0123456789abcdefFEDCBA9876543210", 0o600);
    secret_file(folder.path(), "half", "x FEDCBA9876543210", 0o600);
    secret_file(folder.path(), "none", "0123456789abcdeEDCBA9876543210", 0o600);
    let found = |name| hunted.in_file(&folder.path().join(name)).len();
    assert_eq!((found("whole"), found("half"), found("none")), (2, 1, 0));
}
