//! Checks of the host: sandbox, clock, memory and open files.

use std::{collections::BTreeMap, fs, path::Path, process::Command, time::Duration};

use rustix::process::{Resource, getrlimit};
use serde::Deserialize;

use crate::{
    cli::host::{descriptors, memory, sandbox::SANDBOX_CHECK},
    clock::{Clock, implausible, monotonic},
    config::default,
    crypto::{kdf::KdfParams, keys::MasterKey},
    domain::{Secret, Timestamp},
    storage::{Check, Status},
};

/// The most that wall clock and monotonic clock may differ by over one check.
const STEP_MAX: Duration = Duration::from_millis(200);
/// The most that a file may be newer than the clock, as for the newest record of a vault.
const AHEAD_MAX: Duration = Duration::from_mins(5);
/// The time of a key derivation from which on an unlock is slow.
const SLOW: Duration = Duration::from_secs(5);

/// Runs the checks; `data` is the vault file, which need not exist.
pub(super) fn host_checks(data: &Path) -> Vec<Check> {
    let (began, ticked) = (Clock::system().now(), monotonic());
    let memory = memory_check();
    let passed = Passed {
        wall_from: began,
        wall_to: Clock::system().now(),
        ticks: monotonic().saturating_sub(ticked),
    };
    vec![sandbox(data), clock(&passed, modified(data)), memory, files()]
}

/// One period on both clocks. The system's clock is read anew each time, so that a step shows.
struct Passed {
    wall_from: Timestamp,
    wall_to: Timestamp,
    ticks: Duration,
}

fn clock(passed: &Passed, newest_file: Option<Timestamp>) -> Check {
    let now = passed.wall_to;
    let failed = |what: String| {
        Check::new("clock", Status::Failed, format!("{what}: set the clock, and have it synchronized (NTP)"))
    };
    if let Some(why) = implausible(now) {
        return failed(format!("the clock says {now}, {why}"));
    }
    if let Some(newest) = newest_file.filter(|newest| newest.since(now) > AHEAD_MAX) {
        return failed(format!("the clock says {now}, but the vault file was written at {newest}"));
    }
    let wall = passed.wall_to.since(passed.wall_from);
    let is_back = passed.wall_to < passed.wall_from;
    if is_back || wall.abs_diff(passed.ticks) > STEP_MAX {
        return Check::new(
            "clock",
            Status::Warning,
            format!("{now}; it was set meanwhile: wait until the clock is synchronized (NTP)"),
        );
    }
    Check::new("clock", Status::Ok, format!("{now}, and it runs as fast as the monotonic one"))
}

fn modified(data: &Path) -> Option<Timestamp> {
    let modified = fs::metadata(data).ok()?.modified().ok()?;
    let since = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
}

/// Derives a key once at the cost of `init`'s default.
fn memory_check() -> Check {
    let kdf = KdfParams::STANDARD;
    let mib = kdf.memory_kib() / 1024;
    let failed = |what: String| {
        Check::new(
            "memory",
            Status::Failed,
            format!("{what}: raise the limit or free memory, or create the vault with a lower --kdf-memory"),
        )
    };
    if let Some(lack) = memory::lack_for(kdf) {
        return failed(lack);
    }
    let began = monotonic();
    if MasterKey::derive(&Secret::new(b"self-check".to_vec()), &[0; 16], kdf).is_err() {
        return failed(format!("the key derivation gets no {mib} MiB of memory"));
    }
    let took = monotonic().saturating_sub(began);
    let free = memory::free_kib().map_or(String::new(), |kib| format!(", {} MiB free", kib / 1024));
    let message = format!("a key derivation takes {mib} MiB and {} ms{free}", took.as_millis());
    if took > SLOW {
        return Check::new("memory", Status::Warning, format!("{message}: each unlock waits that long"));
    }
    Check::new("memory", Status::Ok, message)
}

fn files() -> Check {
    let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let possible = descriptors::carried(hard);
    if possible < u64::from(default::CONNECTIONS_MAX) {
        let message = format!(
            "at most {hard}, enough for {possible} connections and not {}: raise LimitNOFILE= (ulimit -Hn), or lower \
             connections_max",
            default::CONNECTIONS_MAX
        );
        return Check::new("open files", Status::Warning, message);
    }
    Check::new("open files", Status::Ok, format!("enough for {} connections", default::CONNECTIONS_MAX))
}

/// The answer of the hidden command that tries the sandbox from inside.
#[derive(Debug, Deserialize)]
struct Tried {
    holds: Vec<String>,
    lacks: Vec<String>,
    /// By attempt its error; `None` if it succeeded.
    attempts: BTreeMap<String, Option<String>>,
}

