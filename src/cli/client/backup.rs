//! `sealroom backup`: a copy of the running vault in a new file.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde_json::json;

use super::{
    client_error::or_role,
    remote::{Need, Remote, ServerArgs},
};
use crate::{
    cli::{
        error::CliError,
        secrets::cause,
        signals::unfinished_file,
        terminal::{output::Output, progress::Progress},
    },
    client::Records,
};

/// `backup`'s flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The new file to write (mode 0600).
    #[arg(value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: Args, output: Output) -> Result<(), CliError> {
    let to = &args.to;
    // Neither a file nor a link, wherever it leads: a backup replaces nothing, the vault itself least of all.
    if to.symlink_metadata().is_ok() {
        return Err(CliError::failed(
            format!("{} exists already", to.display()),
            "a backup never overwrites: choose a new file, or move that one away yourself",
        ));
    }
    let name = to.to_string_lossy();
    if [".lock", ".sock"].iter().any(|suffix| name.ends_with(suffix)) {
        let hint = "this suffix is reserved for files beside a vault: choose another name";
        return Err(CliError::usage(format!("{name} cannot name a vault file"), hint));
    }
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut copy = unfinished_file(folder).map_err(|error| unwritten(to, &error))?;
    let remote = args.server.connect(Need::Token, output)?;
    let bytes = receive(&remote, copy.as_file_mut(), to).await?;
    let records = verified(copy.path(), to, &output)?;
    copy.persist_noclobber(to).map_err(|error| unwritten(to, &error.error))?;
    sync(folder).map_err(|error| unwritten(to, &error))?;
    let shown = to.display().to_string();
    let line = match records {
        Some(records) => format!("wrote {shown}: {bytes} bytes, {records} records, verified"),
        None => format!("wrote {shown}: {bytes} bytes, which the server verified"),
    };
    output.result(&line, &json!({ "file": shown, "bytes": bytes, "records": records }))
}

/// Syncs the folder: without it, a power cut can lose the name of a file whose content is safe.
#[cfg(unix)]
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Elsewhere a folder cannot be synced.
#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "as on unix")]
pub(super) const fn sync(_: &Path) -> io::Result<()> {
    Ok(())
}

async fn receive(remote: &Remote, copy: &mut File, to: &Path) -> Result<u64, CliError> {
    if !remote.output.is_json() {
        remote.output.note("the server makes the copy and verifies it first");
    }
    let mut pieces: Records = remote.client.backup().await.map_err(or_role("operator"))?;
    let length = pieces.length().unwrap_or(0);
    let progress = Progress::bytes("saving", length, &remote.output);
    let mut bytes = 0;
    while let Some(piece) = pieces.next().await? {
        copy.write_all(&piece).map_err(|error| unwritten(to, &error))?;
        bytes += piece.len() as u64;
        progress.advance(piece.len() as u64);
    }
    if bytes != length {
        return Err(CliError::failed(
            format!("the server sent {bytes} bytes of {length}"),
            "no file was written; try again",
        ));
    }
    copy.sync_all().map_err(|error| unwritten(to, &error))?;
    Ok(bytes)
}

/// Reads the file back: every page, and the log against its own checkpoint. Returns the number of records.
#[cfg(feature = "server")]
fn verified(path: &Path, to: &Path, output: &Output) -> Result<Option<u64>, CliError> {
    let records = crate::cli::host::verify::copy(path, output).map_err(|error| {
        let message = error.message.replace(&path.display().to_string(), &to.display().to_string());
        CliError {
            message: format!("what was written does not verify: {message}"),
            hint: "no file was left behind; check that disk, and try again".to_owned(),
            ..error
        }
    })?;
    Ok(Some(records))
}

/// A client without the server's parts cannot open a vault file.
#[cfg(not(feature = "server"))]
#[allow(clippy::unnecessary_wraps, reason = "as with the server's parts")]
const fn verified(_: &Path, _: &Path, _: &Output) -> Result<Option<u64>, CliError> {
    Ok(None)
}

fn unwritten(to: &Path, error: &io::Error) -> CliError {
    CliError::failed(
        format!("{}: {}", to.display(), cause(error)),
        "choose a new file in a folder with enough space; no file was left behind",
    )
}
