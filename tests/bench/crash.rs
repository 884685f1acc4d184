//! The whole crash laboratory: power cuts, failing calls, damaged files and killed servers.
//!
//! `cargo bench --bench crash -- --points 1000000 --seed 1` cuts the power a million times; `--faults`, `--flips` and
//! `--kills` say how many calls fail, how many files are damaged and how often the real binary is killed. The work of
//! an operator (key slots, archive, backup, restore, compact, rekey) is cut at every call, `--upkeep` times, each of its
//! calls fails, and `--work-kills` says how often each piece of it is killed. Without any of them it takes some of each,
//! with `BENCH_QUICK=1` a few. A failure prints what repeats it.
#![allow(
    clippy::unwrap_used,
    clippy::pedantic,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "a benchmark"
)]

#[path = "../lab/mod.rs"]
mod lab;

use std::{
    path::{Path, PathBuf},
    process::{Command, exit},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use lab::{
    cuts::{self, Point, Wanted, cut_everywhere},
    damage::{self, Ends},
    disk::Fault,
    faults,
    kills::Killed,
    recording::Recording,
    rng::Rng,
    upkeep::{Copying, Upkeep, Used},
    upkeep_cuts,
    upkeep_kills::{Interrupted, Work},
};

/// The number of further remains for each cut.
const VARIANTS: usize = 8;
/// The number of damaged files for each process.
const BATCH: u64 = 250;

#[derive(Debug, Parser)]
struct Args {
    /// Power cuts, at each call of as many runs of the model as it takes.
    #[arg(long)]
    points: Option<u64>,
    /// Calls that fail while the process lives on.
    #[arg(long)]
    faults: Option<u64>,
    /// Damaged files.
    #[arg(long)]
    flips: Option<u64>,
    /// Kills of the real binary.
    #[arg(long)]
    kills: Option<u64>,
    /// Variants of what remains after a power cut at each call of an operator's work.
    #[arg(long)]
    upkeep: Option<u64>,
    /// Kills of the real binary at each piece of an operator's work.
    #[arg(long)]
    work_kills: Option<u64>,
    /// Kill each piece of an operator's work at each of its calls to the disk; needs strace.
    #[arg(long)]
    work_calls: bool,
    /// Only this piece of an operator's work, such as `Archive`.
    #[arg(long)]
    work: Option<String>,
    /// The seed of all choices.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// One point again, as a failure named it: RUN:OP:VARIANT.
    #[arg(long)]
    only: Option<String>,
    #[arg(long, default_value_t = std::thread::available_parallelism().map_or(1, |cores| cores.get()))]
    threads: usize,
    #[arg(long, hide = true)]
    bench: bool,
    /// The child that meets damage: FROM-TO FILE.
    #[arg(long, hide = true, num_args = 2)]
    meet: Option<Vec<String>>,
}

impl Args {
    fn is_asked(&self, work: Work) -> bool {
        self.work.as_ref().is_none_or(|asked| asked.eq_ignore_ascii_case(&format!("{work:?}")))
    }
}

fn main() {
    let args = Args::parse();
    if let Some(meet) = &args.meet {
        let (from, to) = meet[0].split_once('-').unwrap();
        let numbers = from.parse().unwrap()..to.parse().unwrap();
        return runtime().block_on(damage::child(Path::new(&meet[1]), args.seed, numbers));
    }
    if let Some(only) = &args.only {
        let numbers: Vec<u64> = only.split(':').map(|part| part.parse().unwrap()).collect();
        let point = Point { op: numbers[1] as usize, variant: numbers[2] as usize };
        let mut tally = cuts::Tally::default();
        run_cuts(&args, numbers[0], Wanted::Only(point), &mut tally, |_| true);
        return println!("holds: {tally:?}");
    }
    if args.work_calls {
        return interrupt_everywhere(&args);
    }
    let asked = [args.points, args.faults, args.flips, args.kills, args.upkeep, args.work_kills];
    let quick = std::env::var_os("BENCH_QUICK").is_some();
    let usual = match (asked.iter().all(Option::is_none), quick) {
        (false, _) => [0; 6],
        (true, true) => [4_000, 200, 250, 16, 1, 4],
        (true, false) => [100_000, 2_000, 5_000, 200, 8, 200],
    };
    let [points, faults, flips, kills, upkeep, work] = std::array::from_fn(|n| asked[n].unwrap_or(usual[n]));
    cut(&args, points);
    fail(&args, faults);
    flip(&args, flips);
    kill(&args, kills);
    keep_up(&args, upkeep);
    interrupt(&args, work);
}

/// Cuts the power at each call of an operator's work, and fails each of them.
fn keep_up(args: &Args, variants: u64) {
    if variants == 0 {
        return;
    }
    let (start, mut tally) = (Instant::now(), upkeep_cuts::Tally::default());
    let done: Result<(), String> = runtime().block_on(async {
        let used = Used::make(args.seed).await?;
        for upkeep in Upkeep::ALL {
            upkeep_cuts::cut(&used, upkeep, variants as usize, &mut tally).await?;
            upkeep_cuts::fail(&used, upkeep, 1, &mut tally).await?;
        }
        for copy in Copying::ALL {
            upkeep_cuts::cut_copy(&used, copy, variants as usize, &mut tally).await?;
        }
        Ok(())
    });
    done.unwrap_or_else(|error| broken(&format!("seed {}: {error}", args.seed)));
    println!(
        "cuts of an operator's work{:>9}   before it or after it, in {:.0} s",
        tally.cuts,
        start.elapsed().as_secs_f64()
    );
    println!("  of them in a recovery   {:>9}", tally.in_recovery);
    println!("  its calls that fail     {:>9}", tally.faults);
}

/// Kills the real binary at each piece of an operator's work.
fn interrupt(args: &Args, kills: u64) {
    for work in Work::ALL.into_iter().filter(|work| kills > 0 && args.is_asked(*work)) {
        let (bar, start) = (bar("kill -9 of an operator's work", kills), Instant::now());
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut rng = Rng::new(&[args.seed, 8]);
        let mut run = || {
            let mut killed = Interrupted::new(Path::new(env!("CARGO_BIN_EXE_sealroom")), folder.path())?;
            for cycle in 0..kills {
                killed.cycle(work, &mut rng).map_err(|error| format!("cycle {cycle}: {error}"))?;
                bar.inc(1);
            }
            killed.finish(work).map(|()| killed.tally)
        };
        let tally = run().unwrap_or_else(|error| {
            broken(&format!("{work:?}, seed {}, {error}\nthe files: {}", args.seed, folder.path().display()))
        });
        bar.finish_and_clear();
        println!(
            "kill -9: {:<17}{:>9}   {} left the work done, {} came after its end, in {:.0} s",
            format!("{work:?}"),
            tally.kills,
            tally.done,
            tally.late,
            start.elapsed().as_secs_f64()
        );
    }
}

/// Kills the real binary at each call to the disk that an operator's work makes.
fn interrupt_everywhere(args: &Args) {
    let works = Work::ALL.into_iter().filter(|work| *work != Work::ScheduledBackup && args.is_asked(*work));
    for work in works {
        let start = Instant::now();
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let run = || {
            let mut killed = Interrupted::new(Path::new(env!("CARGO_BIN_EXE_sealroom")), folder.path())?;
            for file in [None, Some("v.redb")] {
                let mut call = 1;
                while killed.cycle_at(work, file, call).map_err(|error| format!("call {call}: {error}"))? {
                    call += 1;
                }
            }
            killed.finish(work).map(|()| killed.tally)
        };
        let tally: Result<_, String> = run();
        let tally = tally.unwrap_or_else(|error| {
            broken(&format!("{work:?}, seed {}, {error}\nthe files: {}", args.seed, folder.path().display()))
        });
        println!(
            "kill at each call: {:<12}{:>4}   {} left the work done, in {:.0} s",
            format!("{work:?}"),
            tally.kills,
            tally.done,
            start.elapsed().as_secs_f64()
        );
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn bar(what: &'static str, length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {per_sec} {eta}").unwrap();
    ProgressBar::new(length).with_style(style).with_message(what)
}

fn broken(what: &str) -> ! {
    eprintln!("\nBROKEN: {what}");
    exit(1)
}

/// Cuts the power in one run of the model.
fn run_cuts(
    args: &Args,
    run: u64,
    wanted: Wanted,
    tally: &mut cuts::Tally,
    seen: impl FnMut(&cuts::Tally) -> bool,
) -> usize {
    let seed = args.seed.wrapping_mul(1_000_000).wrapping_add(run);
    let steps = 20 + Rng::new(&[seed]).below(120);
    runtime().block_on(async {
        let recording = Recording::make(seed, steps).await;
        let recording =
            recording.unwrap_or_else(|error| broken(&format!("seed {}, run {run}: {error}", args.seed)));
        let done = cut_everywhere(&recording, seed, wanted, tally, seen).await;
        if let Err((Point { op, variant }, error)) = done {
            broken(&format!("{error}\nagain: --seed {} --only {run}:{op}:{variant}", args.seed));
        }
        recording.calls()
    })
}

fn cut(args: &Args, points: u64) {
    if points == 0 {
        return;
    }
    let (bar, start) = (bar("power cuts", points), Instant::now());
    let (next, total) = (AtomicU64::new(0), Mutex::new((cuts::Tally::default(), 0)));
    // A short laboratory still sees more than one run.
    let wanted = if points < 50_000 { Wanted::OneIn(4) } else { Wanted::All(VARIANTS) };
    std::thread::scope(|scope| {
        for _ in 0..args.threads {
            scope.spawn(|| {
                while bar.position() < points {
                    let (mut tally, mut told) = (cuts::Tally::default(), 0);
                    let run = next.fetch_add(1, Ordering::Relaxed);
                    let calls = run_cuts(args, run, wanted, &mut tally, |tally| {
                        bar.inc(tally.cuts - told);
                        told = tally.cuts;
                        bar.position() < points
                    });
                    let mut total = total.lock().unwrap();
                    total.0.cuts += tally.cuts;
                    total.0.in_recovery += tally.in_recovery;
                    total.0.whole += tally.whole;
                    total.1 += calls;
                }
            });
        }
    });
    bar.finish_and_clear();
    let (tally, calls) = *total.lock().unwrap();
    println!(
        "power cuts                {:>9}   all of them hold, in {:.0} s",
        tally.cuts,
        start.elapsed().as_secs_f64()
    );
    println!("  of them in a recovery   {:>9}", tally.in_recovery);
    println!("  read back whole         {:>9}", tally.whole);
    println!("  runs of the model       {:>9}   {calls} writes, lengths and syncs", next.into_inner());
}

fn fail(args: &Args, faults: u64) {
    if faults == 0 {
        return;
    }
    let (bar, start) = (bar("failing calls", faults), Instant::now());
    let (mut hits, mut runs) = (0, 0);
    runtime().block_on(async {
        for seed in args.seed.wrapping_mul(1_000_000).. {
            let steps = 10 + Rng::new(&[seed]).below(30);
            let (calls, _) = faults::run(seed, steps, None).await.unwrap_or_else(|error| broken(&error));
            for first in 1..=calls {
                let fault = Fault { first, last: first, seed: first as u64 };
                let done = faults::run(seed, steps, Some(fault)).await;
                let what = |error| format!("{error}\nmodel {seed} of {steps} steps, {fault:?}");
                hits += done.unwrap_or_else(|error| broken(&what(error))).1;
                runs += 1;
                bar.inc(1);
                if runs == faults {
                    return;
                }
            }
        }
    });
    bar.finish_and_clear();
    println!(
        "calls that fail           {:>9}   all answers hold, in {:.0} s",
        hits,
        start.elapsed().as_secs_f64()
    );
}

fn flip(args: &Args, flips: u64) {
    if flips == 0 {
        return;
    }
    let (bar, start, mut ends) = (bar("damaged files", flips), Instant::now(), Ends::new());
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let file: PathBuf = folder.path().join("vault.redb");
    std::fs::write(&file, runtime().block_on(damage::pristine(args.seed)).0).unwrap();
    for from in (0..flips).step_by(BATCH as usize) {
        let to = (from + BATCH).min(flips);
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--seed", &args.seed.to_string(), "--meet", &format!("{from}-{to}")]).arg(&file);
        damage::watch(child, &mut ends)
            .unwrap_or_else(|error| broken(&format!("seed {}: {error}", args.seed)));
        for number in (from..to).step_by(5) {
            let found = damage::verify(env!("CARGO_BIN_EXE_sealroom"), &file, args.seed, number, &mut ends);
            found.unwrap_or_else(|error| broken(&format!("seed {}: {error}", args.seed)));
        }
        bar.inc(to - from);
    }
    bar.finish_and_clear();
    println!("damaged files             {flips:>9}   none panics, in {:.0} s", start.elapsed().as_secs_f64());
    for (end, count) in ends {
        println!("  {end:<24}{count:>9}");
    }
}

fn kill(args: &Args, kills: u64) {
    if kills == 0 {
        return;
    }
    let (bar, start) = (bar("kill -9", kills), Instant::now());
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let killed = Killed::new(Path::new(env!("CARGO_BIN_EXE_sealroom")), folder.path());
    let mut killed = killed.unwrap_or_else(|error| broken(&error));
    let mut rng = Rng::new(&[args.seed]);
    for cycle in 0..kills {
        if let Err(error) = killed.cycle(&mut rng) {
            let kept = folder.keep();
            broken(&format!("seed {}, cycle {cycle}: {error}\nthe files: {}", args.seed, kept.display()));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let tally = killed.tally;
    println!(
        "kill -9 of a server       {kills:>9}   nothing answered is lost, in {:.0} s",
        start.elapsed().as_secs_f64()
    );
    println!(
        "  of init                 {:>9}   {} left no vault, the others a whole one",
        tally.inits, tally.without_vault
    );
    println!("  changes acknowledged    {:>9}   {} more were under way", tally.changes, tally.doubts);
    println!("  receipts, all verified  {:>9}", tally.disclosed);
}
