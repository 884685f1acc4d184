//! `sealroom recover owner`: an owner whose password is lost is in again, with the passphrase or the recovery key.

use std::{fs, path::Path, process::Output};

use serde_json::{Value, json};

use crate::{
    lab::kills::request,
    support::binary::{INIT, PASSPHRASE, Serving, command, ended, sealroom, secret_file, stderr, vault},
};

const ADA: &str = "ada@example.com";
const SERVE: &[&str] =
    &["serve", "--json", "--data", "v.redb", "--listen", "127.0.0.1:0", "--passphrase-file", "pass"];

fn recover(folder: &Path, more: &[&str]) -> Output {
    let mut args = vec!["recover", "owner", "--json", "--data", "v.redb", "--passphrase-file", "pass"];
    args.extend(more);
    sealroom(folder, &args)
}

fn call(server: &Serving, method: &str, path: &str, bearer: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let (status, _, body) = request(server.address(), method, path, bearer, &body).unwrap();
    (status, body)
}

fn login(server: &Serving, email: &str, password: &str) -> (u16, String) {
    let body = json!({ "email": email, "password": password });
    let (status, body) = call(server, "POST", "/sfp/api/auth/login", "", &body);
    (status, body["access_token"].as_str().unwrap_or_default().to_owned())
}

fn is_let_in(server: &Serving, bearer: &str) -> bool {
    call(server, "GET", "/sfp/api/users/me", bearer, &Value::Null).0 == 200
}

fn old_password(folder: &Path) -> String {
    fs::read_to_string(folder.join("owner")).unwrap()
}

#[test]
fn an_owner_whose_password_is_lost_is_in_again_and_no_session_outlives_it() {
    let folder = vault();
    let folder = folder.path();
    let old = old_password(folder);
    let mut server = Serving::start(folder, SERVE);
    let (status, session) = login(&server, ADA, &old);
    assert!(status == 200 && is_let_in(&server, &session));
    assert!(server.stop());

    let recovered = recover(folder, &[]);
    assert!(recovered.status.success(), "{}", stderr(&recovered));
    let shown: Value = serde_json::from_slice(&recovered.stdout).unwrap();
    assert_eq!(shown["owner_email"], ADA);
    let new = shown["owner_password"].as_str().unwrap();

    let mut server = Serving::start(folder, SERVE);
    assert_eq!(login(&server, ADA, &old).0, 401, "the old password");
    assert!(!is_let_in(&server, &session), "a session from before");
    let (status, session) = login(&server, ADA, new);
    assert_eq!(status, 200);
    let (_, events) = call(&server, "GET", "/sfp/api/audit?action=vault.recover", &session, &Value::Null);
    let event = &events[0];
    assert_eq!(event["detail"], json!({ "email": ADA }));
    assert!(event["actor"].as_str().unwrap().starts_with("host:"), "{event}");
    assert!(!events.to_string().contains(new));
    assert!(server.stop());
    assert!(sealroom(folder, &["audit", "verify", "v.redb"]).status.success());
}

#[test]
fn the_recovery_key_and_a_password_of_ones_own_do_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    secret_file(folder, "pass", PASSPHRASE, 0o600);
    let made: Value = serde_json::from_slice(&sealroom(folder, INIT).stdout).unwrap();
    secret_file(folder, "paper", made["recovery_key"].as_str().unwrap(), 0o600);
    secret_file(folder, "own", "a-password-example-of-mine\n", 0o600);
    let args = [
        "recover",
        "owner",
        "--data",
        "v.redb",
        "--passphrase-file",
        "paper",
        "--owner-email",
        "Ada@Example.com",
        "--owner-password-file",
        "own",
    ];
    let recovered = sealroom(folder, &args);
    assert!(recovered.status.success(), "{}", stderr(&recovered));
    assert_eq!(String::from_utf8(recovered.stdout).unwrap(), "owner     ada@example.com\n");
    let server = Serving::start(folder, SERVE);
    assert_eq!(login(&server, ADA, "a-password-example-of-mine").0, 200);
}

