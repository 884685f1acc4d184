//! The time of a server from its start to its first read.

use std::time::{Duration, Instant};

use sealroom::crypto::kdf::KdfParams;

use super::Bench;
use crate::{
    load::once,
    made::{self, Made},
    report::{Goal, Report, median, thousands},
    servers::Server,
};

/// A team's file.
pub fn team(bench: &Bench<'_>, report: &mut Report) {
    report.doing("a team's file");
    let size = bench.plan.team;
    let made = made::make(bench.folder, "team", size, KdfParams::LIGHT);
    let took = after_kill(bench, &made);
    let what = format!(
        "start to first read after kill -9, key derivation apart: {} integrations, {} events",
        thousands(size.integrations as f64),
        thousands(size.events as f64)
    );
    let beside = format!("{:.0} MB", made.bytes() as f64 / 1e6);
    report.figure(&what, took.as_secs_f64() * 1e3, "ms", beside, Goal::AtMost(100.0));
}

/// Median of as many starts as there are rounds, each after a kill under load. The file's key derivation takes next to
/// nothing, and its pages are in the system's cache.
pub fn after_kill(bench: &Bench<'_>, made: &Made) -> Duration {
    let started = || {
        let server = Server::sealroom(bench.binary, made, &[]);
        bench.runtime.block_on(once(&server.target.address, &made.read())).unwrap();
        let took = Instant::now() - server.running.started;
        bench.runtime.block_on(async {
            let (target, request) = (server.target.clone(), made.read());
            let load = tokio::spawn(async move {
                // It breaks when the server is killed.
                let mut socket = tokio::net::TcpStream::connect(&target.address).await.unwrap();
                let mut buffer = Vec::new();
                while crate::load::exchange(&mut socket, &request, &mut buffer).await.is_ok() {}
            });
            tokio::time::sleep(Duration::from_millis(100)).await;
            server.running.kill();
            load.await.unwrap();
        });
        took
    };
    // The first one is not after a kill.
    started();
    median((0..bench.plan.rounds).map(|_| started()).collect())
}
