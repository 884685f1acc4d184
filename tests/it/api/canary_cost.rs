//! The cost of reading a canary: on the disk it is that of any other read, call by call. Time on a shared machine would
//! show less; `cargo bench --bench counts` counts the instructions of both.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use redb::{StorageBackend, backends::InMemoryBackend};
use sealroom::{
    http::Limits,
    vault::{Settings, Vault},
};

use crate::support::server::{Client, TestServer, plan, settings};

/// A disk in memory that counts its calls, and the bytes of those that write.
#[derive(Debug, Clone, Default)]
struct Counting {
    inner: Arc<InMemoryBackend>,
    /// Reads, writes, bytes written, changes of the length, syncs.
    calls: Arc<[AtomicU64; 5]>,
}

impl Counting {
    fn count(&self, at: usize, by: usize) {
        self.calls[at].fetch_add(by as u64, Ordering::Relaxed);
    }

    fn counted(&self) -> [u64; 5] {
        std::array::from_fn(|at| self.calls[at].load(Ordering::Relaxed))
    }
}

impl StorageBackend for Counting {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.count(0, 1);
        self.inner.read(offset, out)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.count(1, 1);
        self.count(2, data.len());
        self.inner.write(offset, data)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.count(3, 1);
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.count(4, 1);
        self.inner.sync_data()
    }
}

/// The calls that reads of one integration take, of two that differ in the flag alone; with the shape of the answer.
async fn cost(is_canary_read: bool) -> ([u64; 5], usize, usize) {
    let disk = Counting::default();
    Vault::create(Arc::new(disk.clone()), 1 << 20, &plan()).unwrap();
    // No commit of its own accord falls between the reads.
    let settings = Settings { flush_interval: Duration::from_secs(3_600), ..settings() };
    let vault = Vault::open(Arc::new(disk.clone()), settings).unwrap();
    let t = TestServer::over(vault, Limits::STANDARD, "127.0.0.1:0", false).await;
    // The record of a canary's read is 12 bytes longer, by `"alarm":true`: the other project's name makes up for it.
    let (plain, bait) = ("acme/plain-with-12-more", "acme/a-bait");
    assert_eq!(plain.len() - bait.len(), r#""alarm":true"#.len());
    for (project, flag) in [(plain, ""), (bait, r#","canary":true"#)] {
        t.project(project).await;
        let body = format!(
            r#"{{"provider":"github","authType":"pat","credentials":{{"token":"ghp_example"}},"projects":["{project}"]{flag}}}"#
        );
        assert_eq!(t.send("POST", "/sfp/api/integrations", &t.owner, &body).await.status, 201);
    }
    let path =
        format!("/sfp/api/integrations/credentials?project={}", if is_canary_read { bait } else { plain });
    let mut client = Client::connect(&t.address).await;
    let mut read = async || {
        let reply = client.send("GET", &path, &t.app, "").await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.body);
        (reply.head.len(), reply.body.len())
    };
    for _ in 0..20 {
        read().await;
    }
    let (before, mut shape) = (disk.counted(), (0, 0));
    for _ in 0..200 {
        shape = read().await;
    }
    let after = disk.counted();
    (std::array::from_fn(|at| after[at] - before[at]), shape.0, shape.1)
}

/// A reader that could tell by the time would leave before the alarm is heard.
#[tokio::test]
async fn a_read_of_a_canary_never_costs_the_disk_another_call_or_byte() {
    let [other, canary] = [cost(false).await, cost(true).await];
    assert_eq!(
        canary, other,
        "reads, writes, bytes, changes of the length, syncs; the answer's head and body"
    );
    assert!(canary.0[4] >= 200, "a sync for each read");
}
