//! The model's changes: which comes next, the content that the vault must then hold, and the request for it.

use sealroom::{
    api::{self, requests},
    domain::{IntegrationId, Revision, TokenId, TokenRef},
    vault::{Admitted, Context, Error, Vault},
};

use super::{
    content::{Content, Item, Person},
    driver::Known,
    rng::Rng,
};

/// One change, ready to be requested.
#[derive(Debug, Clone)]
pub enum Step {
    CreateUser(String),
    UpdateUser(String, String),
    DeleteUser(String),
    CreateToken(String),
    RevokeToken(TokenId),
    CreateProject(String),
    DeleteProject(String),
    Create(String),
    Update(IntegrationId, String),
    Rotate(IntegrationId, String),
    Rollback(IntegrationId, u64),
    Delete(IntegrationId),
}

/// The id that a change created.
#[derive(Debug)]
pub enum Made {
    Nothing,
    Integration(IntegrationId),
    Token(TokenId, String),
}

fn parse<T: requests::Request>(text: &str) -> T {
    api::parse(text.as_bytes()).map_err(|error| error.message).expect("the model's requests are valid")
}

impl Step {
    /// Requests the change.
    pub async fn ask(self, vault: &Vault, context: &Context, owner: &Admitted) -> Result<Made, Error> {
        let done = match self {
            Self::CreateUser(body) => vault.create_user(context, owner, parse(&body)).await.map(drop),
            Self::UpdateUser(email, body) => {
                let email = email.parse().unwrap();
                vault.update_user(context, owner, email, parse(&body)).await.map(drop)
            }
            Self::DeleteUser(email) => vault.delete_user(context, owner, email.parse().unwrap()).await,
            Self::CreateToken(body) => {
                let (token, text) = vault.create_token(context, owner, parse(&body)).await?;
                return Ok(Made::Token(token.id, String::from_utf8(text.expose().to_vec()).unwrap()));
            }
            Self::RevokeToken(id) => vault.revoke_token(context, owner, TokenRef::Id(id)).await.map(drop),
            Self::CreateProject(body) => vault.create_project(context, owner, parse(&body)).await.map(drop),
            Self::DeleteProject(name) => {
                vault.delete_project(context, owner, name.parse().unwrap()).await.map(drop)
            }
            Self::Create(body) => {
                let (one, _) = vault.create_integration(context, owner, parse(&body)).await?;
                return Ok(Made::Integration(one.id));
            }
            Self::Update(id, body) => {
                vault.update_integration(context, owner, id, parse(&body)).await.map(drop)
            }
            Self::Rotate(id, body) => {
                vault.rotate_credentials(context, owner, id, None, parse(&body)).await.map(drop)
            }
            Self::Rollback(id, revision) => {
                vault.rollback_credentials(context, owner, id, Revision::new(revision)).await.map(drop)
            }
            Self::Delete(id) => vault.delete_integration(context, owner, id).await,
        };
        done.map(|()| Made::Nothing)
    }
}

/// Draws the next change; returns it, the name that it is about, and the content after it. Returns `None` if the
/// content has nothing that the drawn kind of change could apply to.
pub fn draw(content: &Content, known: &mut Known, rng: &mut Rng) -> Option<(Step, String, Content)> {
    let mut after = content.clone();
    let (step, name) = match rng.below(16) {
        0 => create_user(known, &mut after),
        1 => update_user(rng, &mut after)?,
        2 if rng.one_in(2) => delete_user(rng, &mut after)?,
        3 => create_token(known, &mut after),
        4 => revoke_token(known, rng, &mut after)?,
        5 => create_project(known, &mut after),
        6 if rng.one_in(2) => delete_project(rng, &mut after)?,
        7..=9 => create(known, rng, &mut after),
        10 => update(known, rng, &mut after)?,
        11 | 12 => rotate(known, rng, &mut after)?,
        13 => rollback(known, rng, &mut after)?,
        14 => delete(known, rng, &mut after)?,
        _ => return None,
    };
    Some((step, name, after))
}

