//! Tokens of a GitHub App's installation, for one repository each.
//!
//! ```text
//! GET  {base}/repos/{owner}/{name}/installation               → 200 {"id":…}
//! POST {base}/app/installations/{id}/access_tokens            → 201 {"token":…,"expires_at":…,"repositories":[…]}
//!      {"repositories":["{name}"],"permissions":{…}}
//! ```

use std::{collections::BTreeMap, time::Duration};

use hyper::{Method, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::{
    app::SignedApp,
    calls::Outgoing,
    failure::{Disabled, Failure, MintError},
    session::{Answer, Session},
    shares::Share,
};
use crate::domain::{ProjectId, Secret, Timestamp};

/// Characters that a path segment does not encode (RFC 3986 §2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The longest token. GitHub's have 40 characters today, and it asks to allow for 520.
const TOKEN_BYTES_MAX: usize = 4_096;
/// The time to wait after a 429 that names none, as GitHub asks.
const RETRY_DEFAULT: Duration = Duration::from_mins(1);
/// The longest time for which an answer keeps the vault from calling again.
const RETRY_MAX: Duration = Duration::from_mins(5);

/// A repository on GitHub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    owner: String,
    name: String,
}

impl Repository {
    /// Returns the repository of a project `owner/name`; `None` for an identifier of another form.
    pub fn of(project: &ProjectId) -> Option<Self> {
        let (owner, name) = project.as_str().split_once('/')?;
        (!name.contains('/')).then(|| Self { owner: owner.to_owned(), name: name.to_owned() })
    }
}

/// A token of an installation.
pub struct InstallationToken {
    /// The token.
    pub token: Secret,
    /// The end of its life, as the provider says.
    pub expires_at: Timestamp,
}

#[derive(Serialize)]
struct Wanted<'a> {
    repositories: [&'a str; 1],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    permissions: &'a BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Installation {
    id: u64,
}

#[derive(Deserialize)]
struct Granted<'a> {
    // Borrowed, so that no copy stays unwiped; a token has no character that JSON escapes.
    token: &'a str,
    expires_at: &'a str,
    repositories: Option<Vec<Named>>,
}

#[derive(Deserialize)]
struct Named {
    full_name: String,
}

/// The repositories that an answer must name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Naming {
    /// None, or the one. The installation is that repository's, and has one owner.
    Optional,
    /// The one. The installation was given, and may be of an owner who has a repository of the same name.
    Required,
}

impl Outgoing {
    /// Obtains a token for one repository, in one connection and within the time limit.
    ///
    /// The call waits for its turn in each of the shares, in their order, before it takes one of all calls: give the
    /// smallest first, or those who wait there take what is the others'.
    ///
    /// # Errors
    /// [`MintError`].
    pub async fn mint(
        &self,
        app: &SignedApp,
        repository: &Repository,
        shares: &[Share; 2],
    ) -> Result<InstallationToken, MintError> {
        if !self.allows(&app.base) {
            return Err(Disabled::HostNotListed.into());
        }
        let minting = async {
            let [first, second] = shares;
            let _first = first.0.acquire().await.map_err(|_| Failure::TimedOut)?;
            let _second = second.0.acquire().await.map_err(|_| Failure::TimedOut)?;
            let _turn = self.calls.acquire().await.map_err(|_| Failure::TimedOut)?;
            mint(&mut Session::new(&self.tls, &app.base), app, repository).await
        };
        timeout(self.timeout, minting).await.unwrap_or_else(|_| Err(Failure::TimedOut.into()))
    }
}

/// Asks the given installation. An App that was installed anew has another one, and a project of another owner too: then,
/// or if none is given, GitHub says which is the repository's.
async fn mint(
    session: &mut Session<'_>,
    app: &SignedApp,
    repository: &Repository,
) -> Result<InstallationToken, MintError> {
    let mut refusal = None;
    if let Some(given) = app.installation {
        match access_token(session, app, repository, given, Naming::Required).await {
            Err(error) if is_of_another(&error) => refusal = Some((given, error)),
            asked => return asked,
        }
    }
    let found = installation(session, app, repository).await?;
    if let Some((_, error)) = refusal.filter(|(given, _)| *given == found) {
        return Err(error);
    }
    access_token(session, app, repository, found, Naming::Optional).await.map_err(|error| match error {
        // Uninstalled since.
        MintError::Failed { failure: Failure::Status(404), .. } => MintError::NotInstalled,
        error => error,
    })
}

/// Returns whether the given installation may be gone, or without that repository.
const fn is_of_another(error: &MintError) -> bool {
    matches!(error, MintError::Failed { failure: Failure::Status(404 | 422) | Failure::TooWide, .. })
}

async fn installation(
    session: &mut Session<'_>,
    app: &SignedApp,
    Repository { owner, name }: &Repository,
) -> Result<u64, MintError> {
    let [owner, name] = [owner, name].map(|part| utf8_percent_encode(part, SEGMENT));
    let path = format!("/repos/{owner}/{name}/installation");
    let answer = session.call(Method::GET, &path, &app.jwt, Vec::new()).await?;
    match answer.status {
        200 => {
            let found: Installation =
                serde_json::from_slice(answer.body.expose()).map_err(|_| Failure::Unreadable)?;
            Ok(found.id)
        }
        404 => Err(MintError::NotInstalled),
        _ => Err(refused(&answer)),
    }
}

