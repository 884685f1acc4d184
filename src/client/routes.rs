//! Every route as a method.

use std::collections::HashSet;

use form_urlencoded::Serializer;
use hyper::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::{json, value::RawValue};

use super::{
    Client, CredentialFilter, Credentials, Error, EventFilter, Expired, Health, Integration,
    IntegrationChange, Listing, NewIntegration, NewProject, NewToken, NewUser, Pair, Project, Refusal,
    RepositoryToken, Revisions, Scope, Session, Token, User, UserChange,
    answers::Changed,
    call::{As, Call},
    requests::{NotJson, RefreshBody, new_config, new_scope, rotation},
};
use crate::{
    api::responses::to_secret_json,
    domain::{IntegrationId, Secret, Timestamp, TokenId},
};

/// Characters that a path segment does not encode (RFC 3986 §2.3); a slash within a name is encoded.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Number of integrations in one page of a list.
const PAGE: &str = "1000";

impl Client {
    /// Logs in, without saving the session.
    ///
    /// # Errors
    /// [`Error`], as for every method here; a wrong password is a refusal with the code `bad_login`, and the right
    /// one of a user with a second factor one with the code `otp_required`: [`Client::login_with_code`].
    pub async fn login(&self, email: &str, password: &Secret) -> Result<Session, Error> {
        self.login_with_code(email, password, None).await
    }

    pub(super) async fn refresh_pair(&self, refresh_token: &Secret) -> Result<Pair, Error> {
        is_text(refresh_token)?;
        let call = Call::new(Method::POST, "/sfp/api/auth/refresh")
            .with_body(to_secret_json(&RefreshBody { refresh_token }));
        // A retry gets the lost answer again: for 30 s the spent token gives the same pair (contract §6).
        self.json(Call { speaker: As::Nobody, twice: true, ..call }).await
    }

    /// Ends the session at the server.
    pub async fn logout(&self) -> Result<(), Error> {
        self.answer(Call::new(Method::POST, "/sfp/api/auth/logout")).await.map(drop)
    }

    /// Returns the user that this client is authenticated as.
    ///
    /// # Errors
    /// [`Error`]; an application token is refused with the code `forbidden`.
    pub async fn own_user(&self) -> Result<User, Error> {
        self.json(Call::new(Method::GET, "/sfp/api/users/me")).await
    }

    /// Returns the health object, even of an unhealthy server.
    pub async fn health(&self) -> Result<Health, Error> {
        let call = Call::new(Method::GET, "/sfp/api/health");
        self.once(Call { speaker: As::Nobody, ..call }).await
    }

    /// Returns all integrations, or those of that provider or label; newest first.
    pub async fn integrations(
        &self,
        provider: Option<&str>,
        name: Option<&str>,
    ) -> Result<Vec<Integration>, Error> {
        self.listed("/sfp/api/integrations", provider, name).await
    }

    /// Returns the integrations that the caller created, or those of that provider or label; newest first.
    pub async fn own_integrations(
        &self,
        provider: Option<&str>,
        name: Option<&str>,
    ) -> Result<Vec<Integration>, Error> {
        self.listed("/sfp/api/integrations/mine", provider, name).await
    }

    async fn listed(
        &self,
        path: &str,
        provider: Option<&str>,
        name: Option<&str>,
    ) -> Result<Vec<Integration>, Error> {
        let mut all = Vec::new();
        let mut cursor: Option<String> = None;
        // A server that repeats a cursor would never come to an end.
        let mut seen = HashSet::new();
        loop {
            let parameters = [
                ("provider", provider),
                ("name", name),
                ("limit", Some(PAGE)),
                ("cursor", cursor.as_deref()),
            ];
            let answer = self.answer(get(path, &parameters)).await?;
            let page: Vec<Integration> =
                serde_json::from_slice(answer.body.expose()).map_err(|_| self.foreign(answer.status))?;
            all.extend(page);
            let next = answer.header("x-next-cursor").map(str::to_owned);
            let Some(next) = next else { return Ok(all) };
            if !seen.insert(next.clone()) {
                return Err(self.foreign(answer.status));
            }
            cursor = Some(next);
        }
    }

