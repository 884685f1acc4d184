//! Names beside ids, for the integrations, tokens and users of an event.
//!
//! Owns the look-ups: one listing of each kind, and only if an event needs it, since each listing is itself an event. A
//! listing that the caller may not request is not tried: a refusal would be an event too.

use std::{collections::HashMap, time::Duration};

use serde_json::Value;

use super::{
    near,
    remote::{Remote, Speaker},
};
use crate::{
    cli::{error::CliError, terminal::table::NOTHING},
    client::{Event, Integration, Token},
    clock,
    domain::TokenId,
};

/// Minimum interval between two listings while a follower meets unknown ids.
const AGAIN: Duration = Duration::from_mins(1);

/// Names by id, as one listing gave them.
#[derive(Default)]
struct Labels {
    by_id: HashMap<String, String>,
    asked: Option<Duration>,
    /// The newest event before the listing, if it was made by a caller from whom no entry is hidden.
    complete_at: Option<u64>,
}

impl Labels {
    /// Keeps the names that identify exactly one id; any other would be a guess.
    fn keep(&mut self, listed: Vec<(String, String)>) {
        let mut times = HashMap::<&str, usize>::new();
        listed.iter().for_each(|(_, name)| *times.entry(name).or_default() += 1);
        let is_telling =
            |name: &str| times.get(name) == Some(&1) && name.parse::<TokenId>().is_err() && !name.is_empty();
        let telling = listed.iter().filter(|(_, name)| is_telling(name)).cloned().collect();
        self.by_id = telling;
        // An id without such a name counts as known: another listing would add nothing.
        for (id, _) in listed {
            self.by_id.entry(id).or_default();
        }
    }

    fn name(&self, id: &str) -> Option<&str> {
        self.by_id.get(id).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// Returns whether the id of an event was deleted: it is older than a complete listing that lacks it.
    fn is_gone(&self, id: &str, sequence: u64) -> bool {
        !self.by_id.contains_key(id) && self.complete_at.is_some_and(|newest| sequence <= newest)
    }

    /// Returns whether the listing is due for this id, and marks it as made.
    fn is_due(&mut self, id: &str) -> bool {
        let now = clock::monotonic();
        let is_recent = self.asked.is_some_and(|asked| now.saturating_sub(asked) < AGAIN);
        let is_due = !self.by_id.contains_key(id) && !is_recent;
        if is_due {
            self.asked = Some(now);
        }
        is_due
    }
}

/// The name of what is no longer there.
const DELETED: &str = "(deleted)";

/// A name, if there is one, and the id that it stands for.
pub(super) struct Named {
    /// The text for the row.
    pub(super) text: String,
    /// The id, if it is not the text.
    pub(super) id: Option<String>,
}

impl Named {
    /// Describes the object of an event that no id names: a count, a range of records, a version.
    fn of_detail(detail: &Value) -> Self {
        let number = |key: &str| detail.get(key).and_then(Value::as_u64);
        let text = |key: &str| detail.get(key).and_then(Value::as_str);
        let text = match (number("firstSequence"), number("lastSequence"), number("count")) {
            (Some(first), Some(last), _) => format!("records {first} to {last}"),
            (_, _, Some(count)) => format!("{count} in all"),
            _ => match (number("logins"), number("tokens"), text("version"), text("id"), text("name")) {
                (Some(logins), Some(tokens), ..) => format!("{logins} logins, {tokens} tokens"),
                (_, _, Some(version), ..) => version.to_owned(),
                (_, _, _, Some(id), _) => id.to_owned(),
                (.., Some(name)) => name.to_owned(),
                _ => NOTHING.to_owned(),
            },
        };
        Self { text, id: None }
    }

    fn of(id: &str, name: Option<&str>, kind: &str) -> Self {
        match name {
            Some(name) => Self { text: format!("{kind}{name}"), id: Some(id.to_owned()) },
            None => Self { text: format!("{kind}{id}"), id: None },
        }
    }
}

/// The names that events need, looked up on demand.
pub(super) struct Names<'a> {
    remote: &'a Remote,
    integrations: Labels,
    tokens: Labels,
}

impl<'a> Names<'a> {
    pub(super) fn new(remote: &'a Remote) -> Self {
        Self { remote, integrations: Labels::default(), tokens: Labels::default() }
    }

    /// Requests the listings that this event needs, unless already made. If a listing fails, the ids remain.
    pub(super) async fn learn(&mut self, event: &Event) {
        if event.integration_id.as_deref().is_some_and(|id| self.integrations.is_due(id)) {
            self.list_integrations(event.sequence).await;
        }
        if event.actor.strip_prefix("app:").is_some_and(|id| self.may_list() && self.tokens.is_due(id)) {
            self.list_tokens().await;
        }
    }

