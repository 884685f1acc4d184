//! The endpoint of exposures.

use super::{
    error::{HandlerResult, HttpError},
    request::{Call, bad},
    response::Answer,
};
use crate::{
    domain::{Actor, TokenId},
    vault::{Error, ExposureQuestion, InternalError},
};

pub(super) async fn read(mut call: Box<Call>) -> HandlerResult {
    let (actor, token) = (call.query.take::<Actor>("actor")?, call.query.take::<TokenId>("token")?);
    let transitive = flag("transitive", call.query.text("transitive")?)?;
    let integration = call.query.take("integration")?;
    let (since, until) = (call.query.take("since")?, call.query.take("until")?);
    call.query.finish()?;
    let wrong = |message: &str| Err(bad("invalid_parameter", message.to_owned()));
    let actor = match (actor, token) {
        (Some(_), Some(_)) => return wrong("Query parameters actor and token exclude each other"),
        (actor, token) => actor.or(token.map(Actor::App)).map(|actor| actor.to_string()),
    };
    if actor.is_none() && integration.is_none() && since.is_none() {
        return wrong("One of the query parameters actor, token, integration and since is required");
    }
    if transitive && actor.is_none() {
        return wrong("Query parameter transitive needs actor or token");
    }
    if since.zip(until).is_some_and(|(since, until)| since > until) {
        return wrong("Query parameter since must not be after until");
    }
    let question = ExposureQuestion { actor, integration, since, until, transitive };
    let (exposure, turn) = call.vault.exposure(&call.context, call.caller()?, &question).await?;
    // An answer may be of megabytes.
    let answer = tokio::task::spawn_blocking(move || Answer::held_json(&exposure, turn)).await;
    Ok(answer.map_err(|_| Error::from(InternalError::TaskPanicked))?)
}

fn flag(name: &str, text: Option<String>) -> Result<bool, HttpError> {
    match text.as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(bad("invalid_parameter", format!("Query parameter {name} must be true or false"))),
    }
}
