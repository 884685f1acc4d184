//! `sealroom audit report`: one page about a range of the log, to file.
//!
//! The log is streamed once. Memory follows the number of readers and integrations, up to a limit, and not the number of
//! records.

mod contents;
mod page;
mod tally;

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use serde_json::json;

use self::{contents::Verified, tally::Tally};
use super::{
    log_proof::{KeyArg, Signed, tree_before},
    names::Names,
    remote::Remote,
    time_range::TimeRange,
};
use crate::{
    audit::tree::{Frontier, leaf_hash},
    cli::{error::CliError, secrets::cause, signals::unfinished_file, terminal::visible::for_reader},
    client::{Event, ExportFilter},
    clock::Clock,
};

/// The longest line that is read for a record, in bytes: a record has 1 KiB at most.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// The most gaps of a range that are filled; more of them are a clock that jumped.
const FILLS_MAX: u32 = 64;

/// The form of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Form {
    /// Text for a wiki or a repository.
    Markdown,
    /// A page without scripts, for a browser and a printer.
    Html,
}

/// `audit report`'s flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ReportArgs {
    #[command(flatten)]
    between: TimeRange,
    /// The form of the page [default: html for a FILE that ends in .html, else markdown].
    #[arg(long, value_name = "FORMAT")]
    format: Option<Form>,
    #[command(flatten)]
    key: KeyArg,
    /// Write the page to this new file instead of stdout.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// The records of the range, and the tree that ends with them.
struct Read {
    tally: Tally,
    /// `None` where the range has no record, or leaves some out between its first and last.
    frontier: Option<Frontier>,
    fills: u32,
}

pub(super) async fn run(args: ReportArgs, remote: &Remote) -> Result<(), CliError> {
    if let Some(path) = args.file.as_ref().filter(|path| path.symlink_metadata().is_ok()) {
        return Err(CliError::failed(
            format!("{} exists already", path.display()),
            "a report never overwrites: choose a new file, or remove that one yourself",
        ));
    }
    let [from, to] = args.between.parameters();
    let Read { tally, frontier, .. } = read([from.clone(), to.clone()], remote).await?;
    let signed = Signed::newest(&args.key, remote).await?;
    let verified = match &frontier {
        Some(frontier) => {
            signed.continues(frontier, remote).await?;
            Verified::Whole
        }
        None if tally.records == 0 => Verified::Nothing,
        None => Verified::Gaps,
    };
    let mut names = Names::new(remote);
    if let Some(last) = &tally.last {
        names.learn_all(last.sequence).await;
    }
    let page = contents::page(&contents::About {
        range: [from.1, to.1],
        written: Clock::system().now(),
        server: remote.client.endpoint().to_string(),
        signed: &signed,
        verified: &verified,
        tally: &tally,
        names: &names,
    });
    let is_html = args.file.as_ref().and_then(|path| path.extension()).is_some_and(|end| end == "html");
    let text = match args.format.unwrap_or(if is_html { Form::Html } else { Form::Markdown }) {
        Form::Markdown => page.to_markdown(),
        Form::Html => page.to_html(),
    };
    let is_verified = matches!(verified, Verified::Whole);
    if matches!(verified, Verified::Gaps) {
        remote.output.warning(
            "the clock jumped in this range, so that records of other times lie in between: the page says that its \
             records are not verified as a whole",
        );
    }
    match &args.file {
        Some(path) => {
            write(path, &text)?;
            let (file, records) = (path.display().to_string(), tally.records);
            let state = if is_verified { "verified" } else { "not verified" };
            let value = json!({ "file": file, "records": records, "verified": is_verified });
            remote.output.result(&format!("wrote {file}: {records} records, {state}"), &value)
        }
        None if remote.output.is_json() => {
            remote.output.result("", &json!({ "report": text, "verified": is_verified }))
        }
        None => remote.output.bytes(for_reader(&text).as_bytes()),
    }
}

/// Streams the range.
async fn read(range: [(&'static str, Option<String>); 2], remote: &Remote) -> Result<Read, CliError> {
    let parameters = range.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let mut records = remote.client.export(&ExportFilter { parameters, follow: false }).await?;
    let (mut read, mut line) = (Read { tally: Tally::default(), frontier: None, fills: 0 }, Vec::new());
    while let Some(piece) = records.next().await? {
        let mut rest = &*piece;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            line.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            read.take(&line, remote).await?;
            line.clear();
        }
        line.extend_from_slice(rest);
        if line.len() > LINE_BYTES_MAX {
            return Err(unknown());
        }
    }
    Ok(read)
}

impl Read {
    /// Takes in one record.
    async fn take(&mut self, record: &[u8], remote: &Remote) -> Result<(), CliError> {
        let event: Event = serde_json::from_slice(record).map_err(|_| unknown())?;
        if self.tally.records == 0 {
            self.frontier = Some(tree_before(event.sequence, remote).await?);
        }
        if let Some(frontier) = &mut self.frontier
            && frontier.size() < event.sequence
            && self.fills < FILLS_MAX
        {
            self.fills += 1;
            fill(frontier, event.sequence, remote).await?;
        }
        self.frontier = self.frontier.take().filter(|frontier| frontier.size() == event.sequence);
        if let Some(frontier) = &mut self.frontier {
            frontier.push(leaf_hash(record));
        }
        self.tally.push(event);
        Ok(())
    }
}

/// Hashes the records before a sequence that the range leaves out: requests that overlap are recorded in another order
/// than they came.
async fn fill(frontier: &mut Frontier, end: u64, remote: &Remote) -> Result<(), CliError> {
    let parameters = vec![("fromSequence", frontier.size().to_string())];
    let mut records = remote.client.export(&ExportFilter { parameters, follow: false }).await?;
    let mut line = Vec::new();
    while let Some(piece) = records.next().await? {
        let mut rest = &*piece;
        while let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
            line.extend_from_slice(&rest[..at]);
            rest = &rest[at + 1..];
            frontier.push(leaf_hash(&line));
            line.clear();
            if frontier.size() == end {
                return Ok(());
            }
        }
        line.extend_from_slice(rest);
        if line.len() > LINE_BYTES_MAX {
            return Err(unknown());
        }
    }
    Ok(())
}

/// Writes the page under a temporary name until it is complete.
fn write(path: &Path, text: &str) -> Result<(), CliError> {
    let failed = |error: std::io::Error| {
        CliError::failed(
            format!("{}: {}", path.display(), cause(&error)),
            "choose a new file in a folder with space",
        )
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = unfinished_file(folder).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    file.persist_noclobber(path).map(drop).map_err(|error| failed(error.error))
}

fn unknown() -> CliError {
    CliError::failed("this version of sealroom does not know the kind of a record", "use a newer one")
}