/// Enters the sandbox in a process of its own: nobody leaves it again.
fn sandbox(data: &Path) -> Check {
    match try_sandbox(data) {
        Ok(tried) => judged(&tried),
        Err(cause) => Check::new("sandbox", Status::Failed, format!("it could not be tried: {cause}")),
    }
}

fn try_sandbox(data: &Path) -> Result<Tried, String> {
    let beside = data.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A container may have no other folder.
    let folder =
        tempfile::tempdir().or_else(|_| tempfile::tempdir_in(beside)).map_err(|error| error.to_string())?;
    // Some attempts reach for the folder above: that is a temporary one too.
    let inner = folder.path().join("sandbox");
    fs::create_dir(&inner).map_err(|error| error.to_string())?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new(program).arg(SANDBOX_CHECK).arg(&inner).output();
    let output = output.map_err(|error| error.to_string())?;
    serde_json::from_slice(&output.stdout).map_err(|_| format!("its process ended with {}", output.status))
}

fn judged(Tried { holds, lacks, attempts }: &Tried) -> Check {
    let is_allowed = |name: &str| name.starts_with("allowed: ");
    let broken = attempts.iter().filter(|(name, error)| is_allowed(name) && error.is_some());
    let broken: Vec<String> =
        broken.map(|(name, error)| format!("{name}: {}", error.as_deref().unwrap_or_default())).collect();
    let open = attempts.iter().filter(|(name, error)| !is_allowed(name) && error.is_none());
    let open: Vec<String> = open.map(|(name, _)| format!("a server could {name}")).collect();
    let with = |status, message: &str, detail: Vec<String>| Check {
        detail,
        ..Check::new("sandbox", status, message)
    };
    if !broken.is_empty() {
        return with(Status::Failed, "it closes what a server needs: serve with --sandbox false", broken);
    }
    if !lacks.is_empty() {
        let message = "this system lacks a part of it: a newer kernel has all";
        return with(Status::Warning, message, lacks.iter().cloned().chain(open).collect());
    }
    if !open.is_empty() {
        return with(Status::Failed, "it holds, and yet leaves something open: report this fault", open);
    }
    Check::new("sandbox", Status::Ok, holds.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::EARLIEST, domain::days};

    const NOW: Timestamp = Timestamp::from_millis(EARLIEST.millis() + 86_400_000);

    fn passed(wall_from: Timestamp, wall_to: Timestamp, millis: u64) -> Passed {
        Passed { wall_from, wall_to, ticks: Duration::from_millis(millis) }
    }

    #[test]
    fn a_clock_that_cannot_be_right_is_never_taken_for_one_that_is() {
        let second = Duration::from_secs(1);
        let well = passed(NOW, NOW.plus(second), 1_000);
        assert_eq!(clock(&well, None).status, Status::Ok);
        assert_eq!(clock(&well, Some(NOW.plus(second * 60))).status, Status::Ok, "a little ahead");
        for (wrong, newest) in [
            (passed(Timestamp::from_millis(0), Timestamp::from_millis(1_000), 1_000), None),
            (passed(EARLIEST.minus(second * 2), EARLIEST.minus(second), 1_000), None),
            (passed(NOW.plus(days(80 * 365)), NOW.plus(days(80 * 365)), 0), None),
            (passed(NOW, NOW.plus(second), 1_000), Some(NOW.plus(days(1)))),
        ] {
            let check = clock(&wrong, newest);
            assert_eq!(check.status, Status::Failed, "{}", check.message);
            assert!(check.message.contains("set the clock"), "{}", check.message);
        }
        for stepped in
            [passed(NOW, NOW.minus(second), 10), passed(NOW, NOW.plus(days(1)), 10), passed(NOW, NOW, 900)]
        {
            assert_eq!(clock(&stepped, None).status, Status::Warning);
        }
    }

    #[test]
    fn a_sandbox_that_leaves_something_open_is_never_ok() {
        let tried = |lacks: &[&str], attempts: &[(&str, Option<&str>)]| Tried {
            holds: vec!["seccomp".to_owned()],
            lacks: lacks.iter().map(|part| (*part).to_owned()).collect(),
            attempts: attempts
                .iter()
                .map(|(name, error)| ((*name).to_owned(), error.map(str::to_owned)))
                .collect(),
        };
        let closed = ("start a program", Some("EPERM"));
        let free = ("allowed: write in the folder", None);
        for (tried, status) in [
            (tried(&[], &[closed, free]), Status::Ok),
            (tried(&["landlock"], &[closed, free]), Status::Warning),
            (tried(&["landlock"], &[("connect", None), free]), Status::Warning),
            (tried(&[], &[("connect", None), closed, free]), Status::Failed),
            (tried(&[], &[closed, ("allowed: write in the folder", Some("EACCES"))]), Status::Failed),
        ] {
            assert_eq!(judged(&tried).status, status, "{tried:?}");
        }
    }
}
