//! Component schemas: the values that occur in many places here, requests and responses in files of their own.
//!
//! A pattern says what the parser takes, no more and no less, as far as a pattern can; the rest stands in words.

mod requests;
mod responses;
#[cfg(test)]
mod tests;
mod values;

use serde_json::{Map, Value, json};

pub(super) use self::values::{actor, array_of, id, if_match, limit, reference, sequence, time, token_or_id};
use self::values::{closed, email, error, name, project, roles};
use crate::domain::{Action, AuthType, Outcome, Platform, Provider, TokenStatus};

/// All component schemas.
pub(super) fn all() -> Map<String, Value> {
    let shared = json!({
        "Id": id(),
        "Time": time(),
        "Email": email(),
        "Name": name(),
        "ProjectIdentifier": project(),
        "Provider": closed(Provider::ALL, "An external service. `azuredevops` and `azure-devops` name one."),
        "AuthType": closed(AuthType::ALL, "How a credential authenticates."),
        "Platform": closed(Platform::ALL, "Where a project is hosted."),
        "UserRole": closed(&roles(true), "A role of people."),
        "TokenRole": closed(&roles(false), "A role of machines."),
        "TokenStatus": closed(TokenStatus::ALL, "Whether a token still lets its holder in."),
        "Action": closed(Action::ALL, "What happened, as `noun.verb`."),
        "Outcome": closed(Outcome::ALL, "How it ended."),
        "Error": error(),
    });
    let Value::Object(mut all) = shared else { return Map::new() };
    all.extend(requests::all());
    all.extend(responses::all());
    all
}
