//! The table of the README: audited reads, changes, memory and starts, each beside what it is held against.
//!
//! `cargo bench --bench table` takes about ten minutes and prints one Markdown table; a plot of it is written to the
//! target folder. `--events 10000000` fills the large file as the figures to reach ask for, `--plot FILE` says where
//! the plot goes, `--only SECTION` measures one part, `--other FILE` another build of the server. `BENCH_QUICK=1` does
//! all of it small, in seconds: that shows that it runs, its figures mean nothing.
//!
//! Servers are processes of their own, so that their memory is theirs alone; the load generator is this process, on
//! one thread. The two sides of a ratio take turns within a round, and a ratio is the median of the rounds' own.
#![allow(
    clippy::unwrap_used,
    clippy::pedantic,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "a benchmark"
)]

mod floor;
mod host;
mod load;
mod made;
mod openbao;
mod plot;
mod postgres;
mod process;
mod report;
mod sections;
mod servers;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Parser, ValueEnum};

/// The parts that can be measured separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Section {
    /// Reads at 1 to 1,024 connections beside bare hyper, a bare commit, PostgreSQL and OpenBao; memory; the plot.
    Reads,
    /// Creates, rotations and deletes.
    Changes,
    /// Reads over TLS.
    Tls,
    /// The start of a team's file.
    Team,
    /// Reads and start of a large file.
    Large,
}

#[derive(Debug, Parser)]
struct Args {
    /// Events in the large file.
    #[arg(long)]
    events: Option<u64>,
    /// Alternating rounds; medians are taken over them.
    #[arg(long)]
    rounds: Option<usize>,
    /// Milliseconds of load that make a sample.
    #[arg(long)]
    millis: Option<u64>,
    /// The file of the plot.
    #[arg(long, default_value_os_t = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reads.svg"))]
    plot: PathBuf,
    /// Measure these parts alone.
    #[arg(long)]
    only: Vec<Section>,
    /// Measure only the reads of this other build of the server, a static one for example, beside those of this one.
    #[arg(long)]
    other: Option<PathBuf>,
    #[arg(long, hide = true)]
    bench: bool,
    /// A child: runs a program until standard input ends.
    #[arg(long, hide = true, num_args = 1.., allow_hyphen_values = true)]
    keep: Option<Vec<String>>,
    /// A child: the bare server, with a body of so many bytes.
    #[arg(long, hide = true)]
    bare: Option<usize>,
    /// A child: the bare server, each answer after a durable row in this file.
    #[arg(long, hide = true)]
    floor: Option<PathBuf>,
    /// A child: the front of PostgreSQL, over the socket in this folder.
    #[arg(long, hide = true)]
    front: Option<PathBuf>,
}

/// The amounts of a run.
#[derive(Debug, Clone)]
pub struct Plan {
    pub quick: bool,
    pub rounds: usize,
    pub time: Duration,
    pub connections: &'static [usize],
    pub team: made::Size,
    pub large: made::Size,
    pub fsyncs: usize,
}

impl Plan {
    fn new(args: &Args) -> Self {
        let quick = std::env::var_os("BENCH_QUICK").is_some();
        let plan = if quick {
            Self {
                quick,
                rounds: 1,
                time: Duration::from_millis(100),
                connections: &[1, 16, 64, 256, 1024],
                team: made::Size { integrations: 50, projects: 5, tokens: 5, events: 1_000 },
                large: made::Size { integrations: 500, projects: 20, tokens: 50, events: 5_000 },
                fsyncs: 50,
            }
        } else {
            Self {
                quick,
                rounds: 5,
                time: Duration::from_secs(2),
                connections: &[1, 16, 64, 256, 1024],
                team: made::Size { integrations: 1_000, projects: 50, tokens: 50, events: 100_000 },
                large: made::Size {
                    integrations: 100_000,
                    projects: 1_000,
                    tokens: 10_000,
                    events: 1_000_000,
                },
                fsyncs: 2_000,
            }
        };
        Self {
            rounds: args.rounds.unwrap_or(plan.rounds).max(1),
            time: args.millis.map_or(plan.time, Duration::from_millis),
            large: made::Size { events: args.events.unwrap_or(plan.large.events), ..plan.large },
            ..plan
        }
    }
}

fn main() {
    let args = Args::parse();
    if let Some(command) = &args.keep {
        return process::keep(command);
    }
    if let Some(bytes) = args.bare {
        return match &args.floor {
            Some(file) => floor::serve(file, bytes),
            None => servers::bare(bytes),
        };
    }
    if let Some(socket) = &args.front {
        return postgres::front(socket);
    }
    let plan = Plan::new(&args);
    let wanted = |section| args.other.is_none() && (args.only.is_empty() || args.only.contains(&section));
    // On the same file system as everything else that is built here, since /tmp may be memory.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_sealroom"));
    let mut report = report::Report::new(&plan);
    host::describe(folder.path(), binary, &plan, &mut report);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bench = sections::Bench { plan: &plan, folder: folder.path(), binary, runtime: &runtime };
    if let Some(other) = &args.other {
        sections::other::measure(&bench, other, &mut report);
    }
    if wanted(Section::Reads) {
        let curves = sections::reads::measure(&bench, &mut report);
        plot::write(&curves, &args.plot);
        report.plot(&args.plot);
    }
    if wanted(Section::Changes) {
        sections::changes::measure(&bench, &mut report);
    }
    if wanted(Section::Tls) {
        sections::tls::measure(&bench, &mut report);
    }
    if wanted(Section::Team) {
        sections::starts::team(&bench, &mut report);
    }
    if wanted(Section::Large) {
        sections::large::measure(&bench, &mut report);
    }
    report.print();
}

/// A child's one line: where it listens.
fn announce(address: SocketAddr) {
    println!("listening on http://{address}");
}
