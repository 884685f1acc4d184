//! A vault beside a plain model ([`rules`]): whatever is created, rotated, rolled back, narrowed, revoked and deleted, in
//! any order and by anyone, each caller reads exactly what the contract gives it, each refusal is the contract's, and
//! the log has one record for each credential that was disclosed.

mod people;
mod rules;

use std::{collections::BTreeSet, sync::LazyLock};

use serde_json::json;
use tokio::runtime::Runtime;

use self::rules::{Caller, Filter, Item, Member, Model, NAMES, Narrowing, No, PROJECTS, PROVIDERS, Token};
use super::{
    Choices,
    vaults::{self, PASSWORD, START},
};
use crate::{
    api::{self, requests::Request},
    audit::record,
    auth::{policy::Verb, token},
    domain::{Action, Actor, Event, IntegrationId, Outcome, Revision, Timestamp, TokenId, TokenRef},
    vault::{Admitted, Context, CredentialQuery, Error, Vault},
};

/// The most steps of one input.
const STEPS_MAX: usize = 120;
const EMAILS: [&str; 2] = ["one@example.com", "two@example.com"];

static RUNTIME: LazyLock<Runtime> = LazyLock::new(vaults::runtime);
static FRESH: LazyLock<Vec<u8>> = LazyLock::new(vaults::fresh);

pub fn run(input: &[u8]) {
    RUNTIME.block_on(async {
        let vault = vaults::unlocked(&FRESH).await.expect("a new vault unlocks");
        let (_, owner) = vaults::owner(&vault).await.expect("the owner logs in");
        let mut world = World {
            vault,
            model: Model::default(),
            now: START,
            owner,
            members: Vec::new(),
            tokens: Vec::new(),
            items: Vec::new(),
            disclosed: Vec::new(),
        };
        let mut choices = Choices(input);
        for _ in 0..STEPS_MAX {
            if choices.is_empty() {
                break;
            }
            world.now += 1_000;
            world.step(&mut choices).await;
        }
        world.finish();
    });
}

/// The vault, the model, and what connects them.
struct World {
    vault: Vault,
    model: Model,
    now: u64,
    owner: String,
    /// The bearer of each member that the model ever had; of a token, with its id.
    members: Vec<String>,
    tokens: Vec<(TokenId, String)>,
    /// The id of each item that the model ever had.
    items: Vec<IntegrationId>,
    disclosed: Vec<(IntegrationId, u64, Actor)>,
}

fn parsed<T: Request>(body: serde_json::Value) -> T {
    api::parse(body.to_string().as_bytes()).map_err(|bad| bad.message).expect("a request of the contract")
}

/// The model's word for an error.
fn no(error: &Error) -> No {
    match error {
        Error::Denied(_) => No::Denied,
        Error::ProjectExists | Error::UserExists => No::Exists,
        Error::ProjectInUse { .. } => No::InUse,
        Error::IntegrationNotFound => No::NoIntegration,
        Error::ProjectNotFound(_) => No::NoProject,
        Error::RevisionNotFound => No::NoRevision,
        Error::TokenNotFound => No::NoToken,
        Error::UserNotFound => No::NoUser,
        Error::NothingMatches { .. } => No::Nothing,
        Error::Unauthenticated => No::Unauthenticated,
        Error::ProjectNotRegistered(_) => No::Unregistered,
        other => panic!("{other}: {other:?}"),
    }
}

/// Asserts that vault and model refuse alike; returns what the vault gave if neither did.
fn agreed<T>(what: &str, done: Result<T, Error>, expected: Result<(), No>) -> Option<T> {
    match (done, expected) {
        (Ok(value), Ok(())) => Some(value),
        (Err(error), Err(expected)) => {
            assert_eq!(no(&error), expected, "{what}");
            None
        }
        (Ok(_), Err(expected)) => panic!("{what}: done, where the contract says {expected:?}"),
        (Err(error), Ok(())) => panic!("{what}: {error}, where the contract allows it"),
    }
}

/// Some of the projects; never none.
fn some_projects(choices: &mut Choices<'_>) -> BTreeSet<usize> {
    let bits = choices.byte();
    let some: BTreeSet<usize> = (0..PROJECTS.len()).filter(|at| bits >> at & 1 == 1).collect();
    if some.is_empty() { BTreeSet::from([usize::from(bits) % PROJECTS.len()]) } else { some }
}

fn texts(projects: &BTreeSet<usize>) -> Vec<&'static str> {
    projects.iter().map(|at| PROJECTS[*at]).collect()
}

fn scope(body: &mut serde_json::Value, projects: Option<&BTreeSet<usize>>) {
    match projects {
        None => body["isGlobal"] = json!(true),
        Some(projects) => body["projects"] = json!(texts(projects)),
    }
}

/// One of the choices, or none.
fn perhaps(choices: &mut Choices<'_>, n: usize) -> Option<usize> {
    choices.below(n + 1).checked_sub(1)
}

