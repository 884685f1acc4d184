//! Events as sentences.

use serde_json::Value;

use super::names::Names;
use crate::{
    client::Event,
    domain::{Action, Outcome},
};

/// Each action as a past tense and as an infinitive.
const WORDS: &[(Action, &str, &str)] = &[
    (Action::CredentialsRead, "received the credential of", "read the credential of"),
    (Action::CredentialsMint, "received a newly minted token of", "obtain a token of"),
    (Action::IntegrationCreate, "stored", "store"),
    (Action::IntegrationUpdate, "changed the metadata of", "change the metadata of"),
    (Action::IntegrationRotate, "replaced the credential of", "replace the credential of"),
    (
        Action::IntegrationRollback,
        "made an older credential current again in",
        "restore an older credential of",
    ),
    (Action::IntegrationDelete, "deleted", "delete"),
    (Action::IntegrationList, "listed integrations", "list integrations"),
    (Action::DueList, "listed what is due for rotation", "list what is due for rotation"),
    (Action::IntegrationRead, "read the metadata of", "read the metadata of"),
    (Action::IntegrationShadow, "hid integrations of owners with", "hide integrations of owners with"),
    (Action::ProjectCreate, "registered the project", "register the project"),
    (Action::ProjectDelete, "deleted the project", "delete the project"),
    (Action::TokenCreate, "created the token", "create a token"),
    (Action::TokenUpdate, "took a project from the token", "change a token"),
    (Action::TokenRevoke, "revoked the token", "revoke a token"),
    (Action::TokenList, "listed the tokens", "list the tokens"),
    (Action::UserCreate, "created the user", "create a user"),
    (Action::UserUpdate, "changed the user", "change a user"),
    (Action::UserDelete, "removed the user", "remove a user"),
    (Action::UserList, "listed the users", "list the users"),
    (Action::UserRead, "read the record of the user", "read the record of a user"),
    (Action::SessionLogin, "logged in", "log in"),
    (Action::SessionRefresh, "refreshed a session", "refresh a session"),
    (Action::SessionLogout, "logged out", "log out"),
    (Action::RequestDenied, "sent a request", "call a route"),
    (Action::RequestRefused, "was refused further requests", "send further requests"),
    (Action::AuditExport, "exported the audit log", "export the audit log"),
    (Action::AuditArchive, "moved old records of the log to an archive", "archive old records of the log"),
    (Action::AuditRead, "read the audit log", "read the audit log"),
    (Action::BackupCreate, "made a backup", "make a backup"),
    (Action::VaultInit, "created the vault", "create the vault"),
    (Action::VaultUnlock, "unlocked the vault", "unlock the vault"),
    (Action::VaultLock, "locked the vault", "lock the vault"),
    (Action::VaultRekey, "replaced the vault's key", "replace the vault's key"),
    (Action::VaultCompact, "compacted the vault's file", "compact the vault's file"),
    (Action::VaultMigrate, "brought the vault's file to a newer format", "migrate the vault's file"),
    (Action::VaultSlot, "changed the key slots", "change the key slots"),
    (Action::VaultRecover, "set a new password for an owner", "recover an owner"),
    (Action::VaultRestore, "restored the vault from a backup", "restore the vault from a backup"),
    (Action::AuthRejected, "counted rejected requests and logins", "count rejected requests"),
    (Action::ServerStart, "started the server", "start the server"),
    (Action::ServerStop, "stopped the server", "stop the server"),
];

/// Says what happened: who, what and whether it was allowed.
pub(super) fn event(event: &Event, names: &Names<'_>) -> String {
    let actor = actor(event, names);
    let known = event.action.parse().ok().and_then(words);
    let Some((past, infinitive)) = known else {
        return capitalized(&format!("{actor} did {}; the outcome was {}.", event.action, event.outcome));
    };
    let object = object(event, names);
    let said = match (event.action.parse(), event.outcome.parse()) {
        (Ok(Action::AuthRejected), _) => "the server counted rejected requests and logins.".to_owned(),
        (Ok(Action::RequestRefused), _) => format!("{actor} was refused further requests for that minute."),
        (Ok(Action::TokenUpdate), Ok(Outcome::Allowed)) if event.detail.get("rolledTo").is_some() => {
            format!("{actor} gave an earlier end to the token{object}.")
        }
        (Ok(Action::UserUpdate), Ok(Outcome::Allowed)) if is_leave(event) => {
            format!("{actor} disabled the user{object}, who leaves, and ended the sessions.")
        }
        (Ok(Action::TokenRevoke), Ok(Outcome::Allowed)) if is_leave(event) => {
            format!("{actor} revoked the token{object}, whose creator leaves.")
        }
        (_, Ok(Outcome::Allowed)) => format!("{actor} {past}{object}."),
        (_, Ok(Outcome::Denied)) => format!("{actor} was not allowed to {infinitive}{object}."),
        (_, Ok(Outcome::Failed) | Err(_)) => format!("{actor} tried to {infinitive}{object}, and it failed."),
    };
    capitalized(&said)
}

