//! A real server on a real file, and a client that speaks to it over a real socket.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use sealroom::{
    api::requests::{Change, CreateToken, CreateUser},
    audit::checkpoint::VerifierKey,
    auth::token,
    clock::Clock,
    crypto::kdf::KdfParams,
    disk::{DataFile, FileError, Locking, NewFile},
    domain::{AccessScope, Actor, Email, Role, Secret, Timestamp},
    http::{Edge, Limits, Listener, Server},
    outgoing::Outgoing,
    vault::{Admitted, Context, InitPlan, Settings, Vault, Witness},
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub const PASSPHRASE: &str = "correct horse battery staple example";
pub const PASSWORD: &str = "password-example";
pub const OWNER: &str = "owner@example.com";
/// 2026-11-24T10:00:00Z.
pub const START: u64 = 1_795_514_400_000;

pub fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

/// Opens a vault file that nobody serves any more. A test beside this one that starts a program holds a copy of the lock
/// until that program begins.
pub fn opened_file(path: &Path) -> DataFile {
    let start = Instant::now();
    loop {
        match DataFile::open(path, Locking::Required) {
            Err(FileError::InUse { .. }) if start.elapsed() < Duration::from_secs(10) => {
                std::thread::yield_now();
            }
            file => break file.unwrap(),
        }
    }
}

pub fn settings() -> Settings {
    Settings {
        cache_bytes: 1 << 20,
        password_kdf: KdfParams::LIGHT,
        ..Settings::new(Actor::host("test"), sealroom::clock::monotonic)
    }
}

pub fn plan() -> InitPlan {
    InitPlan {
        owner: OWNER.parse().unwrap(),
        password: secret(PASSWORD),
        passphrase: secret(PASSPHRASE),
        kdf: KdfParams::LIGHT,
        password_kdf: KdfParams::LIGHT,
        actor: Actor::host("test"),
        now: Timestamp::from_millis(START),
    }
}

pub fn context(now: Timestamp) -> Context {
    Context { now, request: None, peer: None }
}

pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    pub fn header(&self, name: &str) -> Option<String> {
        let line = self.head.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}:")))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    }
}

/// One keep-alive connection.
pub struct Client(TcpStream);

impl Client {
    pub async fn connect(address: &str) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// Sends a request and reads the answer; `None` where the server closes without one.
    pub async fn send(&mut self, method: &str, path: &str, bearer: &str, body: &str) -> Option<Reply> {
        let authorization =
            if bearer.is_empty() { String::new() } else { format!("Authorization: Bearer {bearer}\r\n") };
        let content = if body.is_empty() {
            "Content-Length: 0\r\n".to_owned()
        } else {
            format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len())
        };
        self.raw(
            &format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{authorization}{content}\r\n{body}"),
            method,
        )
        .await
    }

    pub async fn raw(&mut self, request: &str, method: &str) -> Option<Reply> {
        self.0.write_all(request.as_bytes()).await.ok()?;
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if self.0.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let mut reply = Reply { status, head, body: String::new() };
        if reply.header("transfer-encoding").as_deref() == Some("chunked") {
            reply.body = self.chunks(bytes.split_off(end)).await?;
            return Some(reply);
        }
        let length: usize = reply.header("content-length").map_or(0, |length| length.parse().unwrap());
        let length = if method == "HEAD" { 0 } else { length };
        while bytes.len() < end + length {
            if self.0.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        }
        // A backup is no text.
        reply.body = String::from_utf8_lossy(&bytes[end..end + length]).into_owned();
        // Every answer of every test is held against the document.
        super::openapi::check(method, request.split(' ').nth(1).unwrap_or_default(), &reply);
        Some(reply)
    }
}

