//! `sealroom audit export` and `audit tail`: the log as a stream.

use std::{
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::json;

use super::{
    client_error::{AUDITOR, or_role},
    names::Names,
    output_file::{OutputFile, target},
    remote::Remote,
    time_range::TimeRange,
};
use crate::{
    cli::{
        error::CliError,
        secrets::cause,
        terminal::{
            output::Reader,
            table::{NOTHING, local_second},
            visible::{for_reader, on_one_line},
        },
    },
    client::{Error, Event, EventFilter, ExportFilter, ProxyFailure, Records},
};

/// Backoff before a broken stream is resumed: the first pause, doubled up to the second.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(15));

/// `audit export`'s flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ExportArgs {
    /// Output format: ndjson, which can be verified, or csv for spreadsheets.
    #[arg(long, default_value = "ndjson", value_parser = ["ndjson", "csv"])]
    format: String,
    #[command(flatten)]
    between: TimeRange,
    /// Start at this record.
    #[arg(long, value_name = "SEQUENCE")]
    from_sequence: Option<u64>,
    /// Write to this file instead of stdout; it appears once it is complete.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// `audit tail`'s flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct TailArgs {
    /// Keep printing new records, and reconnect if the server goes away.
    #[arg(long, short)]
    follow: bool,
    /// Number of existing records to print first; 0 prints only new ones.
    #[arg(long, short = 'n', default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=1000))]
    lines: u64,
    /// Resume after the last record noted in this file, and keep it up to date; for log shippers.
    #[arg(long, value_name = "FILE")]
    cursor_file: Option<PathBuf>,
}

/// Says how to export what is not archived.
fn with_first(error: CliError) -> CliError {
    if error.code.as_deref() != Some("archived") {
        return error;
    }
    let hint = "pass --from-sequence with the one after the last: the events before are in the archives of `audit archive`";
    CliError { hint: hint.to_owned(), ..error }
}

pub(super) async fn export(args: ExportArgs, remote: &Remote) -> Result<(), CliError> {
    let file = args.output.map(OutputFile::begin).transpose()?;
    let [from, to] = args.between.parameters();
    let heading = u64::from(args.format == "csv");
    let parameters = [
        ("format", Some(args.format)),
        from,
        to,
        ("fromSequence", args.from_sequence.map(|sequence| sequence.to_string())),
    ];
    let parameters = parameters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let records = remote.client.export(&ExportFilter { parameters, follow: false }).await;
    let mut records = records.map_err(or_role(AUDITOR)).map_err(with_first)?;
    if let Some(file) = file {
        let shown = file.path().display().to_string();
        let (lines, bytes) = to_file(&mut records, file).await?;
        let count = lines.saturating_sub(heading);
        if count == 0 {
            remote.output.warning(&format!("no record is in this range: an empty export is in {shown}"));
        }
        let value = json!({ "file": shown, "records": count, "bytes": bytes });
        return remote.output.result(&format!("wrote {shown}, {count} records, {bytes} bytes"), &value);
    }
    let (is_terminal, mut held) = (std::io::stdout().is_terminal(), Vec::new());
    while let Some(piece) = records.next().await? {
        let reader = if is_terminal {
            held.extend_from_slice(&piece);
            let rest = held.split_off(held.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
            let lines = std::mem::replace(&mut held, rest);
            remote.output.piece(for_reader(&String::from_utf8_lossy(&lines)).as_bytes())?
        } else {
            remote.output.piece(&piece)?
        };
        if reader == Reader::Gone {
            return Ok(());
        }
    }
    remote.output.bytes(for_reader(&String::from_utf8_lossy(&held)).as_bytes())
}

/// Writes under a temporary name until the export is complete: a partial export is worthless. Returns the number of
/// lines and bytes.
async fn to_file(records: &mut Records, mut file: OutputFile) -> Result<(u64, u64), CliError> {
    let (mut lines, mut bytes) = (0, 0);
    while let Some(piece) = records.next().await? {
        file.write(&piece)?;
        // No record contains a line feed: JSON escapes it, in a CSV cell too.
        lines += piece.split(|byte| *byte == b'\n').count() as u64 - 1;
        bytes += piece.len() as u64;
    }
    file.finish()?;
    Ok((lines, bytes))
}

pub(super) async fn tail(args: TailArgs, remote: &Remote) -> Result<(), CliError> {
    let names = Names::new(remote);
    let mut tail = Tail { remote, names, next: 0, end: u64::MAX, cursor: args.cursor_file, line: Vec::new() };
    match tail.cursor.as_deref().map(read_cursor).transpose()?.flatten() {
        Some(next) => tail.resume(next).await?,
        None => tail.begin(args.lines, args.follow).await?,
    }
    let mut pause = PAUSE.0;
    loop {
        let before = tail.next;
        match tail.read(args.follow).await {
            Err(Broke::Unread) => return Ok(()),
            Ok(()) if !args.follow => return Ok(()),
            Err(Broke::Here(error)) => return Err(error),
            Err(Broke::There(error)) if !args.follow || !passes(&error) => {
                return Err(or_role(AUDITOR)(error));
            }
            Ok(()) | Err(Broke::There(_)) => {}
        }
        // The server stopped or is unreachable: retry from the record after the last one.
        pause = if tail.next > before { PAUSE.0 } else { (pause * 2).min(PAUSE.1) };
        tokio::time::sleep(pause).await;
    }
}

/// Returns whether a retry may succeed.
fn passes(error: &Error) -> bool {
    match error {
        Error::Connect { .. } | Error::Broken { .. } | Error::Timeout { .. } => true,
        Error::Refused(refusal) => matches!(refusal.status, 429 | 503),
        Error::Proxy { failure, .. } => {
            !matches!(failure, ProxyFailure::Unusable | ProxyFailure::Unauthorized | ProxyFailure::Tls(_))
        }
        Error::Endpoint(_)
        | Error::Roots(_)
        | Error::Tls { .. }
        | Error::NotHttp { .. }
        | Error::Foreign { .. }
        | Error::Session(_) => false,
    }
}

/// The side on which a stream broke.
enum Broke {
    /// The reader of the output has gone.
    Unread,
    Here(CliError),
    There(Error),
}

struct Tail<'a> {
    remote: &'a Remote,
    names: Names<'a>,
    next: u64,
    /// The sequence number before which the output ends.
    end: u64,
    cursor: Option<PathBuf>,
    /// The beginning of a record whose end has not arrived.
    line: Vec<u8>,
}

