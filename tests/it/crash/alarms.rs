//! The alarms of canaries over a disk that fails: as many as the log has reads, whatever becomes of a commit.

use std::time::Duration;

use sealroom::vault::{CanaryRead, Settings};
use tokio::sync::mpsc::Receiver;

use crate::support::{
    failing_disk::{CREDENTIALS, Mood, server},
    server::{Client, TestServer, settings},
};

async fn canary(t: &TestServer) {
    let body = r#"{"provider":"github","authType":"pat","credentials":{"token":"ghp_example_bait"},"isGlobal":true,"canary":true}"#;
    assert_eq!(t.send("POST", "/sfp/api/integrations", &t.owner, body).await.status, 201);
}

async fn counted(t: &TestServer) -> u64 {
    let page = t.send("GET", "/metrics", "", "").await.body;
    let line = page.lines().find_map(|line| line.strip_prefix("sealroom_read_alarms_total ")).unwrap();
    line.parse().unwrap()
}

/// The reads of canaries in the log.
async fn recorded(t: &TestServer) -> u64 {
    let export = t.send("GET", "/sfp/api/audit/export", &t.owner, "").await;
    assert_eq!(export.status, 200, "{}", export.body);
    export.body.lines().filter(|line| line.contains(r#""alarm":true"#)).count() as u64
}

fn told(queue: &mut Receiver<CanaryRead>) -> u64 {
    std::iter::from_fn(|| queue.try_recv().ok()).count() as u64
}

/// Reads until a read is answered again.
async fn until_fine(t: &TestServer) {
    for _ in 0..1_000 {
        if t.send("GET", CREDENTIALS, &t.app, "").await.status == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the disk is fine, and still nothing is read");
}

/// The alarm used to be raised as the read was decided. A commit that failed raised it for nothing, and an operator
/// looked for a read that no record shows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_read_that_was_not_recorded_raises_an_alarm() {
    let (disk, t) = server(settings()).await;
    canary(&t).await;
    let mut queue = t.vault.canary_reads().unwrap();
    for mood in [Mood::Failing, Mood::Breaking, Mood::Failing] {
        let (before, mut answered) = (counted(&t).await, 0);
        for _ in 0..3 {
            disk.is(mood.clone());
            answered += u64::from(t.send("GET", CREDENTIALS, &t.app, "").await.status == 200);
        }
        // An idle commit may break in the place of a read.
        assert!(answered == 0 || mood == Mood::Breaking, "{mood:?}");
        assert_eq!(counted(&t).await, before + answered, "{mood:?}: nothing else was disclosed");
        disk.is(Mood::Fine);
        until_fine(&t).await;
        assert_eq!(counted(&t).await, before + answered + 1, "{mood:?}");
        assert_eq!(recorded(&t).await, before + answered + 1, "{mood:?}");
    }
    assert_eq!(told(&mut queue), recorded(&t).await);
}

/// A client that no longer waits changes nothing: a record is a read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_read_that_was_recorded_goes_without_its_alarm_though_its_client_has_gone() {
    let commit_timeout = Duration::from_millis(200);
    let (disk, t) = server(Settings { commit_timeout, ..settings() }).await;
    canary(&t).await;
    let mut queue = t.vault.canary_reads().unwrap();
    disk.is(Mood::Stalled);
    let request =
        format!("GET {CREDENTIALS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n", t.app);
    let mut gone = Client::connect(&t.address).await;
    gone.write(&request).await;
    while t.vault.gauges(t.clock.now()).open.unwrap().waiting == 0 {
        tokio::task::yield_now().await;
    }
    drop(gone);
    // Another waits until the server gives up on the disk; its commit may still succeed.
    assert_eq!(t.send("GET", CREDENTIALS, &t.app, "").await.status, 503);
    assert_eq!(counted(&t).await, 0, "nothing is durable yet");
    disk.is(Mood::Fine);
    until_fine(&t).await;
    let all = recorded(&t).await;
    assert!(all >= 2, "{all}");
    assert_eq!((counted(&t).await, told(&mut queue)), (all, all));
}

/// Many at once, over a disk that comes and goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_disk_that_comes_and_goes_alarms_and_records_are_as_many() {
    let (disk, t) = server(settings()).await;
    canary(&t).await;
    let mut queue = t.vault.canary_reads().unwrap();
    for round in 0..12 {
        let moods = [Mood::Fine, Mood::Failing, Mood::Breaking];
        let mut readers = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (address, app) = (t.address.clone(), t.app.clone());
            readers.spawn(async move {
                let reply = Client::connect(&address).await.send("GET", CREDENTIALS, &app, "").await;
                reply.is_some_and(|reply| reply.status == 200)
            });
        }
        disk.is(moods[round % moods.len()].clone());
        while let Some(read) = readers.join_next().await {
            read.unwrap();
        }
        disk.is(Mood::Fine);
        until_fine(&t).await;
        let all = recorded(&t).await;
        assert_eq!(counted(&t).await, all, "round {round}");
    }
    assert_eq!(told(&mut queue), recorded(&t).await);
}