impl Client {
    /// A body in chunks, to its proper end; `None` where it breaks off.
    async fn chunks(&mut self, mut bytes: Vec<u8>) -> Option<String> {
        let mut body = Vec::new();
        loop {
            let Some(line) = bytes.windows(2).position(|two| two == b"\r\n") else {
                if self.0.read_buf(&mut bytes).await.ok()? == 0 {
                    return None;
                }
                continue;
            };
            let size = usize::from_str_radix(std::str::from_utf8(&bytes[..line]).ok()?, 16).ok()?;
            while bytes.len() < line + 2 + size + 2 {
                if self.0.read_buf(&mut bytes).await.ok()? == 0 {
                    return None;
                }
            }
            body.extend_from_slice(&bytes[line + 2..line + 2 + size]);
            bytes.drain(..line + 2 + size + 2);
            if size == 0 {
                return String::from_utf8(body).ok();
            }
        }
    }

    /// A client over a connection that a test made itself.
    pub const fn over(stream: TcpStream) -> Self {
        Self(stream)
    }

    /// Returns this many bytes of what the server sends.
    pub async fn read_some(&mut self, count: usize) -> String {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).await.unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// Writes a request and nothing more.
    pub async fn write(&mut self, request: &str) {
        self.0.write_all(request.as_bytes()).await.unwrap();
    }

    /// Returns the next bytes; none if the server has closed the connection.
    pub async fn read(&mut self) -> String {
        let mut bytes = Vec::new();
        drop(self.0.read_buf(&mut bytes).await);
        String::from_utf8(bytes).unwrap()
    }
}

pub struct TestServer {
    pub vault: Arc<Vault>,
    pub clock: Clock,
    pub address: String,
    pub owner: String,
    pub member: String,
    pub app: String,
    /// The folder of its file, if it has one.
    home: Option<(tempfile::TempDir, DataFile)>,
}

impl TestServer {
    pub async fn start() -> Self {
        Self::start_with(Limits::STANDARD).await
    }

    pub async fn start_with(limits: Limits) -> Self {
        Self::start_at(limits, "127.0.0.1:0", false).await
    }

    pub async fn start_at(limits: Limits, listen: &str, edge: impl Into<Edge>) -> Self {
        Self::start_set(settings(), limits, listen, edge).await
    }

    /// A server that may call a provider.
    pub async fn calling(outgoing: Outgoing) -> Self {
        let settings = Settings { outgoing: Some(Arc::new(outgoing)), ..settings() };
        Self::start_set(settings, Limits::STANDARD, "127.0.0.1:0", false).await
    }

    /// A witness of these logs; its state is beside its file.
    pub async fn witnessing(logs: Vec<VerifierKey>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let witness = Witness::open(folder.path().join("test.redb.witness"), logs).unwrap();
        let settings = Settings { witness: Some(Arc::new(witness)), ..settings() };
        Self::start_in(folder, settings, Limits::STANDARD, "127.0.0.1:0", false).await
    }

    /// The folder of its file.
    pub fn folder(&self) -> &std::path::Path {
        self.home.as_ref().unwrap().0.path()
    }