impl Tail<'_> {
    /// Finds the start of the last `lines` records.
    async fn begin(&mut self, lines: u64, follow: bool) -> Result<(), CliError> {
        // The newest record is the event of this very query; without `--follow`, the output ends before it.
        let own = self.newest().await?;
        self.next = if lines == 0 { own + 1 } else { own.saturating_sub(lines) };
        self.end = if follow { u64::MAX } else { own };
        Ok(())
    }

    /// Resumes after the last run. A log that ends before that position is another log, and waiting for it to grow
    /// would skip all that it records until then.
    async fn resume(&mut self, next: u64) -> Result<(), CliError> {
        let newest = self.newest().await?;
        if next > newest + 1 {
            return Err(CliError::failed(
                format!("the cursor is at record {next}, and this log ends at record {newest}"),
                "this is another server's log, or its file was restored from an older copy: check it, then \
             remove the --cursor-file to start over",
            ));
        }
        self.next = next;
        Ok(())
    }

    /// Returns the newest record, which is the event of this very query.
    async fn newest(&self) -> Result<u64, CliError> {
        let filter = EventFilter { parameters: vec![("limit", "1".to_owned())] };
        let (events, _) = self.remote.client.events(&filter).await.map_err(or_role(AUDITOR))?;
        let newest = events.first().and_then(|event| serde_json::from_str::<Event>(event.get()).ok());
        Ok(newest.map_or(0, |event| event.sequence))
    }

    async fn read(&mut self, follow: bool) -> Result<(), Broke> {
        if self.next >= self.end {
            return Ok(());
        }
        self.line.clear();
        let parameters = vec![("fromSequence", self.next.to_string())];
        let filter = ExportFilter { parameters, follow };
        let mut records = self.remote.client.export(&filter).await.map_err(Broke::There)?;
        while let Some(piece) = records.next().await.map_err(Broke::There)? {
            if self.take(&piece).await.map_err(Broke::Here)? == Reader::Gone {
                return Err(Broke::Unread);
            }
        }
        Ok(())
    }

    async fn take(&mut self, piece: &[u8]) -> Result<Reader, CliError> {
        let mut rest = piece;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.line.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            let line = std::mem::take(&mut self.line);
            if self.show(&line).await? == Reader::Gone {
                return Ok(Reader::Gone);
            }
        }
        self.line.extend_from_slice(rest);
        // Save only after printing: a crash then causes a duplicate, never a loss.
        match &self.cursor {
            Some(path) => {
                write_cursor(&target(path)?, self.next).map(|()| Reader::Listens).map_err(|error| {
                    CliError::failed(
                        format!("{}: {}", path.display(), cause(&error)),
                        "check the folder of --cursor-file",
                    )
                })
            }
            None => Ok(Reader::Listens),
        }
    }

    async fn show(&mut self, line: &[u8]) -> Result<Reader, CliError> {
        let event: Event = serde_json::from_slice(line).map_err(|_| {
            CliError::failed("this version of sealroom does not know the kind of a record", "pass --json")
        })?;
        if event.sequence >= self.end {
            return Ok(Reader::Listens);
        }
        self.next = event.sequence + 1;
        if self.remote.output.is_json() {
            let text = String::from_utf8_lossy(line);
            return self.remote.output.piece(format!("{}\n", for_reader(&text)).as_bytes());
        }
        self.names.learn(&event).await;
        let (actor, subject) = (self.names.actor(&event), self.names.subject(&event));
        let or_nothing = |text: Option<String>| text.unwrap_or_else(|| NOTHING.to_owned());
        let (provider, project) = (or_nothing(event.provider), or_nothing(event.project));
        let mut words = vec![event.sequence.to_string(), local_second(event.time), actor.text];
        words.extend([event.action, event.outcome, provider, project, subject.text]);
        words.extend(actor.id.map(|id| format!("app:{id}")));
        words.extend(subject.id);
        self.remote.output.piece(format!("{}\n", on_one_line(&words.join(" "))).as_bytes())
    }
}

fn read_cursor(path: &Path) -> Result<Option<u64>, CliError> {
    match std::fs::read_to_string(path) {
        Ok(text) => text.trim().parse().map(Some).map_err(|_| {
            CliError::failed(
                format!("{} holds no sequence", path.display()),
                "remove it, or name another --cursor-file",
            )
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            Err(CliError::failed(format!("{}: {error}", path.display()), "check the path and its mode"))
        }
    }
}

fn write_cursor(path: &Path, next: u64) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    writeln!(file, "{next}")?;
    file.persist(path).map(drop).map_err(|error| error.error)
}
