//! A token whose text reached no reader.

use crate::{
    cli::{client::remote::Remote, error::CliError, terminal::once::Made},
    domain::TokenId,
};

/// Revokes a token whose text reached no reader: the list would show it as active forever.
pub(super) async fn revoke(
    id: TokenId,
    name: &str,
    cause: &dyn std::fmt::Display,
    remote: &Remote,
) -> CliError {
    let outcome = remote.client.revoke_token(id).await;
    Made {
        what: format!("token {name} ({id})"),
        ended: "revoked",
        by_hand: format!("sealroom token revoke {id} --yes"),
        remedy: "run it again with --write-to FILE, or with a reader on standard output",
    }
    .undone(cause, outcome)
}
