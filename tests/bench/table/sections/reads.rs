//! Audited reads beside a bare hyper server, a bare commit, and the same job done with PostgreSQL and with OpenBao.

use std::{
    sync::mpsc::sync_channel,
    time::{Duration, Instant},
};

use redb::{Database, Durability, TableDefinition};
use sealroom::crypto::kdf::KdfParams;

use super::{Bench, rates};
use crate::{
    floor,
    host::Ticks,
    load::{Sample, once},
    made::{self, Size},
    openbao::{self, OpenBao},
    plot::Curve,
    postgres::{Postgres, Way},
    report::{Goal, Report, median, shown},
    servers::Server,
};

const ROW: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("row");
/// The goals by connections.
const AGAINST_HYPER: [(usize, f64); 3] = [(64, 0.45), (256, 0.52), (1024, 0.55)];
/// Over how many connections PostgreSQL is asked; more than its pool has would only wait.
const POSTGRES: [usize; 3] = [1, 16, 64];
/// Over how many connections OpenBao is asked.
const OPENBAO: [usize; 2] = [64, 256];

/// All samples at one number of connections.
#[derive(Default)]
struct Point {
    connections: usize,
    ours: Vec<Sample>,
    /// The idle share of the processors meanwhile.
    idle: Vec<f64>,
    bare: Vec<Sample>,
    /// Of the server that commits and does nothing else.
    floor: Vec<Sample>,
    /// In each of its ways.
    postgres: [Vec<Sample>; 2],
    openbao: [Vec<Sample>; 2],
}

/// Measures, and gives the plot's lines.
pub fn measure(bench: &Bench<'_>, report: &mut Report) -> Vec<Curve> {
    report.doing("the servers start");
    // The key derivation of a real vault: its memory must be gone again.
    let made = made::make(bench.folder, "reads", Size::EMPTY, KdfParams::STANDARD);
    let ours = Server::sealroom(bench.binary, &made, &[]);
    let request = made.read();
    let answer = bench.runtime.block_on(once(&ours.target.address, &request)).unwrap();
    let idle = ours.running.resident_mb();
    let bare = Server::bare(answer.len());
    let floor = floor::start(bench.folder, answer.len());
    let postgres = Postgres::start(bench.folder);
    let openbao = OpenBao::start(bench.folder);
    let mut builder = Database::builder();
    // The server's own setting.
    let database = builder.set_cache_size(4 << 20).create(bench.folder.join("bare.redb")).unwrap();
    let mut points: Vec<Point> =
        (bench.plan.connections.iter()).map(|n| Point { connections: *n, ..Point::default() }).collect();
    let (mut two_phase, mut one_phase) = (Vec::new(), Vec::new());
    for round in 1..=bench.plan.rounds {
        for point in &mut points {
            let connections = point.connections;
            report.doing(format!("round {round}: reads over {connections} connections"));
            let ticks = Ticks::now();
            point.ours.push(bench.sample(&ours.target, &request, connections));
            point.idle.push(ticks.idle_share());
            if connections == 1 {
                two_phase.push(bare_commits(&database, bench.plan.time));
                one_phase.push(handed_commits(&database, bench.plan.time));
            }
            point.bare.push(bench.sample(&bare.target, &request, connections));
            point.floor.push(bench.sample(&floor.target, &request, connections));
            sample_peers(point, bench, postgres.as_ref().ok(), openbao.as_ref().ok());
        }
    }
    let share = |point: &Point| format!("{}: {:.0} %", point.connections, median(point.idle.clone()) * 100.0);
    report.about("idle processors, by connections", points.iter().map(share).collect::<Vec<_>>().join(", "));
    report.about("an answer", format!("{} bytes with its head, on both sides", answer.len()));
    against_hyper(&points, report);
    against_floor(&points, report);
    against_commit(&points[0].ours, &two_phase, "in two phases", Goal::AtMost(0.8), report);
    against_commit(
        &points[0].ours,
        &one_phase,
        "in one phase, by another thread",
        Goal::AtMost(1.15),
        report,
    );
    let version = match &postgres {
        Ok(postgres) => postgres.version.clone(),
        Err(why) => {
            report.note(format!("not held against PostgreSQL: {why}"));
            String::new()
        }
    };
    against_postgres(&points, &version, report);
    match &openbao {
        Ok(openbao) => against_openbao(&points, &openbao.version, report),
        Err(why) => report.note(format!("not held against OpenBao: {why}")),
    }
    report.figure("resident memory, idle", idle, "MB", String::new(), Goal::AtMost(16.0));
    let after = ours.running.resident_mb();
    let beside = format!("bare hyper: {:.0} MB", bare.running.resident_mb());
    report.figure("resident memory, after 1,024 connections", after, "MB", beside, Goal::AtMost(64.0));
    curves(&points, version)
}

fn sample_peers(
    point: &mut Point,
    bench: &Bench<'_>,
    postgres: Option<&Postgres>,
    openbao: Option<&OpenBao>,
) {
    let connections = point.connections;
    if let Some(postgres) = postgres.filter(|_| POSTGRES.contains(&connections)) {
        for (way, samples) in Way::ALL.into_iter().zip(&mut point.postgres) {
            let request = Postgres::request(way);
            samples.push(bench.sample(&postgres.front.target, &request, connections));
        }
    }
    if let Some(openbao) = openbao.filter(|_| OPENBAO.contains(&connections)) {
        for (way, samples) in openbao::Way::ALL.into_iter().zip(&mut point.openbao) {
            samples.push(bench.sample(openbao.target(way), &OpenBao::request(), connections));
        }
    }
}

