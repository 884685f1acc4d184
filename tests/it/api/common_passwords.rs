//! Passwords and passphrases that are guessed first are refused wherever one is set.

use serde_json::json;

use crate::support::{
    binary::{INIT, PASSPHRASE, sealroom, secret_file, stderr, vault},
    server::{PASSWORD, TestServer},
};

const COMMON: &[&str] =
    &["unbelievable", "Password-1234", "1qaz2wsx3edc4rfv", "abcabcabcabc", "qwertyuiop123", "sealroom-2026!"];

#[tokio::test]
async fn no_user_gets_a_password_that_is_guessed_first_from_anybody() {
    let t = TestServer::start().await;
    for password in COMMON.iter().chain(&["member-member", "example.com-1"]) {
        let body = json!({ "email": "member@example.com", "password": password });
        let own = json!({ "password": password, "currentPassword": PASSWORD });
        let mut new = body.clone();
        new["email"] = "member.member@example.com".into();
        for (method, path, bearer, body) in [
            ("POST", "/sfp/api/users", &t.owner, new),
            ("PUT", "/sfp/api/users/member@example.com", &t.owner, json!({ "password": password })),
            ("PUT", "/sfp/api/users/member@example.com", &t.member, own),
        ] {
            let refused = t.send(method, path, bearer, &body.to_string()).await;
            assert_eq!(
                (refused.status, &refused.json()["code"]),
                (400, &json!("invalid_field")),
                "{password}"
            );
            assert!(!refused.body.contains(password), "{}", refused.body);
        }
    }
    let kept = json!({ "email": "member@example.com", "password": PASSWORD }).to_string();
    assert_eq!(t.send("POST", "/sfp/api/auth/login", "", &kept).await.status, 200, "nothing was changed");
}

#[test]
fn no_vault_slot_or_owner_gets_a_secret_that_is_guessed_first() {
    let folder = vault();
    let folder = folder.path();
    for (number, common) in COMMON.iter().enumerate() {
        secret_file(folder, "common", &format!("{common}\n"), 0o600);
        let data = format!("n{number}.redb");
        let mut init: Vec<&str> =
            INIT.iter().map(|arg| if *arg == "v.redb" { &*data } else { *arg }).collect();
        let with_password = [&init[..], &["--owner-password-file", "common"]].concat();
        let refused = sealroom(folder, &with_password);
        assert!(!refused.status.success() && stderr(&refused).contains("password must be"), "{common}");
        init.iter_mut().filter(|arg| **arg == "pass").for_each(|arg| *arg = "common");
        for args in [
            &init[..],
            &[
                "slot",
                "add",
                "passphrase",
                "--data",
                "v.redb",
                "--passphrase-file",
                "pass",
                "--new-passphrase-file",
                "common",
            ],
            &[
                "slot",
                "change",
                "--data",
                "v.redb",
                "--passphrase-file",
                "pass",
                "--new-passphrase-file",
                "common",
                "--yes",
            ],
            &[
                "recover",
                "owner",
                "--data",
                "v.redb",
                "--passphrase-file",
                "pass",
                "--owner-password-file",
                "common",
            ],
        ] {
            let refused = sealroom(folder, args);
            let said = stderr(&refused);
            assert!(!refused.status.success(), "{common}: {args:?}");
            assert!(
                said.contains("must be") && said.contains("hint: ") && !said.contains(common),
                "{args:?}: {said}"
            );
        }
        assert!(!folder.join(&data).exists());
    }
    secret_file(folder, "pass", PASSPHRASE, 0o600);
    assert!(sealroom(folder, &["slot", "list", "--data", "v.redb"]).status.success());
}
