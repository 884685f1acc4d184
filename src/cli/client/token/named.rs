//! Tokens by their names, which several may share.

use std::{collections::HashMap, iter::successors};

use crate::{
    cli::{
        client::{near, remote::Remote},
        error::CliError,
    },
    client::Token,
    domain::TokenId,
};

/// Returns the token with that id, or the only unrevoked one with that name; of those, an active one before the others.
pub(super) async fn unrevoked(text: &str, remote: &Remote) -> Result<Token, CliError> {
    let all = remote.client.tokens().await?;
    let has_active = all.iter().any(|token| token.name == text && is_active(token));
    let is_meant = |token: &Token| if has_active { is_active(token) } else { !is_revoked(token) };
    only(all, text, is_meant)
}

/// Returns the token with that id, or the only active one with that name. Of two that belong to one roll, a name means
/// the successor.
pub(super) async fn rollable(text: &str, remote: &Remote) -> Result<Token, CliError> {
    let all = remote.client.tokens().await?;
    let chain: HashMap<TokenId, (Option<TokenId>, bool)> =
        all.iter().map(|token| (token.id, (token.rolled_to, is_active(token)))).collect();
    // The server names the successors: a circle of them must end too.
    let is_succeeded = |token: &Token| {
        let mut chained = successors(token.rolled_to, |id| chain.get(id)?.0).take(chain.len());
        chained.any(|id| chain.get(&id).is_some_and(|(_, is_active)| *is_active))
    };
    only(all, text, |token| is_active(token) && !is_succeeded(token))
}

fn is_active(token: &Token) -> bool {
    token.status.as_deref() == Some("active")
}

fn is_revoked(token: &Token) -> bool {
    token.status.as_deref() == Some("revoked")
}

/// Returns the token with that id, or the only one with that name that is meant by a name.
fn only(all: Vec<Token>, text: &str, is_meant: impl Fn(&Token) -> bool) -> Result<Token, CliError> {
    let fits = |token: &Token| {
        (token.name == text && is_meant(token)) || token.id.to_string() == text.to_ascii_lowercase()
    };
    let (found, others): (Vec<Token>, Vec<Token>) = all.into_iter().partition(fits);
    near::only(found, "token", text, |token| token.id.to_string())?.ok_or_else(|| {
        let known = others.iter().map(|token| token.name.as_str());
        near::unknown("token", text, known, "the tokens: sealroom token list")
    })
}
