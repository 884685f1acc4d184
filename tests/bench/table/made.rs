//! Vault files with something in them, made by the library before the real binary serves them.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use indicatif::{ProgressBar, ProgressStyle};
use sealroom::{
    api,
    auth::token,
    clock::{self, Clock},
    crypto::kdf::KdfParams,
    disk::NewFile,
    domain::{Action, Actor, Event, IntegrationId, ProjectId, Provider, Revision, Secret, TokenId},
    vault::{Admitted, CallerLimits, Context, InitPlan, SessionLife, Settings, Vault},
};
use tokio::task::JoinSet;

const PASSPHRASE: &str = "passphrase-example";
/// The number of rows in one sealing batch.
const WRITERS: u64 = 1024;
/// Tokens whose texts are kept, one for each connection.
const KEPT: usize = 1024;

/// The contents of a file.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub integrations: u64,
    pub projects: u64,
    pub tokens: u64,
    pub events: u64,
}

impl Size {
    /// One project with one credential.
    pub const EMPTY: Self = Self { integrations: 1, projects: 1, tokens: 1, events: 0 };
}

/// A file, and what its users know.
pub struct Made {
    pub data: PathBuf,
    pub passphrase: PathBuf,
    pub owner: String,
    /// Tokens of applications, each with the project that it reads; the first reads any.
    pub readers: Vec<(String, String)>,
}

impl Made {
    /// The read that all figures are about: one credential of one project.
    pub fn read(&self) -> Vec<u8> {
        read(&self.readers[0])
    }

    /// The same for each of so many connections, every one with a token and a project of its own while there are any.
    pub fn reads(&self, connections: usize) -> Vec<Vec<u8>> {
        (0..connections).map(|n| read(&self.readers[n % self.readers.len()])).collect()
    }

    pub fn bytes(&self) -> u64 {
        fs::metadata(&self.data).unwrap().len()
    }
}

fn read((token, project): &(String, String)) -> Vec<u8> {
    format!(
        "GET /sfp/api/integrations/credentials?provider=github&project={project} HTTP/1.1\r\nHost: localhost\r\n\
         Authorization: Bearer {token}\r\n\r\n"
    )
    .into_bytes()
}

/// The name of a project by its number.
pub fn project(number: u64) -> String {
    format!("acme/app-{number}")
}

/// Makes a file in a folder of its own.
pub fn make(parent: &Path, name: &str, size: Size, kdf: KdfParams) -> Made {
    let folder = parent.join(name);
    fs::create_dir(&folder).unwrap();
    let (data, passphrase) = (folder.join("vault.redb"), folder.join("passphrase"));
    fs::write(&passphrase, PASSPHRASE).unwrap();
    fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o600)).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (owner, readers) = runtime.block_on(async {
        let vault = opened(&data, kdf).await;
        let fill = Fill::begin(vault, name, size).await;
        let made = fill.all(size).await;
        let stop = Event::new(Clock::system().now(), Actor::host("bench"), Action::ServerStop);
        fill.vault.lock(stop).await.map_err(drop).unwrap();
        made
    });
    Made { data, passphrase, owner, readers }
}

async fn opened(data: &Path, kdf: KdfParams) -> Arc<Vault> {
    let secret = |text: &str| Secret::new(text.as_bytes().to_vec());
    let plan = InitPlan {
        owner: "owner@example.com".parse().unwrap(),
        password: secret("password-example"),
        passphrase: secret(PASSPHRASE),
        kdf,
        password_kdf: KdfParams::LIGHT,
        actor: Actor::host("bench"),
        now: Clock::system().now(),
    };
    let settings = Settings {
        queue_max: 8192,
        cache_bytes: 64 << 20,
        sessions: SessionLife::ENDLESS,
        password_kdf: KdfParams::LIGHT,
        disk_low_bytes: 0,
        callers: CallerLimits::NONE,
        ..Settings::new(Actor::host("bench"), clock::monotonic)
    };
    let new = NewFile::begin(data).unwrap();
    Vault::create(new.medium(), 1 << 20, &plan).unwrap();
    let file = new.publish().unwrap();
    let vault = Arc::new(Vault::open(file.medium(), settings).unwrap());
    vault.unlock(secret(PASSPHRASE), Actor::host("bench"), Clock::system().now(), None).await.unwrap();
    vault
}

fn context() -> Context {
    Context { now: Clock::system().now(), request: None, peer: None }
}

struct Fill {
    vault: Arc<Vault>,
    caller: Admitted,
    owner: String,
    bar: ProgressBar,
}

