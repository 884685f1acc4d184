//! A served file that another process writes to: README promises no more than the closed file. The next start refuses an
//! older row that was put back, and a read refuses the row of another key. Damage to the newest commit takes that commit
//! away whole, as a power cut does: a rollback, which a checkpoint shows.

use redb::StorageBackend;
use sealroom::{
    audit::checkpoint,
    domain::{AccessScope, Actor, IntegrationId, Role, Timestamp},
    vault::{Settings, Vault},
};
use serde_json::json;

use super::faults::sealed;
use crate::support::{
    failing_disk::{CREDENTIALS, Disk, server},
    memory_disk::{image, shared},
    server::{PASSPHRASE, START, TestServer, secret, settings},
};

/// Writes `with` over each place of the live file that has `what`.
fn overwrite(disk: &Disk, what: &[u8], with: &[u8]) {
    assert_eq!(what.len(), with.len(), "rows are padded, so that one fits into the place of another");
    assert_ne!(what, with);
    let live = image(&disk.inner);
    let mut places = 0;
    for (at, _) in live.windows(what.len()).enumerate().filter(|(_, window)| *window == what) {
        disk.inner.write(at as u64, with).unwrap();
        places += 1;
    }
    assert!(places > 0);
}

/// Returns whether a server that starts on these bytes refuses them.
async fn is_refused(bytes: &[u8]) -> bool {
    let Ok(vault) = Vault::open(shared(bytes).1, settings()) else { return true };
    let now = Timestamp::from_millis(START);
    vault.unlock(secret(PASSPHRASE), Actor::host("test"), now, None).await.is_err()
}

async fn uncached() -> (Disk, TestServer) {
    server(Settings { cache_bytes: 0, ..settings() }).await
}

#[tokio::test]
async fn a_right_that_was_put_back_in_the_live_file_does_not_outlive_the_next_start() {
    for writes in [false, true] {
        for table in ["tokens", "users", "integrations"] {
            let (disk, t) = uncached().await;
            let id = t.github("ghp_example_1", r#""isGlobal":true"#).await;
            let key = match table {
                "tokens" => sealroom::crypto::digest::sha256(t.app.as_bytes()).to_vec(),
                "users" => b"member@example.com".to_vec(),
                _ => id.parse::<IntegrationId>().unwrap().as_bytes().to_vec(),
            };
            let before = sealed(&disk, table, &key);
            let taken = match table {
                "tokens" => {
                    let path = format!("/sfp/api/application-tokens/{}", t.app);
                    t.send("DELETE", &path, &t.owner, "").await.status
                }
                "users" => {
                    t.change_user("member@example.com", r#"{"disabled":true}"#).await;
                    200
                }
                _ => {
                    let body = r#"{"credentials":{"token":"ghp_example_2"}}"#;
                    let path = format!("/sfp/api/integrations/{id}/credentials");
                    t.send("PUT", &path, &t.owner, body).await.status
                }
            };
            assert!((200..300).contains(&taken), "{table}: {taken}");
            assert!(!is_refused(&image(&disk.inner)).await, "{table}: untouched it opens");
            overwrite(&disk, &sealed(&disk, table, &key), &before);
            // Two commits later the engine has no state left without what was put back.
            for _ in 0..3 {
                drop(t.send("GET", CREDENTIALS, &t.owner, "").await);
            }
            if writes {
                // The engine writes the pages anew, with checksums that agree with what was put back.
                t.project("acme/app").await;
                t.user("later@example.com", Role::Member, AccessScope::default()).await;
                t.token(Role::Application, AccessScope::default()).await;
                t.github("ghp_example_3", r#""isGlobal":true"#).await;
            }
            assert!(is_refused(&image(&disk.inner)).await, "{table}: what was put back is believed");
        }
    }
}

/// The engine takes pages that do not fit their checksums for a commit that a power cut stopped, and opens the commit
/// before it.
#[tokio::test]
async fn a_right_put_back_before_a_kill_never_revives_without_a_shorter_log() {
    for reads in 0..3 {
        let (disk, t) = uncached().await;
        let key = sealroom::crypto::digest::sha256(t.app.as_bytes());
        let before = sealed(&disk, "tokens", &key);
        let path = format!("/sfp/api/application-tokens/{}", t.app);
        assert_eq!(t.send("DELETE", &path, &t.owner, "").await.status, 200);
        for _ in 0..reads {
            drop(t.send("GET", CREDENTIALS, &t.owner, "").await);
        }
        let size = |vault: &Vault| checkpoint::read_unsigned(&vault.checkpoint().unwrap()).unwrap().size;
        let known = size(&t.vault);
        overwrite(&disk, &sealed(&disk, "tokens", &key), &before);
        let Ok(vault) = Vault::open(shared(&image(&disk.inner)).1, settings()) else { continue };
        let held = size(&vault);
        let now = Timestamp::from_millis(START);
        if vault.unlock(secret(PASSPHRASE), Actor::host("test"), now, None).await.is_ok() {
            assert!(held < known, "{reads}: all {known} records, and a token that one of them revoked");
        }
    }
}

#[tokio::test]
async fn a_row_of_another_key_or_table_in_the_live_file_is_refused_at_once() {
    let (disk, t) = uncached().await;
    let wide = t.token(Role::Application, AccessScope::default()).await;
    let digest = |token: &str| sealroom::crypto::digest::sha256(token.as_bytes());
    let other = sealed(&disk, "tokens", &digest(&wide));
    let path = format!("/sfp/api/application-tokens/{}", t.app);
    assert_eq!(t.send("DELETE", &path, &t.owner, "").await.status, 200);
    let revoked = sealed(&disk, "tokens", &digest(&t.app));
    overwrite(&disk, &revoked, &other);
    let reply = t.send("GET", CREDENTIALS, &t.app, "").await;
    assert_eq!((reply.status, &reply.json()["code"]), (500, &json!("tampered")), "a row of another token");

    let (disk, t) = uncached().await;
    let ids = [t.github("ghp_example_1", r#""isGlobal":true"#).await, {
        let body = r#"{"provider":"custom","authType":"api_key","name":"ci","credentials":{"value":"ghp_example_2"},"isGlobal":true}"#;
        let reply = t.send("POST", "/sfp/api/integrations", &t.owner, body).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        reply.json()["id"].as_str().unwrap().to_owned()
    }];
    let [one, two] = ids.map(|id| {
        let id = id.parse::<IntegrationId>().unwrap();
        sealed(&disk, "credentials", id.as_bytes())
    });
    overwrite(&disk, &one, &two);
    let reply = t.send("GET", CREDENTIALS, &t.app, "").await;
    assert_eq!((reply.status, &reply.json()["code"]), (500, &json!("tampered")), "a credential of another");
    assert!(!reply.body.contains("ghp_"), "{}", reply.body);
}
