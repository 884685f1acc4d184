//! The endpoints that rotate and retire: the work-list, a token's roll, and a user's leave.

use hyper::StatusCode;

use super::{
    error::HandlerResult,
    request::{Call, PAGE_MAX},
    response::Answer,
};
use crate::{
    api::{
        requests::{LeaveUser, RollToken},
        responses::{
            DueBody, DueCredential, DueTokenBody, LastAccess, LeftUser, RolledToken, to_secret_json,
        },
    },
    domain::{DueRules, days, seconds},
    vault::{DueQuery, DueToken, Listed, Rolled, TheirTokens},
};

/// The longest horizon in days: ten years, as for a token's life.
const DAYS_MAX: usize = 3650;
/// The default number of entries of each kind.
const ENTRIES_DEFAULT: usize = 100;

pub(super) async fn list_due(mut call: Box<Call>) -> HandlerResult {
    let standard = DueRules::STANDARD;
    let mut limit_of = |name, standard| {
        let given = call.query.number(name, DAYS_MAX)?;
        Ok::<_, super::error::HttpError>(given.map_or(standard, |count| days(count as u64)))
    };
    let rules = DueRules {
        within: limit_of("within", standard.within)?,
        older_than: limit_of("olderThan", standard.older_than)?,
    };
    let limit = call.query.number("limit", PAGE_MAX)?.unwrap_or(ENTRIES_DEFAULT);
    call.query.finish()?;
    let due = call.vault.list_due(&call.context, call.caller()?, DueQuery { rules, limit }).await?;
    let mut body = DueBody::new(&rules, &due.counts, call.context.now);
    body.ending = due.ending.iter().map(credential).collect();
    body.ended_read = due.ended_read.iter().map(credential).collect();
    body.not_rotated = due.not_rotated.iter().map(credential).collect();
    body.tokens_ending = due.tokens_ending.iter().map(token).collect();
    body.tokens_unused = due.tokens_unused.iter().map(token).collect();
    Ok(Answer::json(StatusCode::OK, &body))
}

fn credential(listed: &Listed) -> DueCredential<'_> {
    let access = listed.last_access.as_ref();
    let access = access.map(|access| LastAccess { at: access.time, by: access.actor.clone() });
    DueCredential::new(&listed.integration, access)
}

fn token(due: &DueToken) -> DueTokenBody<'_> {
    DueTokenBody::new(&due.token, due.used_at, due.used_from)
}

pub(super) async fn roll_token(call: Box<Call>) -> HandlerResult {
    call.query.finish()?;
    let token = call.token()?;
    let RollToken { overlap_secs } = call.parse()?;
    let rolled = call.vault.roll_token(&call.context, call.caller()?, token, seconds(overlap_secs)).await?;
    let Rolled { successor, text, before } = &rolled;
    Ok(Answer::secret(StatusCode::CREATED, to_secret_json(&RolledToken::new(successor, text, before))))
}

pub(super) async fn leave_user(call: Box<Call>) -> HandlerResult {
    call.query.finish()?;
    let email = call.argument()?;
    let LeaveUser { keep_tokens } = call.parse()?;
    let tokens = if keep_tokens { TheirTokens::Keep } else { TheirTokens::Revoke };
    let left = call.vault.leave_user(&call.context, call.caller()?, email, tokens).await?;
    Ok(Answer::json(StatusCode::OK, &LeftUser::new(&left.user, &left.revoked, &left.kept)))
}
