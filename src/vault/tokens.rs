//! Application tokens.

use std::sync::Arc;

use super::{
    access::Admitted,
    error::Error,
    narrowing::token_detail,
    projects::check_registered,
    state::Vault,
    work::{Context, Request},
};
use crate::{
    api::{bad_request::BadRequest, requests::CreateToken},
    auth::{policy::Verb, token},
    crypto::random,
    domain::{
        ApplicationToken, Detail, DetailKey, Event, IntegrationId, Roll, Secret, Timestamp, TokenId,
        TokenRef, days,
    },
    storage::{Changes, Decision, View},
};

impl Vault {
    /// Creates a token; only this call returns its text.
    ///
    /// # Errors
    /// The policy, an unregistered project or an unknown integration forbids it.
    pub async fn create_token(
        &self,
        context: &Context,
        caller: &Admitted,
        request: CreateToken,
    ) -> Result<(ApplicationToken, Secret), Error> {
        let id = TokenId::new(context.now, random::bytes()?);
        let new = token::application()?;
        let digest = new.digest;
        let work = move |work: Request<'_>| {
            let CreateToken { name, expires_in_days, role, scope } = request;
            check_registered(work.view, scope.projects.iter().flatten())?;
            check_stored(work.view, scope.integrations.iter().flatten())?;
            let now = work.context.now;
            let expires_at = now.plus(days(expires_in_days));
            let created_by = work.caller().actor();
            let token = ApplicationToken {
                id,
                digest,
                name,
                role,
                scope,
                created_by,
                created_at: now,
                expires_at,
                revoked_at: None,
                roll: Roll::default(),
                version: 0,
            };
            let mut changes = Changes::none();
            changes.token(token.clone());
            let detail = token_detail(&token);
            Ok(Decision::changing(token, changes, Event { detail, ..work.event }))
        };
        let token = self.act(context, caller, Verb::CreateToken, work).await?.value;
        Ok((token, new.text))
    }

    /// Lists tokens with the time of their last audited event, newest first.
    pub async fn list_tokens(
        &self,
        context: &Context,
        caller: &Admitted,
    ) -> Result<Vec<(ApplicationToken, Option<Timestamp>)>, Error> {
        let work = move |work: Request<'_>| {
            let mut tokens = work.view.tokens()?;
            tokens.sort_by_key(|token| std::cmp::Reverse(token.id));
            let used = |token: ApplicationToken| {
                let access = work.view.last_access(token.id.as_bytes())?;
                Ok::<_, Error>((token, access.map(|access| access.time)))
            };
            let tokens = tokens.into_iter().map(used).collect::<Result<Vec<_>, _>>()?;
            let detail = Detail::NONE.number(DetailKey::Count, tokens.len() as u64);
            Ok(Decision::recording(tokens, vec![Event { detail, ..work.event }]))
        };
        Ok(self.act(context, caller, Verb::ListTokens, work).await?.value)
    }

    /// Revokes a token, at once and for good, by its id or by the digest of its text.
    ///
    /// # Errors
    /// The policy forbids it, or the token does not exist.
    pub async fn revoke_token(
        &self,
        context: &Context,
        caller: &Admitted,
        token: TokenRef,
    ) -> Result<TokenId, Error> {
        let work = move |work: Request<'_>| {
            let mut token = ApplicationToken::clone(&*find(work.view, token)?);
            token.revoked_at = token.revoked_at.or(Some(work.context.now));
            let (id, detail) = (token.id, token_detail(&token));
            let mut changes = Changes::none();
            changes.token(token);
            Ok(Decision::changing(id, changes, Event { detail, ..work.event }).revoking())
        };
        Ok(self.act(context, caller, Verb::RevokeToken, work).await?.value)
    }
}

/// Returns the token of that id or digest.
///
/// # Errors
/// There is none, or its row cannot be read.
pub(super) fn find(view: &View<'_>, token: TokenRef) -> Result<Arc<ApplicationToken>, Error> {
    let found = match token {
        TokenRef::Id(id) => view.token_by_id(id)?,
        TokenRef::Digest(digest) => view.token(&digest)?,
    };
    found.ok_or(Error::TokenNotFound)
}

/// Checks that every integration exists. A later deletion leaves the id in the token: it then names nothing.
fn check_stored<'a>(
    view: &View<'_>,
    integrations: impl IntoIterator<Item = &'a IntegrationId>,
) -> Result<(), Error> {
    for (index, id) in integrations.into_iter().enumerate() {
        if view.integration(*id)?.is_none() {
            return Err(Error::BadRequest(BadRequest::integration_missing(index)));
        }
    }
    Ok(())
}