#[test]
fn nothing_changes_where_the_passphrase_the_password_or_the_owner_is_wrong_or_the_file_is_in_use() {
    let folder = vault();
    let folder = folder.path();
    let before = fs::read(folder.join("v.redb")).unwrap();
    secret_file(folder, "wrong", "another passphrase example\n", 0o600);
    secret_file(folder, "short", "short\n", 0o600);
    let data = ["recover", "owner", "--data", "v.redb"];
    let refused = |args: &[&str], said: &str| {
        let refused = sealroom(folder, &[&data, args].concat());
        assert_eq!(refused.status.code(), Some(1), "{args:?}");
        assert!(stderr(&refused).contains(said), "{args:?}: {}", stderr(&refused));
        assert!(refused.stdout.is_empty(), "no password is shown that does not hold: {args:?}");
    };
    refused(&["--passphrase-file", "wrong"], "wrong passphrase");
    refused(&["--passphrase-file", "pass", "--owner-password-file", "short"], "the new password");
    assert_eq!(fs::read(folder.join("v.redb")).unwrap(), before);
    let stranger = ["--passphrase-file", "pass", "--owner-email", "bob@example.com"];
    refused(&stranger, "bob@example.com is not an enabled owner of this vault");
    refused(&stranger, "pass --owner-email with one of: ada@example.com");
    let mut server = Serving::start(folder, SERVE);
    refused(&["--passphrase-file", "pass"], &format!("in use by process {}", server.child.id()));
    refused(&["--passphrase-file", "pass"], "hint: this command opens the file itself: stop the server");
    assert_eq!(login(&server, ADA, &old_password(folder)).0, 200);
    assert!(server.stop());
    assert_eq!(sealroom(folder, &["recover", "owner", "--owner-email", "ada"]).status.code(), Some(2));
}

#[test]
fn an_owner_among_several_is_named_and_a_disabled_one_is_not_let_in_by_it() {
    let folder = vault();
    let folder = folder.path();
    let mut server = Serving::start(folder, SERVE);
    let (_, session) = login(&server, ADA, &old_password(folder));
    for email in ["bob@example.com", "eve@example.com"] {
        let user = json!({ "email": email, "role": "owner" });
        assert_eq!(call(&server, "POST", "/sfp/api/users", &session, &user).0, 201);
    }
    let gone = json!({ "disabled": true });
    assert_eq!(call(&server, "PUT", "/sfp/api/users/eve@example.com", &session, &gone).0, 200);
    assert!(server.stop());
    let unnamed = recover(folder, &[]);
    assert_eq!(unnamed.status.code(), Some(1));
    let said = stderr(&unnamed);
    assert!(
        said.contains("this vault has 2 owners") && said.contains("ada@example.com, bob@example.com"),
        "{said}"
    );
    assert_eq!(recover(folder, &["--owner-email", "eve@example.com"]).status.code(), Some(1));
    let bob = recover(folder, &["--owner-email", "bob@example.com"]);
    assert!(bob.status.success(), "{}", stderr(&bob));
    let server = Serving::start(folder, SERVE);
    assert_eq!(login(&server, ADA, &old_password(folder)).0, 200, "the other owner keeps password and all");
    assert!(is_let_in(&server, &session), "and the session from before");
}

/// `recover owner > /dev/null` replaced a password by one that nobody had seen.
#[test]
fn a_password_that_reached_no_reader_does_not_hold() {
    let folder = vault();
    let folder = folder.path();
    let open = |path| fs::OpenOptions::new().write(true).open(path).unwrap();
    let closed = fs::OpenOptions::new().read(true).write(true).open("/dev/null").unwrap();
    let args = ["recover", "owner", "--data", "v.redb", "--passphrase-file", "pass"];
    for stdout in [open("/dev/full"), open("/dev/null"), closed] {
        for json in [&["--json"][..], &[]] {
            let lost = ended(command(folder, &[&args, json].concat()).stdout(stdout.try_clone().unwrap()));
            assert_eq!(lost.status.code(), Some(1));
            assert!(stderr(&lost).contains("the old password still holds"), "{}", stderr(&lost));
        }
    }
    let mut server = Serving::start(folder, SERVE);
    assert_eq!(login(&server, ADA, &old_password(folder)).0, 200);
    assert!(server.stop());
    // A password that the user has needs no reader.
    secret_file(folder, "own", "a-password-example-of-mine\n", 0o600);
    let own = [&args[..], &["--owner-password-file", "own"]].concat();
    assert!(ended(command(folder, &own).stdout(open("/dev/null"))).status.success());
    let server = Serving::start(folder, SERVE);
    assert_eq!(login(&server, ADA, "a-password-example-of-mine").0, 200);
}