    /// Requests both listings, for events up to that sequence.
    #[cfg(feature = "server")]
    pub(super) async fn learn_all(&mut self, newest: u64) {
        self.list_integrations(newest).await;
        if self.may_list() {
            self.list_tokens().await;
        }
    }

    async fn list_integrations(&mut self, newest: u64) {
        let Ok(all) = self.remote.client.integrations(None, None).await else { return };
        let named = |one: Integration| (one.id.to_string(), one.name.unwrap_or_default());
        self.integrations.keep(all.into_iter().map(named).collect());
        // A narrowed auditor sees fewer integrations than there are.
        self.integrations.complete_at = self.may_list().then_some(newest);
    }

    async fn list_tokens(&mut self) {
        if let Ok(all) = self.remote.client.tokens().await {
            self.tokens.keep(all.into_iter().map(|one| (one.id.to_string(), one.name)).collect());
        }
    }

    /// Returns whether the caller is an owner: of the callers that may read the log, no other is a user.
    fn may_list(&self) -> bool {
        self.remote.speaker == Speaker::User
    }

    /// Names the caller.
    pub(super) fn actor(&self, event: &Event) -> Named {
        match event.actor.strip_prefix("app:") {
            Some(id) => Named::of(id, self.tokens.name(id), "app:"),
            None => Named { text: event.actor.clone(), id: None },
        }
    }

    /// Names the integration, token or user that the event is about.
    pub(super) fn subject(&self, event: &Event) -> Named {
        if let Some(id) = &event.integration_id {
            let gone = self.integrations.is_gone(id, event.sequence).then_some(DELETED);
            return Named::of(id, self.integrations.name(id).or(gone), "");
        }
        let detail = |key: &str| event.detail.get(key).and_then(Value::as_str);
        match (event.action.split('.').next(), detail("id"), detail("email"), &event.project) {
            (Some("token"), Some(id), ..) => Named::of(id, detail("name"), ""),
            (_, _, Some(email), _) => Named { text: email.to_owned(), id: None },
            (Some("project"), _, _, Some(project)) => Named { text: project.clone(), id: None },
            _ => Named::of_detail(&event.detail),
        }
    }
}

/// Resolves a token's name or id, or an e-mail address, to the actor in the log.
///
/// # Errors
/// No token has that name, or several have; the caller may not list tokens; the listing fails.
pub(super) async fn actor(text: &str, remote: &Remote) -> Result<String, CliError> {
    if text.starts_with("user:") || text.starts_with("host:") {
        return Ok(text.to_owned());
    }
    if !text.starts_with("app:") && text.contains('@') {
        return Ok(format!("user:{text}"));
    }
    token(text, remote).await
}

/// Resolves a token's name or id to the actor in the log.
///
/// # Errors
/// As [`actor`].
pub(super) async fn token(text: &str, remote: &Remote) -> Result<String, CliError> {
    let name = text.strip_prefix("app:").unwrap_or(text);
    if let Ok(id) = name.parse::<TokenId>() {
        return Ok(format!("app:{id}"));
    }
    if remote.speaker != Speaker::User {
        return Err(CliError::failed(
            format!("only an owner may look up the token '{name}'"),
            "pass an e-mail address or a token's id",
        ));
    }
    let all = remote.client.tokens().await?;
    let (found, others): (Vec<Token>, Vec<Token>) = all.into_iter().partition(|one| one.name == name);
    let describe = |one: &Token| format!("{} ({})", one.id, one.status.as_deref().unwrap_or("unknown"));
    let token = near::only(found, "token", name, describe)?.ok_or_else(|| {
        let known = others.iter().map(|one| one.name.as_str());
        near::unknown(
            "token",
            name,
            known,
            "the tokens: sealroom token list; an actor is an e-mail address too",
        )
    })?;
    Ok(format!("app:{}", token.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_complete_listing_lacks_counts_as_deleted() {
        let mut labels = Labels::default();
        labels.keep(vec![("1".to_owned(), "deploy".to_owned())]);
        assert!(!labels.is_gone("2", 0), "an auditor may not see all");
        labels.complete_at = Some(7);
        assert!(labels.is_gone("2", 7) && !labels.is_gone("2", 8) && !labels.is_gone("1", 7));
    }

    #[test]
    fn a_name_that_leads_to_two_ids_or_passes_for_an_id_is_never_shown_for_one() {
        let id = "01a21223-f94f-7228-b0c7-7a34502497c6";
        let mut labels = Labels::default();
        let listed = [("1", "deploy"), ("2", "deploy"), ("3", "build"), ("4", id), ("5", "")];
        labels.keep(listed.map(|(id, name)| (id.to_owned(), name.to_owned())).to_vec());
        let names = ["1", "2", "3", "4", "5", "6"].map(|id| labels.name(id));
        assert_eq!(names, [None, None, Some("build"), None, None, None]);
        assert!(!labels.is_due("1") && labels.is_due("6") && !labels.is_due("7"), "one listing a minute");
    }
}