impl World {
    fn context(&self) -> Context {
        vaults::context(self.now)
    }

    fn caller(&self, choices: &mut Choices<'_>) -> Caller {
        let at = choices.below(1 + self.members.len() + self.tokens.len());
        match at.checked_sub(1) {
            None => Caller::Owner,
            Some(at) if at < self.members.len() => Caller::Member(at),
            Some(at) => Caller::Token(at - self.members.len()),
        }
    }

    /// The caller as the vault sees it; the model must agree that it is let in or kept out. Its permit is for a read, so
    /// that every other use case has to ask the policy itself.
    async fn admitted(&self, caller: Caller) -> Option<Admitted> {
        let text = match caller {
            Caller::Owner => &self.owner,
            Caller::Member(at) => &self.members[at],
            Caller::Token(at) => &self.tokens[at].1,
        };
        let bearer = token::parse_bearer(text).expect("a token reads");
        let found = self.vault.admit(&self.context(), Some(bearer), |_| Verb::ReadCredentials).await;
        agreed(&format!("authenticate {caller:?}"), found, self.model.admit(caller).map(drop))
    }

    /// An item that there is or was; one past the end is an id that never was.
    fn item(&self, choices: &mut Choices<'_>) -> (usize, IntegrationId) {
        let at = choices.below(self.items.len() + 1);
        let unknown = IntegrationId::new(Timestamp::from_millis(1), [7; 10]);
        (at, self.items.get(at).copied().unwrap_or(unknown))
    }

    async fn step(&mut self, choices: &mut Choices<'_>) {
        let what = choices.below(20);
        let caller = self.caller(choices);
        match what {
            0 => self.register(caller, choices).await,
            1 => self.unregister(caller, choices).await,
            2..=4 => self.create(caller, choices).await,
            5 => self.rotate(caller, choices).await,
            6 => self.roll_back(caller, choices).await,
            7 => self.delete(caller, choices).await,
            8 => self.rescope(caller, choices).await,
            9 => self.create_token(caller, choices).await,
            10 => self.revoke(caller, choices).await,
            11 => self.create_member(caller, choices).await,
            12 => self.update_member(caller, choices).await,
            13 => self.delete_member(caller, choices).await,
            14 => self.reopen().await,
            _ => self.read(caller, choices).await,
        }
    }

    async fn register(&mut self, caller: Caller, choices: &mut Choices<'_>) {
        let Some(admitted) = self.admitted(caller).await else { return };
        let project = choices.below(PROJECTS.len());
        let request = parsed(json!({"identifier": PROJECTS[project]}));
        let done = self.vault.create_project(&self.context(), &admitted, request).await;
        let expected = self.model.owner(caller).and_then(|()| self.model.register(project));
        agreed("register", done, expected);
    }

    async fn unregister(&mut self, caller: Caller, choices: &mut Choices<'_>) {
        let Some(admitted) = self.admitted(caller).await else { return };
        let project = choices.below(PROJECTS.len());
        let done =
            self.vault.delete_project(&self.context(), &admitted, PROJECTS[project].parse().unwrap()).await;
        let expected = self.model.owner(caller).and_then(|()| self.model.unregister(project));
        agreed("unregister", done, expected);
    }

    async fn create(&mut self, caller: Caller, choices: &mut Choices<'_>) {
        let Some(admitted) = self.admitted(caller).await else { return };
        let (provider, mut name) = (choices.below(PROVIDERS.len()), perhaps(choices, NAMES.len()));
        if PROVIDERS[provider] == "custom" {
            name = name.or(Some(0));
        }
        let projects = (!choices.byte().is_multiple_of(3)).then(|| some_projects(choices));
        let value = format!("value {}", self.now);
        let mut body = json!({
            "provider": PROVIDERS[provider], "authType": "pat", "credentials": {"token": value},
        });
        if let Some(name) = name {
            body["name"] = json!(NAMES[name]);
        }
        scope(&mut body, projects.as_ref());
        let done = self.vault.create_integration(&self.context(), &admitted, parsed(body)).await;
        let narrowing = self.model.admit(caller).expect("it was let in");
        let expected = match caller {
            Caller::Token(_) => Err(No::Denied),
            _ if !self.model.may_store(&narrowing, projects.as_ref()) => Err(No::Denied),
            _ => projects.as_ref().map_or(Ok(()), |projects| self.model.check_registered(projects)),
        };
        if let Some((integration, _)) = agreed("create", done, expected) {
            let creator = if let Caller::Member(at) = caller { Some(at) } else { None };
            let values = vec![value];
            self.model.items.push(Item { provider, name, projects, values, creator, is_deleted: false });
            self.items.push(integration.id);
        }
    }

