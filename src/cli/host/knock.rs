//! A connection to the local socket of a server that may still be starting.

use std::{fs, io, os::unix::fs::MetadataExt, os::unix::net::UnixStream, path::Path, thread, time::Duration};

use super::host_actor::actor_of_uid;
use crate::{
    cli::{
        error::CliError,
        listeners::{files_told, neighbours_told},
        source::Source,
        terminal::output::Output,
    },
    clock::monotonic,
    disk::{DataFile, FileError, beside, resolved},
};

/// Interval between attempts on a socket that does not exist yet.
const EVERY: Duration = Duration::from_millis(50);
/// The wait after which the user gets a notice of it.
const SILENT_MAX: Duration = Duration::from_secs(1);

/// Connects to the server that has the file open, and waits for one that is starting.
///
/// # Errors
/// No server answers in that time, or this user may not connect to it.
pub(super) fn knock(
    data: &Path,
    source: &Source,
    wait: Duration,
    output: &Output,
) -> Result<UnixStream, CliError> {
    let path = beside(&resolved(data), ".sock");
    let start = monotonic();
    let mut is_told = false;
    loop {
        let error = match UnixStream::connect(&path) {
            Ok(server) => return Ok(server),
            Err(error) => error,
        };
        let is_coming_up = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused);
        if !is_coming_up {
            return Err(unreachable(&path, &error));
        }
        // A server opens the file first: without the file there is nothing to wait for.
        if fs::symlink_metadata(data).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            return Err(missing(data, &path, source));
        }
        let passed = monotonic().saturating_sub(start);
        if passed >= wait {
            return Err(absent(data, &path, &error));
        }
        if passed >= SILENT_MAX && !is_told {
            is_told = true;
            output.warning(&format!(
                "no server answers at {}: waiting up to {} s for it to start",
                path.display(),
                wait.as_secs()
            ));
        }
        thread::sleep(EVERY);
    }
}

/// Returns the error of a path without a file and a listener, with the files of other servers.
fn missing(data: &Path, socket: &Path, source: &Source) -> CliError {
    let message = format!("{source}: {} does not exist, and no server answers beside it", data.display());
    // A path that the user chose may be mistyped; without one, any server of this host may be meant.
    let served =
        if *source == Source::Default { socket.parent().and_then(files_told) } else { neighbours_told(data) };
    let hint = served.unwrap_or_else(|| {
        "name the running server's file with --data or SEALROOM_DATA, or its config file with --config; of a server \
         that lost its socket too, `sealroom rescue --pid PID` saves the file"
            .to_owned()
    });
    CliError::failed(message, hint)
}

/// Returns the error of a path without a listener.
fn absent(data: &Path, path: &Path, error: &io::Error) -> CliError {
    let message = format!("no server answers at {}: {error}", path.display());
    if let Err(FileError::InUse { holder, .. }) = DataFile::open_read_only(data) {
        let hint =
            format!("process {holder} has the file open and does not listen yet: wait for it, or check it");
        return CliError::failed(message, hint);
    }
    CliError::failed(message, "start it with `sealroom serve`, or name its file with --data")
}

/// Returns the error of a socket that this process cannot use, whether or not a server listens there.
fn unreachable(path: &Path, error: &io::Error) -> CliError {
    let message = format!("the server's socket {} cannot be used: {error}", path.display());
    let hint = match (error.kind(), fs::symlink_metadata(path)) {
        (io::ErrorKind::PermissionDenied, Ok(found)) => {
            let owner = actor_of_uid(found.uid()).to_string();
            let owner = owner.trim_start_matches("host:");
            match found.uid() {
                0 => "it belongs to root: run this as root".to_owned(),
                uid => format!("it belongs to {owner} (uid {uid}): run this as {owner}, or as root"),
            }
        }
        (io::ErrorKind::PermissionDenied, Err(_)) => {
            "its folder is not accessible: run this as the server's user, or as root".to_owned()
        }
        (io::ErrorKind::InvalidInput, _) => {
            "a socket's path has at most 107 bytes: use a shorter --data, for instance a relative one"
                .to_owned()
        }
        _ => "check the path, its owner and its mode".to_owned(),
    };
    CliError::failed(message, hint)
}