fn against_hyper(points: &[Point], report: &mut Report) {
    for Point { connections, ours, bare, .. } in points {
        let goal = AGAINST_HYPER.iter().find(|(at, _)| at == connections);
        let goal = goal.map_or(Goal::None, |(_, least)| Goal::AtLeast(*least));
        let beside = format!("bare hyper: {}", shown(bare));
        let plural = if *connections == 1 { "" } else { "s" };
        let what = format!("audited reads, {connections} keep-alive connection{plural}");
        report.row(&what, shown(ours), beside, rates(ours, bare), goal);
    }
}

/// Beside the floor, and the floor beside bare hyper: the most that a durable row a request leaves.
fn against_floor(points: &[Point], report: &mut Report) {
    for Point { connections, ours, bare, floor, .. } in points.iter().filter(|point| point.connections > 16) {
        let what = format!("audited reads beside only a commit a request, {connections} connections");
        let beside = format!("hyper and one durable row: {}", shown(floor));
        report.row(&what, shown(ours), beside, rates(ours, floor), Goal::None);
        let what = format!("only a commit a request, {connections} connections");
        let beside = format!("bare hyper: {}", shown(bare));
        report.row(&what, shown(floor), beside, rates(floor, bare), Goal::None);
    }
}

fn against_commit(ours: &[Sample], commits: &[Sample], how: &str, goal: Goal, report: &mut Report) {
    let micros = |samples: &[Sample]| {
        median(samples.iter().map(|sample| sample.p50).collect::<Vec<Duration>>()).as_micros()
    };
    let ratios = ours.iter().zip(commits).map(|(a, b)| a.p50.as_secs_f64() / b.p50.as_secs_f64());
    let beside = format!("a bare durable commit of one row, {how}: {} µs", micros(commits));
    let what = "one audited read at one connection, p50";
    report.row(what, format!("{} µs", micros(ours)), beside, ratios.collect(), goal);
}

fn against_postgres(points: &[Point], version: &str, report: &mut Report) {
    for Point { connections, ours, postgres, .. } in points.iter().filter(|point| point.connections > 1) {
        for (way, postgres) in Way::ALL.into_iter().zip(postgres).filter(|(_, samples)| !samples.is_empty()) {
            let what = format!("audited reads beside pgcrypto's {}, {connections} connections", way.name());
            let beside = format!("{version}: {}", shown(postgres));
            report.row(&what, shown(ours), beside, rates(ours, postgres), Goal::AtLeast(5.0));
        }
    }
}

fn against_openbao(points: &[Point], version: &str, report: &mut Report) {
    for Point { connections, ours, openbao, .. } in points {
        for (way, openbao) in
            openbao::Way::ALL.into_iter().zip(openbao).filter(|(_, samples)| !samples.is_empty())
        {
            let what = format!("audited, durable reads, {connections} connections");
            let beside = format!("{version}, {}: {}", way.name(), shown(openbao));
            report.row(&what, shown(ours), beside, rates(ours, openbao), Goal::None);
        }
    }
}

/// One small row after another, durable: what the engine costs by itself.
fn bare_commits(database: &Database, time: Duration) -> Sample {
    timed(time, |key| commit(database, key, true))
}

/// The same in one phase, each asked of another thread: what the engine and one hand-over cost.
fn handed_commits(database: &Database, time: Duration) -> Sample {
    let (jobs, queue) = sync_channel(1);
    let (answers, answer) = sync_channel(1);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for key in queue {
                commit(database, key, false);
                answers.send(()).unwrap();
            }
        });
        let sample = timed(time, |key| {
            jobs.send(key).unwrap();
            answer.recv().unwrap();
        });
        drop(jobs);
        sample
    })
}

fn timed(time: Duration, commit: impl Fn(u64)) -> Sample {
    let (begin, mut nanos) = (Instant::now(), Vec::new());
    while begin.elapsed() < time {
        let start = Instant::now();
        commit(nanos.len() as u64);
        nanos.push(start.elapsed().as_nanos() as u64);
    }
    Sample::of(nanos, begin.elapsed())
}

fn commit(database: &Database, key: u64, two_phase: bool) {
    let mut txn = database.begin_write().unwrap();
    txn.set_durability(Durability::Immediate).unwrap();
    txn.set_two_phase_commit(two_phase);
    txn.open_table(ROW).unwrap().insert(key, &[7_u8; 350][..]).unwrap();
    txn.commit().unwrap();
}

fn curves(points: &[Point], postgres: String) -> Vec<Curve> {
    let line = |name: String, of: fn(&Point) -> &[Sample]| Curve {
        name,
        points: (points.iter().filter(|point| !of(point).is_empty()))
            .map(|point| {
                let rate = median(of(point).iter().map(|sample| sample.rate).collect());
                let p99 = median(of(point).iter().map(|sample| sample.p99).collect::<Vec<Duration>>());
                (point.connections as f64, rate, p99.as_secs_f64() * 1e3)
            })
            .collect(),
    };
    let mut curves = vec![
        line("sealroom, each read audited".to_owned(), |point| &point.ours),
        line("bare hyper, constant body".to_owned(), |point| &point.bare),
    ];
    if !postgres.is_empty() {
        curves.push(line(format!("{postgres}, {}", Way::Pgp.name()), |point| &point.postgres[0]));
    }
    curves
}
