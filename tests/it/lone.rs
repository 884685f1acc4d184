//! A connection that has the server to itself brings its jobs to the disk on the thread that serves it: whatever that
//! disk does, it hangs nobody else.

use std::{
    sync::{atomic::Ordering, mpsc},
    thread,
    time::Duration,
};

use sealroom::vault::Settings;
use tokio::task::JoinHandle;

use crate::support::{
    failing_disk::{CREDENTIALS, Disk, Mood, server},
    server::{Client, TestServer, settings},
};

/// Much less than what a thread that stands by, or a client's patience, would make of a thread that is missed.
const SOON: Duration = Duration::from_secs(2);

async fn started() -> (Disk, TestServer, Lone) {
    let (disk, t) = server(Settings { stand_by: true, ..settings() }).await;
    t.github("ghp_example", r#""isGlobal":true"#).await;
    let lone = Lone { client: Client::connect(&t.address).await, token: t.app.clone(), disk: disk.clone() };
    (disk, t, lone)
}

struct Lone {
    client: Client,
    token: String,
    disk: Disk,
}

impl Lone {
    async fn read(&mut self) {
        assert_eq!(self.client.send("GET", CREDENTIALS, &self.token, "").await.unwrap().status, 200);
    }

    /// Reads until one of its reads is committed where it is served.
    async fn alone(&mut self) {
        let before = self.disk.moods.elsewhere.load(Ordering::Relaxed);
        for _ in 0..5_000 {
            self.read().await;
            if self.disk.moods.elsewhere.load(Ordering::Relaxed) > before {
                return;
            }
        }
        panic!("the lone connection's jobs still go to the writer's own thread");
    }

    /// A commit where it is served that takes long enough for the thread that stands by to be let go.
    async fn slow(mut self) -> Self {
        self.alone().await;
        let disk = self.disk.clone();
        disk.is(Mood::Stalled);
        let held = self.held();
        thread::sleep(Duration::from_millis(100));
        disk.is(Mood::Fine);
        held.await.unwrap()
    }

    fn held(mut self) -> JoinHandle<Self> {
        tokio::spawn(async move {
            self.read().await;
            self
        })
    }
}

/// Others are served while the disk is as it is; it is well again a while later in any case, since no timer of this
/// runtime would tell if nobody looked after it.
async fn others_are_served(disk: &Disk, t: &TestServer) {
    let (served, all_served) = mpsc::channel();
    let disk = disk.clone();
    let watchdog = thread::spawn(move || {
        let served = all_served.recv_timeout(SOON * 4).is_ok();
        if !served {
            disk.is(Mood::Fine);
        }
        served
    });
    let began = std::time::Instant::now();
    assert_eq!(t.send("GET", "/sfp/api/ping", "", "").await.body, "pong");
    assert_eq!(t.send("GET", "/sfp/api/projects", &t.app, "").await.status, 200, "not audited");
    let took = began.elapsed();
    let _ = served.send(());
    assert!(watchdog.join().unwrap() && took < SOON, "others waited {took:?} for the device");
}

async fn until_waiting(t: &TestServer) {
    while t.vault.gauges(t.clock.now()).open.unwrap().waiting == 0 {
        thread::sleep(Duration::from_millis(1));
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_blocks_under_a_lone_connection_hangs_nobody_else() {
    let (disk, t, mut lone) = started().await;
    lone.alone().await;
    disk.is(Mood::Stalled);
    let held = lone.held();
    until_waiting(&t).await;
    others_are_served(&disk, &t).await;
    disk.is(Mood::Fine);
    held.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_slow_commit_of_a_lone_connection_a_quiet_server_still_hears_others() {
    let (disk, t, mut lone) = started().await;
    for _ in 0..3 {
        lone = lone.slow().await;
        // Long enough for it to be called back.
        thread::sleep(Duration::from_millis(100));
        others_are_served(&disk, &t).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_blocks_right_after_a_slow_commit_hangs_nobody_else() {
    let (disk, t, mut lone) = started().await;
    for _ in 0..3 {
        lone = lone.slow().await;
        disk.is(Mood::Stalled);
        let held = lone.held();
        until_waiting(&t).await;
        others_are_served(&disk, &t).await;
        disk.is(Mood::Fine);
        lone = held.await.unwrap();
    }
}