    async fn start_set(settings: Settings, limits: Limits, listen: &str, edge: impl Into<Edge>) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), settings, limits, listen, edge).await
    }

    async fn start_in(
        folder: tempfile::TempDir,
        settings: Settings,
        limits: Limits,
        listen: &str,
        edge: impl Into<Edge>,
    ) -> Self {
        let data = folder.path().join("test.redb");
        let new = NewFile::begin(&data).unwrap();
        Vault::create(new.medium(), 1 << 20, &plan()).unwrap();
        let file = new.publish().unwrap();
        let vault = Vault::open(file.medium(), settings).unwrap();
        Self { home: Some((folder, file)), ..Self::over(vault, limits, listen, edge).await }
    }

    /// A server over a vault on whatever medium.
    pub async fn over(vault: Vault, limits: Limits, listen: &str, edge: impl Into<Edge>) -> Self {
        let (vault, now) = (Arc::new(vault), Timestamp::from_millis(START));
        vault.unlock(secret(PASSPHRASE), Actor::host("test"), now, None).await.unwrap();
        let mut this = Self::listening(vault, now, limits, listen, edge.into()).await;
        this.owner = this.login(OWNER).await;
        this.member = this.user("member@example.com", Role::Member, AccessScope::default()).await;
        this.app = this.token(Role::Application, AccessScope::default()).await;
        this
    }

    /// A server over a vault that is open, at that time; not logged in.
    pub async fn serving(vault: Arc<Vault>, now: Timestamp) -> Self {
        Self::listening(vault, now, Limits::STANDARD, "127.0.0.1:0", Edge::default()).await
    }

    async fn listening(vault: Arc<Vault>, now: Timestamp, limits: Limits, listen: &str, edge: Edge) -> Self {
        let clock = Clock::manual(now);
        let listener = Listener::tcp(listen.parse().unwrap()).await.unwrap();
        let address = listener.url().unwrap().trim_start_matches("http://").replace("0.0.0.0", "127.0.0.1");
        let server = Server::new(Arc::clone(&vault), clock.clone(), limits, edge);
        tokio::spawn(server.run(listener, std::future::pending()));
        let (owner, member, app) = Default::default();
        Self { vault, clock, address, owner, member, app, home: None }
    }

    pub async fn send(&self, method: &str, path: &str, bearer: &str, body: &str) -> Reply {
        Client::connect(&self.address).await.send(method, path, bearer, body).await.expect("an answer")
    }

    /// Sends like `send`, with these header lines, each ended by CRLF, instead of the usual content type.
    pub async fn send_with(
        &self,
        method: &str,
        path: &str,
        bearer: &str,
        headers: &str,
        body: &str,
    ) -> Reply {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {bearer}\r\n{headers}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Client::connect(&self.address).await.raw(&request, method).await.expect("an answer")
    }

    pub async fn login(&self, email: &str) -> String {
        let login = self
            .vault
            .login(&context(self.clock.now()), email, secret(PASSWORD))
            .await
            .map_err(drop)
            .unwrap();
        String::from_utf8(login.access.expose().to_vec()).unwrap()
    }

    pub fn caller(&self, bearer: &str) -> Admitted {
        self.vault.authenticate(token::parse_bearer(bearer).unwrap(), &context(self.clock.now())).unwrap()
    }

    pub async fn user(&self, email: &str, role: Role, scope: AccessScope) -> String {
        let address: Email = email.parse().unwrap();
        let request = CreateUser {
            email: address,
            role,
            first_name: None,
            last_name: None,
            password: Some(secret(PASSWORD)),
            projects: scope.projects.map_or(Change::Clear, Change::Set),
        };
        let (context, caller) = (context(self.clock.now()), self.caller(&self.owner));
        self.vault.create_user(&context, &caller, request).await.map_err(drop).unwrap();
        self.login(email).await
    }

    /// Changes a user as the owner; `change` is the JSON body.
    pub async fn change_user(&self, email: &str, change: &str) {
        let request = sealroom::api::parse(change.as_bytes()).map_err(drop).unwrap();
        let (context, caller) = (context(self.clock.now()), self.caller(&self.owner));
        let changed = self.vault.update_user(&context, &caller, email.parse().unwrap(), request);
        changed.await.map(drop).map_err(drop).unwrap();
    }

    pub async fn token(&self, role: Role, scope: AccessScope) -> String {
        let request = CreateToken { name: "test".parse().unwrap(), expires_in_days: 30, role, scope };
        let (context, caller) = (context(self.clock.now()), self.caller(&self.owner));
        let (_, text) = self.vault.create_token(&context, &caller, request).await.map_err(drop).unwrap();
        String::from_utf8(text.expose().to_vec()).unwrap()
    }

    pub async fn project(&self, identifier: &str) {
        let body =
            format!(r#"{{"identifier":"{identifier}","remoteUrl":"https://github.com/{identifier}"}}"#);
        assert_eq!(self.send("POST", "/sfp/api/projects", &self.owner, &body).await.status, 201);
    }

    /// Stores a GitHub token; `scope` is the JSON members that say for whom.
    pub async fn github(&self, value: &str, scope: &str) -> String {
        let body = format!(
            r#"{{"provider":"github","authType":"pat","credentials":{{"token":"{value}"}},{scope}}}"#
        );
        let reply = self.send("POST", "/sfp/api/integrations", &self.owner, &body).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        reply.json()["id"].as_str().unwrap().to_owned()
    }
}
