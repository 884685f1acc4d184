//! Signals that end the process: a file under construction is removed first.

#[cfg(unix)]
use std::{
    fs,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
};
use std::{io, path::Path};

#[cfg(unix)]
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
    low_level::emulate_default_handler,
};
use tempfile::NamedTempFile;

#[cfg(unix)]
use super::terminal::prompt;

/// Signals with which a user or the system ends a command.
#[cfg(unix)]
const ENDING: [i32; 3] = [SIGHUP, SIGINT, SIGTERM];

/// The files that a signal removes; a name that leads to nothing any more is harmless.
#[cfg(unix)]
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Creates a file in a folder that is removed on drop, and by a signal that ends the process.
///
/// # Errors
/// The folder refuses, or the system has no descriptors or threads left.
#[cfg(unix)]
pub(in crate::cli) fn unfinished_file(folder: &Path) -> io::Result<NamedTempFile> {
    let mut unfinished = unfinished();
    if unfinished.is_empty() {
        let ignored = ignored();
        // A process under `nohup` goes on after a hang-up; a handler would end that.
        let signals = Signals::new(ENDING.iter().filter(|signal| (ignored >> (**signal - 1)) & 1 == 0))?;
        thread::Builder::new().name("signals".to_owned()).spawn(move || remove_at_end(signals))?;
    }
    let file = NamedTempFile::new_in(folder)?;
    unfinished.push(file.path().to_owned());
    Ok(file)
}

/// Creates a file in a folder that is removed on drop.
///
/// # Errors
/// The folder refuses.
#[cfg(not(unix))]
pub(in crate::cli) fn unfinished_file(folder: &Path) -> io::Result<NamedTempFile> {
    NamedTempFile::new_in(folder)
}

#[cfg(unix)]
fn remove_at_end(mut signals: Signals) {
    for signal in signals.forever() {
        // A prompt ends by the signal itself, once the terminal echoes again; the file goes with the command's error.
        if prompt::is_asking() {
            continue;
        }
        for path in unfinished().iter() {
            drop(fs::remove_file(path));
        }
        drop(emulate_default_handler(signal));
    }
}

#[cfg(unix)]
fn unfinished() -> MutexGuard<'static, Vec<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the set of ignored signals, as Linux shows it; elsewhere none is known.
#[cfg(unix)]
pub(in crate::cli) fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
