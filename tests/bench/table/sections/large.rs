//! A large file: its reads beside an empty one's, its memory, its start.

use sealroom::crypto::kdf::KdfParams;

use super::{Bench, rates, starts::after_kill};
use crate::{
    load::{Repeat, Sample, Span, drive},
    made::{self, Size},
    report::{Goal, Report, shown, thousands},
    servers::Server,
};

const CONNECTIONS: [usize; 2] = [64, 1024];

pub fn measure(bench: &Bench<'_>, report: &mut Report) {
    report.doing("filling the large file");
    let size = bench.plan.large;
    let empty = made::make(bench.folder, "empty", Size::EMPTY, KdfParams::LIGHT);
    let large = made::make(bench.folder, "large", size, KdfParams::LIGHT);
    let beside = Server::sealroom(bench.binary, &empty, &[]);
    let server = Server::sealroom(bench.binary, &large, &[]);
    let mut samples: [[Vec<Sample>; 3]; 2] = Default::default();
    for round in 1..=bench.plan.rounds {
        for (connections, [ours, spread, small]) in CONNECTIONS.into_iter().zip(&mut samples) {
            report.doing(format!("round {round}: the large file, {connections} connections"));
            ours.push(bench.sample(&server.target, &large.read(), connections));
            small.push(bench.sample(&beside.target, &empty.read(), connections));
            let scripts = large.reads(connections).into_iter().map(|read| Repeat(read.into())).collect();
            spread.push(
                bench.runtime.block_on(drive(&server.target, scripts, Span::warmed(bench.plan.time))).0,
            );
        }
    }
    let count = |n: u64| thousands(n as f64);
    report.about(
        "the large file",
        format!(
            "{} integrations, {} projects, {} tokens, {} events: {:.2} GB",
            count(size.integrations),
            count(size.projects),
            count(size.tokens),
            count(size.events),
            large.bytes() as f64 / 1e9
        ),
    );
    for (connections, [ours, spread, small]) in CONNECTIONS.into_iter().zip(&samples) {
        let what = format!("audited reads in the large file, {connections} connections");
        let beside = format!("an empty file: {}", shown(small));
        report.row(&what, shown(ours), beside.clone(), rates(ours, small), Goal::AtLeast(0.9));
        let what = format!("{what}, each with its own token and project");
        report.row(&what, shown(spread), beside, rates(spread, small), Goal::None);
    }
    let resident = server.running.resident_mb();
    report.figure("resident memory, with the large file", resident, "MB", String::new(), Goal::AtMost(64.0));
    drop(server);
    report.doing("starting with the large file");
    let took = after_kill(bench, &large).as_secs_f64();
    let size = large.bytes() as f64 / 1e9;
    let beside = format!("{took:.2} s for {size:.2} GB");
    report.figure("start to first read after kill -9, per GB", took / size, "s", beside, Goal::AtMost(1.0));
}
