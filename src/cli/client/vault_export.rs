//! `sealroom export`: everything that the vault holds, as one JSON object.
//!
//! The server's own answers stand in it byte for byte, an integration a line, so that memory follows the largest one
//! and not the vault. The lists are read first, then one integration after the other: what changes meanwhile is in it
//! as it was when its turn came.

use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

use serde_json::json;
use tempfile::NamedTempFile;

use super::{
    backup,
    import::own::{KIND, VERSION},
    remote::{Need, Remote, ServerArgs},
};
use crate::{
    cli::{
        error::CliError,
        secrets::cause,
        signals::unfinished_file,
        terminal::{
            output::{Output, Reader},
            progress::Progress,
        },
    },
    client::{Error, Listing},
    clock::Clock,
};

/// Examples in the help.
pub(super) const EXAMPLES: &str = "\
Each kept revision of each credential is a disclosure, and an event of its own in the audit log.
Passwords and application tokens are not in it: no server can give them out.

Examples:
  sealroom export --all | age -r age1… > all.json.age
  sealroom export --all | sops encrypt --filename-override all.sops > all.sops
  sealroom export --all --output all.json";

/// `export`'s flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Export every credential of every project with its kept revisions, the projects, and the users.
    #[arg(long)]
    all: bool,
    /// Write to this new file (mode 0600) instead of stdout; it appears once it is complete.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: Args, output: Output) -> Result<(), CliError> {
    if !args.all {
        return Err(CliError::usage(
            "an export discloses every credential",
            "pass --all if that is meant, or read some with `sealroom credentials`",
        ));
    }
    let mut sink = Sink::open(args.output.as_deref(), output)?;
    let remote = args.server.connect(Need::Token, output)?;
    let Some(count) = write(&remote, &mut sink).await? else { return Ok(()) };
    let Some(file) = sink.finish()? else {
        output.note(&format!("exported {} integrations, {} revisions", count.integrations, count.revisions));
        return Ok(());
    };
    let line = format!("wrote {file}: {} integrations, {} revisions", count.integrations, count.revisions);
    let value = json!({ "file": file, "integrations": count.integrations, "revisions": count.revisions });
    output.result(&line, &value)
}

#[derive(Default)]
struct Count {
    integrations: u64,
    revisions: u64,
}

/// Writes the whole object; `None` if the reader has gone, for whom nothing more is disclosed.
async fn write(remote: &Remote, sink: &mut Sink) -> Result<Option<Count>, CliError> {
    let client = &remote.client;
    // The oldest first: an import makes them in this order, and a list is sorted by age.
    let mut ids: Vec<_> = client.integrations(None, None).await?.into_iter().map(|one| one.id).collect();
    ids.reverse();
    let head = format!(
        "{{\"sealroom\":\"{KIND}\",\"version\":{VERSION},\"exportedAt\":\"{}\"",
        Clock::system().now()
    );
    let mut reader = sink.piece(head.as_bytes())?;
    for (name, of) in
        [("projects", Listing::Projects), ("users", Listing::Users), ("tokens", Listing::Tokens)]
    {
        reader = sink.piece(format!(",\n\"{name}\":").as_bytes())?;
        reader = sink.piece(client.listing(of).await?.expose())?.and(reader);
    }
    reader = sink.piece(b",\n\"integrations\":[")?.and(reader);
    let (progress, mut count) = (Progress::entries("exporting", &remote.output), Count::default());
    for (index, id) in ids.iter().enumerate() {
        if reader == Reader::Gone {
            return Ok(None);
        }
        let read = match client.revisions(*id, None).await {
            // It was deleted meanwhile.
            Err(Error::Refused(refusal)) if refusal.status == 404 => continue,
            read => read?,
        };
        count.revisions += read.parts()?.revisions.len() as u64;
        reader = sink.piece(if count.integrations > 0 { b",\n" } else { b"\n" })?;
        reader = sink.piece(read.body.expose())?.and(reader);
        count.integrations += 1;
        progress.reach(index as u64 + 1, ids.len() as u64);
    }
    reader = sink.piece(b"\n]}\n")?.and(reader);
    Ok((reader == Reader::Listens).then_some(count))
}

/// The destination: a pipe, or a new file that appears whole.
enum Sink {
    Stdout(Output),
    File { path: PathBuf, file: NamedTempFile },
}

impl Sink {
    /// Opens the destination before anything is disclosed.
    fn open(path: Option<&Path>, output: Output) -> Result<Self, CliError> {
        let Some(path) = path else {
            if io::stdout().is_terminal() {
                return Err(CliError::usage(
                    "an export holds every credential, and standard output is a terminal",
                    "pass --output FILE, or pipe it into a program that encrypts: sealroom export --all | age -r …",
                ));
            }
            return Ok(Self::Stdout(output));
        };
        // Neither a file nor a link, wherever it leads.
        if path.symlink_metadata().is_ok() {
            return Err(CliError::failed(
                format!("{} exists already", path.display()),
                "an export never overwrites: choose a new file, or remove that one yourself",
            ));
        }
        // It is created with mode 0600, and an interrupted export leaves none of it.
        let file = unfinished_file(folder(path)).map_err(|error| failed(path, &error))?;
        Ok(Self::File { path: path.to_owned(), file })
    }

    fn piece(&mut self, bytes: &[u8]) -> Result<Reader, CliError> {
        match self {
            Self::Stdout(output) => output.piece(bytes),
            Self::File { path, file } => {
                file.write_all(bytes).map(|()| Reader::Listens).map_err(|error| failed(path, &error))
            }
        }
    }

    /// Makes the file appear; returns its name.
    fn finish(self) -> Result<Option<String>, CliError> {
        let Self::File { path, file } = self else { return Ok(None) };
        let unwritten = |error: io::Error| failed(&path, &error);
        file.as_file().sync_all().map_err(unwritten)?;
        file.persist_noclobber(&path).map_err(|error| unwritten(error.error))?;
        backup::sync(folder(&path)).map_err(unwritten)?;
        Ok(Some(path.display().to_string()))
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn failed(path: &Path, error: &io::Error) -> CliError {
    CliError::failed(
        format!("{}: {}", path.display(), cause(error)),
        "choose a new file in a folder with enough space; no file was left behind",
    )
}