    /// Returns one integration's metadata.
    pub async fn integration(&self, id: IntegrationId) -> Result<Integration, Error> {
        self.json(Call::new(Method::GET, format!("/sfp/api/integrations/{id}"))).await
    }

    /// Stores a credential.
    pub async fn create_integration(&self, new: &NewIntegration) -> Result<Integration, Error> {
        let body = new.body().map_err(no_json)?;
        self.json(Call::new(Method::POST, "/sfp/api/integrations").with_body(body)).await
    }

    /// Replaces a credential; with `revision`, only if that one is still current.
    pub async fn rotate(
        &self,
        id: IntegrationId,
        revision: Option<u64>,
        credentials: &Secret,
        expires_at: Option<Timestamp>,
    ) -> Result<Integration, Error> {
        self.rotate_to(id, revision, credentials, (expires_at, Expired::Refused)).await
    }

    /// Replaces a credential as [`Client::rotate`] does; the expiry may be allowed to be in the past.
    pub async fn rotate_to(
        &self,
        id: IntegrationId,
        revision: Option<u64>,
        credentials: &Secret,
        (expires_at, expired): (Option<Timestamp>, Expired),
    ) -> Result<Integration, Error> {
        let body = rotation(credentials, expires_at, expired).map_err(no_json)?;
        let call = Call::new(Method::PUT, format!("/sfp/api/integrations/{id}/credentials")).with_body(body);
        self.json(Call { revision, ..call }).await
    }

    /// Reads the kept revisions of a credential, at most `limit` of the newest; each is an event in the audit log.
    pub async fn revisions(&self, id: IntegrationId, limit: Option<usize>) -> Result<Revisions, Error> {
        let limit = limit.map(|limit| limit.to_string());
        let call = get(&format!("/sfp/api/integrations/{id}/revisions"), &[("limit", limit.as_deref())]);
        let answer = self.answer(call).await?;
        let receipt = answer.header("audit-receipt").map(str::to_owned);
        Ok(Revisions { receipt, server: self.endpoint().to_string(), body: answer.body })
    }

    /// Makes an older revision current again.
    pub async fn rollback(&self, id: IntegrationId, revision: u64) -> Result<Integration, Error> {
        let call = Call::new(Method::POST, format!("/sfp/api/integrations/{id}/rollback"));
        self.json(call.with_body(to_secret_json(&json!({ "revision": revision })))).await
    }

    /// Changes the scope of a credential.
    pub async fn rescope(&self, id: IntegrationId, scope: &Scope) -> Result<Integration, Error> {
        let call = Call::new(Method::PATCH, format!("/sfp/api/integrations/{id}"));
        self.json(call.with_body(new_scope(scope))).await
    }

