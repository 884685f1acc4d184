//! The handlers, one an endpoint: parse the request, call the use case, render the answer.

use hyper::StatusCode;

use super::{
    audit, backup,
    error::{HandlerResult, HttpError},
    export, exposure, otp,
    request::{Call, PAGE_MAX, bad, digits},
    response::{Answer, with_cursor},
    routes::Endpoint,
    upkeep,
};
use crate::{
    api::{
        requests::{
            CreateIntegration, CreateProject, CreateToken, CreateUser, DeleteUser, Login, Refresh,
            RollbackCredentials, RotateCredentials, UpdateIntegration, UpdateUser,
        },
        responses::{
            self, CreatedToken, IntegrationBody, LoginBody, ProjectBody, Removed, RepositoryToken,
            RevisionsBody, TokenBody, UpdatedUser, UserBody, to_secret_json,
        },
    },
    audit::receipt,
    auth::policy::Verb,
    domain::{Actor, Email, Integration, IntegrationId, ProjectId, Revision, Role},
    vault::{Admitted, CredentialQuery, Listed, LoggedIn, Receipt},
};

pub(super) async fn answer(endpoint: Endpoint, call: Box<Call>) -> HandlerResult {
    match endpoint {
        Endpoint::ReadCredentials => read_credentials(call).await,
        // Boxed, so that a connection does not reserve the size of the largest future.
        other => Box::pin(answer_another(other, call)).await,
    }
}

async fn answer_another(endpoint: Endpoint, call: Box<Call>) -> HandlerResult {
    match endpoint {
        // `answer` handles the first, the server itself the others.
        Endpoint::ReadCredentials
        | Endpoint::Health
        | Endpoint::Ping
        | Endpoint::Metrics
        | Endpoint::ApiDocs
        | Endpoint::AddCheckpoint
        | Endpoint::WitnessedCheckpoint
        | Endpoint::WitnessKey => Err(HttpError::NoRoute),
        Endpoint::Login => login(call).await,
        Endpoint::Refresh => refresh(call).await,
        Endpoint::Logout => logout(call).await,
        Endpoint::OwnUser => own_user(call).await,
        Endpoint::ListUsers => list_users(call).await,
        Endpoint::CreateUser => create_user(call).await,
        Endpoint::ReadUser => read_user(call).await,
        Endpoint::UpdateUser => update_user(call).await,
        Endpoint::DeleteUser => delete_user(call).await,
        Endpoint::DeleteUserByBody => delete_user_by_body(call).await,
        Endpoint::BeginOtp => otp::begin(call).await,
        Endpoint::ConfirmOtp => otp::confirm(call).await,
        Endpoint::RenewOtpCodes => otp::renew_codes(call).await,
        Endpoint::RemoveOwnOtp => otp::remove_own(call).await,
        Endpoint::RemoveOtp => otp::remove(call).await,
        Endpoint::ListIntegrations => list_integrations(call, Verb::ListIntegrations).await,
        Endpoint::ListOwnIntegrations => list_integrations(call, Verb::ListOwnIntegrations).await,
        Endpoint::CreateIntegration => create_integration(call).await,
        Endpoint::ShowIntegration => show_integration(call).await,
        Endpoint::UpdateIntegration => update_integration(call).await,
        Endpoint::DeleteIntegration => delete_integration(call).await,
        Endpoint::RotateCredentials => rotate_credentials(call).await,
        Endpoint::RollbackCredentials => rollback_credentials(call).await,
        Endpoint::ReadRevisions => read_revisions(call).await,
        Endpoint::RepositoryToken => repository_token(call).await,
        Endpoint::ListProjects => list_projects(call).await,
        Endpoint::CreateProject => create_project(call).await,
        Endpoint::ReadProject => read_project(call).await,
        Endpoint::DeleteProject => delete_project(call).await,
        Endpoint::ListTokens => list_tokens(call).await,
        Endpoint::CreateToken => create_token(call).await,
        Endpoint::RevokeToken => revoke_token(call).await,
        Endpoint::RollToken => upkeep::roll_token(call).await,
        Endpoint::ListDue => upkeep::list_due(call).await,
        Endpoint::LeaveUser => upkeep::leave_user(call).await,
        Endpoint::ReadEvents => audit::read_events(call).await,
        Endpoint::ReadProof => audit::read_proof(call).await,
        Endpoint::ExportAudit => export::export(call).await,
        Endpoint::ReadCheckpoint => audit::read_checkpoint(call).await,
        Endpoint::ReadVerifierKey => audit::read_verifier_key(call).await,
        Endpoint::ReadExposure => exposure::read(call).await,
        Endpoint::CreateBackup => backup::create(call).await,
    }
}

