//! Suggestions for a mistyped name.

use super::client_error;
use crate::{
    cli::error::CliError,
    client::{Client, Error},
    domain::Provider,
};

/// Similarity that two names must exceed (Jaro-Winkler): `gihub` and `github` are 0.96, `jira` and `npm` 0.
const LIKE: f64 = 0.8;
/// The beginning of every token.
const TOKEN: &str = "sfp_";
/// Letters of a project's identifier for each one that may be wrong.
const LETTERS_TO_ONE: usize = 4;

/// Returns the most similar name in `known`, if any is similar enough; ignores letter case.
pub(super) fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let unknown = unknown.to_lowercase();
    let likeness = |one: &str| strsim::jaro_winkler(&unknown, &one.to_lowercase());
    let all = known.into_iter().map(|one| (likeness(one), one)).filter(|(likeness, _)| *likeness > LIKE);
    all.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, one)| one)
}

/// Returns the only one found for an id or name; none if nothing was found, and an error if there are several.
pub(super) fn only<T>(
    mut found: Vec<T>,
    kind: &str,
    text: &str,
    describe: impl Fn(&T) -> String,
) -> Result<Option<T>, CliError> {
    if found.len() < 2 {
        return Ok(found.pop());
    }
    let ids: Vec<String> = found.iter().map(describe).collect();
    Err(CliError::failed(
        format!("{} {kind}s have the name '{text}'", ids.len()),
        format!("pass the id of one: {}", ids.join("; ")),
    ))
}

/// Returns the error of an id or name that nothing has, with the most similar name among `known`.
pub(super) fn unknown<'a>(
    kind: &str,
    text: &str,
    known: impl IntoIterator<Item = &'a str>,
    see: &str,
) -> CliError {
    if text.starts_with(TOKEN) {
        return CliError::failed(
            format!("{kind}: an id or name is needed, and what was passed looks like a secret token"),
            "pass a name or an id; the token is now in your shell's history: revoke it",
        );
    }
    let meant = nearest(text, known).filter(|meant| *meant != text);
    let meant = meant.map_or_else(String::new, |meant| format!("did you mean '{meant}'? "));
    CliError::failed(format!("no {kind} has the id or name '{text}'"), format!("{meant}see {see}"))
}

/// Converts a refusal, and suggests a provider if the server does not know one of `named`.
pub(super) fn provider<'a>(error: Error, named: impl IntoIterator<Item = &'a String>) -> CliError {
    let is_refused = matches!(&error, Error::Refused(refusal)
        if refusal.code == "invalid_field" && refusal.message.starts_with("provider"));
    let known = || Provider::ALL.iter().map(|one| one.as_str());
    let mut unknown = named.into_iter().filter(|one| one.parse::<Provider>().is_err());
    match unknown.find_map(|one| nearest(one, known())) {
        Some(meant) if is_refused => {
            CliError { hint: format!("did you mean {meant}?"), ..CliError::from(error) }
        }
        _ => error.into(),
    }
}

/// Returns the error, with a suggestion if one of `named` is not registered: a project that the caller may see.
pub(super) async fn project(error: CliError, named: &[String], client: &Client) -> CliError {
    if !matches!(error.code.as_deref(), Some("project_not_found" | "project_not_registered")) {
        return error;
    }
    let Ok(projects) = client.projects().await else { return error };
    let known = || projects.iter().map(|project| project.identifier.as_str());
    let missing = named.iter().filter(|named| !known().any(|known| known == named.as_str()));
    for named in missing {
        if let Some(twin) = known().find(|known| known.eq_ignore_ascii_case(named)) {
            let hint = format!("{twin} is registered: project names are case-sensitive");
            return CliError { hint, ..error };
        }
        // The projects of one organisation share a prefix, so only single letters count.
        let distance = |known: &str| strsim::damerau_levenshtein(named, known);
        let nearest = known().min_by_key(|known| distance(known));
        if let Some(meant) = nearest.filter(|meant| distance(meant) * LETTERS_TO_ONE <= meant.len()) {
            let hint = format!("did you mean {meant}? {}", client_error::REGISTER);
            return CliError { hint, ..error };
        }
    }
    error
}

/// Returns the project that a new one differs from only in letter case.
pub(super) async fn twin(identifier: &str, client: &Client) -> Option<String> {
    let projects = client.projects().await.ok()?.into_iter().map(|project| project.identifier);
    let is_twin = |other: &String| other != identifier && other.eq_ignore_ascii_case(identifier);
    projects.into_iter().find(is_twin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_in_the_place_of_a_name_is_not_repeated() {
        for text in ["sfp_app_example", "sfp_usr_example", "sfp_ref_example"] {
            let error = unknown("token", text, ["ci"], "the tokens: sealroom token list");
            assert!(!format!("{} {}", error.message, error.hint).contains(text));
        }
    }

    #[test]
    fn a_mistyped_name_has_its_nearest_and_a_strange_one_has_none() {
        let known = ["github", "gitlab", "jira", "azure-devops", "npm"];
        let actions = || crate::domain::Action::ALL.iter().map(|action| action.as_str());
        assert_eq!(nearest("credential.read", actions()), Some("credentials.read"));
        assert_eq!(nearest("token.created", actions()), Some("token.create"));
        for (typed, meant) in [
            ("gihub", Some("github")),
            ("GitHub", Some("github")),
            ("gitlb", Some("gitlab")),
            ("azuredevop", Some("azure-devops")),
            ("bitwarden", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, known), meant, "{typed}");
        }
    }
}
