//! A driver of one vault: it changes, reads, stops and kills the vault, records the answers, and reports
//! contradictions.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sealroom::{
    auth::token,
    crypto::kdf::KdfParams,
    domain::{Action, Actor, Event, IntegrationId, Secret, Timestamp, TokenId},
    vault::{
        Admitted, CallerLimits, Context, CredentialQuery, Error, InitPlan, Settings, UnlockError, Vault,
    },
};

use super::{
    content::{self, Content, Person, Shown},
    disk::Disk,
    rng::Rng,
    steps::{self, Made},
};

pub const PASSPHRASE: &str = "a passphrase of the laboratory";
pub const OWNER: &str = "owner@example.com";
pub const PASSWORD: &str = "password-of-the-owner";
/// 2026-11-24T10:00:00Z.
pub const START: u64 = 1_795_514_400_000;
/// The most retries of one call while the disk fails, with a short pause before each.
const TRIES: usize = 500;

/// Longer than any run takes on any machine.
pub const A_LONG_TIME: Duration = Duration::from_secs(600);

/// A violated invariant.
pub type Broken = String;

pub fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

/// Returns settings of a vault that writes only on request.
pub fn settings() -> Settings {
    Settings {
        queue_max: 64,
        cache_bytes: 1 << 20,
        password_kdf: KdfParams::LIGHT,
        // A slow machine delays commits and pauses; the crash tests do not cover that.
        commit_timeout: A_LONG_TIME,
        flush_interval: A_LONG_TIME,
        disk_low_bytes: 0,
        callers: CallerLimits::NONE,
        ..Settings::new(Actor::host("lab"), sealroom::clock::monotonic)
    }
}

/// Returns the file of a new vault.
pub fn fresh() -> Arc<Vec<u8>> {
    fresh_with_key().0
}

/// Returns the file of a new vault, and its recovery key.
pub fn fresh_with_key() -> (Arc<Vec<u8>>, Secret) {
    let disk = Disk::new(Arc::default());
    let plan = InitPlan {
        owner: OWNER.parse().unwrap(),
        password: secret(PASSWORD),
        passphrase: secret(PASSPHRASE),
        kdf: KdfParams::LIGHT,
        password_kdf: KdfParams::LIGHT,
        actor: Actor::host("lab"),
        now: Timestamp::from_millis(START),
    };
    let created = Vault::create(disk.medium(), 1 << 20, &plan).unwrap();
    (Arc::new(disk.image()), created.recovery_key)
}

/// The model's knowledge beside the content: ids, texts of tokens, values by revision.
#[derive(Debug, Clone, Default)]
pub struct Known {
    pub ids: BTreeMap<String, IntegrationId>,
    pub tokens: BTreeMap<String, (TokenId, String)>,
    pub values: BTreeMap<String, Vec<String>>,
    named: usize,
}

impl Known {
    /// Returns a number that no name has yet.
    pub fn next(&mut self) -> usize {
        self.named += 1;
        self.named
    }

    /// Returns a new credential value, of varying length.
    pub fn value(&mut self, rng: &mut Rng) -> String {
        let length = if rng.one_in(8) { rng.below(3000) } else { rng.below(60) };
        format!("value {} {}", self.next(), "x".repeat(length))
    }
}

/// The driver of the users' requests.
pub struct Driver {
    disk: Disk,
    rng: Rng,
    vault: Option<Arc<Vault>>,
    owner: Option<Admitted>,
    now: u64,
    /// True if a single call fails: its change is then refused and absent, and the next call succeeds.
    is_strict: bool,
    pub content: Content,
    pub known: Known,
    pub shown: Vec<Shown>,
    /// The content after each change, by the number of acknowledged records.
    pub history: Vec<(u64, Content)>,
}

impl Driver {
    pub fn new(disk: Disk, rng: Rng, is_strict: bool) -> Self {
        let owner = (OWNER.to_owned(), Person { first_name: None, disabled: false });
        let content = Content { users: BTreeMap::from([owner]), ..Content::default() };
        Self {
            disk,
            rng,
            vault: None,
            owner: None,
            now: START,
            is_strict,
            history: vec![(0, content.clone())],
            content,
            known: Known::default(),
            shown: Vec::new(),
        }
    }

    /// Runs this many steps, then stops the vault in order.
    pub async fn run(&mut self, steps: usize) -> Result<(), Broken> {
        for _ in 0..steps {
            let pause = if self.rng.one_in(5) { 1500 } else { 20 };
            self.now += 1 + self.rng.below(pause) as u64;
            match self.rng.below(24) {
                0 => self.stop().await?,
                1 => self.kill(),
                2 | 3 => drop(self.observe(1).await?),
                4..=6 => self.read().await?,
                _ => self.change().await?,
            }
        }
        self.stop().await
    }

