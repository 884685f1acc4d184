//! Component schemas: shared values here, requests and responses in files of their own.
//!
//! A pattern accepts exactly what the parser accepts, as far as a pattern can; a description states the rest.

mod due;
mod exposure;
mod requests;
mod responses;
#[cfg(test)]
mod tests;
mod values;

use serde_json::{Map, Value, json};

pub(super) use self::values::{
    actor, array_of, id, if_match, kept_limit, limit, reference, sequence, time, token_or_id,
};
use self::values::{closed, email, error, name, project, roles};
use crate::domain::{Action, AuthType, Outcome, Platform, Provider, TokenStatus};

/// Returns all component schemas.
pub(super) fn all() -> Map<String, Value> {
    let shared = json!({
        "Id": id(),
        "Time": time(),
        "Email": email(),
        "Name": name(),
        "ProjectIdentifier": project(),
        "Provider": closed(Provider::ALL, "An external service. `azuredevops` and `azure-devops` are equivalent."),
        "AuthType": closed(AuthType::ALL, "The authentication type of a credential."),
        "Platform": closed(Platform::ALL, "The hosting platform of a project."),
        "UserRole": closed(&roles(true), "A user's role."),
        "TokenRole": closed(&roles(false), "An application token's role."),
        "TokenStatus": closed(TokenStatus::ALL, "The state of a token."),
        "Action": closed(Action::ALL, "The action, as `noun.verb`."),
        "Outcome": closed(Outcome::ALL, "The outcome of the action."),
        "Error": error(),
    });
    let Value::Object(mut all) = shared else { return Map::new() };
    all.extend(requests::all());
    all.extend(responses::all());
    all.extend(exposure::all());
    all.insert("Due".to_owned(), due::schema());
    all
}
