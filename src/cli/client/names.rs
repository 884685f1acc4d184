//! Names beside ids, for the integrations, tokens and users of an event.
//!
//! Owns the look-ups: one listing of each kind, and only if an event needs it, since each listing is itself an event. A
//! listing that the caller may not request is not tried: a refusal would be an event too.

use std::{collections::HashMap, time::Duration};

use super::remote::{Remote, Speaker};
use crate::{
    cli::{
        error::CliError,
        terminal::table::{ALL_PROJECTS, NOTHING},
    },
    client::{Event, Integration, Token},
    clock,
    domain::{IntegrationId, TokenId},
};

/// Minimum interval between two listings while a follower meets unknown ids.
const AGAIN: Duration = Duration::from_mins(1);
/// Jaro-Winkler similarity below which a suggestion does not help.
const LIKENESS_MIN: f64 = 0.7;

/// Names by id, as one listing gave them.
#[derive(Default)]
struct Labels {
    by_id: HashMap<String, String>,
    asked: Option<Duration>,
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

/// A name, if there is one, and the id that it stands for.
pub(super) struct Named {
    /// The text for the row.
    pub(super) shown: String,
    /// The id, if it is not the shown text.
    pub(super) id: Option<String>,
}

impl Named {
    fn nothing() -> Self {
        Self { shown: NOTHING.to_owned(), id: None }
    }

    fn of(id: &str, name: Option<&str>, kind: &str) -> Self {
        match name {
            Some(name) => Self { shown: format!("{kind}{name}"), id: Some(id.to_owned()) },
            None => Self { shown: format!("{kind}{id}"), id: None },
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
        let client = &self.remote.client;
        if event.integration_id.as_deref().is_some_and(|id| self.integrations.is_due(id))
            && let Ok(all) = client.integrations(None, None).await
        {
            let named = |one: Integration| (one.id.to_string(), one.name.unwrap_or_default());
            self.integrations.keep(all.into_iter().map(named).collect());
        }
        // Of the callers that may read the log, only a user may list tokens, and that user is an owner.
        let may_list = self.remote.speaker == Speaker::User;
        if event.actor.strip_prefix("app:").is_some_and(|id| may_list && self.tokens.is_due(id))
            && let Ok(all) = client.tokens().await
        {
            self.tokens.keep(all.into_iter().map(|one| (one.id.to_string(), one.name)).collect());
        }
    }

    /// Names the caller.
    pub(super) fn actor(&self, event: &Event) -> Named {
        match event.actor.strip_prefix("app:") {
            Some(id) => Named::of(id, self.tokens.name(id), "app:"),
            None => Named { shown: event.actor.clone(), id: None },
        }
    }

    /// Names the integration, token or user that the event is about.
    pub(super) fn subject(&self, event: &Event) -> Named {
        if let Some(id) = &event.integration_id {
            return Named::of(id, self.integrations.name(id), "");
        }
        let detail = |key: &str| event.detail.get(key).and_then(serde_json::Value::as_str);
        match (event.action.split('.').next(), detail("id"), detail("email")) {
            (Some("token"), Some(id), _) => Named::of(id, detail("name"), ""),
            (Some("user" | "vault" | "session"), _, Some(email)) => {
                Named { shown: email.to_owned(), id: None }
            }
            _ => Named::nothing(),
        }
    }
}

/// Resolves an integration's name or id to its id.
///
/// # Errors
/// None has that name, or several have; the listing fails.
pub(super) async fn integration_id(text: &str, remote: &Remote) -> Result<String, CliError> {
    if text.parse::<IntegrationId>().is_ok() {
        return Ok(text.to_owned());
    }
    let all = remote.client.integrations(None, None).await?;
    let found: Vec<&Integration> = all.iter().filter(|one| one.name.as_deref() == Some(text)).collect();
    match found.as_slice() {
        [one] => Ok(one.id.to_string()),
        [] => {
            let names = all.iter().filter_map(|one| one.name.as_deref());
            let hint = "see `sealroom integration list`; a deleted one can be found only by its id";
            Err(unknown("integration", text, nearest(text, names), hint))
        }
        several => Err(ambiguous(
            "integrations",
            "--integration",
            text,
            several.iter().map(|one| {
                let reach = if one.is_global { ALL_PROJECTS.to_owned() } else { one.projects.join(", ") };
                format!("{} ({}/{}, {reach})", one.id, one.provider, one.auth_type)
            }),
        )),
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
    let name = text.strip_prefix("app:").unwrap_or(text);
    if name.parse::<TokenId>().is_ok() {
        return Ok(format!("app:{name}"));
    }
    if name == text && text.contains('@') {
        return Ok(format!("user:{text}"));
    }
    if remote.speaker != Speaker::User {
        return Err(CliError::failed(
            format!("only an owner may look up the token '{name}'"),
            "pass --actor with an e-mail address or a token's id",
        ));
    }
    let all = remote.client.tokens().await?;
    let found: Vec<&Token> = all.iter().filter(|one| one.name == name).collect();
    match found.as_slice() {
        [one] => Ok(format!("app:{}", one.id)),
        [] => {
            let names = all.iter().map(|one| one.name.as_str());
            let hint =
                "pass an e-mail address, a token's name or id, or host:NAME; tokens: `sealroom token list`";
            Err(unknown("token", name, nearest(name, names), hint))
        }
        several => Err(ambiguous(
            "tokens",
            "--actor",
            name,
            several.iter().map(|one| format!("{} ({})", one.id, one.status.as_deref().unwrap_or("unknown"))),
        )),
    }
}

fn unknown(what: &str, name: &str, nearest: Option<&str>, hint: &str) -> CliError {
    let message = format!("no {what} has the name '{name}'");
    match nearest {
        Some(nearest) => CliError::failed(message, format!("the nearest is '{nearest}'; {hint}")),
        None => CliError::failed(message, hint),
    }
}

fn ambiguous(what: &str, flag: &str, name: &str, ids: impl Iterator<Item = String>) -> CliError {
    let ids: Vec<String> = ids.collect();
    CliError::failed(
        format!("{} {what} have the name '{name}'", ids.len()),
        format!("pass {flag} with the id of one: {}", ids.join("; ")),
    )
}

/// Returns the most similar name, if it is similar enough for a suggestion.
pub(super) fn nearest<'a>(text: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |name: &str| strsim::jaro_winkler(text, name);
    names.max_by(|a, b| likeness(a).total_cmp(&likeness(b))).filter(|name| likeness(name) > LIKENESS_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn the_nearest_name_is_near() {
        let actions = || crate::domain::Action::ALL.iter().map(|action| action.as_str());
        assert_eq!(nearest("credential.read", actions()), Some("credentials.read"));
        assert_eq!(nearest("token.created", actions()), Some("token.create"));
        assert_eq!(nearest("xyzzy", actions()), None);
    }
}