impl Fill {
    async fn begin(vault: Arc<Vault>, name: &str, size: Size) -> Self {
        let password = Secret::new(b"password-example".to_vec());
        let login = vault.login(&context(), "owner@example.com", password).await.map_err(drop).unwrap();
        let owner = String::from_utf8(login.access.expose().to_vec()).unwrap();
        let caller = vault.authenticate(token::parse_bearer(&owner).unwrap(), &context()).unwrap();
        let style = ProgressStyle::with_template("filling {msg} {wide_bar} {pos}/{len} {eta}").unwrap();
        let rows = size.integrations + size.projects + size.tokens + size.events;
        let bar = ProgressBar::new(rows).with_style(style).with_message(name.to_owned());
        Self { vault, caller, owner, bar }
    }

    async fn all(&self, size: Size) -> (String, Vec<(String, String)>) {
        self.each(size.projects, |vault, caller, n| async move {
            let project = project(n);
            let body = format!(r#"{{"identifier":"{project}","remoteUrl":"https://github.com/{project}"}}"#);
            let request = api::parse(body.as_bytes()).map_err(drop).unwrap();
            vault.create_project(&context(), &caller, request).await.map_err(drop).unwrap();
        })
        .await;
        let integrations = self.each(size.integrations, move |vault, caller, n| async move {
            let request = api::parse(integration(n, size.projects).as_bytes()).map_err(drop).unwrap();
            vault.create_integration(&context(), &caller, request).await.map_err(drop).unwrap().0.id
        });
        let integrations = integrations.await;
        let tokens = self.each(size.tokens, move |vault, caller, n| async move {
            let project = project(n % size.projects);
            // The first is narrowed to nothing, as in an empty file.
            let narrowed = if n == 0 { String::new() } else { format!(r#","projects":["{project}"]"#) };
            let body = format!(r#"{{"name":"token {n}","expiresIn":3650{narrowed}}}"#);
            let request = api::parse(body.as_bytes()).map_err(drop).unwrap();
            let (row, text) = vault.create_token(&context(), &caller, request).await.map_err(drop).unwrap();
            (n, row.id, (String::from_utf8(text.expose().to_vec()).unwrap(), project))
        });
        let mut tokens = tokens.await;
        tokens.sort_by_key(|(n, ..)| *n);
        let known = Known {
            integrations,
            tokens: tokens.iter().map(|(_, id, _)| *id).collect(),
            projects: (0..size.projects).map(|n| project(n).parse().unwrap()).collect(),
        };
        self.each(size.events, |vault, _, n| {
            let event = known.event(n);
            async move { vault.record(event).await.map_err(drop).unwrap() }
        })
        .await;
        self.bar.finish_and_clear();
        (self.owner.clone(), tokens.into_iter().take(KEPT).map(|(.., reader)| reader).collect())
    }

    /// Does it so many times, many at once, so that they share commits.
    async fn each<T, F>(&self, count: u64, one: impl Fn(Arc<Vault>, Admitted, u64) -> F) -> Vec<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let (mut running, mut done) = (JoinSet::new(), Vec::new());
        for n in 0..count {
            if n >= WRITERS {
                done.push(running.join_next().await.unwrap().unwrap());
            }
            running.spawn(one(Arc::clone(&self.vault), self.caller.clone(), n));
            self.bar.inc(1);
        }
        done.extend(running.join_all().await);
        done
    }
}

/// A project's first is what the benchmark reads; the others are told apart by name.
fn integration(number: u64, projects: u64) -> String {
    let project = project(number % projects);
    let kind = match number / projects {
        0 => r#""provider":"github","authType":"pat""#.to_owned(),
        n => format!(r#""provider":"custom","name":"service {n}","authType":"api_key""#),
    };
    format!(r#"{{{kind},"credentials":{{"token":"ghp_example"}},"projects":["{project}"]}}"#)
}

struct Known {
    integrations: Vec<IntegrationId>,
    tokens: Vec<TokenId>,
    projects: Vec<ProjectId>,
}

impl Known {
    /// The length of a read's event of some token and some integration.
    fn event(&self, n: u64) -> Event {
        let n = n as usize;
        let actor = Actor::App(self.tokens[n % self.tokens.len()]);
        Event {
            integration: Some(self.integrations[n % self.integrations.len()]),
            revision: Some(Revision::FIRST),
            provider: Some(Provider::Github),
            project: Some(self.projects[n % self.projects.len()].clone()),
            request: Some("0192f0c1-7b3c-7def-8000-0123456789ab".parse().unwrap()),
            peer: Some("127.0.0.1".parse().unwrap()),
            ..Event::new(Clock::system().now(), actor, Action::CredentialsRead)
        }
    }
}