fn create_user(known: &mut Known, after: &mut Content) -> (Step, String) {
    let email = format!("user{}@example.com", known.next());
    after.users.insert(email.clone(), Person { first_name: None, disabled: false });
    let body = format!(r#"{{"email":"{email}","password":"password-of-a-user"}}"#);
    (Step::CreateUser(body), email)
}

/// Returns any user except the first owner.
fn some_user(rng: &mut Rng, content: &Content) -> Option<String> {
    let others: Vec<_> = content.users.keys().filter(|email| email.starts_with("user")).collect();
    rng.of(&others).map(|email| (*email).clone())
}

fn update_user(rng: &mut Rng, after: &mut Content) -> Option<(Step, String)> {
    let email = some_user(rng, after)?;
    let person = after.users.get_mut(&email)?;
    let body = if rng.one_in(2) {
        person.disabled = !person.disabled;
        format!(r#"{{"disabled":{}}}"#, person.disabled)
    } else {
        let name = format!("Name {}", rng.below(1000));
        person.first_name = Some(name.clone());
        format!(r#"{{"firstName":"{name}"}}"#)
    };
    Some((Step::UpdateUser(email.clone(), body), email))
}

fn delete_user(rng: &mut Rng, after: &mut Content) -> Option<(Step, String)> {
    let email = some_user(rng, after)?;
    after.users.remove(&email);
    Some((Step::DeleteUser(email.clone()), email))
}

fn create_token(known: &mut Known, after: &mut Content) -> (Step, String) {
    let name = format!("token {}", known.next());
    after.tokens.insert(name.clone(), false);
    (Step::CreateToken(format!(r#"{{"name":"{name}","expiresIn":30}}"#)), name)
}

fn revoke_token(known: &Known, rng: &mut Rng, after: &mut Content) -> Option<(Step, String)> {
    let live: Vec<_> = after.tokens.iter().filter(|(_, revoked)| !**revoked).map(|(name, _)| name).collect();
    let name = (*rng.of(&live)?).clone();
    let (id, _) = known.tokens.get(&name)?;
    after.tokens.insert(name.clone(), true);
    Some((Step::RevokeToken(*id), name))
}

fn create_project(known: &mut Known, after: &mut Content) -> (Step, String) {
    let name = format!("acme/p{}", known.next());
    after.projects.insert(name.clone());
    let body = format!(r#"{{"identifier":"{name}","remoteUrl":"https://github.com/{name}"}}"#);
    (Step::CreateProject(body), name)
}

fn delete_project(rng: &mut Rng, after: &mut Content) -> Option<(Step, String)> {
    let used = |project: &String| after.integrations.values().any(|one| one.projects.contains(project));
    let free: Vec<_> = after.projects.iter().filter(|project| !used(project)).collect();
    let name = (*rng.of(&free)?).clone();
    after.projects.remove(&name);
    Some((Step::DeleteProject(name.clone()), name))
}

/// Draws up to three projects, or none for global.
fn scope(rng: &mut Rng, content: &Content) -> Vec<String> {
    let mut projects = Vec::new();
    for project in &content.projects {
        if projects.len() < 3 && rng.one_in(3) {
            projects.push(project.clone());
        }
    }
    projects
}

fn scope_text(projects: &[String]) -> String {
    if projects.is_empty() {
        return r#""isGlobal":true"#.to_owned();
    }
    format!(r#""projects":{}"#, serde_json::json!(projects))
}

fn create(known: &mut Known, rng: &mut Rng, after: &mut Content) -> (Step, String) {
    let number = known.next();
    let (name, value, projects) = (format!("i{number}"), known.value(rng), scope(rng, after));
    let provider = *rng.of(&["github", "gitlab", "npm", "ai_openai"]).unwrap();
    let body = format!(
        r#"{{"provider":"{provider}","authType":"pat","name":"{name}","credentials":{{"token":"{value}"}},{}}}"#,
        scope_text(&projects)
    );
    known.values.insert(name.clone(), vec![value.clone()]);
    after.integrations.insert(name.clone(), Item { projects, revision: 1, kept: 1, value });
    (Step::Create(body), name)
}

fn some_integration(known: &Known, rng: &mut Rng, content: &Content) -> Option<(String, IntegrationId)> {
    let all: Vec<_> = content.integrations.keys().collect();
    let name = (*rng.of(&all)?).clone();
    let id = *known.ids.get(&name)?;
    Some((name, id))
}

fn update(known: &Known, rng: &mut Rng, after: &mut Content) -> Option<(Step, String)> {
    let (name, id) = some_integration(known, rng, after)?;
    let projects = scope(rng, after);
    let body = format!("{{{}}}", scope_text(&projects));
    after.integrations.get_mut(&name)?.projects = projects;
    Some((Step::Update(id, body), name))
}

/// Adds a revision; the vault keeps the five newest.
fn renewed(known: &mut Known, after: &mut Content, name: &str, value: String) -> Option<()> {
    let kept = after.integrations.get_mut(name)?;
    let values = known.values.get_mut(name)?;
    // Ignore a value that an unanswered change may have left there.
    values.truncate(kept.revision as usize);
    values.push(value.clone());
    (kept.revision, kept.kept, kept.value) = (kept.revision + 1, (kept.kept + 1).min(5), value);
    Some(())
}

fn rotate(known: &mut Known, rng: &mut Rng, after: &mut Content) -> Option<(Step, String)> {
    let (name, id) = some_integration(known, rng, after)?;
    let value = known.value(rng);
    renewed(known, after, &name, value.clone())?;
    Some((Step::Rotate(id, format!(r#"{{"credentials":{{"token":"{value}"}}}}"#)), name))
}

fn rollback(known: &mut Known, rng: &mut Rng, after: &mut Content) -> Option<(Step, String)> {
    let (name, id) = some_integration(known, rng, after)?;
    let kept = after.integrations.get(&name)?.clone();
    let back = rng.below(kept.kept) as u64;
    let revision = kept.revision - back;
    let value = known.values.get(&name)?.get(revision as usize - 1)?.clone();
    renewed(known, after, &name, value)?;
    Some((Step::Rollback(id, revision), name))
}

fn delete(known: &Known, rng: &mut Rng, after: &mut Content) -> Option<(Step, String)> {
    let (name, id) = some_integration(known, rng, after)?;
    after.integrations.remove(&name);
    Some((Step::Delete(id), name))
}