    fn context(&self) -> Context {
        Context { now: Timestamp::from_millis(self.now), request: None, peer: None }
    }

    /// Returns the open vault, and its owner, logged in.
    async fn open(&mut self) -> Result<(Arc<Vault>, Admitted), Broken> {
        let mut last = String::new();
        for round in 0..self.tries() {
            self.pause(round).await;
            let vault = match self.vault.take() {
                Some(vault) => vault,
                None => {
                    let opened = Vault::open(self.disk.medium(), self.settings());
                    Arc::new(opened.map_err(|error| format!("it does not open: {error:?}"))?)
                }
            };
            self.vault = Some(Arc::clone(&vault));
            let now = Timestamp::from_millis(self.now);
            match vault.unlock(secret(PASSPHRASE), Actor::host("lab"), now, None).await {
                Ok(()) => {}
                Err(error) if is_disk(&error) => {
                    last = format!("{error:?}");
                    continue;
                }
                Err(error) => return Err(format!("it does not unlock: {error:?}")),
            }
            if let Some(owner) = self.owner.clone() {
                return Ok((vault, owner));
            }
            match vault.login(&self.context(), OWNER, secret(PASSWORD)).await {
                Ok(login) => {
                    let text = String::from_utf8(login.access.expose().to_vec()).unwrap();
                    let bearer = token::parse_bearer(&text).unwrap();
                    match vault.authenticate(bearer, &self.context()) {
                        Ok(owner) => self.owner = Some(owner),
                        Err(error) if self.is_beside(&error) => continue,
                        Err(error) => return Err(format!("who just came in is out: {error}")),
                    }
                    self.acknowledge(&vault)?;
                }
                Err(error @ (Error::AuditUnavailable | Error::Unreadable(_))) => last = format!("{error:?}"),
                Err(error) => return Err(format!("the owner cannot log in: {error}")),
            }
        }
        Err(format!("it does not come back after the disk did: {last}, {} calls failed", self.disk.hit()))
    }

    /// The outcome of a single failing call must not depend on when the vault writes on its own.
    fn settings(&self) -> Settings {
        let flush_interval = if self.is_strict { A_LONG_TIME } else { Duration::from_millis(10) };
        Settings { flush_interval, ..settings() }
    }

    /// Returns whether a call that the vault made on its own may have failed besides this one.
    fn is_beside(&self, error: &Error) -> bool {
        !self.is_strict
            && self.disk.hit() > 0
            && matches!(error, Error::AuditUnavailable | Error::Unreadable(_))
    }

