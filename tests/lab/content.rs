//! The content that a vault must hold, and the content that it shows.

use std::collections::{BTreeMap, BTreeSet};

use sealroom::{
    auth::policy::Verb,
    domain::{IntegrationId, Scope},
    vault::{Admitted, Context, CredentialQuery, Error, Vault},
};

/// Everything that users see, by the model's names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    pub users: BTreeMap<String, Person>,
    pub projects: BTreeSet<String>,
    /// True for a revoked token, by name.
    pub tokens: BTreeMap<String, bool>,
    pub integrations: BTreeMap<String, Item>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub first_name: Option<String>,
    pub disabled: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Empty means global.
    pub projects: Vec<String>,
    pub revision: u64,
    pub kept: usize,
    pub value: String,
}

/// One disclosed credential, with the receipt of its event.
#[derive(Debug, Clone)]
pub struct Shown {
    pub sequence: u64,
    pub leaf_hash: [u8; 32],
    pub id: IntegrationId,
    pub revision: u64,
}

/// Reads all credentials as `caller`, each with the receipt of its event.
pub async fn read(
    vault: &Vault,
    context: &Context,
    caller: &Admitted,
    query: CredentialQuery,
) -> Result<Vec<(String, String, Shown)>, Error> {
    let read = match vault.read_credentials(context, caller, query).await {
        Err(Error::NothingMatches { .. } | Error::ProjectNotFound(_)) => return Ok(Vec::new()),
        other => other?,
    };
    assert_eq!(read.items.len(), read.receipts.len(), "a receipt for each");
    let shown = read.items.iter().zip(&read.receipts).map(|((one, secret), receipt)| {
        let text: serde_json::Value = serde_json::from_slice(secret.expose()).unwrap();
        let shown = Shown {
            sequence: receipt.sequence,
            leaf_hash: receipt.leaf_hash,
            id: one.id,
            revision: one.revision().number(),
        };
        let name = one.name.as_ref().map(ToString::to_string).unwrap_or_default();
        (name, text["token"].as_str().unwrap().to_owned(), shown)
    });
    Ok(shown.collect())
}

/// Reads everything that the vault shows its owner, credentials included.
pub async fn observe(
    vault: &Vault,
    context: &Context,
    owner: &Admitted,
) -> Result<(Content, Vec<Shown>), Error> {
    let mut content = Content::default();
    for user in vault.list_users(context, owner).await? {
        let first_name = user.first_name.as_ref().map(ToString::to_string);
        let person = Person { first_name, disabled: user.disabled };
        content.users.insert(user.email.to_string(), person);
    }
    for (project, _) in vault.list_projects(context, owner).await? {
        content.projects.insert(project.identifier.to_string());
    }
    for (token, _) in vault.list_tokens(context, owner).await? {
        content.tokens.insert(token.name.to_string(), token.revoked_at.is_some());
    }
    for listed in
        vault.list_integrations(context, owner, Verb::ListIntegrations, None, None, (None, None)).await?.0
    {
        let one = &listed.integration;
        let projects = match &one.scope {
            Scope::Global => Vec::new(),
            Scope::Projects(projects) => projects.iter().map(ToString::to_string).collect(),
        };
        let item =
            Item { projects, revision: one.revision().number(), kept: one.kept.len(), value: String::new() };
        content.integrations.insert(one.name.as_ref().unwrap().to_string(), item);
    }
    let mut shown = Vec::new();
    for (name, value, place) in read(vault, context, owner, CredentialQuery::default()).await? {
        content.integrations.get_mut(&name).expect("what is read is listed").value = value;
        shown.push(place);
    }
    Ok((content, shown))
}
