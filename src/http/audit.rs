//! The endpoints of the audit log, except the export.

use base64::{Engine, engine::general_purpose::STANDARD};
use hyper::StatusCode;

use super::{
    error::{HandlerResult, HttpError},
    request::{Call, PAGE_MAX, bad, digits},
    response::{Answer, with_cursor},
};
use crate::vault::{EventQuery, Proof};

/// The default page size of the event list.
const EVENTS_DEFAULT: usize = 100;

pub(super) async fn read_events(mut call: Box<Call>) -> HandlerResult {
    let query = EventQuery {
        actor: call.query.take("actor")?,
        action: call.query.take("action")?,
        integration: call.query.take("integration")?,
        project: call.query.take("project")?,
        outcome: call.query.take("outcome")?,
        from: call.query.take("from")?,
        to: call.query.take("to")?,
        limit: call.query.number("limit", PAGE_MAX)?.unwrap_or(EVENTS_DEFAULT),
        cursor: sequence(call.query.text("cursor")?)?,
    };
    call.query.finish()?;
    if query.from.zip(query.to).is_some_and(|(from, to)| from > to) {
        return Err(bad("invalid_parameter", "Query parameter from must not be after to".to_owned()));
    }
    let (events, next) = call.vault.read_events(&call.context, call.caller()?, &query).await?;
    Ok(with_cursor(Answer::raw_json(format!("[{}]", events.join(","))), next))
}

fn sequence(text: Option<String>) -> Result<Option<u64>, HttpError> {
    let wrong =
        || bad("invalid_parameter", "Query parameter cursor must be a value of x-next-cursor".to_owned());
    text.map(|text| digits(&text).ok_or_else(wrong)).transpose()
}

pub(super) async fn read_checkpoint(call: Box<Call>) -> HandlerResult {
    call.query.finish()?;
    Ok(Answer::text(call.vault.read_checkpoint(&call.context, call.caller()?).await?))
}

pub(super) async fn read_verifier_key(call: Box<Call>) -> HandlerResult {
    call.query.finish()?;
    let key = call.vault.read_verifier_key(&call.context, call.caller()?).await?;
    Ok(Answer::text(format!("{key}\n")))
}

pub(super) async fn read_proof(mut call: Box<Call>) -> HandlerResult {
    let mut number = |name: &'static str| whole_number(name, call.query.text(name)?);
    let wanted = match (number("sequence")?, number("size")?, number("from")?, number("to")?) {
        (Some(sequence), Some(size), None, None) => Proof::Inclusion { sequence, size },
        (None, None, Some(from), Some(to)) => Proof::Consistency { from, to },
        _ => {
            let message = "A proof needs either sequence and size, or from and to".to_owned();
            return Err(bad("invalid_parameter", message));
        }
    };
    call.query.finish()?;
    let hashes = call.vault.prove(&call.context, call.caller()?, wanted).await?;
    let hashes: Vec<String> = hashes.iter().map(|hash| STANDARD.encode(hash)).collect();
    Ok(Answer::json(StatusCode::OK, &hashes))
}

/// Parses a sequence or a tree size.
pub(super) fn whole_number(name: &str, text: Option<String>) -> Result<Option<u64>, HttpError> {
    let wrong = || bad("invalid_parameter", format!("Query parameter {name} must be a whole number"));
    text.map(|text| digits(&text).ok_or_else(wrong)).transpose()
}