fn is_leave(event: &Event) -> bool {
    event.detail.get("reason").and_then(Value::as_str) == Some("leave")
}

/// Says from where and in which request the event came; empty if it came from the host.
pub(super) fn origin(event: &Event) -> String {
    match (&event.peer, &event.request_id) {
        (Some(peer), Some(request)) => format!("The request {request} came from {peer}."),
        (Some(peer), None) => format!("It came from {peer}."),
        (None, Some(request)) => format!("It belongs to the request {request}."),
        (None, None) => "It happened on the server's own host.".to_owned(),
    }
}

/// Says what else the record states.
pub(super) fn details(event: &Event) -> Vec<String> {
    let mut said = Vec::new();
    if event.detail.get("alarm") == Some(&Value::Bool(true)) {
        said.push(
            "The credential is a canary: nobody has a reason to read it, and this read raised an alarm."
                .to_owned(),
        );
    }
    let Some(members) = event.detail.as_object() else { return said };
    let rest: Vec<String> = members
        .iter()
        .filter(|(key, _)| *key != "alarm")
        .map(|(key, value)| match value {
            Value::String(text) => format!("{key} {text}"),
            value => format!("{key} {value}"),
        })
        .collect();
    if !rest.is_empty() {
        said.push(format!("Details: {}.", rest.join(", ")));
    }
    said
}

fn actor(event: &Event, names: &Names<'_>) -> String {
    if let Some(email) = event.actor.strip_prefix("user:") {
        return format!("the user {email}");
    }
    if let Some(name) = event.actor.strip_prefix("host:") {
        return format!("the operating-system user {name} on the server's host");
    }
    let named = names.actor(event);
    match named.id {
        Some(id) => format!("the token {} ({id})", named.text.trim_start_matches("app:")),
        None => format!("the token {}", named.text.trim_start_matches("app:")),
    }
}

/// Returns the object of the action, with a blank before it.
fn object(event: &Event, names: &Names<'_>) -> String {
    let subject = names.subject(event);
    let named = match subject.id {
        Some(id) => format!("{} ({id})", subject.text),
        None => subject.text,
    };
    let project =
        event.project.as_ref().map_or_else(String::new, |project| format!(" for the project {project}"));
    let revision = event.revision.map_or_else(String::new, |revision| format!(", revision {revision}"));
    match (&event.integration_id, event.action.split('.').next()) {
        (Some(_), _) => {
            let provider = event.provider.as_deref().unwrap_or("unknown");
            format!(" the {provider} integration {named}{revision}{project}")
        }
        (None, Some("project")) => format!(" {named}"),
        (None, Some("token")) if event.detail.get("id").is_some() => format!(" {named}"),
        (None, Some("user")) if event.detail.get("email").is_some() => format!(" {named}"),
        (None, Some("credentials")) => {
            let provider = event.provider.as_ref().map_or_else(String::new, |one| format!(" of {one}"));
            format!(" any integration{provider}{project}")
        }
        (None, Some("integration")) if event.action != Action::IntegrationList.as_str() => {
            format!(" an integration{project}")
        }
        (None, _) => project,
    }
}

fn words(action: Action) -> Option<(&'static str, &'static str)> {
    WORDS.iter().find(|(known, ..)| *known == action).map(|(_, past, infinitive)| (*past, *infinitive))
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_has_its_words() {
        for action in Action::ALL {
            assert!(words(*action).is_some(), "{action} has no words");
        }
    }
}
