//! Once a revocation has been answered, no byte of what it took away arrives any more.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use sealroom::domain::{Narrowing, Role};

use super::server::{Client, TestServer, context};

const READERS: usize = 8;
const READ: &str = "/sfp/api/integrations/credentials?provider=github&project=acme/app";

/// Readers at full speed while `take_away` runs; nothing secret may arrive after it has been answered.
async fn race(t: &TestServer, bearer: &str, take_away: impl AsyncFnOnce()) {
    let (over, disclosed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let readers: Vec<_> = (0..READERS)
        .map(|_| {
            let (over, disclosed) = (Arc::clone(&over), Arc::clone(&disclosed));
            let (address, bearer) = (t.address.clone(), bearer.to_owned());
            tokio::spawn(async move {
                let mut client = Client::connect(&address).await;
                loop {
                    let started_after = over.load(Ordering::SeqCst);
                    let Some(reply) = client.send("GET", READ, &bearer, "").await else { return };
                    if reply.body.contains("ghp_example_secret") {
                        assert!(!started_after, "a read that began after the acknowledgement was answered");
                        disclosed.fetch_add(1, Ordering::SeqCst);
                    }
                    if started_after {
                        return;
                    }
                }
            })
        })
        .collect();
    while disclosed.load(Ordering::SeqCst) < 200 {
        tokio::task::yield_now().await;
    }
    take_away().await;
    over.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await.unwrap();
    }
}

async fn stocked() -> (TestServer, String) {
    let t = TestServer::start().await;
    t.project("acme/app").await;
    let id = t.github("ghp_example_secret", r#""projects":["acme/app"]"#).await;
    (t, id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_token_cannot_finish_a_read() {
    let (t, _) = stocked().await;
    let token = t.token(Role::Application, Narrowing::default()).await;
    race(&t, &token, async || {
        assert_eq!(
            t.send("DELETE", &format!("/sfp/api/application-tokens/{token}"), &t.owner, "").await.status,
            200
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_whose_role_changed_cannot_finish_a_read() {
    let (t, _) = stocked().await;
    let second = t.user("second@example.com", Role::Owner, Narrowing::default()).await;
    race(&t, &second, async || {
        let email = "second@example.com".parse().unwrap();
        t.vault
            .change_role(&context(t.clock.now()), &t.caller(&t.owner), email, Role::Member)
            .await
            .map(drop)
            .map_err(drop)
            .unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_narrowed_scope_takes_effect_at_once() {
    let (t, id) = stocked().await;
    t.project("acme/web").await;
    race(&t, &t.app, async || {
        let path = format!("/sfp/api/integrations/{id}");
        assert_eq!(t.send("PATCH", &path, &t.owner, r#"{"projects":["acme/web"]}"#).await.status, 200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_integration_is_gone_at_once() {
    let (t, id) = stocked().await;
    race(&t, &t.app, async || {
        assert_eq!(t.send("DELETE", &format!("/sfp/api/integrations/{id}"), &t.owner, "").await.status, 200);
    })
    .await;
}