    /// Changes an integration's name, expiry or options.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn change_integration(
        &self,
        id: IntegrationId,
        change: &IntegrationChange,
    ) -> Result<Integration, Error> {
        let call = Call::new(Method::PATCH, format!("/sfp/api/integrations/{id}"));
        self.json(call.with_body(change.body())).await
    }

    /// Replaces an integration's options, all of them, sent byte for byte; `None` clears them.
    pub async fn replace_config(
        &self,
        id: IntegrationId,
        config: Option<&RawValue>,
    ) -> Result<Integration, Error> {
        let call = Call::new(Method::PATCH, format!("/sfp/api/integrations/{id}"));
        self.json(call.with_body(new_config(config))).await
    }

    /// Deletes an integration with all its revisions.
    pub async fn delete_integration(&self, id: IntegrationId) -> Result<(), Error> {
        self.delete(format!("/sfp/api/integrations/{id}")).await
    }

    /// Reads all credentials that match; each is an event in the audit log.
    ///
    /// # Errors
    /// [`Error`]; more than 1,000 matches are a refusal with the code `too_many_matches`, before any disclosure: read
    /// them with [`Client::credentials_page`].
    pub async fn credentials(&self, filter: &CredentialFilter) -> Result<Credentials, Error> {
        self.read_credentials(filter, None, None).await
    }

    /// Reads at most `limit` (1 to 1,000) credentials, those after `cursor`; [`Credentials::next`] is the next cursor.
    pub async fn credentials_page(
        &self,
        filter: &CredentialFilter,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Credentials, Error> {
        self.read_credentials(filter, Some(&limit.to_string()), cursor).await
    }

    async fn read_credentials(
        &self,
        filter: &CredentialFilter,
        limit: Option<&str>,
        cursor: Option<&str>,
    ) -> Result<Credentials, Error> {
        let CredentialFilter { provider, project, name } = filter;
        let parameters = [
            ("provider", provider.as_deref()),
            ("project", project.as_deref()),
            ("name", name.as_deref()),
            ("limit", limit),
            ("cursor", cursor),
        ];
        let answer = self.answer(get("/sfp/api/integrations/credentials", &parameters)).await?;
        let receipt = answer.header("audit-receipt").map(str::to_owned);
        let next = answer.header("x-next-cursor").map(str::to_owned);
        Ok(Credentials { receipt, next, server: self.endpoint().to_string(), body: answer.body })
    }

    /// Returns a whole listing as the server sends it, byte for byte.
    pub async fn listing(&self, of: Listing) -> Result<Secret, Error> {
        let path = match of {
            Listing::Projects => "/sfp/api/projects",
            Listing::Users => "/sfp/api/users",
            Listing::Tokens => "/sfp/api/application-tokens",
        };
        self.answer(Call::new(Method::GET, path)).await.map(|answer| answer.body)
    }

    /// Returns a token for a repository: a stored one, or one that a GitHub App mints for it.
    ///
    /// # Errors
    /// [`Error`]; without a token for it the refusal is a 404, and a provider that gives none is a 502.
    pub async fn repository_token(&self, project: &str) -> Result<RepositoryToken, Error> {
        let path = "/sfp/api/repository/auth-token";
        let answer = self.answer(get(path, &[("repositoryIdentifier", Some(project))])).await?;
        let read = serde_json::from_slice(answer.body.expose()).map_err(|_| self.foreign(answer.status))?;
        Ok(RepositoryToken { receipt: answer.header("audit-receipt").map(str::to_owned), ..read })
    }

    /// Returns all projects that the caller may see.
    pub async fn projects(&self) -> Result<Vec<Project>, Error> {
        self.json(Call::new(Method::GET, "/sfp/api/projects")).await
    }

    /// Returns one project.
    pub async fn project(&self, identifier: &str) -> Result<Project, Error> {
        self.json(Call::new(Method::GET, path_of("projects", identifier))).await
    }

    /// Registers a project.
    pub async fn create_project(&self, new: &NewProject) -> Result<Project, Error> {
        self.post("/sfp/api/projects", new).await
    }

    /// Deletes a project that nothing is scoped to.
    pub async fn delete_project(&self, identifier: &str) -> Result<(), Error> {
        self.delete(path_of("projects", identifier)).await
    }

    /// Returns all application tokens.
    pub async fn tokens(&self) -> Result<Vec<Token>, Error> {
        self.json(Call::new(Method::GET, "/sfp/api/application-tokens")).await
    }

    /// Creates an application token; only this answer shows it.
    pub async fn create_token(&self, new: &NewToken) -> Result<Token, Error> {
        self.post("/sfp/api/application-tokens", new).await
    }

    /// Revokes an application token, immediately and permanently.
    pub async fn revoke_token(&self, id: TokenId) -> Result<(), Error> {
        self.delete(format!("/sfp/api/application-tokens/{id}")).await
    }

    /// Returns all users.
    pub async fn users(&self) -> Result<Vec<User>, Error> {
        self.json(Call::new(Method::GET, "/sfp/api/users")).await
    }

    /// Returns one user.
    pub async fn user(&self, email: &str) -> Result<User, Error> {
        self.json(Call::new(Method::GET, path_of("users", email))).await
    }

    /// Creates a user; only this answer shows a generated password.
    pub async fn create_user(&self, new: &NewUser) -> Result<User, Error> {
        new.password.as_ref().map_or(Ok(()), is_text)?;
        self.post("/sfp/api/users", new).await
    }

    /// Changes a user.
    pub async fn change_user(&self, email: &str, change: &UserChange) -> Result<User, Error> {
        for secret in [&change.password, &change.current_password].into_iter().flatten() {
            is_text(secret)?;
        }
        let call = Call::new(Method::PUT, path_of("users", email)).with_body(to_secret_json(change));
        self.json::<Changed>(call).await.map(|changed| changed.user)
    }

    /// Removes a user.
    pub async fn delete_user(&self, email: &str) -> Result<(), Error> {
        self.delete(path_of("users", email)).await
    }

    /// Returns events, newest first, each as its record; and the cursor of the next page.
    pub async fn events(&self, filter: &EventFilter) -> Result<(Vec<Box<RawValue>>, Option<String>), Error> {
        let parameters: Vec<_> =
            filter.parameters.iter().map(|(name, value)| (*name, Some(value.as_str()))).collect();
        let answer = self.answer(get("/sfp/api/audit", &parameters)).await?;
        let events = serde_json::from_slice(answer.body.expose()).map_err(|_| self.foreign(answer.status))?;
        Ok((events, answer.header("x-next-cursor").map(str::to_owned)))
    }

    /// Returns the latest signed checkpoint, as its text.
    pub async fn checkpoint(&self) -> Result<String, Error> {
        self.text("/sfp/api/audit/checkpoint").await
    }

    /// Returns the newest verifier key, as its text.
    pub async fn verifier_key(&self) -> Result<String, Error> {
        self.text("/sfp/api/audit/key").await
    }

    async fn text(&self, path: &str) -> Result<String, Error> {
        let answer = self.answer(Call::new(Method::GET, path)).await?;
        let text = std::str::from_utf8(answer.body.expose()).map_err(|_| self.foreign(answer.status))?;
        Ok(text.to_owned())
    }

    pub(super) async fn post<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        self.json(Call::new(Method::POST, path).with_body(to_secret_json(body))).await
    }

    async fn delete(&self, path: String) -> Result<(), Error> {
        self.answer(Call::new(Method::DELETE, path)).await.map(drop)
    }
}

pub(super) fn get(path: &str, parameters: &[(&str, Option<&str>)]) -> Call {
    let mut query = Serializer::new(String::new());
    for (name, value) in parameters {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    let query = query.finish();
    Call::new(Method::GET, if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") })
}

pub(super) fn path_of(what: &str, name: &str) -> String {
    format!("/sfp/api/{what}/{}", utf8_percent_encode(name, SEGMENT))
}

/// Returns the refusal that the server would give, without sending it an invalid body.
fn no_json(_: NotJson) -> Error {
    malformed("credentials are not valid JSON")
}

/// Refuses bytes that are not text: JSON carries only text, and a repair would make another secret of them.
pub(super) fn is_text(secret: &Secret) -> Result<(), Error> {
    if secret.expose_text().is_some() { Ok(()) } else { Err(malformed("The secret is not UTF-8 text")) }
}

fn malformed(message: &str) -> Error {
    Error::Refused(Refusal {
        status: 400,
        code: "malformed_json".to_owned(),
        message: message.to_owned(),
        retry_after: None,
        token_from: None,
    })
}