async fn access_token(
    session: &mut Session<'_>,
    app: &SignedApp,
    repository: &Repository,
    installation: u64,
    naming: Naming,
) -> Result<InstallationToken, MintError> {
    let wanted = Wanted { repositories: [&repository.name], permissions: &app.permissions };
    let wanted = serde_json::to_vec(&wanted).map_err(|_| Failure::Broken)?;
    let path = format!("/app/installations/{installation}/access_tokens");
    let answer = session.call(Method::POST, &path, &app.jwt, wanted).await?;
    if answer.status != 201 {
        return Err(refused(&answer));
    }
    Ok(granted(&answer.body, repository, naming)?)
}

/// Reads a token from its answer.
fn granted(body: &Secret, repository: &Repository, naming: Naming) -> Result<InstallationToken, Failure> {
    let granted: Granted<'_> = serde_json::from_slice(body.expose()).map_err(|_| Failure::Unreadable)?;
    let wanted = [&repository.owner, "/", &repository.name].concat();
    let is_only = |named: Vec<Named>| {
        named.len() == 1 && named.iter().all(|one| one.full_name.eq_ignore_ascii_case(&wanted))
    };
    if !granted.repositories.map_or(naming == Naming::Optional, is_only) {
        return Err(Failure::TooWide);
    }
    let is_token = (1..=TOKEN_BYTES_MAX).contains(&granted.token.len())
        && granted.token.bytes().all(|byte| byte.is_ascii_graphic());
    let expires_at = granted.expires_at.parse().map_err(|_| Failure::Unreadable)?;
    if !is_token {
        return Err(Failure::Unreadable);
    }
    Ok(InstallationToken { token: Secret::from(granted.token.to_owned()), expires_at })
}

fn refused(answer: &Answer) -> MintError {
    let told = answer.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let retry_after = match (answer.status, told.map(Duration::from_secs)) {
        (429, None) => Some(RETRY_DEFAULT),
        // A 403 with a time is a rate limit too.
        (403 | 429 | 503, told) => told.map(|told| told.min(RETRY_MAX)),
        _ => None,
    };
    MintError::Failed { failure: Failure::Status(answer.status), retry_after }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_as(naming: Naming, body: &str) -> Result<String, Failure> {
        let repository = Repository::of(&"acme/app".parse().unwrap()).unwrap();
        let token = granted(&Secret::from(body.to_owned()), &repository, naming)?;
        Ok(format!("{} {}", token.token.expose_text().unwrap(), token.expires_at))
    }

    fn read(body: &str) -> Result<String, Failure> {
        read_as(Naming::Optional, body)
    }

    #[test]
    fn only_a_project_of_two_parts_is_a_repository() {
        let of = |text: &str| Repository::of(&text.parse().unwrap()).map(|found| (found.owner, found.name));
        assert_eq!(of("acme/app"), Some(("acme".to_owned(), "app".to_owned())));
        for text in ["payments", "acme/web/app", "12345"] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn a_token_comes_with_its_end_and_for_one_repository() {
        let time = r#""expires_at":"2026-11-24T11:00:00Z""#;
        let good = Ok("ghs_example 2026-11-24T11:00:00.000Z".to_owned());
        let one = r#","repositories":[{"full_name":"Acme/App","id":1}]"#;
        for rest in ["", one, r#","repositories":null,"permissions":{}"#] {
            let body = format!(r#"{{"token":"ghs_example",{time}{rest}}}"#);
            assert_eq!(read(&body), good);
            let given = if rest == one { good.clone() } else { Err(Failure::TooWide) };
            assert_eq!(read_as(Naming::Required, &body), given, "{rest}");
        }
        for rest in [
            r#"[{"full_name":"acme/app"},{"full_name":"acme/web"}]"#,
            r#"[{"full_name":"acme/web"}]"#,
            r#"[{"full_name":"other/app"}]"#,
            "[]",
        ] {
            let body = format!(r#"{{"token":"ghs_example",{time},"repositories":{rest}}}"#);
            assert_eq!(read(&body), Err(Failure::TooWide), "{rest}");
        }
        for body in [
            "",
            "{}",
            "null",
            "[1]",
            "<html>",
            r#"{"token":"ghs_example"}"#,
            r#"{"token":"ghs_example","expires_at":"soon"}"#,
            r#"{"token":"ghs_example","expires_at":null}"#,
            &format!(r#"{{"token":"",{time}}}"#),
            &format!(r#"{{"token":null,{time}}}"#),
            &format!(r#"{{"token":"a b",{time}}}"#),
            &format!(r#"{{"token":"a\nb",{time}}}"#),
            &format!(r#"{{"token":"{}",{time}}}"#, "x".repeat(TOKEN_BYTES_MAX + 1)),
        ] {
            assert_eq!(read(body), Err(Failure::Unreadable), "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_makes_the_reader_panic_or_gives_a_token_that_is_no_line(
            token in any::<String>(), end in "[0-9TZ:.+-]{0,30}|2026-11-24T11:00:00Z", rest in ".{0,20}",
        ) {
            let body = serde_json::json!({"token": token, "expires_at": end}).to_string();
            if let Ok(read) = read(&body) {
                prop_assert!(!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()), "{read}");
            }
            let _ = read(&(body + &rest));
            let _ = read(&rest);
        }
    }
}