    /// Waits before a retry: the vault itself retries a disk that failed, at intervals.
    async fn pause(&self, round: usize) {
        if round > 0 && !self.is_strict {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn tries(&self) -> usize {
        if self.is_strict { 3 } else { TRIES }
    }

    /// Records that a client with an answer knows all records so far.
    fn acknowledge(&self, vault: &Vault) -> Result<u64, Broken> {
        let note = match vault.checkpoint() {
            Ok(note) => note,
            // A concurrent call has failed, and the file is closed for the moment.
            Err(_) if self.disk.hit() > 0 && !self.is_strict => return Ok(0),
            Err(error) => return Err(format!("no checkpoint: {error}")),
        };
        let size = sealroom::audit::checkpoint::read_unsigned(&note).map_err(|error| error.to_string())?.size;
        self.disk.acknowledge(size);
        Ok(size)
    }

    /// Stops the vault in order; the next step opens it again.
    async fn stop(&mut self) -> Result<(), Broken> {
        let Some(vault) = self.vault.take() else { return Ok(()) };
        let event = Event::new(Timestamp::from_millis(self.now), Actor::host("lab"), Action::ServerStop);
        match vault.lock(event).await {
            Ok(()) => drop(self.acknowledge(&vault)?),
            Err(Error::AuditUnavailable | Error::Unreadable(_) | Error::Locked) => {}
            Err(error) => return Err(format!("it does not stop: {error}")),
        }
        Ok(())
    }

    fn kill(&mut self) {
        self.disk = self.disk.kill();
        self.vault = None;
    }

    /// Reads credentials, all or of one project, as the owner or with a token.
    async fn read(&mut self) -> Result<(), Broken> {
        let (vault, owner) = self.open().await?;
        let projects: Vec<_> = self.content.projects.iter().cloned().collect();
        let project = if self.rng.one_in(2) { None } else { self.rng.of(&projects) };
        let project = project.map(|project| project.parse().unwrap());
        let query = CredentialQuery { project, ..CredentialQuery::default() };
        let context = self.context();
        let tokens: Vec<_> = self.known.tokens.iter().collect();
        let (caller, is_out) = match self.rng.of(&tokens) {
            Some((name, (_, text))) => {
                let found = vault.authenticate(token::parse_bearer(text).unwrap(), &context);
                if found.as_ref().is_err_and(|error| self.is_beside(error)) {
                    return Ok(());
                }
                (found.ok(), self.content.tokens.get(*name) == Some(&true))
            }
            None => (Some(owner), false),
        };
        match caller {
            Some(_) if is_out => Err("a revoked token lets in".to_owned()),
            None if !is_out => Err("a token that lives lets nobody in".to_owned()),
            None => Ok(()),
            Some(caller) => match content::read(&vault, &context, &caller, query).await {
                Ok(read) => {
                    for (name, value, shown) in read {
                        if self.content.integrations.get(&name).map(|one| &one.value) != Some(&value) {
                            return Err(format!("{name} was disclosed as {value}"));
                        }
                        self.shown.push(shown);
                    }
                    self.acknowledge(&vault).map(drop)
                }
                Err(Error::AuditUnavailable | Error::Unreadable(_) | Error::Locked) => Ok(()),
                Err(error) => Err(format!("a read: {error}")),
            },
        }
    }

    /// Returns the content that the vault shows now; allows `more` retries than usual.
    async fn observe(&mut self, more: usize) -> Result<Content, Broken> {
        for round in 0..self.tries() + more {
            self.pause(round).await;
            let (vault, owner) = self.open().await?;
            match content::observe(&vault, &self.context(), &owner).await {
                Ok((content, shown)) => {
                    self.shown.extend(shown);
                    self.acknowledge(&vault)?;
                    return Ok(content);
                }
                Err(Error::AuditUnavailable | Error::Unreadable(_) | Error::Locked) => {}
                Err(error) => return Err(format!("it cannot be looked at: {error}")),
            }
        }
        Err("it cannot be looked at any more".to_owned())
    }

    /// Makes one change, with two reads beside it.
    async fn change(&mut self) -> Result<(), Broken> {
        let (vault, owner) = self.open().await?;
        let mut rng = self.rng.clone();
        let drawn = steps::draw(&self.content, &mut self.known, &mut rng);
        self.rng = rng;
        let Some((step, name, after)) = drawn else { return Ok(()) };
        let (context, what) = (self.context(), format!("{step:?}"));
        let made = if self.rng.one_in(3) {
            let read = || content::read(&vault, &context, &owner, CredentialQuery::default());
            let (made, one, other) = tokio::join!(step.ask(&vault, &context, &owner), read(), read());
            let read = one.into_iter().chain(other).flatten();
            self.shown.extend(read.map(|(_, _, shown)| shown));
            made
        } else {
            step.ask(&vault, &context, &owner).await
        };
        match made {
            Ok(made) => {
                match made {
                    Made::Integration(id) => drop(self.known.ids.insert(name, id)),
                    Made::Token(id, text) => drop(self.known.tokens.insert(name, (id, text))),
                    Made::Nothing => {}
                }
                self.content = after;
                let size = self.acknowledge(&vault)?;
                self.history.push((size, self.content.clone()));
                Ok(())
            }
            Err(Error::AuditUnavailable | Error::Unreadable(_) | Error::Locked) => {
                self.doubt(&after, &what).await
            }
            Err(error) => Err(format!("{what}: {error}")),
        }
    }

    /// Checks a refused change: reads from the vault at once whether it took place.
    async fn doubt(&mut self, after: &Content, what: &str) -> Result<(), Broken> {
        if self.disk.hit() == 0 {
            return Err(format!("{what}: refused by a disk that works"));
        }
        let seen = self.observe(0).await?;
        if seen != self.content && (self.is_strict || seen != *after) {
            return Err(format!("{what} was refused, and yet there is {seen:?} after {:?}", self.content));
        }
        self.content = seen;
        // An integration created without an answer is known only from the list.
        self.known.ids.retain(|name, _| self.content.integrations.contains_key(name));
        self.history.push((u64::MAX, self.content.clone()));
        Ok(())
    }
}

/// Returns whether a failing disk explains an unlock error.
fn is_disk(error: &UnlockError) -> bool {
    use sealroom::storage::{OpenError, StorageError};
    matches!(
        error,
        UnlockError::AuditUnavailable
            | UnlockError::Storage(StorageError::Engine(_))
            | UnlockError::Open(OpenError::Io(_))
    )
}
