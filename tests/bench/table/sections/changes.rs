//! Creates, rotations and deletes beside reads.

use std::sync::Arc;

use sealroom::crypto::kdf::KdfParams;

use super::{Bench, rates};
use crate::{
    load::{Sample, Script, Span, drive, find},
    made::{self, Size},
    report::{Goal, Report, shown},
    servers::Server,
};

const CONNECTIONS: usize = 64;
/// So many that a new credential shares its project with few.
const PROJECTS: u64 = 1_000;

pub fn measure(bench: &Bench<'_>, report: &mut Report) {
    report.doing("the servers start");
    let projects = if bench.plan.quick { 50 } else { PROJECTS };
    let size = Size { projects, ..Size::EMPTY };
    let changed = made::make(bench.folder, "changes", size, KdfParams::LIGHT);
    let read = made::make(bench.folder, "unchanged", Size::EMPTY, KdfParams::LIGHT);
    let server = Server::sealroom(bench.binary, &changed, &[]);
    let quiet = Server::sealroom(bench.binary, &read, &[]);
    let owner: Arc<str> = changed.owner.as_str().into();
    let run = |changes: Vec<Change>, time| {
        bench.runtime.block_on(drive(&server.target, changes, Span::whole(time)))
    };
    let creating = |round: usize| {
        let script = |n| Change::new(&owner, Kind::Create { prefix: format!("{round}-{n}"), projects });
        (0..CONNECTIONS).map(script).collect::<Vec<_>>()
    };
    // One for each connection to rotate.
    let (_, kept) = run(creating(0), std::time::Duration::from_millis(20));
    let kept: Vec<String> = kept.into_iter().map(|mut change| change.ids.remove(0)).collect();
    let mut samples: [Vec<Sample>; 4] = std::array::from_fn(|_| Vec::new());
    for round in 1..=bench.plan.rounds {
        report.doing(format!("round {round}: creates, rotations, deletes"));
        samples[0].push(bench.sample(&quiet.target, &read.read(), CONNECTIONS));
        let (created, made) = run(creating(round), bench.plan.time);
        samples[1].push(created);
        let rotating = kept.iter().map(|id| Change::new(&owner, Kind::Rotate { id: id.clone() })).collect();
        samples[2].push(run(rotating, bench.plan.time).0);
        let deleting =
            made.into_iter().map(|change| Change::new(&owner, Kind::Delete { left: change.ids })).collect();
        // All that this round made, so that each begins alike.
        samples[3].push(run(deleting, bench.plan.time * 10).0);
    }
    let [reads, creates, rotations, deletes] = samples;
    for (what, ours) in [("creates", creates), ("rotations", rotations), ("deletes", deletes)] {
        let what = format!("{what}, {CONNECTIONS} connections");
        let beside = format!("reads: {}", shown(&reads));
        report.row(&what, shown(&ours), beside, rates(&ours, &reads), Goal::AtLeast(0.5));
    }
}

enum Kind {
    Create { prefix: String, projects: u64 },
    Rotate { id: String },
    Delete { left: Vec<String> },
}

/// One connection's changes.
struct Change {
    owner: Arc<str>,
    kind: Kind,
    count: u64,
    request: Vec<u8>,
    /// The ids that its creates returned.
    ids: Vec<String>,
}

impl Change {
    fn new(owner: &Arc<str>, kind: Kind) -> Self {
        Self { owner: Arc::clone(owner), kind, count: 0, request: Vec::new(), ids: Vec::new() }
    }

    /// Method, path and body of the next one.
    fn following(&mut self) -> Option<(&'static str, String, String)> {
        self.count += 1;
        let n = self.count;
        let credentials = format!(r#""credentials":{{"token":"ghp_example{n:06}"}}"#);
        Some(match &mut self.kind {
            Kind::Create { prefix, projects } => {
                // Connections begin apart from one another.
                let start: u64 = prefix.bytes().fold(0, |sum, byte| sum * 31 + u64::from(byte));
                let project = made::project((start + n * 37) % *projects);
                let body = format!(
                    r#"{{"provider":"custom","name":"{prefix}-{n}","authType":"api_key",{credentials},"projects":["{project}"]}}"#
                );
                ("POST", String::new(), body)
            }
            Kind::Rotate { id } => ("PUT", format!("/{id}/credentials"), format!("{{{credentials}}}")),
            Kind::Delete { left } => ("DELETE", format!("/{}", left.pop()?), String::new()),
        })
    }
}

impl Script for Change {
    fn next(&mut self, answer: &[u8]) -> Option<&[u8]> {
        if let (Kind::Create { .. }, Some(id)) = (&self.kind, id(answer)) {
            self.ids.push(id);
        }
        let (method, path, body) = self.following()?;
        let content = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        self.request = format!(
            "{method} /sfp/api/integrations{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n{content}\
             Content-Length: {}\r\n\r\n{body}",
            self.owner,
            body.len()
        )
        .into_bytes();
        Some(&self.request)
    }
}

fn id(answer: &[u8]) -> Option<String> {
    let at = find(answer, b"\"id\":\"")? + 6;
    String::from_utf8(answer.get(at..at + 36)?.to_vec()).ok()
}
