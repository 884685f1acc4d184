//! `sealroom audit export` and `audit tail`: the log as it comes.

use std::{
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::json;

use super::{
    error::CliError,
    output::Reader,
    remote::Remote,
    secrets::cause,
    table::{NOTHING, local},
};
use crate::{
    client::{Error, Event, EventFilter, ExportFilter, ProxyFailure, Records},
    domain::Timestamp,
};

/// The pause before a stream that broke is taken up again; twice as long each time, up to the second.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(15));

/// `audit export`'s flags.
#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    /// ndjson, which can be verified, or csv, which is for people.
    #[arg(long, default_value = "ndjson", value_parser = ["ndjson", "csv"])]
    format: String,
    /// Not before this time, like 2026-11-24T10:00:00Z.
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Before this time.
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
    /// From this record on.
    #[arg(long, value_name = "SEQUENCE")]
    from_sequence: Option<u64>,
    /// Write here instead of on standard output; the file appears once it is whole.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// `audit tail`'s flags.
#[derive(Debug, clap::Args)]
pub(super) struct TailArgs {
    /// Go on with what comes, also after the server was away.
    #[arg(long, short)]
    follow: bool,
    /// How many records to begin with.
    #[arg(long, short = 'n', default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1000))]
    lines: u64,
    /// Begin where this file says that the last run ended, and keep it up to date; for log shippers.
    #[arg(long, value_name = "FILE")]
    cursor_file: Option<PathBuf>,
}

pub(super) async fn export(args: ExportArgs, remote: &Remote) -> Result<(), CliError> {
    let parameters = [
        ("format", Some(args.format)),
        ("from", args.from.map(|time| time.to_string())),
        ("to", args.to.map(|time| time.to_string())),
        ("fromSequence", args.from_sequence.map(|sequence| sequence.to_string())),
    ];
    let parameters = parameters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let mut records = remote.client.export(&ExportFilter { parameters, follow: false }).await?;
    if let Some(path) = args.output {
        let bytes = to_file(&mut records, &path).await?;
        let shown = path.display().to_string();
        let value = json!({ "file": shown, "bytes": bytes });
        return remote.output.result(&format!("wrote {shown}, {bytes} bytes"), &value);
    }
    while let Some(piece) = records.next().await? {
        if remote.output.piece(&piece)? == Reader::Gone {
            break;
        }
    }
    Ok(())
}

/// Under another name until it is whole: half an export is none.
async fn to_file(records: &mut Records, path: &Path) -> Result<u64, CliError> {
    let failed = |error: std::io::Error| {
        CliError::failed(format!("{}: {}", path.display(), cause(&error)), "check the folder and its disk")
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    let mut writer = BufWriter::new(file);
    let mut bytes = 0;
    while let Some(piece) = records.next().await? {
        writer.write_all(&piece).map_err(failed)?;
        bytes += piece.len() as u64;
    }
    let file = writer.into_inner().map_err(|error| failed(error.into_error()))?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map(|_| bytes).map_err(|error| failed(error.error))
}

pub(super) async fn tail(args: TailArgs, remote: &Remote) -> Result<(), CliError> {
    let mut tail = Tail { remote, next: 0, end: u64::MAX, cursor: args.cursor_file, line: Vec::new() };
    match tail.cursor.as_deref().map(read_cursor).transpose()?.flatten() {
        Some(next) => tail.next = next,
        None => tail.begin(args.lines, args.follow).await?,
    }
    let mut pause = PAUSE.0;
    loop {
        let before = tail.next;
        match tail.read(args.follow).await {
            Err(Broke::Unread) => return Ok(()),
            Ok(()) if !args.follow => return Ok(()),
            Err(Broke::Here(error)) => return Err(error),
            Err(Broke::There(error)) if !args.follow || !passes(&error) => return Err(error.into()),
            Ok(()) | Err(Broke::There(_)) => {}
        }
        // The server stopped, or is away: it is asked again, from the record after the last one.
        pause = if tail.next > before { PAUSE.0 } else { (pause * 2).min(PAUSE.1) };
        tokio::time::sleep(pause).await;
    }
}

/// Whether asking again later may help.
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

/// On which side a stream ended before its end.
enum Broke {
    /// Nobody reads any more.
    Unread,
    Here(CliError),
    There(Error),
}

struct Tail<'a> {
    remote: &'a Remote,
    next: u64,
    /// Before which record it ends.
    end: u64,
    cursor: Option<PathBuf>,
    /// The begin of a record whose end has not come yet.
    line: Vec<u8>,
}

impl Tail<'_> {
    /// Where the last so many records begin.
    async fn begin(&mut self, lines: u64, follow: bool) -> Result<(), CliError> {
        let filter = EventFilter { parameters: vec![("limit", "1".to_owned())] };
        let (events, _) = self.remote.client.events(&filter).await?;
        let newest = events.first().and_then(|event| serde_json::from_str::<Event>(event.get()).ok());
        // The newest is the event of our own asking: to whoever does not follow it is no news.
        let own = newest.map_or(0, |event| event.sequence);
        self.next = own.saturating_sub(lines);
        self.end = if follow { u64::MAX } else { own };
        Ok(())
    }

    async fn read(&mut self, follow: bool) -> Result<(), Broke> {
        self.line.clear();
        let parameters = vec![("fromSequence", self.next.to_string())];
        let filter = ExportFilter { parameters, follow };
        let mut records = self.remote.client.export(&filter).await.map_err(Broke::There)?;
        while let Some(piece) = records.next().await.map_err(Broke::There)? {
            if self.take(&piece).map_err(Broke::Here)? == Reader::Gone {
                return Err(Broke::Unread);
            }
        }
        Ok(())
    }

    fn take(&mut self, piece: &[u8]) -> Result<Reader, CliError> {
        let mut rest = piece;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.line.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            let line = std::mem::take(&mut self.line);
            if self.show(&line)? == Reader::Gone {
                return Ok(Reader::Gone);
            }
        }
        self.line.extend_from_slice(rest);
        // Only once it is printed: what a crash loses here is sent twice rather than never.
        match &self.cursor {
            Some(path) => write_cursor(path, self.next).map(|()| Reader::Listens).map_err(|error| {
                CliError::failed(
                    format!("{}: {}", path.display(), cause(&error)),
                    "check the folder of --cursor-file",
                )
            }),
            None => Ok(Reader::Listens),
        }
    }

    fn show(&mut self, line: &[u8]) -> Result<Reader, CliError> {
        let event: Event = serde_json::from_slice(line).map_err(|_| {
            CliError::failed("a record is of a kind that this sealroom does not know", "pass --json")
        })?;
        if event.sequence >= self.end {
            return Ok(Reader::Listens);
        }
        self.next = event.sequence + 1;
        if self.remote.output.is_json() {
            return self.remote.output.piece(&[line, b"\n"].concat());
        }
        let or_nothing = |text: Option<String>| text.unwrap_or_else(|| NOTHING.to_owned());
        let text = format!(
            "{} {} {} {} {} {} {}\n",
            event.sequence,
            local(event.time),
            event.actor,
            event.action,
            event.outcome,
            or_nothing(event.provider),
            or_nothing(event.project),
        );
        self.remote.output.piece(text.as_bytes())
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
