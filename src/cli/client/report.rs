//! `sealroom audit report`: one page about a range of the log, to file.
//!
//! The log is streamed once. Memory follows the number of readers and integrations, up to a limit, and not the number of
//! records.

mod contents;
mod page;
mod range;
mod tally;

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use serde_json::json;

use self::{
    contents::Verified,
    range::{Read, Unproven},
};
use super::{
    log_proof::{KeyArg, Signed},
    names::Names,
    remote::Remote,
    time_range::TimeRange,
};
use crate::{
    cli::{error::CliError, secrets::cause, signals::unfinished_file, terminal::visible::for_reader},
    clock::Clock,
};

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

pub(super) async fn run(args: ReportArgs, remote: &Remote) -> Result<(), CliError> {
    if let Some(path) = args.file.as_ref().filter(|path| path.symlink_metadata().is_ok()) {
        return Err(CliError::failed(
            format!("{} exists already", path.display()),
            "a report never overwrites: choose a new file, or remove that one yourself",
        ));
    }
    // The export has to hold all that this checkpoint signs.
    let before = Signed::newest(&args.key, remote).await?;
    let Read { tally, tree } = range::read(&args.between, before.checkpoint.size, remote).await?;
    let signed = Signed::newest(&args.key, remote).await?;
    signed.follows(&before, remote).await?;
    let verified = match &tree {
        Ok(tree) => {
            signed.continues(tree, remote).await?;
            if tally.records == 0 { Verified::Nothing } else { Verified::Whole }
        }
        Err(Unproven::Gaps) => Verified::Gaps,
        Err(Unproven::Archived) => Verified::Archived,
    };
    let [from, to] = args.between.parameters();
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
    if let Err(unproven) = &tree {
        let why = match unproven {
            Unproven::Gaps => "the clock jumped in this range, so that records of other times lie in between",
            Unproven::Archived => "the records before this range are archived",
        };
        remote.output.warning(&format!("{why}: the page says that its records are not verified as a whole"));
    }
    let is_verified = tree.is_ok();
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