async fn login(call: Box<Call>) -> HandlerResult {
    call.query.finish()?;
    let Login { email, password, otp } = call.parse()?;
    Ok(pair(&call.vault.login_with_code(&call.context, &email, password, otp).await?))
}

async fn refresh(call: Box<Call>) -> HandlerResult {
    call.query.finish()?;
    let Refresh { refresh_token } = call.parse()?;
    Ok(pair(&call.vault.refresh(&call.context, &refresh_token).await?))
}

fn pair(LoggedIn { access, refresh, lives_for, user }: &LoggedIn) -> Answer {
    let body = to_secret_json(&LoginBody::new(access, refresh, *lives_for, user));
    let authenticated = Some(Actor::User(user.email.clone()));
    Answer { authenticated, ..Answer::secret(StatusCode::OK, body) }
}

async fn logout(call: Box<Call>) -> HandlerResult {
    call.query.finish()?;
    call.vault.logout(&call.context, call.caller()?).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

async fn own_user(call: Box<Call>) -> HandlerResult {
    call.query.finish()?;
    let user = call.vault.own_user(&call.context, call.caller()?).await?;
    Ok(Answer::json(StatusCode::OK, &UserBody::new(&user)))
}

async fn list_users(call: Box<Call>) -> HandlerResult {
    call.query.finish()?;
    let users = call.vault.list_users(&call.context, call.caller()?).await?;
    Ok(Answer::json(StatusCode::OK, &users.iter().map(UserBody::new).collect::<Vec<_>>()))
}

async fn create_user(call: Box<Call>) -> HandlerResult {
    call.query.finish()?;
    let request: CreateUser = call.parse()?;
    let (user, initial) = call.vault.create_user(&call.context, call.caller()?, request).await?;
    let body = UserBody::new(&user);
    let body = match &initial {
        Some(password) => body.with_initial_password(password),
        None => body,
    };
    Ok(Answer::secret(StatusCode::CREATED, to_secret_json(&body)))
}

async fn read_user(call: Box<Call>) -> HandlerResult {
    call.query.finish()?;
    let user = call.vault.read_user(&call.context, call.caller()?, call.argument()?).await?;
    Ok(Answer::json(StatusCode::OK, &UserBody::new(&user)))
}

async fn update_user(call: Box<Call>) -> HandlerResult {
    call.query.finish()?;
    let email: Email = call.argument()?;
    let request: UpdateUser = call.parse()?;
    let user = call.vault.update_user(&call.context, call.caller()?, email, request).await?;
    Ok(Answer::json(StatusCode::OK, &UpdatedUser::new(&user)))
}

async fn delete_user(call: Box<Call>) -> HandlerResult {
    call.query.finish()?;
    let email: Email = call.argument()?;
    removed_user(&call, email).await
}

async fn delete_user_by_body(call: Box<Call>) -> HandlerResult {
    call.query.finish()?;
    let DeleteUser { email } = call.parse()?;
    removed_user(&call, email).await
}

async fn removed_user(call: &Call, email: Email) -> HandlerResult {
    call.vault.delete_user(&call.context, call.caller()?, email.clone()).await?;
    Ok(Answer::json(StatusCode::OK, &Removed::User(&email)))
}

async fn list_integrations(mut call: Box<Call>, verb: Verb) -> HandlerResult {
    let (provider, name) = (call.query.take("provider")?, call.query.take("name")?);
    let page = (call.query.number("limit", PAGE_MAX)?, call.query.take("cursor")?);
    call.query.finish()?;
    let (listed, next) =
        call.vault.list_integrations(&call.context, call.caller()?, verb, provider, name, page).await?;
    let accesses: Vec<_> = listed.iter().map(last_access).collect();
    // A creator needs its config to change the names in it.
    let reader = call.caller()?.caller().role;
    let sees_config = verb == Verb::ListOwnIntegrations || reader == Role::Owner;
    let bodies: Vec<_> = listed
        .iter()
        .zip(&accesses)
        .map(|(one, access)| {
            let body = IntegrationBody::new(&one.integration, access.as_ref());
            let body = body.for_owner(sees_config).marked_for(reader);
            // The log says who reads a member's integration, and members do not read the log.
            if verb == Verb::ListOwnIntegrations { body.without_reader() } else { body }
        })
        .collect();
    Ok(with_cursor(Answer::json(StatusCode::OK, &bodies), next))
}

async fn create_integration(call: Box<Call>) -> HandlerResult {
    call.query.finish()?;
    let request: CreateIntegration = call.parse()?;
    let (integration, shadows) =
        call.vault.create_integration(&call.context, call.caller()?, request).await?;
    let reader = call.caller()?.caller().role;
    let body = IntegrationBody::new(&integration, None).marked_for(reader).with_shadows(&shadows);
    Ok(Answer::json(StatusCode::CREATED, &body))
}

async fn read_credentials(mut call: Box<Call>) -> HandlerResult {
    let query = CredentialQuery {
        provider: call.query.take("provider")?,
        project: call.query.take("project")?,
        name: call.query.take("name")?,
        limit: call.query.number("limit", PAGE_MAX)?,
        cursor: call.query.take("cursor")?,
    };
    call.query.finish()?;
    let read = call.vault.read_credentials(&call.context, call.caller()?, query).await?;
    let items = read.items.iter().map(|(integration, secret)| (&**integration, secret));
    let answer = Answer::held_secret(StatusCode::OK, responses::credentials_array(items), read.held);
    Ok(with_cursor(with_receipts(answer, &read.receipts), read.next).disclosing(read.disclosed))
}

async fn repository_token(mut call: Box<Call>) -> HandlerResult {
    let repository: Option<ProjectId> = call.query.take("repositoryIdentifier")?;
    call.query.finish()?;
    let needed = || bad("invalid_parameter", "Query parameter repositoryIdentifier is required".to_owned());
    let repository = repository.ok_or_else(needed)?;
    let token = call.vault.repository_token(&call.context, call.caller()?, &repository).await?;
    let body = RepositoryToken::new(token.secret(), token.kind(), token.expires_at(), &repository);
    let answer = Answer::secret(StatusCode::OK, to_secret_json(&body));
    Ok(with_receipts(answer, &token.receipts).disclosing(token.disclosed))
}

fn with_receipts(answer: Answer, receipts: &[Receipt]) -> Answer {
    let records = receipts.iter().map(|receipt| (receipt.sequence, receipt.leaf_hash));
    match receipt::header(records) {
        Some(receipts) => answer.header(receipt::HEADER, receipts),
        None => answer,
    }
}

async fn show_integration(call: Box<Call>) -> HandlerResult {
    call.query.finish()?;
    let listed = call.vault.show_integration(&call.context, call.caller()?, call.argument()?).await?;
    Ok(metadata(&listed, call.caller()?))
}

async fn update_integration(call: Box<Call>) -> HandlerResult {
    call.query.finish()?;
    let id: IntegrationId = call.argument()?;
    let request: UpdateIntegration = call.parse()?;
    let listed = call.vault.update_integration(&call.context, call.caller()?, id, request).await?;
    Ok(metadata(&listed, call.caller()?))
}

async fn rotate_credentials(call: Box<Call>) -> HandlerResult {
    call.query.finish()?;
    let id: IntegrationId = call.argument()?;
    let expected = if_match(&call)?;
    let request: RotateCredentials = call.parse()?;
    let listed = call.vault.rotate_credentials(&call.context, call.caller()?, id, expected, request).await?;
    Ok(metadata(&listed, call.caller()?))
}

/// Parses `If-Match`: `3`, `"3"` or `*`.
fn if_match(call: &Call) -> Result<Option<Revision>, HttpError> {
    let Some(value) = &call.if_match else { return Ok(None) };
    let wrong = || bad("invalid_if_match", "If-Match must be a revision like 3 or \"3\", or *".to_owned());
    let text = value.to_str().map_err(|_| wrong())?;
    if text == "*" {
        return Ok(None);
    }
    let bare = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    digits(bare).map(|number| Some(Revision::new(number))).ok_or_else(wrong)
}

async fn rollback_credentials(call: Box<Call>) -> HandlerResult {
    call.query.finish()?;
    let id: IntegrationId = call.argument()?;
    let RollbackCredentials { revision } = call.parse()?;
    let listed = call.vault.rollback_credentials(&call.context, call.caller()?, id, revision).await?;
    Ok(metadata(&listed, call.caller()?))
}

async fn read_revisions(mut call: Box<Call>) -> HandlerResult {
    let id: IntegrationId = call.argument()?;
    let limit = call.query.number("limit", Integration::KEPT_MAX)?;
    call.query.finish()?;
    let read = call.vault.read_revisions(&call.context, call.caller()?, id, limit).await?;
    let access = last_access(&read.listed);
    let kept: Vec<_> = read.revisions.iter().map(|(kept, secret)| (*kept, secret)).collect();
    let body = to_secret_json(&RevisionsBody::new(&read.listed.integration, access.as_ref(), &kept));
    let answer = with_receipts(Answer::held_secret(StatusCode::OK, body, read.held), &read.receipts);
    Ok(answer.disclosing(read.disclosed))
}

async fn delete_integration(call: Box<Call>) -> HandlerResult {
    call.query.finish()?;
    let id = call.argument()?;
    call.vault.delete_integration(&call.context, call.caller()?, id).await?;
    Ok(Answer::json(StatusCode::OK, &Removed::Integration(id)))
}

fn metadata(listed: &Listed, reader: &Admitted) -> Answer {
    let access = last_access(listed);
    let role = reader.caller().role;
    let body = IntegrationBody::new(&listed.integration, access.as_ref());
    Answer::json(StatusCode::OK, &body.for_owner(role == Role::Owner).marked_for(role))
}

fn last_access(listed: &Listed) -> Option<responses::LastAccess> {
    listed
        .last_access
        .as_ref()
        .map(|access| responses::LastAccess { at: access.time, by: access.actor.clone() })
}

async fn list_projects(call: Box<Call>) -> HandlerResult {
    call.query.finish()?;
    let projects = call.vault.list_projects(&call.context, call.caller()?).await?;
    let bodies: Vec<_> = projects
        .iter()
        .map(|(project, integrations)| {
            ProjectBody::new(project, &integrations.iter().map(|one| &**one).collect::<Vec<_>>())
        })
        .collect();
    Ok(Answer::json(StatusCode::OK, &bodies))
}

async fn create_project(call: Box<Call>) -> HandlerResult {
    call.query.finish()?;
    let request: CreateProject = call.parse()?;
    let project = call.vault.create_project(&call.context, call.caller()?, request).await?;
    Ok(Answer::json(StatusCode::CREATED, &ProjectBody::new(&project, &[])))
}

async fn read_project(call: Box<Call>) -> HandlerResult {
    call.query.finish()?;
    let (project, integrations) =
        call.vault.read_project(&call.context, call.caller()?, call.argument()?).await?;
    let integrations: Vec<_> = integrations.iter().map(|one| &**one).collect();
    Ok(Answer::json(StatusCode::OK, &ProjectBody::new(&project, &integrations)))
}

async fn delete_project(call: Box<Call>) -> HandlerResult {
    call.query.finish()?;
    let identifier: ProjectId = call.argument()?;
    call.vault.delete_project(&call.context, call.caller()?, identifier.clone()).await?;
    Ok(Answer::json(StatusCode::OK, &Removed::Project(&identifier)))
}

async fn list_tokens(call: Box<Call>) -> HandlerResult {
    call.query.finish()?;
    let tokens = call.vault.list_tokens(&call.context, call.caller()?).await?;
    let bodies: Vec<_> =
        tokens.iter().map(|(token, used)| TokenBody::new(token, *used, call.context.now)).collect();
    Ok(Answer::json(StatusCode::OK, &bodies))
}

async fn create_token(call: Box<Call>) -> HandlerResult {
    call.query.finish()?;
    let request: CreateToken = call.parse()?;
    let (token, text) = call.vault.create_token(&call.context, call.caller()?, request).await?;
    Ok(Answer::secret(StatusCode::CREATED, to_secret_json(&CreatedToken::new(&token, &text))))
}

async fn revoke_token(call: Box<Call>) -> HandlerResult {
    call.query.finish()?;
    let token = call.token()?;
    let id = call.vault.revoke_token(&call.context, call.caller()?, token).await?;
    Ok(Answer::json(StatusCode::OK, &Removed::Token(id)))
}
