//! The machine: what every figure depends on.

use std::{fs, io::Write, path::Path, time::Instant};

use super::{
    Plan,
    load::Sample,
    process,
    report::{Goal, Report},
};

/// Says what the machine is, how long its disk takes for a sync, and how large the binary is.
pub fn describe(folder: &Path, binary: &Path, plan: &Plan, report: &mut Report) {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    report.about("processor", format!("{}, {cores} cores", processor()));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    report.about("kernel", format!("{} {}", std::env::consts::OS, kernel.trim()));
    report.about("file system", file_system(folder));
    let Sample { p50, p99, p999, .. } = fsyncs(folder, plan.fsyncs);
    let micros = [p50, p99, p999].map(|time| time.as_micros().to_string()).join(" / ");
    report.about("4 KiB written in place, then fdatasync", format!("{micros} µs"));
    let (bytes, stripped) = size(folder, binary);
    let what = format!("release binary, {stripped}");
    report.figure(&what, bytes as f64 / 1e6, "MB", String::new(), Goal::AtMost(10.0));
}

/// The processors' ticks so far.
#[derive(Debug, Clone, Copy)]
pub struct Ticks {
    idle: u64,
    all: u64,
}

impl Ticks {
    pub fn now() -> Self {
        let text = fs::read_to_string("/proc/stat").unwrap_or_default();
        let line = text.lines().next().unwrap_or_default();
        let ticks: Vec<u64> = line.split_whitespace().skip(1).flat_map(str::parse).collect();
        // user, nice, system, idle, waiting for a disk, …
        Self { idle: ticks.iter().skip(3).take(2).sum(), all: ticks.iter().sum() }
    }

    /// The share of the time since then in which a processor had nothing to do.
    pub fn idle_share(self) -> f64 {
        let now = Self::now();
        // Linux may set the time of waiting for a disk back.
        now.idle.saturating_sub(self.idle) as f64 / now.all.saturating_sub(self.all).max(1) as f64
    }
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("model name"));
    line.map_or("unknown", |line| line.trim_start_matches([' ', '\t', ':'])).to_owned()
}

/// The type of the file system that the folder is on, and its options.
fn file_system(folder: &Path) -> String {
    let text = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let folder = folder.canonicalize().unwrap();
    let mounts = text.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((Path::new(words.next()?), words.next()?, words.next()?))
    });
    // Of two on one place the later one covers the earlier.
    let found =
        mounts.filter(|(at, ..)| folder.starts_with(at)).max_by_key(|(at, ..)| at.components().count());
    found.map_or("unknown".to_owned(), |(_, kind, options)| format!("{kind} ({options})"))
}

fn fsyncs(folder: &Path, count: usize) -> Sample {
    let mut file = fs::File::create(folder.join("sync")).unwrap();
    let start = Instant::now();
    let nanos = (0..count).map(|n| {
        let start = Instant::now();
        std::io::Seek::rewind(&mut file).unwrap();
        file.write_all(&[n as u8; 4096]).unwrap();
        file.sync_data().unwrap();
        start.elapsed().as_nanos() as u64
    });
    Sample::of(nanos.collect(), start.elapsed())
}

/// The size of the binary without symbols, where there is a program that takes them out.
fn size(folder: &Path, binary: &Path) -> (u64, &'static str) {
    let copy = folder.join("stripped");
    let stripped = process::run(None, "strip", &["-o", copy.to_str().unwrap(), binary.to_str().unwrap()]);
    match stripped.ok().and_then(|()| fs::metadata(&copy).ok()) {
        Some(found) => (found.len(), "stripped"),
        None => (fs::metadata(binary).unwrap().len(), "not stripped: there is no `strip`"),
    }
}
