//! The beat that a watchdog notification follows: a server that hangs gives none.

use std::{pin::pin, sync::Arc, sync::mpsc, time::Duration};

use sealroom::{
    clock::Clock,
    disk::NewFile,
    domain::Timestamp,
    http::{Edge, Limits, Listener, Server},
    vault::Vault,
};
use tokio::{runtime::Builder, task::yield_now, time::timeout};

use crate::support::server::{START, plan, settings};

/// A server over a locked vault, and its listener.
async fn idle(folder: &tempfile::TempDir) -> (Arc<Server>, Listener) {
    let new = NewFile::begin(&folder.path().join("v.redb")).unwrap();
    Vault::create(new.medium(), 1 << 20, &plan()).unwrap();
    let vault = Vault::open(new.publish().unwrap().medium(), settings()).unwrap();
    let clock = Clock::manual(Timestamp::from_millis(START));
    let server = Server::new(Arc::new(vault), clock, Limits::STANDARD, Edge::default());
    (server, Listener::tcp("127.0.0.1:0".parse().unwrap()).await.unwrap())
}

/// The notifications came from a timer, whatever the server did.
#[test]
fn a_server_that_does_not_accept_gives_no_beat() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (server, listener) = idle(&folder).await;
        assert!(timeout(Duration::from_secs(3600), server.beat()).await.is_err(), "nobody accepts");
        let serving = tokio::spawn(Arc::clone(&server).run(listener, std::future::pending()));
        for _ in 0..3 {
            server.beat().await;
        }
        serving.abort();
        drop(serving.await);
        assert!(timeout(Duration::from_secs(3600), server.beat()).await.is_err(), "the loop has ended");
    });
}

#[test]
fn a_server_whose_threads_hang_gives_no_beat_until_they_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let (server, listener) = idle(&folder).await;
        let mut serving = pin!(Arc::clone(&server).run(listener, std::future::pending()));
        tokio::select! {
            () = &mut serving => unreachable!(),
            () = server.beat() => {}
        }
        // A request that never comes back to the runtime.
        let ((release, released), (hang, hangs)) = (mpsc::channel::<()>(), mpsc::channel::<()>());
        tokio::spawn(async move {
            hang.send(()).unwrap();
            let _ = released.recv();
        });
        hangs.recv().unwrap();
        let turns = async {
            for _ in 0..1000 {
                yield_now().await;
            }
        };
        tokio::select! {
            () = &mut serving => unreachable!(),
            () = server.beat() => panic!("a beat while the only thread hangs"),
            () = turns => {}
        }
        drop(release);
        tokio::select! {
            () = &mut serving => unreachable!(),
            () = server.beat() => {}
        }
    });
}
