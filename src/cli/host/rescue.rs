//! `sealroom rescue`: the file that a running server still has open, once its path no longer leads to it.
//!
//! While the file is displaced the server commits nothing, so the copy is a consistent snapshot.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

use serde_json::json;

use super::{
    control::{self, RescueHead},
    lock::ServerArgs,
    verify,
};
use crate::cli::{
    error::CliError,
    signals::unfinished_file,
    terminal::{output::Output, progress::Progress},
};

/// The engine's magic number, with which a vault file begins.
const VAULT_BEGINS: [u8; 6] = *b"redb\x1a\n";
/// Bytes of the file in memory at a time.
const PIECE_BYTES: usize = 256 * 1024;

/// `rescue`'s flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    server: ServerArgs,
    /// The server's process, if its local socket is gone too; its open files are searched.
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// The new file to write (mode 0600).
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<(), CliError> {
    let to = &args.to;
    if to.symlink_metadata().is_ok() {
        return Err(CliError::failed(
            format!("{} already exists", to.display()),
            "pass a new file with --to",
        ));
    }
    let name = to.to_string_lossy();
    if [".lock", ".sock"].iter().any(|suffix| name.ends_with(suffix)) {
        let hint = "this suffix is reserved for files beside a vault: pass another file with --to";
        return Err(CliError::usage(format!("{name} cannot name a vault file"), hint));
    }
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut copy = unfinished_file(folder).map_err(|error| unwritable(to, &error))?;
    let (RescueHead { bytes, foreign }, mut held) = match args.pid {
        Some(pid) => held_by(pid)?,
        None => control::rescue(args.server.socket(output)?)?,
    };
    receive(&mut held, bytes, &mut copy, to, output)?;
    let temporary = copy.path().display().to_string();
    let records = verify::copy(copy.path(), output);
    copy.persist_noclobber(to).map_err(|error| unwritable(to, &error.error))?;
    sync_folder(folder).map_err(|error| unwritable(to, &error))?;
    if let Some(cause) = foreign {
        return Err(CliError::failed(
            format!("{cause}: {} is what the path leads to now, not what the server wrote", to.display()),
            "restore a backup; what was acknowledged since is lost",
        ));
    }
    let records = records.map_err(|error| {
        let message = error.message.replace(&temporary, &to.display().to_string());
        let hint =
            format!("{} is what the server holds, unverified: keep it, and restore a backup", to.display());
        CliError { message: format!("the copy does not verify: {message}"), hint, ..error }
    })?;
    output.result(
        &format!(
            "wrote {}: {bytes} bytes, {records} records, verified\n\
             Stop the server, then start it with this file: sealroom serve --data {}",
            to.display(),
            to.display()
        ),
        &json!({ "file": to.display().to_string(), "bytes": bytes, "records": records }),
    )
}

/// Finds the one vault file that a process holds open and no path leads to any more (proc(5), `/proc/PID/fd`).
fn held_by(pid: u32) -> Result<(RescueHead, Box<dyn Read>), CliError> {
    let folder = PathBuf::from(format!("/proc/{pid}/fd"));
    let failed = |error: io::Error| {
        let hint = "name the server's process, and run this as root on its host: no other process of its user can look into it";
        CliError::failed(format!("{}: {error}", folder.display()), hint)
    };
    let entries = fs::read_dir(&folder).map_err(failed)?;
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let Ok(file) = File::open(&path) else { continue };
        let (Ok(own), mut start) = (file.metadata(), [0; VAULT_BEGINS.len()]) else { continue };
        let is_vault = own.is_file() && file.read_exact_at(&mut start, 0).is_ok() && start == VAULT_BEGINS;
        let is_named = fs::read_link(&path)
            .and_then(fs::metadata)
            .is_ok_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino()));
        if is_vault && !is_named {
            return Ok((RescueHead { bytes: own.len(), foreign: None }, Box::new(file)));
        }
    }
    Err(CliError::failed(
        format!("process {pid} has no open vault file that has lost its path"),
        "a file in place needs no rescue; otherwise pass the server's own process",
    ))
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn receive(
    held: &mut dyn Read,
    bytes: u64,
    copy: &mut tempfile::NamedTempFile,
    to: &Path,
    output: &Output,
) -> Result<(), CliError> {
    let progress = Progress::bytes("saving", bytes, output);
    let mut piece = vec![0; PIECE_BYTES];
    let mut left = bytes;
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        let read = match held.read(&mut piece[..want]) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            other => other,
        };
        let read = read.map_err(|error| {
            CliError::failed(
                format!("the server closed the connection: {error}"),
                "try again while the server runs",
            )
        })?;
        copy.write_all(&piece[..read]).map_err(|error| unwritable(to, &error))?;
        left -= read as u64;
        progress.advance(read as u64);
    }
    copy.as_file().sync_all().map_err(|error| unwritable(to, &error))
}

fn unwritable(to: &Path, error: &io::Error) -> CliError {
    let cause = error.to_string();
    let cause = cause.split_once(" at path ").map_or(cause.as_str(), |(cause, _)| cause);
    CliError::failed(
        format!("{}: {cause}", to.display()),
        "pass a new file with --to, on a disk with enough space",
    )
}