    async fn rotate(&mut self, caller: Caller, choices: &mut Choices<'_>) {
        let Some(admitted) = self.admitted(caller).await else { return };
        let (at, id) = self.item(choices);
        let value = format!("value {}", self.now);
        let request = parsed(json!({"credentials": {"token": value}}));
        let done = self.vault.rotate_credentials(&self.context(), &admitted, id, None, request).await;
        if agreed("rotate", done, self.model.may_change(caller, at)).is_some() {
            self.model.items[at].values.push(value);
        }
    }

    async fn roll_back(&mut self, caller: Caller, choices: &mut Choices<'_>) {
        let Some(admitted) = self.admitted(caller).await else { return };
        let (at, id) = self.item(choices);
        let revision = choices.below(12) + 1;
        let number = Revision::new(revision as u64);
        let done = self.vault.rollback_credentials(&self.context(), &admitted, id, number).await;
        let kept = |model: &Model| model.items[at].kept(revision).cloned().ok_or(No::NoRevision);
        let expected = self.model.may_change(caller, at).and_then(|()| kept(&self.model));
        if agreed("roll back", done, expected.clone().map(drop)).is_some() {
            self.model.items[at].values.push(expected.expect("both agreed"));
        }
    }

    async fn delete(&mut self, caller: Caller, choices: &mut Choices<'_>) {
        let Some(admitted) = self.admitted(caller).await else { return };
        let (at, id) = self.item(choices);
        let done = self.vault.delete_integration(&self.context(), &admitted, id).await;
        let expected = self.model.owner(caller).and_then(|()| self.model.may_change(caller, at));
        if agreed("delete", done, expected).is_some() {
            self.model.items[at].is_deleted = true;
        }
    }

    async fn rescope(&mut self, caller: Caller, choices: &mut Choices<'_>) {
        let Some(admitted) = self.admitted(caller).await else { return };
        let (at, id) = self.item(choices);
        let projects = (!choices.byte().is_multiple_of(3)).then(|| some_projects(choices));
        let mut body = json!({});
        scope(&mut body, projects.as_ref());
        let done = self.vault.update_integration(&self.context(), &admitted, id, parsed(body)).await;
        // A member may rename what it created, and not widen it.
        let model = &self.model;
        let expected = model.owner(caller).and_then(|()| model.may_change(caller, at));
        let expected =
            expected.and_then(|()| projects.as_ref().map_or(Ok(()), |held| model.check_registered(held)));
        if agreed("rescope", done, expected).is_some() {
            self.model.items[at].projects = projects;
        }
    }

    async fn create_token(&mut self, caller: Caller, choices: &mut Choices<'_>) {
        let Some(admitted) = self.admitted(caller).await else { return };
        let mut body = json!({"name": "token", "expiresIn": 3650});
        let projects = (!choices.byte().is_multiple_of(2)).then(|| some_projects(choices));
        if let Some(projects) = &projects {
            body["projects"] = json!(texts(projects));
        }
        let providers = (choices.byte() % 4 == 1).then(|| BTreeSet::from([choices.below(PROVIDERS.len())]));
        if let Some(providers) = &providers {
            body["providers"] = json!(providers.iter().map(|at| PROVIDERS[*at]).collect::<Vec<_>>());
        }
        let live = |at: &usize| !self.model.items[*at].is_deleted;
        let live: Vec<usize> = (0..self.items.len()).filter(live).collect();
        let integrations = (choices.byte() % 4 == 1 && !live.is_empty())
            .then(|| BTreeSet::from([live[choices.below(live.len())], live[choices.below(live.len())]]));
        if let Some(integrations) = &integrations {
            body["integrations"] =
                json!(integrations.iter().map(|at| self.items[*at].to_string()).collect::<Vec<_>>());
        }
        let done = self.vault.create_token(&self.context(), &admitted, parsed(body)).await;
        let registered = projects.as_ref().map_or(Ok(()), |held| self.model.check_registered(held));
        if let Some((token, text)) = agreed("create token", done, self.model.owner(caller).and(registered)) {
            let instances =
                |held: BTreeSet<usize>| held.into_iter().map(|at| self.model.instance(at)).collect();
            let narrowing = Narrowing { projects: projects.map(instances), providers, integrations };
            self.model.tokens.push(Token { is_revoked: false, narrowing });
            self.tokens.push((token.id, text.expose_text().expect("a token is ASCII").to_owned()));
        }
    }

    async fn revoke(&mut self, caller: Caller, choices: &mut Choices<'_>) {
        let Some(admitted) = self.admitted(caller).await else { return };
        let at = choices.below(self.tokens.len() + 1);
        let unknown = TokenId::new(Timestamp::from_millis(1), [7; 10]);
        let id = self.tokens.get(at).map_or(unknown, |(id, _)| *id);
        let done = self.vault.revoke_token(&self.context(), &admitted, TokenRef::Id(id)).await;
        let known = if at < self.tokens.len() { Ok(()) } else { Err(No::NoToken) };
        if agreed("revoke", done, self.model.owner(caller).and(known)).is_some() {
            self.model.tokens[at].is_revoked = true;
        }
    }
}
