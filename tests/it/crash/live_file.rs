//! A served file in the hands of somebody who can write to it: README promises no more than the closed file, but a row of
//! another key is refused at once.

use redb::StorageBackend;
use sealroom::{
    domain::{AccessScope, IntegrationId, Role},
    vault::Settings,
};
use serde_json::json;

use super::faults::sealed;
use crate::support::{
    failing_disk::{CREDENTIALS, Disk, server},
    memory_disk::image,
    server::{TestServer, settings},
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

async fn uncached() -> (Disk, TestServer) {
    server(Settings { cache_bytes: 0, ..settings() }).await
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
