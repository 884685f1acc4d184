//! Reads of another build of the server, such as a static one, beside those of the build that cargo made.

use std::path::Path;

use sealroom::crypto::kdf::KdfParams;

use super::{Bench, rates};
use crate::{
    made::{self, Size},
    report::{Goal, Report, shown},
    servers::Server,
};

const CONNECTIONS: [usize; 3] = [1, 64, 256];

pub fn measure(bench: &Bench<'_>, other: &Path, report: &mut Report) {
    let (own, others) = (
        made::make(bench.folder, "own", Size::EMPTY, KdfParams::LIGHT),
        made::make(bench.folder, "other", Size::EMPTY, KdfParams::LIGHT),
    );
    let (own_server, other_server) =
        (Server::sealroom(bench.binary, &own, &[]), Server::sealroom(other, &others, &[]));
    for connections in CONNECTIONS {
        let (mut theirs, mut ours) = (vec![], vec![]);
        for round in 1..=bench.plan.rounds {
            report.doing(format!("round {round}: both builds over {connections} connections"));
            theirs.push(bench.sample(&other_server.target, &others.read(), connections));
            ours.push(bench.sample(&own_server.target, &own.read(), connections));
        }
        let what = format!("audited reads of the other build, {connections} connections");
        let beside = format!("this build: {}", shown(&ours));
        report.row(&what, shown(&theirs), beside, rates(&theirs, &ours), Goal::AtLeast(0.9));
    }
    let beside = format!("this build: {:.1} MB", own_server.running.resident_mb());
    let resident = other_server.running.resident_mb();
    report.figure("resident memory of the other build", resident, "MB", beside, Goal::None);
}
