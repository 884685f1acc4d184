//! The export: streams the log piece by piece, in constant memory.

use std::{io, sync::Arc};

use tokio::sync::mpsc;

use super::{
    audit::whole_number,
    error::{HandlerResult, HttpError},
    request::{Call, bad},
    response::{Answer, Piece},
};
use crate::{
    audit::record,
    clock::Clock,
    domain::Timestamp,
    vault::{Admitted, Context, Error, ExportTurn, InternalError, StoredRecord, Vault},
};

/// The pieces buffered for a slow client.
const PIECES: usize = 1;

/// The format of the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// One record a line, byte for byte.
    Ndjson,
    /// For spreadsheets; it cannot be verified.
    Csv,
}

/// An export in progress.
struct Export {
    vault: Arc<Vault>,
    clock: Clock,
    context: Context,
    caller: Admitted,
    format: Format,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    next: u64,
    /// The sequence to stop before; `None` to follow the log until the client disconnects.
    end: Option<u64>,
    pieces: mpsc::Sender<io::Result<Piece>>,
    turn: ExportTurn,
}

pub(super) async fn export(mut call: Box<Call>) -> HandlerResult {
    let format = match call.query.text("format")?.as_deref() {
        None | Some("ndjson") => Format::Ndjson,
        Some("csv") => Format::Csv,
        Some(_) => return Err(invalid("Query parameter format must be one of ndjson, csv")),
    };
    let (from, to): (Option<Timestamp>, Option<Timestamp>) =
        (call.query.take("from")?, call.query.take("to")?);
    let first = whole_number("fromSequence", call.query.text("fromSequence")?)?;
    let follow = match call.query.text("follow")?.as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(invalid("Query parameter follow must be true or false")),
    };
    call.query.finish()?;
    if from.zip(to).is_some_and(|(from, to)| from > to) {
        return Err(invalid("Query parameter from must not be after to"));
    }
    if follow && to.is_some() {
        return Err(invalid("Query parameter to cannot be combined with follow=true"));
    }
    let (range, turn) = call.vault.begin_export(&call.context, call.caller()?, first, from).await?;
    let (pieces, stream) = mpsc::channel(PIECES);
    let (next, end) = (range.start, (!follow).then_some(range.end));
    let caller = call.caller()?.clone();
    let Call { vault, clock, closing, context, .. } = *call;
    let mut closing = closing.subscribe();
    let export = Export { vault, clock, context, caller, format, from, to, next, end, pieces, turn };
    let (pieces, has_end) = (export.pieces.clone(), export.end.is_some());
    tokio::spawn(async move {
        let stopped = tokio::select! {
            () = export.pump() => false,
            closing = closing.wait_for(|closing| *closing) => closing.is_ok(),
        };
        // A follower has every record so far; a client that wanted the whole must see the stream break.
        if stopped && has_end {
            drop(pieces.send(Err(io::Error::other("the server stops"))).await);
        }
    });
    let content_type = match format {
        Format::Ndjson => "application/x-ndjson",
        Format::Csv => "text/csv; charset=utf-8",
    };
    Ok(Answer::stream(content_type, stream))
}

fn invalid(message: &str) -> HttpError {
    bad("invalid_parameter", message.to_owned())
}

impl Export {
    async fn pump(mut self) {
        if self.format == Format::Csv && self.pieces.send(Ok(record::CSV_HEADER.into())).await.is_err() {
            return;
        }
        loop {
            if self.pieces.is_closed() {
                return;
            }
            let records = match self.chunk().await {
                Ok(records) => records,
                Err(error) => return self.break_off(error).await,
            };
            let Some((last, _)) = records.last() else {
                if self.end.is_some() {
                    return;
                }
                tokio::select! {
                    () = self.vault.grown_past(self.next) => continue,
                    () = self.pieces.closed() => return,
                }
            };
            self.next = last + 1;
            let piece = match self.write(&records) {
                Ok(piece) => piece,
                Err(error) => return self.break_off(error).await,
            };
            if !piece.is_empty() && self.pieces.send(Ok(piece.into())).await.is_err() {
                return;
            }
        }
    }

    /// Reads the next records; authenticates the caller each time, so that a revocation ends the stream.
    async fn chunk(&self) -> Result<Vec<StoredRecord>, Error> {
        let (vault, caller, now) = (Arc::clone(&self.vault), self.caller.clone(), self.clock.now());
        let (next, end, turn) = (self.next, self.end.unwrap_or(u64::MAX), self.turn.clone());
        let read = tokio::task::spawn_blocking(move || {
            let chunk = vault.export_chunk(&caller, now, next, end);
            drop(turn);
            chunk
        });
        read.await.map_err(|_| InternalError::TaskPanicked)?
    }

    fn write(&self, records: &[StoredRecord]) -> Result<Vec<u8>, Error> {
        let mut piece = Vec::with_capacity(records.iter().map(|(_, record)| record.len() + 1).sum());
        for (_, bytes) in records {
            if self.from.is_some() || self.to.is_some() {
                let time = record::decode(bytes).map_err(InternalError::from)?.time;
                if self.from.is_some_and(|from| time < from) || self.to.is_some_and(|to| time >= to) {
                    continue;
                }
            }
            match self.format {
                Format::Ndjson => {
                    piece.extend_from_slice(bytes);
                    piece.push(b'\n');
                }
                Format::Csv => record::write_csv(bytes, &mut piece).map_err(InternalError::from)?,
            }
        }
        Ok(piece)
    }

    /// Closes the connection without the stream's proper end, so that a client sees that records are missing.
    async fn break_off(&self, error: Error) {
        let error = self.vault.export_broke_off(&self.context, &self.caller, error).await;
        tracing::warn!(%error, "export aborted");
        drop(self.pieces.send(Err(io::Error::other("broken off"))).await);
    }
}
