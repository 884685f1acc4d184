//! An exposure over archived records too: the archives and the server's export are folded here, in this process.
//!
//! The records are believed as far as the server's checkpoint vouches for them: together they make its root.

use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Seek, Write},
    path::PathBuf,
};

use super::remote::{Remote, Speaker};
use crate::{
    audit::{
        checkpoint,
        exposure::{Answer, Index, Question},
        tree::{Frontier, leaf_hash},
    },
    cli::{
        error::CliError,
        host::archive_file::{ArchiveFile, open_all},
    },
    client::{ExportFilter, Exposure, ExposureQuestion},
    clock::Clock,
};

/// Sees each record of the log in turn.
type Visit<'a> = dyn FnMut(u64, &[u8]) -> Result<(), CliError> + 'a;

/// A whole log: its archives, and a private copy of the rest.
struct Log {
    archives: Vec<ArchiveFile>,
    rest: File,
    first: u64,
}

/// Answers a question over the records of these archives and of the server.
///
/// # Errors
/// An archive is missing, or the records are not those of the server's log.
pub(super) async fn exposure(
    paths: &[PathBuf],
    question: ExposureQuestion,
    remote: &Remote,
) -> Result<Exposure, CliError> {
    let note = remote.client.checkpoint().await?;
    let mut log = fetch(paths, remote).await?;
    let index = index(&mut log, &note)?;
    let ExposureQuestion { actor, integration, since, until, transitive } = question;
    if let Some(id) = integration.filter(|id| index.has(*id) == Some(false)) {
        return Err(CliError::failed(
            format!("no integration had the id {id}"),
            "`sealroom integration list` shows them",
        ));
    }
    let question = Question { actor, integration, since, until, transitive };
    let exposure = match index.answer(&question, Clock::system().now(), 0, &mut |_| None) {
        Answer::Ready(exposure) => *exposure,
        Answer::Archived { last } => return Err(missing(0, last)),
        Answer::Read(mut reading) => {
            let mut block = reading.next_block();
            log.each(&mut |sequence, record| {
                while block.as_ref().is_some_and(|range| range.end <= sequence) {
                    block = reading.next_block();
                }
                match &block {
                    Some(range) if range.contains(&sequence) => {
                        reading.push(sequence, record).map_err(|_| unknown(sequence))
                    }
                    _ => Ok(()),
                }
            })?;
            reading.finish().map_err(|error| CliError::failed(error.to_string(), PASS_ALL))?
        }
    };
    Ok(with_names(exposure, remote).await)
}

const PASS_ALL: &str = "pass --archive for each archive of this vault";

/// Copies the records that the server still has into a nameless file: they name people and projects.
async fn fetch(paths: &[PathBuf], remote: &Remote) -> Result<Log, CliError> {
    let archives = open_all(paths)?;
    let first = archives.last().map_or(0, |archive| archive.header.end);
    let parameters = vec![("fromSequence", first.to_string())];
    let records = remote.client.export(&ExportFilter { parameters, follow: false }).await;
    let mut records = records.map_err(CliError::from).map_err(|error| match error.code.as_deref() {
        Some("archived") => CliError { hint: PASS_ALL.to_owned(), ..error },
        _ => error,
    })?;
    let failed = |error: std::io::Error| {
        CliError::failed(format!("the server's records: {error}"), "check the space in TMPDIR")
    };
    let mut writer = BufWriter::new(tempfile::tempfile().map_err(failed)?);
    while let Some(piece) = records.next().await? {
        writer.write_all(&piece).map_err(failed)?;
    }
    let rest = writer.into_inner().map_err(|error| failed(error.into_error()))?;
    Ok(Log { archives, rest, first })
}

/// Folds the log, and holds it against the checkpoint.
fn index(log: &mut Log, note: &str) -> Result<Index, CliError> {
    let foreign = || CliError::failed("the server's checkpoint has not its form", "update sealroom");
    let signed = checkpoint::read_unsigned(note).map_err(|_| foreign())?;
    if let Some(other) = log.archives.iter().find(|archive| archive.header.origin != signed.origin) {
        let told = format!(
            "{} is an archive of {}, and the server has {}",
            other.path.display(),
            other.header.origin,
            signed.origin
        );
        return Err(CliError::failed(told, "pass the archives of this vault"));
    }
    let (mut index, mut tree, mut is_proven) = (Index::default(), Frontier::EMPTY, false);
    log.each(&mut |sequence, record| {
        if sequence > tree.size() {
            return Err(missing(tree.size(), sequence - 1));
        }
        // Two archives may hold one record.
        if sequence < tree.size() {
            return Ok(());
        }
        drop(tree.push(leaf_hash(record)));
        is_proven |= tree.size() == signed.size && tree.root() == signed.root;
        index.push(sequence, record).map_err(|_| unknown(sequence))
    })?;
    if is_proven {
        return Ok(index);
    }
    Err(CliError::failed(
        "the archives and the server's records do not make the root of its checkpoint",
        "an archive was changed, or is of another history: `sealroom audit verify` examines it",
    ))
}

impl Log {
    /// Passes every record to `visit`, oldest first.
    fn each(&mut self, visit: &mut Visit<'_>) -> Result<(), CliError> {
        for archive in &self.archives {
            archive.records(visit)?;
        }
        let unread =
            |error: std::io::Error| CliError::failed(format!("the server's records: {error}"), "try again");
        self.rest.rewind().map_err(unread)?;
        for (line, sequence) in BufReader::new(&self.rest).split(b'\n').zip(self.first..) {
            visit(sequence, &line.map_err(unread)?)?;
        }
        Ok(())
    }
}

/// Adds what the server's rows tell, as far as the caller may read them.
async fn with_names(mut exposure: Exposure, remote: &Remote) -> Exposure {
    if let Ok(integrations) = remote.client.integrations(None, None).await {
        for value in &mut exposure.live {
            if let Some(one) = integrations.iter().find(|one| one.id == value.integration_id) {
                (value.name, value.expires_at) = (one.name.clone(), one.expires_at);
            }
        }
    }
    // Only a user may list tokens, and of the callers that read the log that user is an owner.
    if remote.speaker == Speaker::User
        && let Ok(tokens) = remote.client.tokens().await
    {
        for made in &mut exposure.made {
            let id = made.actor.strip_prefix("app:");
            if let Some(token) = tokens.iter().find(|token| Some(&*token.id.to_string()) == id) {
                made.name = Some(token.name.clone());
                made.role = Some(token.role.clone());
                made.status.clone_from(&token.status);
            }
        }
    }
    exposure
}

fn missing(first: u64, last: u64) -> CliError {
    CliError::failed(format!("the records {first} to {last} are in none of the archives"), PASS_ALL)
}

fn unknown(sequence: u64) -> CliError {
    CliError::failed(
        format!("record {sequence} is not one that this version of sealroom reads"),
        "update sealroom",
    )
}
